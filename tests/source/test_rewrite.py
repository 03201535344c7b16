"""Rewritten code does what the original does, whoever computes its units."""

from __future__ import annotations

import ast

import pytest
from source_cases import PROGRAMS, Always, Never, fresh, natively, rewritten, taken_apart, units

from taskpar_kernel.source.rewrite import rewrite


@pytest.mark.parametrize("source", PROGRAMS)
def test_hooks_that_take_nothing(source: str) -> None:
    assert rewritten(source, Never()) == natively(source)


@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("source", PROGRAMS)
def test_loops_handed_over(source: str, steps: int) -> None:
    assert rewritten(source, Never(steps)) == natively(source)


@pytest.mark.parametrize("source", PROGRAMS)
def test_hooks_that_take_what_they_can(source: str) -> None:
    assert rewritten(source, Always()) == natively(source)


def test_units_are_taken() -> None:
    hooks = Always()
    rewritten("for x in xs:\n    rows.append(f(x))\nr = f(1) + f(2)", hooks)
    assert hooks.taken == 5


@pytest.mark.parametrize("source", PROGRAMS)
def test_the_original_is_not_changed(source: str) -> None:
    tops = taken_apart(source, fresh())
    before = [ast.dump(top.node, include_attributes=True) for top in tops]
    for top in tops:
        rewrite(top.node, top.steps)
    assert [ast.dump(top.node, include_attributes=True) for top in tops] == before


@pytest.mark.parametrize("source", PROGRAMS)
def test_positions_lie_inside_the_original(source: str) -> None:
    for top in taken_apart(source, fresh()):
        old = top.node
        first, last = (old.lineno, old.col_offset), (old.end_lineno, old.end_col_offset)
        for node in ast.walk(rewrite(old, top.steps)):
            if "lineno" in node._attributes:
                begin = (node.lineno, node.col_offset)
                end = (node.end_lineno, node.end_col_offset)
                assert first <= begin <= end <= last


def test_a_statement_without_units_is_left_as_it_is() -> None:
    for top in taken_apart("x = 1\npass\nimport math", fresh()):
        if not list(units(top.steps)):
            assert rewrite(top.node, top.steps) is top.node
