"""Whether a statement runs code of anybody's before the part that may run ahead."""

from __future__ import annotations

import ast

import pytest

from taskpar_kernel.analysis.shapes import begins_with


@pytest.mark.parametrize(
    "text",
    [
        "f(x)",
        "r = f(x)",
        "r += f(x)",
        "r: int = f(x)",
        "print('a', y, f(x))",
        "g(lambda: h(), f(x))",
        "g(y, k=f(x))",
        "r = (y, [f(x), h(y)])",
        "r = f(x) + h(y)",
        "r = f(x).real[h(y)]",
        "r = f'{f(x)} {h(y)}'",
        "g(*f(x))",
        "r = h(y) if f(x) else y",
        "r = f(x) or h(y)",
        "assert f(x) > h(y)",
        "if f(x): h(y)",
    ],
)
def test_nothing_runs_before(text: str) -> None:
    assert begins_with(*_parts(text))


@pytest.mark.parametrize(
    "text",
    [
        "g(h(y), f(x))",
        "g(*y, f(x))",
        "xs.append(f(x))",
        "r = y.a, f(x)",
        "r = y[0] + f(x)",
        "r = -y, f(x)",
        "r = f(x) if y else h(y)",
        "r = {y: f(x)}",
        "r = y and f(x)",
        "r = f'{y}{f(x)}'",
        "r.a += f(x)",
        "r[y] += f(x)",
        "r = [f(x) for x in y]",
        "r = (h := f(x))",
        "if y > 1: f(x)",
        "with y: f(x)",
    ],
)
def test_something_may_run_before(text: str) -> None:
    assert not begins_with(*_parts(text))


def _parts(text: str) -> tuple[ast.stmt, ast.expr]:
    """Return a statement, and the call of `f` in it."""
    (node,) = ast.parse(text).body
    calls = (n for n in ast.walk(node) if isinstance(n, ast.Call))
    return node, next(c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "f")
