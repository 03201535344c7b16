"""Which parts of a statement may run ahead, which stay home, and which loops are taken apart.

In the tables, `(text)` is a unit, `home` a statement that stays as a whole, `home+` one that stays
while its units go out, `loop[…]` a loop taken apart and `{…}` units in one block.
"""

# ruff: noqa: E501 - one case, one line

from __future__ import annotations

import ast
from collections.abc import Iterable

import pytest
from source_cases import fresh

from taskpar_kernel.analysis.decompose import decompose, decompose_function
from taskpar_kernel.model.steps import LoopStep, Step, Unit

CASES = r"""
x = 1 | (x = 1)
r = f(1) | (r = f(1))
r = f(f(1)) | (r = f(f(1)))
x, y = f(1), f(2) | (f(1)) (f(2)) home+
a = b = f(1) | (a = b = f(1))
[a, *b] = f(1) | ([a, *b] = f(1))
rows.append(f(1)) | (f(1)) home+
rows.append(f(f(1))) | (f(f(1))) home+
rows.append(1) | home
rows.extend([f(1), f(2)]) | (f(1)) (f(2)) home+
rows += [f(1)] | (f(1)) home+
n += f(1) | (f(1)) home+
d['k'] = f(1) | (f(1)) home+
d[f(1)] = f(2) | (f(2)) home+
rows[0:1] = f(1) | (f(1)) home+
rows[:] = [f(x) for x in xs] | loop[(f(x))] home+
models[0].w = f(1) | (f(1)) home+
print(f(1)) | (f(1)) home+
print(f(1), f(2)) | (f(1)) (f(2)) home+
print(n) | home
f(1) + f(2) | (f(1)) (f(2)) home+
m = Model() | (m = Model())
models[0].fit(f(1)) | (models[0].fit(f(1)))
models[0].w.append(f(1)) | (f(1)) home+
del n | home
pass | home
assert f(1) | (f(1)) home+
if n: r = f(1) | (r = f(1)) home+
if n: r = 1 | home
if f(1): r = 2 | (f(1)) home+
if f(1): r = f(2) | (f(1)) (r = f(2)) home+
if n.real: r = f(2) | home+ (r = f(2)) home+
if f(1) and f(2): r = 2 | (f(1)) home+
r = f(1) if f(2) else f(3) | (r = f(1) if f(2) else f(3))
r = f(1) and f(2) | (r = f(1) and f(2))
r = f(1) < f(2) < f(3) | (f(1)) (f(2)) home+
r = [f(x) for x in xs] | loop[(f(x))] home+
r = {f(x) for x in xs} | loop[(f(x))] home+
r = {x: f(x) for x in xs} | loop[(f(x))] home+
r = sum(f(x) for x in xs) | loop[(f(x))] home+
r = (y := f(1)) | (r = (y := f(1)))
print((y := f(1))) | home
print(f(1) if n else f(2)) | home
print([f(x) for x in xs]) | loop[(f(x))] home+
r = [f(x) for x in xs if x > 1] | loop[(f(x))] home+
r = [f(x) for x in xs if f(x)] | (r = [f(x) for x in xs if f(x)])
r = [f(x) + y for x in xs for y in ys] | (r = [f(x) + y for x in xs for y in ys])
r = [x + 1 for x in xs] | (r = [x + 1 for x in xs])
r = math.fsum(f(x) for x in xs) | (r = math.fsum((f(x) for x in xs)))
r = f(f(1), f(2)) | (f(1)) (f(2)) home+
r = f(f(f(1))) | (r = f(f(f(1))))
for x in xs: rows.append([f(y) for y in ys]) | loop[([f(y) for y in ys]) home+]
print(lambda: f(1)) | home
r: int = f(1) | (f(1)) home+
def g(x): return f(x) | home
class C: pass | home
import math | home
r = eval('f(1)') | home
r = input() | home
r = globals() | home
r = (f(x) for x in xs) | home
raise ValueError(f(1)) | home
for x in xs: rows.append(f(x)) | loop[(f(x)) home+]
for x in xs: r = f(x) | loop[(r = f(x))]
for x in xs:\n    r = f(x)\n    rows.append(r) | loop[(r = f(x)) home]
for x in xs:\n    for y in ys:\n        rows.append(f(x + y)) | loop[loop[(f(x + y)) home+]]
for x in xs: r = f(x); q = f(r); print(q) | loop[{(r = f(x)) (q = f(r))} home]
for x in xs: r = f(x); rows.append(f(r)) | loop[{(r = f(x)) (f(r))} home+]
for x in xs: r = f(x); d[x] = f(r) | loop[{(r = f(x)) (f(r))} home+]
for x in xs:\n    r = f(x)\n    d[x] += f(r) | loop[(r = f(x)) (f(r)) home+]
for x in xs:\n    r = f(x)\n    print(x, f(r)) | loop[(r = f(x)) (f(r)) home+]
for x in xs:\n    r = f(x)\n    rows.append(f(x)) | loop[(r = f(x)) (f(x)) home+]
for x in xs:\n    r = f(x)\n    print(x)\n    q = f(r) | loop[(r = f(x)) home (q = f(r))]
for x in xs: r = f(x); rows.append({'r': f(r), 'q': f(r + 1)}) | loop[{(r = f(x)) ({'r': f(r), 'q': f(r + 1)})} home+]
for x in xs: r = f(x); rows.append((x, f(r) + f(x), [f(3)])) | loop[{(r = f(x)) ((x, f(r) + f(x), [f(3)]))} home+]
for x in xs: r = f(x); d[x] = f(r) + f(x) | loop[{(r = f(x)) (f(r) + f(x))} home+]
for x in xs: r = f(x); d[f(x)] = f(r) + 1 | loop[{(r = f(x)) (f(r) + 1)} home+]
for x in xs: r = f(x); rows.append((f(x), n)) | loop[(r = f(x)) (f(x)) home+]
for x in xs: rows.append((f(x), f(x + 1))) | loop[(f(x)) (f(x + 1)) home+]
for x in xs: r = f(x); rows.append([f(r), print(x)]) | loop[(r = f(x)) (f(r)) home+]
for x in xs: r = f(x); q = f(x); z = f(r + q) | loop[(r = f(x)) {(q = f(x)) (z = f(r + q))}]
for x in xs: m = Model(); m.fit(x); d[x] = f(m) | loop[{(m = Model()) (m.fit(x)) (f(m))} home+]
for x in xs:\n    m = Model()\n    models[0].fit(m) | loop[(m = Model()) (models[0].fit(m))]
for x in xs: n = f(n); r = f(n + x); q = f(x) | loop[(n = f(n)) (r = f(n + x)) (q = f(x))]
for i, x in enumerate(xs): d[i] = f(x) | loop[(f(x)) home+]
for a, b in zip(xs, ys): rows.append(f(a)) | loop[(f(a)) home+]
for m in models: m.fit(f(1)) | loop[(m.fit(f(1)))]
for x in xs:\n    if x: continue\n    rows.append(f(x)) | loop[home (f(x)) home+]
for x in xs:\n    if f(x): break | loop[(f(x)) home+]
for x in xs:\n    def g(y): return f(y) + x\n    rows.append(g(x)) | loop[home (g(x)) home+]
r = list(map(f, xs)) | loop[(f(__taskpar_item__))] home+
r = max(xs, key=f) | loop[(f(__taskpar_item__))] home+
r = sorted(xs, key=lambda v: f(v), reverse=True) | loop[((lambda v: f(v))(__taskpar_item__))] home+
r = dict(zip(xs, map(f, ys))) | loop[(f(__taskpar_item__))] home+
r = ''.join(filter(f, xs)) | loop[(f(__taskpar_item__))] home+
r = list(map(f, xs, ys)) | (r = list(map(f, xs, ys)))
r = map(f, xs) | home
r = max(xs, default=0, key=f) | (r = max(xs, default=0, key=f))
r = max(xs, key=f(1)) | (r = max(xs, key=f(1)))
r = sorted(xs, key=len) | (r = sorted(xs, key=len))
try:\n    r = f(1)\nexcept ValueError:\n    r = f(2) | (r = f(1)) home+
try:\n    r = f(1)\nexcept ValueError:\n    r = 2\nelse:\n    q = f(3)\nfinally:\n    rows.append(f(4)) | (r = f(1)) (q = f(3)) (f(4)) home+ home+
try:\n    r = 1\nexcept ValueError:\n    r = f(2) | home
try:\n    for x in xs: rows.append(f(x))\nfinally:\n    n = 1 | loop[(f(x)) home+] (n = 1) home+
with lock: r = f(1) | home+ (r = f(1)) home+
with lock: r = 1 | home
for x in xs:\n    try: rows.append(f(x))\n    except ValueError: rows.append(0) | loop[(f(x)) home+ home+]
for x in xs:\n    with lock: rows.append(f(x)) | loop[home+ (f(x)) home+ home+]
for x in xs:\n    if x > 1: rows.append(f(x))\n    else: r = f(x + 1) | loop[(f(x)) home+ (r = f(x + 1)) home+]
for k, v in d.items(): rows.append(f(v)) | loop[(f(v)) home+]
for x in range(n): rows.append(f(n)) | loop[(f(n)) home+]
""".strip().split("\n")

