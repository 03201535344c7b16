"""The law, parallel == serial, for programs that nobody thought of.

Statements over a few lists, dicts, arrays, frames and objects that alias one another are put
together at random; some stay home, one or two workers share the rest.
"""

# ruff: noqa: E501 - the probe is one expression

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from laboratory import Laboratory

SETUP = """
import numpy as np
import pandas as pd
class Box:
    made = 0
    def __init__(self, v): self.v = v
    def put(self, v): self.v = v; return self
def twice(v): return v * 2
def grow(v): v.append(len(v)); return v
def counter():
    n = 0
    def up():
        nonlocal n
        n += 1
        return n
    return up
a = [1, 2]; b = [a, 3]; c = {"a": a, "b": b}; n = 5; o = Box(a); p = Box(o); up = counter()
x = np.arange(6.0); y = x[2:4]; z = np.arange(6).reshape(2, 3)[:, ::-1]
df = pd.DataFrame({"u": [1, 2, 3], "s": ["k", None, "k"]}); s = df["u"]
rng = np.random.default_rng(3)
"""
STATEMENTS = [
    "a.append(n)",
    "b[0].append(7)",
    "c['k'] = b",
    "c['a'] = [0]",
    "a = a + [9]",
    "b = [a, a]",
    "grow(a)",
    "r = grow(a)",
    "n = n + 1",
    "n = len(a)",
    "d = {'o': o, 'a': c['a']}",
    "o.v = b",
    "o.put(a)",
    "p.v.extra = n",
    "q = Box([a, o])",
    "q = p.put(c)",
    "Box.made += 1",
    "x[3] = n",
    "y[0] = -1",
    "y = x[1:5]",
    "x = x * 2",
    "w = x.sum() + y.sum()",
    "z[0, 0] = n",
    "m = [x, y]",
    "m = np.concatenate([x, y])",
    "df.loc[0, 'u'] = n",
    "df['v'] = df['u'] * 2",
    "s = df['u']",
    "g = df.groupby('s')['u'].sum()",
    "t = df[df['u'] > 1]",
    "k = rng.normal()",
    "k = up()",
    "up2 = counter()",
    "k = twice(n)",
    "e = sorted(a)",
    "a.sort()",
    "del b",
    "b = 1 / (n - 7)",
    "a, b = b, a",
    "l = [grow(i) for i in ([], [1])]",
    "print(n, len(a))",
    "f = lambda: (a, n)",
    "h = f()",
    "a.clear()",
    "c.pop('a')",
    "v = np.nan in [np.nan, n]",
    "v = [np.nan, x.dtype]",
]
PROBE = """(lambda seen: [(lambda shape: shape(shape, v, seen))(
    lambda shape, v, seen, depth=0:
        ('again', seen[id(v)]) if id(v) in seen and isinstance(v, (list, dict, Box, np.ndarray)) else (
        seen.setdefault(id(v), len(seen)) if isinstance(v, (list, dict, Box, np.ndarray)) else 0,
        [shape(shape, i, seen, depth + 1) for i in v] if isinstance(v, (list, tuple)) else
        [(k, shape(shape, i, seen, depth + 1)) for k, i in v.items()] if isinstance(v, dict) else
        shape(shape, vars(v), seen, depth + 1) if isinstance(v, Box) else
        (v.tolist(), v.strides, v.flags.writeable) if isinstance(v, np.ndarray) else
        v.to_dict() if isinstance(v, (pd.DataFrame, pd.Series)) else
        v.__name__ if callable(v) else repr(v)))
    for k, v in sorted(globals().items()) if not k.startswith('__') and k not in ('np', 'pd', 'rng')]
)({}), up(), rng.normal(), Box.made, np.shares_memory(x, y), {
    k: v() for k, v in [('up2', globals().get('up2'))] if v}, [type(globals().get(k)) is Box for k in 'opq']"""


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    statements=st.lists(st.sampled_from(STATEMENTS), min_size=2, max_size=7),
    home=st.lists(st.integers(0, 6), max_size=2),
    places=st.sampled_from([[1], [1, 2]]),
)
def test_parallel_is_serial(
    statements: list[str], home: list[int], places: list[int], laboratory: Laboratory
) -> None:
    laboratory.run(SETUP, "\n".join(statements), PROBE, home=home, places=places)
