"""How long a statement that read a file too early stays behind what may write files."""

from __future__ import annotations

import ast
from itertools import count

from taskpar_kernel.engine.overtaking import Overtaking
from taskpar_kernel.engine.stream import Instance
from taskpar_kernel.model.effects import NO_EFFECTS
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.steps import Unit

STEP = Unit(UnitId(1), ast.parse("f(x)").body[0], NO_EFFECTS, "f(x)", 1)


def held_back(overtaking: Overtaking) -> int:
    """How many instances stay behind before one goes out."""
    for number in count():
        instance = Instance(STEP, (number,))
        if not overtaking.holds_back(instance):
            return number
        assert overtaking.holds_back(instance), "asked again, it is not counted again"
    raise AssertionError


def test_longer_after_each_squash_and_over_after_an_outcome() -> None:
    clock = count(1.0)
    overtaking = Overtaking(lambda: next(clock))
    assert held_back(overtaking) == 0
    seen = []
    for issued_s in range(1, 80, 10):
        overtaking.squashed(STEP, issued_s)
        seen.append(held_back(overtaking))
    assert seen == [2, 6, 14, 30, 62, 64, 64, 64]
    overtaking.took(STEP)
    assert held_back(overtaking) == 0


def test_attempts_that_were_out_together_count_once() -> None:
    overtaking = Overtaking(lambda: 5.0)
    for issued_s in (1.0, 2.0, 3.0):
        overtaking.squashed(STEP, issued_s)
    assert held_back(overtaking) == 2
