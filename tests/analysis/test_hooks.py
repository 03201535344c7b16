"""What the language calls by itself, and what a home statement may therefore have changed.

`touch` is what home relies on. In each pair the first program has code of the notebook's behind an
innocent expression; the second is the same without it, and costs nothing.
"""

# ruff: noqa: E501 - one case, one line

from __future__ import annotations

import ast
import linecache

import pytest

from taskpar_kernel.analysis import hooks
from taskpar_kernel.analysis.api import advance
from taskpar_kernel.analysis.closing import holds_waiting
from taskpar_kernel.analysis.lifetimes import watches_lifetimes
from taskpar_kernel.analysis.predict import predict
from taskpar_kernel.model.effects import Effects, Scope, Touch

LOG = "log = []\n"
EQ = (
    LOG
    + "class E:\n  def __eq__(s, o): log.append(1); return True\n  def __hash__(s): return 1\n  def __lt__(s, o): return True\n"
)
TEXT = LOG + "class T:\n  def __repr__(s): log.append(1); return ''\n"
ITER = (
    LOG
    + "class I:\n  def __iter__(s): return s\n  def __next__(s): log.append(1); raise StopIteration\n"
)
FN = "def best(xs): return max(xs)\ndef same(a, b): return a == b\ndef text(a): return f'{a}'\n"


