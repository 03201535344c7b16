"""What was observed of statements decides what goes out again."""

from __future__ import annotations

import pytest

from taskpar_kernel.engine.costs import Costs
from taskpar_kernel.model.steps import Unit


def test_what_uses_several_cores_and_is_slower_on_workers_stays_home(step: Unit) -> None:
    costs = Costs()
    costs.observe(step, 0.025, 2.0)
    for _ in range(6):  # disturbed by what runs beside it
        costs.observe(step, 0.2, 1.9)
    for seconds in (0.05, 0.5, 0.5):
        costs.observe_away(step, seconds, 1.8)
    assert costs.threads(step) == 1.8
    assert not costs.pays(step)


def test_one_run_that_uses_all_cores_does_not_hold_back_the_others(step: Unit) -> None:
    costs = Costs()
    costs.observe(step, 0.08, 2.0)
    costs.observe_away(step, 0.4, 1.0)
    assert costs.threads(step) == 1.0


def test_what_uses_one_core_may_be_slower_there(step: Unit) -> None:
    costs = Costs()
    costs.observe(step, 0.1, 1.0)
    for _ in range(3):
        costs.observe_away(step, 0.3)
    assert costs.pays(step)


def test_taking_an_outcome_must_not_cost_what_running_does(step: Unit) -> None:
    costs = Costs()
    costs.observe(step, 0.02, 1.0)
    for _ in range(2):
        costs.observe_taking(step, 0.015)
    assert not costs.pays(step)


def test_a_branch_is_predicted_by_what_was_reached_lately(step: Unit) -> None:
    costs = Costs()
    assert not costs.is_likely(step)
    costs.observe_branch(step, reached=True)
    assert costs.is_likely(step)
    for _ in range(5):
        costs.observe_branch(step, reached=False)
    costs.observe_branch(step, reached=True)
    assert not costs.is_likely(step)


def test_typical_seconds_are_the_mean_of_all_runs_but_the_longest(step: Unit) -> None:
    costs = Costs()
    assert costs.typical(step) == step.effects.cost_s, "what the tables tell"
    costs.observe(step, 0.5)
    assert costs.typical(step) == 0.5
    costs.observe(step, 0.001)
    assert costs.typical(step) == 0.001, "the first run was disturbed, or this one is cheap"
    costs.observe(step, 0.001)
    assert costs.typical(step) == 0.001
    for seconds in (0.1, 0.001, 0.1, 0.001, 0.1, 0.001, 0.1):
        costs.observe(step, seconds)
    assert costs.typical(step) == pytest.approx((3 * 0.1 + 4 * 0.001) / 7)
