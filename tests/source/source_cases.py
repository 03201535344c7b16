"""Little programs for the rewriting, and hooks that stand for an engine."""

# ruff: noqa: E501, ISC004 - one program, one entry

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import io
import itertools
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from taskpar_kernel.analysis.decompose import decompose
from taskpar_kernel.engine.applied import Applied
from taskpar_kernel.model.steps import LoopStep, Step, TopLevel, Unit
from taskpar_kernel.source.rewrite import HOOKS, rewrite

PRELUDE = """
import math, contextlib
xs = [3, 1, 2]; ys = [4, 5]; d = {"a": 1, "b": 2}; rows = []; n = 3; nested = [[1], [2, 3]]
def f(x): return x * x + 1
def bad(x):
    if x == 2: raise ValueError(x)
    return f(x)
class Model:
    def __init__(self): self.w = []
    def fit(self, x): self.w.append(x); return self
models = [Model(), Model()]
"""

PROGRAMS = [
    "rows.append(f(3))",
    "r = f(f(2)) + f(3)",
    "d[f(1)] = f(2)",
    "print(f(1), f(2), sep='-')",
    "x, y = f(1), f(2)",
    "n += f(4)",
    "r = f(1) if f(0) > 5 else f(2)",
    "r = f(0) and f(1) or f(2)",
    "r = [f(x) for x in xs]",
    "r = {x: f(x) for x in xs}",
    "r = sum(f(x) for x in xs)",
    "r = {f(x) for x in xs}",
    "r = [f(x) for x in xs if x > 1]",
    "r = {x: f(x) for x in xs if x != 2 and x < 5}",
    "r = [f(a) + f(b) for a, b in zip(xs, ys)]",
    "r = [f(x) for x in range(100)]",
    "r = {f(x % 7) for x in range(100)}",
    "r = {f(x % 7): f(x) for x in range(100)}",
    "r = max((f(x) for x in range(50)), default=0)",
    "r = any(f(x) > 4 for x in xs)",
    "r = sorted((f(x) for x in range(60)), reverse=True)",
    "r = ', '.join(str(f(x)) for x in xs)",
    "r = [[f(x) for x in xs], {y: f(y) for y in ys}]",
    "r = [x for x in [f(y) for y in xs]]",
    "r = [f(n) for n in xs]; q = n",
    "def uses(): return x0\nx0 = 3\nr = [uses() for x0 in xs]",
    "r = [m.fit(3) for m in models]",
    "r = {[] for x in xs if f(x)}",
    "r = {f(x): [f(x)] for x in ys}",
    "r = sum([bad(x) for x in xs])",
    "r = all(bad(x) for x in [1, 0, 2])",
    "r = math.fsum(f(x) for x in xs)",
    "r = f(f(1) + f(2))",
    "r = f(1) * f(2) - f(3)",
    "r = (f(1), [f(2), f(3)])",
    "r = {'a': f(1), 'b': f(2)}",
    "r = f'{f(1)} and {f(2)}'",
    "r = xs[f(0) - 1] + ys[f(0) - 1]",
    "r = models[0].fit(f(1)).fit(f(2))",
    "r = list(f(x) for x in 5)",
    "r = [f(x) for x in undefined]",
    "r = [f(x) for a, x in xs]",
    "r = (lambda q: f(q))(4)",
    "assert f(1) == 2, f(5)",
    "if f(1) > 1:\n    r = f(2)\nelse:\n    r = f(3)",
    "for x in xs:\n    rows.append(f(x))",
    "for x in xs:\n    r = f(x)\n    rows.append(r)\n    print(x, r)",
    "for i, x in enumerate(xs):\n    d[i] = f(x)",
    "for a, (b, c) in zip(xs, [(1, 2), (3, 4), (5, 6)]):\n    rows.append(f(a) + f(b) + c)",
    "for x in xs:\n    if x == 1:\n        continue\n    rows.append(f(x))",
    "for x in xs:\n    if f(x) == 2:\n        break\n    rows.append(f(x))\nelse:\n    rows.append('else')",
    "for x in xs:\n    rows.append(f(x))\nelse:\n    rows.append('else')",
    "for x in xs:\n    for y in ys:\n        rows.append(f(x) + f(y))",
    "for x in xs:\n    for y in ys:\n        if y == 5:\n            break\n        rows.append(f(x * y))\n"
    "    else:\n        rows.append('never')\n    if x == 1:\n        break",
    "for x in xs:\n    for y in ys:\n        rows.append(f(y))\n    else:\n        break",
    "for x in xs:\n    try:\n        rows.append(bad(x))\n    except ValueError as e:\n"
    "        rows.append(str(e))\n    finally:\n        rows.append('finally')",
    "for x in xs:\n    with open('/dev/null') as h:\n        rows.append(f(x))",
    "r = list(map(f, xs))",
    "r = list(filter(f, xs)) + list(map(bad, xs))",
    "r = max(xs, key=f), min(xs, key=lambda v: -f(v)), sorted(xs, key=f, reverse=True)",
    "r = sorted(xs, key=bad)",
    "r = max(range(50), key=f)",
    "r = sorted(range(50), key=lambda v: f(v) % 7)",
    "r = max([], key=f)",
    "r = min([], key=f, default=4)",
    "r = list(map(f, 5))",
    "r = sorted(5, key=f)",
    "r = max(xs, key=undefined)",
    "r = dict(zip(xs, map(f, ys)))",
    "r = ', '.join(map(str, map(f, xs)))",
    "def stops(v):\n    if v == 1: raise StopIteration\n    return v\nr = list(map(stops, xs))",
    "def g(v):\n    global g\n    g = f\n    return -v\nr = list(map(g, xs))",
    "try:\n    r = f(1)\n    q = bad(2)\n    rows.append(f(3))\nexcept ValueError as e:\n"
    "    rows.append(str(e))\nelse:\n    q = f(4)\nfinally:\n    rows.append(f(5))",
    "for x in xs:\n    try:\n        r = bad(x)\n    except ValueError:\n        continue\n    else:\n"
    "        rows.append(f(r))\n    finally:\n        q = f(x)",
    "with contextlib.suppress(ValueError):\n    r = f(1)\n    q = bad(2)\n    z = f(3)",
    "for x in xs:\n    if x > 2:\n        r = f(x)\n    elif x > 1:\n        r = f(f(x))\n"
    "    else:\n        continue\n    rows.append(f(r))",
    "for x in xs:\n    if bad(x) > 2:\n        r = f(x)\n        rows.append(f(r))\n",
    "if n:\n    r = [f(x) for x in xs]\n    for y in ys:\n        rows.append(f(y))",
    "for x in xs:\n    rows.append(bad(x))",
    "for x in xs:\n    r = f(x)\n    q = bad(x)\n    rows.append(q)",
    "rows.append(\n    bad(\n        2\n    )\n)",
    "r = [bad(x)\n     for x in xs]",
    "for m in models:\n    m.fit(f(1))\n    print(len(m.w))",
    "for x in []:\n    rows.append(f(x))\nelse:\n    r = f(9)",
    "for x in xs:\n    def g(y):\n        return f(y) + x\n    rows.append(g(2))",
    "for x in xs:\n    rows.append([f(y) for y in ys])",
    "for x in range(100):\n    rows.append(f(x))",
    "for x in range(100):\n    rows.append(f(x))\n    if x == 50:\n        break\nelse:\n    rows.append('else')",
    "for x in range(50):\n    if x % 2:\n        continue\n    rows.append(f(x))\nelse:\n    rows.append('else')",
    "for x in range(60):\n    r = f(x)\n    rows.append(1 / (40 - x))",
    "for k, v in d.items():\n    rows.append((k, f(v)))",
    "for k in d:\n    d[k] = f(d[k])",
    "for x in nested:\n    x.append(f(len(x)))",
    "for x in xs:\n    xs.append(f(x))\n    if len(xs) > 9:\n        break",
    "for rows in nested:\n    r = f(len(rows))",
    "while n:\n    n -= 1\n    rows.append(f(n))",
    "try:\n    r = bad(2)\nexcept ValueError:\n    r = f(1)",
    "del xs[f(0) - 1]",
    "r = undefined(f(1))",
    "for x in xs:\n    rows.append(undefined)",
    "r = f(*xs)",
    "print(f'{f(2)!r:>5}')",
    "x = y = f(3)",
    "rows[:] = [f(1), f(2)]",
    "for x in 5:\n    rows.append(f(x))",
    "for a, b in xs:\n    rows.append(f(a))",
    "r: int = f(2)",
    "for x in xs: rows.append(f(x)); print(x)",
]