def run(code: str, name: str = "<hooks>") -> dict[str, object]:
    """Run a cell as a notebook would."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    name = f"{name} {hash(code)}"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    exec(compile(code, name, "exec"), namespace)
    return namespace


def last_of(code: str, before: str = "", opaque: str = "") -> Effects:
    """Predict the last statement of a cell, after cells that ran."""
    namespace = run(before)
    hooks.note(before, {})
    hooks.note(code, namespace)
    scope = Scope(namespace, {}, frozenset(opaque.split()))
    *past, last = ast.parse(code).body
    for node in past:
        scope = advance(scope, node, predict(node, scope))
    return predict(last, scope)


@pytest.mark.parametrize(
    ("code", "before"),
    [
        ("class D(C): pass", "class C:\n  def __init_subclass__(cls): pass\n"),
        ("class C: pass\nclass D(C): pass", ""),
        ("class C(metaclass=M): pass", "class M(type): pass\n"),
        ("@mark\nclass C: pass", "def mark(c): log.append(c); return c\n" + LOG),
        ("@mark\ndef f(): pass", "def mark(c): log.append(c); return c\n" + LOG),
        ("@mark(1)\ndef f(): pass", "def mark(n): return lambda f: log.append(f)\n" + LOG),
        ("class C:\n  x = Named()", "class Named:\n  def __set_name__(s, o, n): pass\n"),
        ("class C:\n  x = named", "class Named:\n  def __set_name__(s, o, n): pass\nnamed = Named()\n"),
        ("class E(enum.Enum):\n  A = 1", "import enum\n"),
        ("a = isinstance(x, C)", "class M(type):\n  def __instancecheck__(c, o): return True\nclass C(metaclass=M): pass\nx = 1\n"),
        ("a = issubclass(int, (str, C))", "class M(type):\n  def __subclasscheck__(c, o): return True\nclass C(metaclass=M): pass\n"),
        ("a = same(xs, ys)", EQ + FN + "xs = ys = [E()]\n"),
        ("a = best(xs)", EQ + FN + "xs = [E()]\n"),
        ("a = text(xs)", TEXT + FN + "xs = [T()]\n"),
        ("a = f'{xs}'", TEXT + "xs = [T()]\n"),
        ("a = '%s' % (x,)", TEXT + "x = T()\n"),
        ("print(xs)", TEXT + "xs = [[T()]]\n"),
        ("a = xs == [1]", EQ + "xs = [E()]\n"),
        ("a = 3 in xs", EQ + "xs = [E()]\n"),
        ("a = x != 3", EQ + "x = E()\n"),
        ("a = 3 < x", LOG + "class E:\n  def __gt__(s, o): log.append(1); return True\nx = E()\n"),
        ("a = x < 2 < log.append(1)", "log = []\nclass E:\n  def __lt__(s, o): return True\nx = E()\n"),
        ("a = {x: 1}", EQ + "x = E()\n"),
        ("a = {x}", EQ + "x = E()\n"),
        ("a = {x for x in xs}", EQ + "xs = [E()]\n"),
        ("d[x] = 1", EQ + "x = E()\nd = {}\n"),
        ("a = d[x]", EQ + "x = E()\nd = {}\n"),
        ("xs.remove(3)", EQ + "xs = [E()]\n"),
        ("xs.sort()", EQ + "xs = [E()]\n"),
        ("s.add(x)", EQ + "x = E()\ns = set()\n"),
        ("xs.sort(key=k)", "class K:\n  def __call__(s, x): log.append(x); return x\nk = K()\nxs = [2, 1]\n" + LOG),
        ("xs.extend(x)", ITER + "x = I()\nxs = []\n"),
        ("for a in x: pass", ITER + "x = I()\n"),
        ("a = [*x]", ITER + "x = I()\n"),
        ("a, *b = x", ITER + "x = I()\n"),
        ("a = f(*x)", ITER + "x = I()\ndef f(*xs): return 1\n"),
        ("a = f(**x)", "class M:\n  def keys(s): return []\nx = M()\ndef f(**xs): return 1\n"),
        ("a = {**x}", "class M:\n  def keys(s): return []\nx = M()\n"),
        ("xs[:] = x", ITER + "x = I()\nxs = []\n"),
        ("xs += x", ITER + "x = I()\nxs = []\n"),
        ("a = 1 + x", LOG + "class R:\n  def __radd__(s, o): log.append(1)\nx = R()\n"),
        ("a = l + r", LOG + "class R:\n  def __radd__(s, o): log.append(1)\nclass L:\n  def __add__(s, o): return NotImplemented\nl, r = L(), R()\n"),
        ("a = C[1]", LOG + "class C:\n  def __class_getitem__(c, k): log.append(1)\n"),
        ("a = C.x", LOG + "class D:\n  def __get__(s, o, t): log.append(1)\nclass C:\n  x = D()\n"),
        ("class C:\n  x = D()\no = C()\na = o.x", LOG + "class D:\n  def __get__(s, o, t): log.append(1)\n"),
        ("class C:\n  @cached\n  def x(self): return 1\na = C().x", "from functools import cached_property as cached\n"),
        ("a = f()", LOG + "class D:\n  def __set__(s, o, v): log.append(1)\nclass C:\n  x = D()\ndef f():\n  o = C()\n  o.x = 1\n  return 1\n"),
        ("@deco\ndef f(): return 1\na = f()", LOG + "def deco(f):\n  def w(): log.append(1); return f()\n  return w\n"),
        ("a = f(3)", LOG + "import functools\n@functools.singledispatch\ndef f(x): return 0\n@f.register\ndef _(x: int): log.append(1)\n"),
        ("a = f()", LOG + "import contextlib\nclass W(contextlib.ContextDecorator):\n  def __enter__(s): log.append(1)\n  def __exit__(s, *a): pass\n@W()\ndef f(): return 1\n"),
        ("a = list(map(C, [1]))", LOG + "class C:\n  def __init__(s, x): log.append(1)\n"),
        ("a = sorted([1], key=C)", LOG + "class C:\n  def __init__(s, x): log.append(1)\n"),
        ("a = json.dumps([], cls=C)", "import json\nclass C(json.JSONEncoder):\n  def default(s, o): log.append(1)\n" + LOG),
        ("a = df.agg({'a': f})", "import pandas as pd\ndf = pd.DataFrame({'a': [1]})\ndef f(x): log.append(1)\n" + LOG),
        ("a = P()", LOG + "from dataclasses import dataclass, field\ndef new(): log.append(1)\n@dataclass\nclass P:\n  x: int = field(default_factory=new)\n"),
        ("a = (arr + 1)", "import numpy as np\nclass N:\n  def __add__(s, o): return s\narr = np.array([N()])\n"),
        ("match [x]:\n  case [E()]: a = 1", EQ + "x = E()\n"),
        ("match 3:\n  case K.k: a = 1", EQ + "class K:\n  k = E()\n"),
    ],
)  # fmt: skip
def test_code_of_the_notebook_may_run(code: str, before: str) -> None:
    assert last_of(code, before).touch is not Touch.NOTHING
    assert (
        last_of(code, before).touch is not Touch.OBJECTS or "log" in last_of(code, before).changes
    )


@pytest.mark.parametrize(
    ("code", "before"),
    [
        ("class D: pass", ""),
        ("class D(Exception):\n  'text'\n  x = 1\n  def f(self): return 1", ""),
        ("@dataclass\nclass D:\n  x: int = 1", "from dataclasses import dataclass\n"),
        ("@functools.cache\ndef f(x): return x", "import functools\n"),
        ("a = isinstance(x, int)", "x = 1\n"),
        ("a = best(xs)", FN + "xs = [1]\n"),
        ("a = same(xs, ys)", FN + "xs = ys = [1]\n"),
        ("a = xs == [1]", EQ + "xs = [1]\n"),
        ("a = 3 in d", EQ + "d = {1: [2]}\n"),
        ("a = sorted(xs)", EQ + "xs = [1, 2]\n"),
        ("a = {1: 2, 'x': 3}", EQ),
        ("a = f'{xs}'", TEXT + "xs = [1, (2, 'x')]\n"),
        ("a = arr + 1", "import numpy as np\nclass N:\n  def __add__(s, o): return s\narr = np.zeros(3)\n"),
        ("a = list(map(str, xs))", "xs = [1]\n"),
    ],
)  # fmt: skip
def test_nothing_of_the_notebook_can_run(code: str, before: str) -> None:
    assert last_of(code, before).touch is Touch.NOTHING


def test_an_instance_outlives_the_name_of_its_class() -> None:
    before = EQ + FN + "xs = [E()]\ndel E\n"
    assert last_of("a = same(xs, xs)", before).touch is Touch.ANY


def test_a_summary_does_not_outlive_what_it_rests_on() -> None:
    namespace = run(FN + "xs = [1]\n")
    node = ast.parse("a = best(xs)").body[0]
    assert predict(node, Scope(namespace)).touch is Touch.NOTHING
    hooks.note("class E:\n  def __lt__(s, o): pass", {})
    assert predict(node, Scope(namespace)).touch is Touch.ANY


@pytest.mark.parametrize("code", ["a = vars(o)", "a = o.__dict__", "a = [vars(o)]", "a = {'k': o.__dict__}", "a = getattr(o, '__dict__')", "a = own(o)", "vars(o)", "o.__dict__", "d['x'] = vars(o)"])  # fmt: skip
def test_the_dict_of_an_instance_stays_home(code: str) -> None:
    before = "class C: pass\no = C()\nd = {}\ndef own(x): return x.__dict__\n"
    node = ast.parse(code).body[0]
    scope = Scope(run(before))
    assert predict(node, scope).home
    if isinstance(node, ast.Expr):
        assert predict(node.value, scope).home


@pytest.mark.parametrize("code", ["a = len(vars(o))", "a = sorted(o.__dict__)", "a = o.x"])
def test_what_is_computed_from_the_dict_of_an_instance_travels(code: str) -> None:
    before = "class C: pass\no = C()\no.x = 1\n"
    assert not predict(ast.parse(code).body[0], Scope(run(before))).home


CLEANING = "def gen():\n  with open('p') as f:\n    yield f\n"


@pytest.mark.parametrize(
    ("code", "before", "serial"),
    [
        ("a = gen()", CLEANING, True),
        ("for x in gen(): break", CLEANING, True),
        ("a = zip(gen(), [1])", CLEANING, True),
        ("a = give()", CLEANING + "def give(): return gen()\n", True),
        ("del a", "def gen():\n  try: yield 1\n  finally: pass\na = gen()\nnext(a)\n", True),
        ("x = 1", "def gen():\n  try: yield 1\n  finally: pass\na = [gen()]\nnext(a[0])\n", True),
        ("def gen():\n  try: yield 1\n  finally: pass\na = gen()", "", True),
        ("for x in gen(): pass", CLEANING, False),
        ("a = list(gen())", CLEANING, False),
        ("a = [x for x in gen()]", CLEANING, False),
        ("a = use()", CLEANING + "def use(): return [x for x in gen()]\n", False),
        ("x = 1", CLEANING, False),
        ("with cm() as x: pass", "import contextlib\n@contextlib.contextmanager\ndef cm():\n  try: yield 1\n  finally: pass\n", False),
        ("a = gen()", "def gen(): yield 1\n", False),
    ],
)  # fmt: skip
def test_generators_that_clean_up(code: str, before: str, serial: bool) -> None:
    namespace = run(before)
    nodes = ast.parse(code).body
    assert bool(holds_waiting(nodes, namespace)) is serial
    hooks.note(before + code, {})
    assert bool(watches_lifetimes(nodes, namespace)) is serial


@pytest.mark.parametrize(
    ("code", "before"),
    [
        ("a = f(1)", "def f(x, seen=[]): seen.append(x)\n"),
        ("def f(x, seen=[]): seen.append(x)\na = f(1)", ""),
        ("a = f(x=1)", "def f(x, *, seen=[]): seen.append(x)\n"),
        ("a = f()", "def g():\n  kept = []\n  def f(): kept.append(1)\n  return f\nf = g()\n"),
    ],
)
def test_a_change_of_what_a_function_keeps(code: str, before: str) -> None:
    effects = last_of(code, before)
    assert effects.home
    assert effects.touch is Touch.ANY


def test_an_argument_that_is_given_is_no_default() -> None:
    effects = last_of("f(1, xs)", "xs = []\ndef f(x, seen=[]): seen.append(x)\n")
    assert (effects.home, effects.touch) == ((), Touch.OBJECTS)


def test_what_touch_rests_on() -> None:
    namespace = run("x = 1\ndef f(): return x\ny = 2\n")
    scope = Scope(namespace, {}, frozenset({"y"}))
    assert dict(predict(ast.parse("a = x + f()").body[0], scope).assumes) == {
        "x": int,
        "f": namespace["f"],
    }
    assert predict(ast.parse("a = x + y").body[0], scope).assumes == ()
