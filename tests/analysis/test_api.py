"""The public table of effects."""

from __future__ import annotations

import ast

import pytest

import taskpar_kernel
from taskpar_kernel.analysis.api import Analysis, analyse
from taskpar_kernel.analysis.predict import _GRAMMAR
from taskpar_kernel.errors import UsageError

CODE = """\
import math
xs = [1, 2]

@deco
def f(v):
    return math.sqrt(v) + len(xs)

for i in range(3):
    xs.append(f(i))
print(xs)
"""


def test_statements_come_in_order_with_their_lines_and_text() -> None:
    statements = analyse(CODE).statements
    assert [(each.line, each.end_line) for each in statements] == [
        (1, 1), (2, 2), (4, 6), (8, 9), (10, 10),
    ]  # fmt: skip
    assert statements[1].source == "xs = [1, 2]"
    assert statements[3].effects.reads == {"deco", "f", "math", "xs"}
    assert statements[3].effects.changes == {"xs"}


def test_it_prints_as_an_aligned_table() -> None:
    text = str(analyse(CODE))
    lines = text.splitlines()
    assert lines[0].split() == ["line", "source", "reads", "writes", "changes", "why", "at", "home"]
    column = lines[0].index("reads")
    assert lines[5][column:].startswith("deco f math xs")
    assert repr(analyse(CODE)) == text
    assert not any(line.endswith(" ") for line in lines)


def test_an_empty_cell_is_an_empty_table() -> None:
    assert analyse("").statements == ()
    assert "line" in str(Analysis(()))


@pytest.mark.parametrize(
    ("code", "line"), [("a = 1\nb = = 2", 2), ("%matplotlib inline", 1), ("  x\n y", 1)]
)
def test_what_is_not_python_is_a_usage_error_that_names_the_line(code: str, line: int) -> None:
    with pytest.raises(UsageError, match=f"line {line}"):
        analyse(code)


def test_the_namespace_sharpens() -> None:
    assert analyse("a = v + 1", {"v": 1}).statements[0].effects.cost_s == 0.0
    assert analyse("a = v + 1").statements[0].effects.cost_s is None


def test_names_written_earlier_are_opaque() -> None:
    statements = analyse("v = make()\na = v + 1", {"v": 1}).statements
    assert statements[1].effects.cost_s is None


def test_deleted_names_are_gone() -> None:
    statements = analyse("del v\na = v", {"v": []}).statements
    assert statements[1].effects.reads == {"v"}


def test_nothing_is_run_or_changed() -> None:
    namespace = {"xs": [1]}
    analyse("xs.append(2)\nimport this\nxs = 3", namespace)
    assert namespace == {"xs": [1]}


def test_it_is_public() -> None:
    assert taskpar_kernel.analyse is analyse


def test_every_kind_of_node_is_known() -> None:
    def leaves(base: type) -> set[type]:
        return {each for each in base.__subclasses__() if each.__module__ == "ast"}

    old = {"Num", "Str", "Bytes", "NameConstant", "Ellipsis"}  # gone since 3.8, kept as names
    new = {each for each in leaves(ast.expr) if each.__name__ not in old}
    assert new <= set(_GRAMMAR.expressions)
    assert leaves(ast.stmt) <= set(_GRAMMAR.statements)
