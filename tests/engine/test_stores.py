"""What home's own part of a loop may change, once it is known what its names are bound to."""

from __future__ import annotations

import ast
import sys
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from taskpar_kernel.analysis.decompose import decompose
from taskpar_kernel.engine.stores import Stores
from taskpar_kernel.model.steps import LoopStep


class Own:
    """An object whose operators are the user's."""

    def __round__(self, digits: int = 0) -> float:
        return 0.0


class Stdout:
    """A stream as the kernel's."""


Stdout.__module__ = "ipykernel.iostream"
BEFORE = "def f(x): return sorted(range(x))\n"
BOUND: dict[str, Any] = {
    "xs": [1, 2], "x": 1, "r": 2.5, "n": 3, "name": "a", "z": np.float64(2),
    "rows": [], "d": {}, "s": set(), "o": OrderedDict(), "own": Own(), "array": np.ones(3),
}  # fmt: skip

PLAIN = r"""
rows.append(f(x)) | rows
rows.append((x, f(x), [r, n])) | rows
d[x] = f(x) | d
r = f(x); d[x, round(r, 2)] = r + z | d
r = f(x); n += r * 2 - abs(z) |
r = f(x); print(f"{x}: {n:.{x}f}", r == n, end="") |
f(x); s.add(x) | s
f(x); rows[x] = own if x > 1 else None | no
f(x); rows[x] = n if x > 1 else None | rows
f(x); d[x] = max(n, r, -z) | d
f(x)\n    if x > n and not r: break |
f(x)\n    if len(rows) > n: rows.append(x)\n    else: d[x] = n | rows d
r = f(x); n = r; rows.append(n) | rows
""".strip().split("\n")

MORE = """
d[x] = round(own, 2)
d[own] = 1
s.add(own)
n += own
print(own)
rows.append(f"{own}")
o[x] = n
array[x] = n
own.append(n)
rows.append(own.real)
rows.append(rows[-1])
d[x] = r[0]
rows.append(*rows)
del d[x]
if own: break
""".strip().split("\n")


def _stores(source: str) -> Stores | None:
    code = f"for x in xs:\n    {source}"
    namespace = {**BOUND, "__name__": "__main__"}
    exec(compile(BEFORE, "<cell>", "exec"), namespace)
    (top,) = decompose(ast.parse(code).body, namespace)
    loops = [s for s in (*top.steps, *top.free.steps) if isinstance(s, LoopStep)]
    return Stores.of(loops[0]) if loops else None


@pytest.mark.parametrize("case", PLAIN)
def test_only_containers_are_filled(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Stdout())
    source, _, expected = case.replace("\\n", "\n").partition(" |")
    stores = _stores(source)
    assert stores is not None
    effects = stores.effects(BOUND, (1.5,))
    if expected.strip() == "no":
        assert effects is None
    else:
        assert effects is not None
        assert effects.changes == frozenset(expected.split())


@pytest.mark.parametrize("source", MORE)
def test_more_may_happen(source: str) -> None:
    stores = _stores(f"f(x); {source}" if ":" not in source else f"f(x)\n    {source}")
    assert stores is None or stores.effects(BOUND, (1.5,)) is None


def test_a_value_that_was_taken_is_looked_at() -> None:
    stores = _stores("rows.append(f(x) + 1)")
    assert stores is not None
    assert stores.effects(BOUND, (1.5,)) is not None
    assert stores.effects(BOUND, (Own(),)) is None
    assert _stores("rows.append(f(x) + f(n))") is None, "one of two values is not"


def test_what_comes_before_the_first_unit_is_not_looked_at() -> None:
    assert _stores("rows.append(f(x))") is not None
    assert _stores("if x > 1: rows.append(f(x))") is None
    assert _stores("n += 1; rows.append(f(x))") is None
    assert _stores("rows.append((round(r), f(x)))") is None


def test_builtins_are_builtins(monkeypatch: pytest.MonkeyPatch) -> None:
    stores = _stores("f(x); d[round(n)] = r")
    assert stores is not None
    assert stores.effects(BOUND, ()) is not None
    assert stores.effects({**BOUND, "round": len}, ()) is None
    shown = _stores("f(x); print(n)")
    monkeypatch.setattr(sys, "stdout", Stdout())
    assert shown is not None
    assert shown.effects(BOUND, ()) is not None
    monkeypatch.setattr(sys, "stdout", Own())
    assert shown.effects(BOUND, ()) is None


def test_numpy_may_call_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    stores = _stores("f(x); n += z")
    assert stores is not None
    assert stores.effects(BOUND, ()) is not None
    before = np.seterrcall(lambda *_: None)
    assert stores.effects(BOUND, ()) is None
    np.seterrcall(before)
    monkeypatch.setattr("warnings.showwarning", lambda *_: None)
    assert stores.effects(BOUND, ()) is None