WHOLE_LOOPS = r"""
for x in xs: n = f(n)
for x in f(1): rows.append(f(x))
for x in (f(y) for y in xs): rows.append(f(x))
for x in open('x'): rows.append(f(x))
for xs in xs: rows.append(f(xs))
for d['k'] in xs: rows.append(f(1))
for k in d: d[k] = f(d[k])
for x in xs:\n    n = n + 1\n    rows.append(f(n))
for x in map(f, xs): rows.append(x)
for x in iter(xs): rows.append(f(x))
while n: n -= f(1)
""".strip().split("\n")


def shown(steps: Iterable[Step]) -> str:
    return " ".join(map(_shown, steps))


def _shown(step: Step) -> str:
    if isinstance(step, LoopStep):
        return f"loop[{shown(step.body)}]"
    if isinstance(step, Unit) and step.members:
        return f"{{{shown(step.members)}}}"
    if isinstance(step, Unit):
        return f"({ast.unparse(step.node)})"
    return "home" if step.whole else "home+"


def _normal(text: str) -> str:
    """Unparse the units of an expected text, so that parentheses do not matter."""
    return text.replace("(x, y = f(1), f(2))", "(x, y = (f(1), f(2)))").replace(
        "sum(f(x) for x in xs)", "sum((f(x) for x in xs))"
    )