Outcome = tuple[dict[str, str], str, str]


def fresh() -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "cell"}
    exec(compile(PRELUDE, "<prelude>", "exec"), namespace)
    return namespace


def taken_apart(source: str, namespace: dict[str, Any]) -> tuple[TopLevel, ...]:
    return decompose(ast.parse(source).body, namespace, eager=True)


def outcome(statements: Iterable[Callable[[], None]], namespace: dict[str, Any]) -> Outcome:
    """Run; return the namespace, the text, and the exception with its lines in the cell."""
    text, error = io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(text):
            for run in statements:
                run()
    except Exception as raised:  # noqa: BLE001 - it is compared
        frames = traceback.extract_tb(raised.__traceback__)
        lines = [(f.name, f.lineno) for f in frames if f.filename == "<cell>"]
        error = f"{type(raised).__name__}: {raised} {lines}"
    return (
        {k: _shown(v) for k, v in namespace.items() if k != "__builtins__"},
        text.getvalue(),
        error,
    )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return str([_shown(v) for v in value])
    kind = type(value).__name__
    return kind + (repr(vars(value)) if kind == "Model" else repr(value).split(" at 0x")[0])


def executed(node: ast.stmt, namespace: dict[str, Any]) -> Callable[[], None]:
    code = compile(ast.Module([node], []), "<cell>", "exec")
    return lambda: exec(code, namespace)


