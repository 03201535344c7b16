"""What arrives is what was sent: functions, classes, aliases, numbering, fingerprints."""

# ruff: noqa: E501, ISC004 - one program, one entry

from __future__ import annotations

import copyreg
import io
import itertools
import math
import random
import threading
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from fractions import Fraction
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.seed import HashSeed
from taskpar_kernel.transport.pickling import (
    Classes,
    has_identity,
    pack,
    pickle_value,
    unpack,
    unpickle,
)

Notebook = Callable[[str], dict[str, Any]]


@pytest.fixture(autouse=True)
def _known_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HashSeed, "known", "0")


def new_copy(value: object) -> Any:
    """Return what a worker makes of `value`."""
    return unpickle(pickle_value(value).place(), classes=Classes.NEW)[0]


# Values ----------------------------------------------------------------------------------------

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(PLAIN)
def test_plain_values(value: object) -> None:
    assert repr(new_copy(value)) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        deque([1, 2], maxlen=5),
        defaultdict(list, {"a": [1]}),
        OrderedDict(b=1, a=2),
        Fraction(1, 3),
        PurePath("a/b"),
        random.Random(4).getstate(),
        bytearray(b"abc"),
        range(1, 9, 2),
        slice(1, None),
        ...,
        complex(1, -0.0),
        types.SimpleNamespace(a=[1]),
        math.sin,
        [].append,
        str.upper,
        dict.fromkeys,
        int,
    ],
    ids=lambda v: type(v).__name__,
)
def test_values_of_the_standard_library(value: object) -> None:
    new = new_copy(value)
    assert type(new) is type(value)
    assert repr(new).split(" at ")[0] == repr(value).split(" at ")[0]


