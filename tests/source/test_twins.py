"""A twin is the function with hooks in its loops; where it would not fit there is none."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import pytest

from taskpar_kernel.source.twins import may_have_twin, twin_of


def _twin(source: str, make: Callable[[dict[str, Any]], Any] | None = None) -> tuple[Any, Any]:
    """Return the function `f` that the source defines, and a twin whose body says so."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    tree = ast.parse(source)
    exec(compile(tree, "<cell>", "exec"), namespace)
    function = make(namespace) if make else namespace["f"]
    (node,) = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "f")
    body = [ast.parse("came.append(1)").body[0], *node.body]
    namespace["came"] = []
    return function, twin_of(function, body, node)


@pytest.mark.parametrize(
    "source",
    [
        "def f(n): return n and f(n - 1)",
        "def f(n, *, k=2, **more):\n    g = lambda: n\n    return f(g() - 1) if n else k * 0",
        "import functools\ndef plain(x): return x\ndef f(n): return plain(n) - n",
    ],
)
def test_a_function_has_a_twin_that_calls_the_original(source: str):
    function, twin = _twin(source)
    assert twin(3) == function(3) == 0
    assert function.__globals__["came"] == [1]  # once: what it calls is what was called before


def test_the_recursion_of_a_closure_goes_on_in_the_original():
    source = "def make():\n    def f(n): return n and f(n - 1)\n    return f"
    function, twin = _twin(source, lambda names: names["make"]())
    assert twin(3) == 0
    assert function.__globals__["came"] == [1]
    assert twin.__closure__ == function.__closure__


def test_a_name_bound_anew_is_found_anew():
    function, twin = _twin("def f(n): return f(n - 1) if n else 'old'")
    function.__globals__["f"] = lambda n: ("new", n)
    assert twin(3) == ("new", 2)


def test_what_tracebacks_show_is_the_same():
    function, twin = _twin("\n\ndef f(n):\n    return [1 / n for _ in 'a']")
    assert twin.__code__.co_qualname == function.__code__.co_qualname
    assert twin.__code__.co_firstlineno == function.__code__.co_firstlineno
    assert twin.__code__.co_filename == function.__code__.co_filename


@pytest.mark.parametrize(
    "source",
    ["def f(): yield 1", "async def g(): pass\ndef f(): return locals()", "def f(_A__x): return 1"],
)
def test_what_could_tell_has_none(source: str):
    function, _ = _twin(source)
    assert not may_have_twin(function.__code__)
