"""Every kind of object arrives with all it holds, or is refused; no constructor is asked."""

from __future__ import annotations

import collections
import datetime as dt
import fractions
import importlib
import random
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.seed import HashSeed
from taskpar_kernel.transport.pickling import Classes, pickle_value, unpickle

LIBRARY = """
import collections
class Counted:
    made = 0
    def __init__(self): Counted.made += 1; self.n = Counted.made
class Arguments:
    def __init__(self, n): self.n, self.seen = n, []
    def __reduce__(self): return Arguments, (self.n,)
class Emptied:
    def __init__(self): self.parts = [1]; self.count = iter(range(9))
    def __getstate__(self): next(self.count); return {"parts": [], "count": None}
class Restored:
    def __init__(self): self.n = 1
    def __setstate__(self, state): self.n = 5
class Keyed(dict):
    def __reduce__(self): return Keyed, (dict(self),)
class Text(str):
    def __new__(cls, text): return super().__new__(cls, text + "!")
class Upper(dict):
    def __setitem__(self, key, value): super().__setitem__(key, value * 2)
class Doubling(list):
    def append(self, value): super().append(value * 2)
    def extend(self, values): super().extend(v * 2 for v in values)
    def __iter__(self): return iter(())
class Pair(tuple):
    def __iter__(self): return iter("no")
class Failure(Exception):
    def __init__(self, code): super().__init__(f"code {code}"); self.code = code
class Nowhere(OSError):
    def __init__(self, code): super().__init__(code, "text")
Point = collections.namedtuple("Point", "x y")
"""


@pytest.fixture(autouse=True)
def _known_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HashSeed, "known", "0")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "a_library_of_ways.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("a_library_of_ways")
    del sys.modules["a_library_of_ways"]


def new_copy(value: object) -> Any:
    return unpickle(pickle_value(value).place(), classes=Classes.NEW)[0]


REFUSED = ["Arguments(1)", "Emptied()", "Restored()", "Keyed(a=1)", "Nowhere(3)"]


@pytest.mark.parametrize("source", REFUSED)
def test_pickling_written_in_an_unknown_library_is_refused(source: str, library: Any) -> None:
    value = eval(source, vars(library))
    with pytest.raises(NotPortable):
        pickle_value([value])


def test_refusing_changes_nothing(library: Any) -> None:
    value = library.Emptied()
    with pytest.raises(NotPortable):
        pickle_value(value)
    assert next(value.count) == 0


def test_no_constructor_is_called(library: Any) -> None:
    value = library.Counted()
    assert new_copy(value).n == 1
    assert library.Counted.made == 1


def test_subclasses_of_builtins_hold_what_they_hold(library: Any) -> None:
    text, table, items = library.Text("a"), library.Upper(), library.Doubling()
    table["k"] = 1
    items.append(1)
    items.own = items
    assert str(new_copy(text)) == "a!"
    assert dict.items(new_copy(table)) == {("k", 2)}
    new = new_copy(items)
    assert list.__getitem__(new, slice(None)) == [2]
    assert new.own is new
    assert tuple.__getitem__(new_copy(library.Pair((1, 2))), 1) == 2
    assert new_copy(library.Point(1, 2)) == (1, 2)
    assert type(new_copy(library.Point(1, 2))) is library.Point


def test_exceptions_keep_what_they_say(library: Any) -> None:
    new = new_copy(library.Failure(5))
    assert (str(new), new.args, new.code) == ("code 5", ("code 5",), 5)


class Own(fractions.Fraction):
    pass


class Draws(random.Random):
    pass


class Day(dt.date):
    pass


class Model(BaseEstimator):
    def __init__(self, depth: int = 1) -> None:
        self.depth = depth


class Tally(collections.Counter[str]):
    pass


def marked(value: Any) -> Any:
    value.note = [1]
    return value


@pytest.mark.parametrize("make", [lambda: Own(1, 2), Draws, lambda: Day(2020, 1, 1)])
def test_attributes_that_the_base_does_not_know_of_are_not_dropped(make: Callable[[], Any]) -> None:
    with pytest.raises(NotPortable, match=r"leaves out|anew"):
        pickle_value(marked(make()))


def test_subclasses_of_trusted_classes_keep_their_attributes() -> None:
    assert vars(new_copy(marked(Model(3)))) == {"depth": 3, "note": [1]}
    new = new_copy(marked(Tally("aab")))
    assert (dict(new), new.note) == ({"a": 2, "b": 1}, [1])


def test_classes_written_by_attrs_travel() -> None:
    kind = attrs.make_class("kind", ["a", "b"], slots=True)
    kind.__module__ = __name__
    globals()["kind"] = kind
    new = new_copy(kind([1], None))
    assert (new.a, new.b) == ([1], None)


def test_a_bunch_keeps_its_attributes() -> None:
    value = Bunch(a=[1])
    new = new_copy(value)
    assert (dict(new), vars(new)) == ({"a": [1]}, vars(value))


def test_a_polynomial_shares_its_coefficients() -> None:
    value = np.polynomial.Polynomial([1.0, 2.0])
    new = new_copy([value, value.coef])
    assert new[0].coef is new[1]


def test_what_others_know_by_weak_references_stays(library: Any) -> None:
    value = library.Counted()
    table = weakref.WeakKeyDictionary({value: 1})
    with pytest.raises(NotPortable, match="weak"):
        pickle_value([value])
    del table
    assert new_copy(value).n == value.n


@pytest.mark.parametrize("name", [*np.typecodes["AllInteger"], *np.typecodes["AllFloat"], "?", "O"])
def test_arrays_have_numpys_own_types(name: str) -> None:
    array = np.zeros(3, name)
    new = new_copy([array, np.dtype(name)])
    assert new[0].dtype is new[1] is np.dtype(name)


def test_data_types_with_a_shape_of_their_own_arrive() -> None:
    kinds = [np.dtype(t) for t in (">f8", "S5", "U3", "M8[ns]", "i4,f8", "V7")]
    kinds.append(np.dtype("f8", metadata={"a": 1}))
    new = new_copy(kinds)
    assert new == kinds
    assert new[-1].metadata == {"a": 1}