@pytest.mark.parametrize("case", CASES)
def test_steps(case: str) -> None:
    source, expected = case.replace("\\n", "\n").rsplit(" | ", 1)
    (top,) = decompose(ast.parse(source).body, fresh())
    assert shown(top.steps) == _normal(expected)


@pytest.mark.parametrize("case", WHOLE_LOOPS)
def test_loops_that_stay_whole(case: str) -> None:
    source = case.replace("\\n", "\n")
    (top,) = decompose(ast.parse(source).body, fresh())
    assert not any(isinstance(step, LoopStep) for step in top.steps)


def test_a_definition_of_the_same_cell_is_followed() -> None:
    tops = decompose(ast.parse("def g(x): return input()\nr = g(1)\nr = f(1)").body, fresh())
    assert [shown(top.steps) for top in tops] == ["home", "home", "(r = f(1))"]


def test_what_is_displayed_stays_home_and_its_value_goes_out() -> None:
    (top,) = decompose(ast.parse("f(1)").body, fresh(), interactive=frozenset({0}))
    assert shown(top.steps) == "(f(1)) home+"


@pytest.mark.parametrize("source", [*CASES, *WHOLE_LOOPS])
def test_numbers_are_unique_and_in_program_order(source: str) -> None:
    text = source.replace("\\n", "\n").rsplit(" | ", 1)[0]
    numbers = []

    def learn(steps: Iterable[Step]) -> None:
        for step in steps:
            numbers.append(step.id)
            if isinstance(step, LoopStep):
                learn(step.body)

    for top in decompose(ast.parse(text).body, fresh(), eager=True):
        learn(top.steps)
    assert numbers == sorted(set(numbers))


BODIES = r"""
a = f(1)\n    b = f(2)\n    return a, b | (f(1)) (f(2)) home
a = f(q)\n    b = f(a)\n    c = f(2)\n    return b | (f(q)) (f(a)) (f(2)) home
a = f(q)\n    return f(a) | none
return f(f(q), f(2)) | none
rows.append(f(1))\n    return f(q) | (f(1)) home+ (f(q)) home+
try:\n        a = f(1)\n    finally:\n        b = f(q) | (f(1)) (f(q)) home+
if q:\n        a = f(1)\n    else:\n        a = f(2)\n    return a | (f(1)) (f(2)) home+ home
a = [f(x) for x in xs]\n    return a | none
a = [f(x) for x in xs]\n    b = f(q)\n    return a, b | ([f(x) for x in xs]) (f(q)) home
for x in xs: rows.append(f(x))\n    return f(q) | none
""".strip().split("\n")
"""Bodies of functions, and their steps if several of them could overlap."""


@pytest.mark.parametrize("case", BODIES)
def test_bodies_of_functions(case: str) -> None:
    body, expected = case.replace("\\n", "\n").rsplit(" | ", 1)
    (node,) = ast.parse(f"def study(q):\n    {body}").body
    assert isinstance(node, ast.FunctionDef)
    local = frozenset({"q", "a", "b", "c", "x"})
    inner = decompose_function(node, local, fresh(), 1)
    found = [shown(span.steps) for span in inner.spans] or ["none"]
    assert found == [expected]


def test_the_rounds_of_a_while_loop_are_bodies() -> None:
    source = "while n:\n    a = f(n)\n    b = f(2)\n    n -= 1"
    (top,) = decompose(ast.parse(source).body, fresh())
    assert shown(top.steps) == "home"
    assert [shown(span.steps) for span in top.free.spans] == ["(a = f(n)) (b = f(2)) home"]


STUDY = "def study(q):\n    a = f(q)\n    b = f(2)\n    return a, b"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("r = study(1)", "home"),
        ("r = f(1)", "(r = f(1))"),
        ("r = study(1)\nq = f(2)", "(r = study(1))"),
    ],
)
def test_a_call_that_would_go_out_alone_is_opened_at_home(source: str, expected: str) -> None:
    tops = decompose(ast.parse(f"{STUDY}\n{source}").body, fresh() | {"__name__": "__main__"})
    assert shown(tops[1].steps) == expected
