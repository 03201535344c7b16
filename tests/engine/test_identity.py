"""Cells and namespaces come in pairs; whether their last steps are known by the same tags."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from taskpar_kernel.analysis.decompose import decompose
from taskpar_kernel.engine.memory.codes import code_of_function
from taskpar_kernel.engine.memory.identity import Identities, Identity
from taskpar_kernel.engine.memory.scale import scale_of
from taskpar_kernel.model.steps import flat

KEY = b"k" * 32
BEFORE = """
def inner(x, n=3):
    return x * n
def outer(x):
    return inner(x) + 1
class Model:
    def fit(self, x):
        return inner(x)
model = Model()
x = list(range(1000))
"""
CACHED = """
from functools import cache, partial
def base(x):
    return inner(x)
kept = cache(base)
bound = partial(base, 3)
"""


def last(cell: str, before: str = BEFORE, key: bytes = KEY) -> Identity:
    """Return what the last timed step of a cell is known by, after `before` has run."""
    namespace: dict[str, Any] = {"__name__": "__main__", "np": np}
    exec(compile(before, "<before>", "exec", dont_inherit=True), namespace)
    tops = decompose(ast.parse(cell).body, namespace)
    found = Identities(tops, namespace, key).of
    return [found[s] for top in tops for s in flat((*top.steps, *top.free.steps)) if s in found][-1]


@dataclass(frozen=True)
class Pair:
    name: str
    one: str
    other: str
    code: bool = True
    """Whether the code of both is the same."""
    scale: bool = True
    before: tuple[str, str] = ("", "")


PAIRS = [
    Pair("layout and comments", "y = outer( x )", "# so\n\ny = (outer(x))  # that"),
    Pair("another number", "y = inner(x, 3)", "y = inner(x, 4)", code=False),
    Pair("another name", "y = outer(x)", "z = outer(x)", code=False),
    Pair("the function", "y = inner(x)", "y = inner(x)", code=False,
         before=("", "def inner(x, n=3):\n    return x + n\n")),
    Pair("its lines only", "y = inner(x)", "y = inner(x)",
         before=("", "\n\n# moved\ndef inner(x, n=3):\n    # so\n    return x * n\n")),
    Pair("a function it calls", "y = outer(x)", "y = outer(x)", code=False,
         before=("", "def inner(x, n=3):\n    return x + n\n")),
    Pair("a default argument", "y = inner(x)", "y = inner(x)", code=False,
         before=("", "def inner(x, n=4):\n    return x * n\n")),
    Pair("a method", "y = model.fit(x)", "y = model.fit(x)", code=False,
         before=("", "Model.fit = lambda self, x: x\n")),
    Pair("a function that is cached", "y = kept(3)", "y = kept(3)", code=False,
         before=(CACHED, f"{CACHED}def base(x):\n    return -inner(x)\nkept = cache(base)\n")),
    Pair("a function with arguments bound", "y = bound()", "y = bound()", code=False,
         before=(CACHED, f"{CACHED}def base(x):\n    return -inner(x)\nbound = partial(base, 3)")),
    Pair("a little larger", "y = outer(x)", "y = outer(x)", before=("", "x = list(range(1010))")),
    Pair("much larger", "y = outer(x)", "y = outer(x)", scale=False,
         before=("", "x = list(range(5000))")),
    Pair("another type", "y = outer(x)", "y = outer(x)", scale=False,
         before=("", "x = tuple(range(1000))")),
    Pair("an input that nobody reads", "y = outer(x)", "y = outer(x)", before=("", "w = 1")),
    Pair("made in the cell, alike", "a = np.ones(10)\ny = outer(a)",
         "a = np.ones(20)\ny = outer(a)"),
    Pair("made in the cell, larger", "a = np.ones(10)\ny = outer(a)",
         "a = np.ones(5000)\ny = outer(a)", scale=False),
    Pair("made in the cell, from elsewhere", "a = open('s').read()\ny = outer(a)",
         "a = open('t').read()\ny = outer(a)", scale=False),
    Pair("made in two steps", "n = 10\na = np.ones(n)\ny = outer(a)",
         "n = 9999\na = np.ones(n)\ny = outer(a)", scale=False),
    Pair("left from the last run", "for k in [1, 2]:\n    y = outer(k)",
         "for k in [1, 2]:\n    y = outer(k)", before=("", "k = 'text'; y = [1]")),
    Pair("left from the last run, bound before", "a = outer(x)\ny = outer(a)",
         "a = outer(x)\ny = outer(a)", before=("", "a = 'text'; y = 2")),
    Pair("defined in the cell", "def g(v):\n    return inner(v)\ny = g(x)",
         "def g(v):\n    return -inner(v)\ny = g(x)", code=False),
    Pair("around a branch", "if x:\n    y = outer(x)", "if x:\n    y = outer(x)",
         before=("y = 1", "")),
]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS, ids=[pair.name for pair in PAIRS])
def test_a_step_is_known_by_its_code_and_by_the_scale_of_its_inputs(pair: Pair) -> None:
    one = last(pair.one, f"{BEFORE}\n{pair.before[0]}")
    other = last(pair.other, f"{BEFORE}\n{pair.before[1]}")
    assert (one.code == other.code) is pair.code
    assert not pair.code or (one.scale == other.scale) is pair.scale


def test_without_the_key_nobody_can_tell_what_a_tag_stands_for() -> None:
    one, other = last("y = outer(x)"), last("y = outer(x)", key=b"l" * 32)
    assert one.code != other.code
    assert one.scale != other.scale


SEEN = """
from test_identity import *
print(last("y = outer({'a', 'b', 'c'} & set(x)) if x in {'p', 'q', 'r', 's'} else 0"))
"""


def test_tags_are_the_same_in_every_process() -> None:
    def seen(seed: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", SEEN],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": __file__.rpartition("/")[0]},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert seen("1") == seen("2") != ""


def test_a_function_is_the_same_after_it_was_called_often() -> None:
    def add(a: Any, b: Any) -> Any:
        return a + b

    before = code_of_function(add)
    exec("def add(a, b):\n    return a + b", scope := {})
    for _ in range(10_000):
        scope["add"](1, 2)
        add(1, 2)
    assert code_of_function(add) == before
    exec("def add(a, b):\n    return a + b", other := {})
    assert code_of_function(scope["add"]) == code_of_function(other["add"])


def test_no_code_of_the_users_is_run() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            raise AssertionError(f"{name} was asked of the class")

    class Loud(metaclass=Meta):
        __module__ = "__main__"
        nbytes = property(lambda _: pytest.fail("nbytes was asked"))
        shape = property(lambda _: pytest.fail("shape was asked"))

        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"{name} was asked")

        def __len__(self) -> int:
            raise AssertionError("its length was asked")

        def __eq__(self, other: object) -> bool:
            raise AssertionError("it was compared")

        __hash__ = None  # type: ignore[assignment]

    namespace = {"loud": Loud(), "kind": Loud, "many": [Loud()], "f": abs}
    tops = decompose(ast.parse("y = f(loud, kind, many)").body, {"f": np.linalg.svd})
    assert Identities(tops, namespace, KEY).of


@pytest.mark.parametrize(
    ("small", "large"),
    [
        (np.ones(10), np.ones(1000)),
        ([np.ones(10)] * 3, [np.ones(1000)] * 3),
        ("a" * 10, "a" * 1000),
        (7, 70_000),
        (0.5, 5000.0),
        (SimpleNamespace(a=np.ones(10)), SimpleNamespace(a=np.ones(1000))),
        ({1: "a"}, dict.fromkeys(range(100), "a")),
    ],
    ids=["array", "list", "text", "int", "float", "object", "dict"],
)
def test_scales_tell_the_order_of_magnitude(small: object, large: object) -> None:
    assert scale_of(small) == scale_of(small) != scale_of(large)


def test_frames_count_by_their_cells() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": range(100), "b": ["x"] * 100})
    assert scale_of(frame) != scale_of(pandas.concat([frame] * 4))
    assert scale_of(frame) == scale_of(frame.assign(a=1))
