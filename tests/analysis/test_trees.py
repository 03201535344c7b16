"""A walk gives what `ast.walk` gives; what a text cannot hold is not looked for."""

from __future__ import annotations

import ast
import sysconfig
from pathlib import Path

import pytest

from taskpar_kernel.analysis.trees import may_hold, walk

MODULES = sorted(Path(sysconfig.get_path("stdlib")).glob("[a-d]*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_nodes_of_the_standard_library_in_the_same_order(path: Path) -> None:
    tree = ast.parse(path.read_bytes())
    expected = [node for node in ast.walk(tree) if not isinstance(node, ast.expr_context)]
    assert list(map(id, walk(tree))) == list(map(id, expected))


def test_several_trees_are_walked_side_by_side() -> None:
    first, second = ast.parse("a = 1\nb = f(c)").body
    nodes = list(walk(first, second))
    assert nodes[:2] == [first, second]
    assert set(nodes) == {*walk(first), *walk(second)}


@pytest.mark.parametrize(
    ("text", "words", "may"),
    [
        ("", ("weakref",), True),
        ("x = 1", ("weakref", "__del__"), False),
        ("import weakref", ("weakref", "__del__"), True),
        ("import wea\N{MATHEMATICAL BOLD SMALL K}ref", ("weakref",), True),
        ("s = 'é'", ("weakref",), True),
    ],
)
def test_what_a_text_may_hold(text: str, words: tuple[str, ...], may: bool) -> None:
    assert may_hold(text, *words) is may
