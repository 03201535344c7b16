"""An outcome is a loss if handing it over takes longer than the work in it."""

from __future__ import annotations

import pytest

from taskpar_kernel.engine.gains import Gains, Spent
from taskpar_kernel.model.steps import Unit

LOSS = Spent(work_s=0.04, worked_s=0.04, home_s=0.03, worker_s=0.1)
GAIN = Spent(work_s=1.0, worked_s=1.0, home_s=0.03, worker_s=0.1)


@pytest.mark.parametrize(
    ("spent", "cores", "loss"),
    [
        (LOSS, 2, True),
        (LOSS, 8, False),
        (GAIN, 2, False),
        (Spent(0.04, 0.04, home_s=0.05, worker_s=0.0), 64, True),
        (Spent(0.3, 0.0, home_s=0.002, worker_s=0.005), 1, False),  # it sleeps
        (Spent(0.3, 0.3, home_s=0.002, worker_s=0.005), 1, True),
        (Spent(1.0, 2.0, home_s=0.0, worker_s=0.0), 2, True),  # it uses both cores by itself
    ],
)
def test_loss(step: Unit, spent: Spent, cores: int, *, loss: bool) -> None:
    gains = Gains(cores)
    for _ in range(2):
        assert gains.pays(step)
        gains.observe(step, spent)
    assert gains.pays(step) is not loss


def test_dear_runs_pay_for_cheap_ones(step: Unit) -> None:
    gains = Gains(2)
    for spent in (LOSS, GAIN, LOSS, LOSS, LOSS, LOSS):
        gains.observe(step, spent)
        assert gains.pays(step)


def test_what_was_long_ago_does_not_count(step: Unit) -> None:
    gains = Gains(2)
    gains.observe(step, GAIN)
    for _ in range(32):
        gains.observe(step, LOSS)
    assert not gains.pays(step)
    for _ in range(6):
        gains.observe(step, GAIN)
    assert gains.pays(step)


def test_what_did_not_pay_is_tried_again_after_more_and_more_cells(step: Unit) -> None:
    gains = Gains(2)
    gains.observe(step, LOSS)
    gains.observe(step, LOSS)
    for cells in (4, 8, 16):
        for _ in range(cells):
            assert not gains.pays(step)
            gains.begin_cell()
        assert gains.pays(step)
        gains.observe(step, LOSS)
    for _ in range(32):
        gains.begin_cell()
    gains.observe(step, GAIN)
    assert gains.pays(step)
    for _ in range(32):
        gains.observe(step, LOSS)
    for _ in range(4):
        assert not gains.pays(step)
        gains.begin_cell()
    assert gains.pays(step), "a gain makes up for all losses before"


def test_first_outcomes_count_where_there_are_no_others(step: Unit) -> None:
    gains = Gains(2)
    for _ in range(2):
        gains.observe(step, LOSS, first=True)
        assert gains.pays(step), "what was sent with it, another may find there"
    gains.observe(step, LOSS, first=True)
    assert not gains.pays(step)
    other = Gains(2)
    other.observe(step, GAIN)
    for _ in range(5):
        other.observe(step, LOSS, first=True)
    assert other.pays(step)


def test_dear_runs_at_home_speak_for_a_step_of_which_cheap_ones_were_taken(step: Unit) -> None:
    gains = Gains(2)
    cheap = Spent(work_s=0.001, worked_s=0.001, home_s=0.001, worker_s=0.001)
    for _ in range(2):
        gains.observe(step, cheap)
    assert not gains.pays(step)
    assert not gains.pays(step, 0.004)
    assert gains.pays(step, 0.1)