def natively(source: str) -> Outcome:
    namespace = fresh()
    nodes = ast.parse(source).body
    return outcome([executed(node, namespace) for node in nodes], namespace)


def rewritten(source: str, hooks: Any) -> Outcome:
    namespace = fresh()
    tops = taken_apart(source, namespace)
    hooks.begin(tops, namespace)
    setattr(builtins, HOOKS, hooks)
    try:
        nodes = [rewrite(top.node, top.steps) for top in tops]
        return outcome([executed(node, namespace) for node in nodes], namespace)
    finally:
        delattr(builtins, HOOKS)


def units(steps: Iterable[Step]) -> Iterator[Unit]:
    for step in steps:
        if isinstance(step, LoopStep):
            yield from units(step.body)
        elif isinstance(step, Unit):
            yield step


class Never:
    """Hooks that take nothing, and hand each loop over after `steps` iterations."""

    def __init__(self, steps: int = sys.maxsize):
        self._steps = steps
        self._rest: dict[int, Iterator[Any]] = {}

    def begin(self, tops: tuple[TopLevel, ...], namespace: dict[str, Any]) -> None:
        """Look at the cell before it runs."""

    def has(self, number: int, *local: Any) -> bool:
        return False

    def value(self, number: int) -> Any:
        raise AssertionError

    def loop(self, number: int, iterable: Any) -> Iterator[Any]:
        inner = iter(iterable)
        self._rest[number] = iter(())
        return self._stepped(number, inner)

    def _stepped(self, number: int, inner: Iterator[Any]) -> Iterator[Any]:
        for _ in range(self._steps):
            try:
                item = next(inner)
            except StopIteration:
                return
            yield item
        self._rest[number] = inner

    def rest(self, number: int) -> Iterator[Any]:
        yield from self._rest[number]

    def applied(self, number: int, unit: int, function: Any, iterable: Any) -> tuple[Any, Any]:
        if not hasattr(iterable, "__iter__"):
            return function, iterable
        applied = Applied(function, functools.partial(self.outcome_for, unit))
        walked = map(applied.note, self.loop(number, iterable))
        return applied, itertools.chain(walked, self.rest(number))

    def compared(self, number: int, unit: int, iterable: Any, function: Any, by: Any) -> Any:
        self._key = function
        if not hasattr(iterable, "__iter__"):
            return iterable
        take = functools.partial(self.outcome_for, unit)
        if by is sorted:
            items = list(iterable)
            self._key = Applied(function, take, self.loop(number, items))
            return items
        self._key = Applied(function, take)
        return itertools.chain(map(self._key.note, self.loop(number, iterable)), self.rest(number))

    def key(self) -> Any:
        return self._key

    def outcome_for(self, unit: int, item: Any) -> tuple[bool, Any]:
        return (True, self.value(unit)) if self.has(unit, item) else (False, None)

    chain = staticmethod(itertools.chain)

    @staticmethod
    def extend(first: set[Any], rest: Iterable[Any]) -> set[Any]:
        first.update(rest)
        return first


class Always(Never):
    """Hooks that take every unit that does not raise: they run it as a worker would, elsewhere."""

    def begin(self, tops: tuple[TopLevel, ...], namespace: dict[str, Any]) -> None:
        self._units = {u.id: u for top in tops for u in units(top.steps)}
        self._namespace = namespace
        self._value: Any = None
        self.taken = 0

    def has(self, number: int, *local: Any) -> bool:
        unit = self._units[number]
        node = unit.node
        try:
            if isinstance(node, ast.expr):
                code = compile(ast.Expression(node), "<worker>", "eval")
                names = dict(zip(unit.local, local, strict=True))
                self._value = eval(code, {**self._namespace, **names})
            elif any(isinstance(n, ast.Attribute) for n in ast.walk(node)):
                return False  # it might change something and raise then
            else:
                exec(compile(ast.Module([node], []), "<worker>", "exec"), self._namespace)
        except Exception:  # noqa: BLE001 - home will meet it
            return False
        self.taken += 1
        return True

    def value(self, number: int) -> Any:
        return self._value