FRAMES = {
    "numbers": pd.DataFrame({"a": [1, 2], "b": [0.5, math.nan]}),
    "strings": pd.DataFrame({"s": ["x", None, "z"]}),
    "objects": pd.DataFrame({"o": [[1], {"k": 2}, None]}, dtype=object),
    "categories": pd.DataFrame({"c": pd.Categorical(["u", "v", "u"], ordered=True)}),
    "levels": pd.DataFrame(
        {"v": range(4)}, index=pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", "y"])
    ),
    "dates": pd.DataFrame({"t": pd.date_range("2020", periods=3, tz="UTC")}),
    "missing": pd.DataFrame({"i": pd.array([1, None], dtype="Int64")}),
    "empty": pd.DataFrame({"a": []}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames(name: str) -> None:
    frame = FRAMES[name]
    new = new_copy(frame)
    pd.testing.assert_frame_equal(new, frame, check_freq=True)
    assert new.attrs == frame.attrs


def test_frames_and_series_keep_their_names() -> None:
    series = pd.Series([1, 2], name="n", index=pd.Index(["a", "b"], name="i"))
    pd.testing.assert_series_equal(new_copy(series), series)


# Aliases and identity --------------------------------------------------------------------------


def test_aliases_inside_a_message_are_kept() -> None:
    inner: list[Any] = [1]
    outer = {"a": inner, "b": (inner, [inner])}
    inner.append(outer)
    new = new_copy(outer)
    assert new["a"] is new["b"][0] is new["b"][1][0]
    assert new["a"][1] is new


def test_both_ends_number_alike(notebook: Notebook) -> None:
    names = notebook(
        "class C:\n def m(self): return C\nc = C(); f = lambda: c\n"
        "v = [c, f, {'k': [c]}, C, c.m, bytearray(b'x')]"
    )
    value = [names["v"], np.arange(3.0), pd.Series([1, 2]), {1, 2}]
    parcel = pickle_value(value)
    _, numbered, _ = unpickle(parcel.place(), classes=Classes.NEW)
    assert parcel.numbered.objects.keys() == numbered.objects.keys()
    for index, obj in parcel.numbered.objects.items():
        assert type(numbered.objects[index]).__name__ == type(obj).__name__


def test_known_objects_travel_as_references() -> None:
    mine = [1, 2]
    parcel = pickle_value({"a": mine, "b": [mine]}, {id(mine): (7, 3)})
    asked = []

    def resolve(reference: object) -> object:
        asked.append(reference)
        return mine

    new, _, _ = unpickle(parcel.place(), resolve=resolve)
    assert new["a"] is mine
    assert new["b"][0] is mine
    assert set(asked) == {(7, 3)}


def test_a_reference_nobody_knows_is_refused() -> None:
    mine = [1]
    with pytest.raises(NotPortable, match="refers to object"):
        unpickle(pickle_value([mine], {id(mine): (7, 3)}).place())


@pytest.mark.parametrize(
    "value", [1, "a", (1, 2), None, 2.5, math.sin, np.float64(1), np.dtype("f8")]
)
def test_without_identity(value: object) -> None:
    assert not has_identity(value)


@pytest.mark.parametrize(
    "value", [[], {}, np.zeros(2), np.float64("nan"), np.poly1d([1]), object()]
)
def test_with_identity(value: object) -> None:
    assert has_identity(value)


def test_a_librarys_nan_is_itself_and_another_is_refused() -> None:
    new = new_copy([np.nan, math.nan, {np.nan: 1}])
    assert new[0] is np.nan  # noqa: PLW0177
    assert new[1] is math.nan  # noqa: PLW0177
    assert new[2][np.nan] == 1
    with pytest.raises(NotPortable, match="nan"):
        pickle_value([float("nan")])
    assert math.isnan(unpack(pack(float("nan"))))


# Functions and classes -------------------------------------------------------------------------

FUNCTIONS = {
    "def": ("k = 3\ndef f(x, y=2, *, z=4): return x * k + y + z", "f(1)"),
    "lambda": ("f = lambda x: x + 1", "f(1)"),
    "recursion": ("def f(n): return 1 if n < 2 else n * f(n - 1)", "f(5)"),
    "closure": ("def g(a):\n def f(x): return a + x\n return f\nf = g(5)", "f(1)"),
    "own name in a closure": (
        "def g():\n def f(n): return 0 if n == 0 else 1 + f(n - 1)\n return f\nf = g()",
        "f(4)",
    ),
    "shared cell": (
        "def g():\n n = 0\n def up():\n  nonlocal n\n  n += 1\n def get(): return n\n"
        " return up, get\nf = g()",
        "(f[0](), f[0](), f[1]())",
    ),
    "empty cell": (
        "def g():\n def f(): return late\n if False: late = 1\n return f\nf = g()",
        "f.__closure__[0] == type(f.__closure__[0])()",
    ),
    "attributes": ("def f(): 'doc'\nf.a = [1]\nf.b = f.a", "(f.a is f.b, f.__doc__)"),
    "mutable default": ("def f(x=[]):\n x.append(1)\n return x", "(f(), f())"),
    "annotations": ("def f(a: int) -> 'str': ...", "f.__annotations__"),
    "generator function": ("def f():\n yield 1\n yield 2", "list(f())"),
    "method": ("class C:\n def m(self): return self.v\nc = C(); c.v = 4; f = c.m", "f()"),
    "class": ("class C:\n n = [1]\n def m(self): return super().__repr__()[:5]\nf = C", "f().m()"),
    "inheritance": (
        "class A:\n def m(self): return 'A'\nclass B(A):\n def m(self): return super().m() + 'B'\n"
        "f = B()",
        "(f.m(), isinstance(f, type(f).__mro__[1]))",
    ),
    "property": ("class C:\n @property\n def p(self): return 5\nf = C()", "f.p"),
    "static and class methods": (
        "class C:\n @staticmethod\n def s(): return 1\n @classmethod\n def c(cls): return cls\nf = C",
        "(f.s(), f.c() is f)",
    ),
    "slots": (
        "class C:\n __slots__ = ('a', '__b')\nf = C(); f.a = 1",
        "(f.a, hasattr(f, '__dict__'))",
    ),
    "dataclass": (
        "from dataclasses import *\n@dataclass(order=True, frozen=True)\nclass D:\n x: int\n"
        " y: list = field(default_factory=list)\nf = [D(1), D(1)]",
        "(f[0] == f[1], f[0] < f[1], replace(f[0], x=2), [g.default is MISSING for g in fields(f[0])])",
    ),
    "enum": (
        "from enum import *\nclass E(Enum):\n A = 1\n B = auto()\n def m(self): return self.name\n"
        "f = [E.A, E, E.B]",
        "(f[0] is f[1].A, f[2].m(), list(f[1]))",
    ),
    "named tuple": (
        "from collections import namedtuple\nT = namedtuple('T', 'a b')\nf = [T(1, 2), T]",
        "(f[0].a, type(f[0]) is f[1])",
    ),
    "abstract": (
        "from abc import *\nclass A(ABC):\n @abstractmethod\n def m(self): ...\n"
        "class B(A):\n def m(self): return 1\nf = B()",
        "f.m()",
    ),
    "partial": (
        "from functools import partial\ndef g(a, b): return a - b\nf = partial(g, b=1)",
        "f(5)",
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_classes(name: str, notebook: Notebook) -> None:
    source, probe = FUNCTIONS[name]
    names = notebook(source)
    parcel = pickle_value(names["f"]).place()
    expected = repr(eval(probe, names))
    names["f"] = unpickle(parcel, classes=Classes.NEW)[0]
    assert repr(eval(probe, names)) == expected


def test_a_function_sees_the_namespace_it_arrives_in(notebook: Notebook) -> None:
    names = notebook("k = 1\ndef f(): return k")
    f = new_copy(names["f"])
    notebook("k = 2")
    assert f() == 2
    assert f.__globals__ is names


def test_each_message_has_its_own_copy_of_a_class(notebook: Notebook) -> None:
    cls = notebook("class C: n = 1")["C"]
    one, other = new_copy(cls), new_copy(cls)
    assert one is not other
    one.n = 5
    assert other.n == cls.n == 1
    assert pickle_value(other).fingerprint() == pickle_value(cls).fingerprint()


def test_home_refuses_a_copy_of_its_own_class(notebook: Notebook) -> None:
    parcel = pickle_value(notebook("class C: n = 1")["C"]).place()
    with pytest.raises(NotPortable, match="copy of the class 'C'"):
        unpickle(parcel, classes=Classes.FOREIGN)


def test_the_public_way_keeps_a_class_one(notebook: Notebook) -> None:
    cls = notebook("class C: n = 1")["C"]
    assert unpack(pack(cls)) is cls


# What does not travel --------------------------------------------------------------------------


def raised() -> ValueError:
    try:
        raise ValueError  # noqa: TRY301
    except ValueError as error:
        return error


REFUSED: dict[str, Callable[[], object]] = {
    "generator": lambda: (i for i in ()),
    "list iterator": lambda: iter([1]),
    "map": lambda: map(str, [1]),
    "count": itertools.count,
    "file in memory": io.StringIO,
    "keys": {1: 2}.keys,
    "values": {1: 2}.values,
    "items of an ordered dict": lambda: OrderedDict(a=1).items(),
    "memoryview": lambda: memoryview(bytearray(b"a")),
    "mapping proxy": lambda: types.MappingProxyType({1: 2}),
    "lock": threading.Lock,
    "thread-local": threading.local,
    "raised exception": raised,
    "frame": lambda: raised().__traceback__,
    "module nobody finds": lambda: types.ModuleType("nowhere"),
    "set of addresses": lambda: {object(), object()},
    "subclass of set": type("S", (set,), {}),
    "deep": lambda: __import__("functools").reduce(lambda a, _: [a], range(10_000), []),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(NotPortable):
        pickle_value(REFUSED[name]())


IN_A_NOTEBOOK = {
    "__del__": "class C:\n def __del__(self): pass",
    "__getstate__": "class C:\n def __getstate__(self): return {}",
    "__reduce__ that raises": "class C:\n def __reduce__(self): raise OSError",
    "__reduce_ex__ that exits": "class C:\n def __reduce_ex__(self, p): raise SystemExit",
    "__setstate__": "class C:\n def __setstate__(self, s): pass",
    "metaclass": "class M(type): pass\nclass C(metaclass=M): pass",
    "__init_subclass__": "class B:\n def __init_subclass__(cls): pass\nclass C(B): pass",
    "cache": "from functools import cache\n@cache\ndef C(): return 1\nC = [C]\nC = C.copy",
}


@pytest.mark.parametrize("name", IN_A_NOTEBOOK)
def test_refused_in_a_notebook(name: str, notebook: Notebook) -> None:
    value = notebook(IN_A_NOTEBOOK[name])["C"]()
    with pytest.raises(NotPortable):
        pickle_value(value)


def test_pickling_registered_for_a_kind_is_used(notebook: Notebook) -> None:
    kind = notebook("class C: pass")["C"]
    copyreg.pickle(kind, lambda _: "nowhere")
    try:
        with pytest.raises(NotPortable):
            pickle_value(kind())
    finally:
        del copyreg.dispatch_table[kind]


def test_a_name_of_the_notebook_is_not_looked_up(notebook: Notebook) -> None:
    notebook("x = 5")
    packed = pickle_value(0).place()
    by_name = type(packed)(b"c__main__\nx\n.")
    with pytest.raises(NotPortable, match="only by its name"):
        unpickle(by_name, classes=Classes.NEW)


def test_strings_in_sets_need_a_known_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HashSeed, "known", None)
    with pytest.raises(NotPortable, match="hash"):
        pickle_value({"a", "b"})


def test_a_set_with_a_past_is_refused() -> None:
    value = set(range(1000))
    for item in range(990):
        value.discard(item)
    with pytest.raises(NotPortable, match="order"):
        pickle_value(value)
    assert list(new_copy({5, 1000, 3})) == list({5, 1000, 3})


# Fingerprints ----------------------------------------------------------------------------------

STATES = """
import collections, random
import numpy as np, pandas as pd
class C: n = [1]
c = C(); c.a = {'k': [1]}
def f(x=[1]): return x
value = {'list': [1, [2]], 'dict': {'a': {}}, 'set': {1, 2}, 'array': np.zeros(5), 'object': c,
         'bytes': bytearray(b'ab'), 'deque': collections.deque([1]), 'function': f, 'class': C,
         'frame': pd.DataFrame({'a': [1, 2]}), 'random': random.Random(1), 'nan': [np.nan],
         'rng': np.random.default_rng(1)}
"""
CHANGES = [
    "value['list'][1].append(3)",
    "value['list'][0] = True",
    "value['dict']['a']['b'] = 1",
    "value['set'].add(9)",
    "value['array'][3] = -0.0",
    "value['array'][:0:-1][0] = 2",
    "value['array'].flags.writeable = False",
    "value['array'] = value['array'].astype('f4')",
    "c.a['k'].append(2)",
    "c.b = 1",
    "del c.a",
    "C.n.append(2)",
    "C.m = 1",
    "c.__class__ = type('D', (), {})",
    "value['bytes'][0] = 1",
    "value['deque'].rotate(); value['deque'].append(1)",
    "f().append(2)",
    "f.a = 1",
    "f.__code__ = (lambda x: 2).__code__",
    "value['frame'].loc[0, 'a'] = 9",
    "value['frame']['b'] = 1",
    "value['frame'].columns = ['z']",
    "value['random'].random()",
    "value['rng'].normal()",
    "value['nan'][0] = None",
    "value['list'], value['dict'] = value['dict'], value['list']",
]


def test_fingerprints_of_what_did_not_change_are_equal(notebook: Notebook) -> None:
    value = notebook(STATES)["value"]
    first = pickle_value(value).fingerprint()
    found = []
    thread = threading.Thread(target=lambda: found.append(pickle_value(value).fingerprint()))
    thread.start()
    thread.join()
    notebook("value['array'].sum(); sorted(value); repr(value['frame']); f; C(); value['frame'].a")
    assert found == [first] == [pickle_value(value).fingerprint()]


@pytest.mark.parametrize("change", CHANGES)
def test_fingerprints_tell_every_change(change: str, notebook: Notebook) -> None:
    value = notebook(STATES)["value"]
    first = pickle_value(value).fingerprint()
    notebook(change)
    assert pickle_value(value).fingerprint() != first


def test_pickling_an_instance_does_not_change_its_class(notebook: Notebook) -> None:
    names = notebook("class C: pass\nc = C()")
    first = pickle_value(names["C"]).fingerprint()
    pickle_value(names["c"])
    assert pickle_value(names["C"]).fingerprint() == first
