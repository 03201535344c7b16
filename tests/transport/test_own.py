"""What a process keeps as its own travels as a reference; what cannot is refused."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import random
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyparsing
import pytest
import scipy.stats
import sklearn._loss.loss

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.seed import HashSeed
from taskpar_kernel.transport.own import Own
from taskpar_kernel.transport.pickling import Classes, pickle_value, unpickle

LIBRARY = """
class Null: pass
class Registry:
    def __init__(self): self.known = [1]
NULL = Null()
BARE = object()
REGISTRY = Registry()
TABLE = {"a": [1]}
LATE = None
class Box:
    __missing = Null()
    bare = object()
    def __init__(self, default=__missing, *, other=Null(), names=[1]):
        self.default, self.other, self.names = default, other, names
    def is_new(self):
        others = type(self).__init__.__kwdefaults__
        return self.default is self.__missing, self.other is others["other"]
"""


@pytest.fixture(autouse=True)
def _known_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HashSeed, "known", "0")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "a_library_of_sentinels.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("a_library_of_sentinels")
    del sys.modules["a_library_of_sentinels"]


def new_copy(value: object) -> Any:
    return unpickle(pickle_value(value).place(), classes=Classes.NEW)[0]


SINGLETONS = [
    random._inst,  # type: ignore[attr-defined]
    random.random,
    random.sample,
    np.random.mtrand._rand,
    np.random.mtrand._rand._bit_generator,
    np.random.normal,
    dataclasses.MISSING,
    attrs.NOTHING,
    inspect.Parameter.empty,
    inspect.Parameter.KEYWORD_ONLY,
    pyparsing.Opt._Opt__optionalNotMatched,
    scipy.stats.norm,
]


@pytest.mark.parametrize(
    "value", SINGLETONS, ids=lambda value: re.sub(" at 0x\\w+", "", repr(value))
)
def test_the_process_has_one(value: Any) -> None:
    assert new_copy([value])[0] is value


def test_hidden_generators_inside_others() -> None:
    class Holder:
        pass

    holder = functools.partial(random.sample, range(10), 3)
    new = new_copy({"draw": holder, "method": random.gauss, "legacy": [np.random.uniform]})
    assert new["draw"].func.__self__ is random._inst  # type: ignore[attr-defined]
    assert new["method"].__self__ is random._inst  # type: ignore[attr-defined]
    assert new["legacy"][0].__self__ is np.random.mtrand._rand


def test_a_draw_does_not_change_what_holds_the_generator() -> None:
    value = [random.random]
    first = pickle_value(value)
    random.random()
    assert pickle_value(value).fingerprint() == first.fingerprint()
    assert not first.numbered.reaches(random._inst)  # type: ignore[attr-defined]


def test_ones_own_generator_travels_by_value() -> None:
    mine = random.Random(3)
    new = new_copy(mine)
    assert new is not mine
    assert new.random() == mine.random()


@pytest.mark.parametrize("name", ["NULL", "BARE", "REGISTRY"])
def test_values_of_a_module(name: str, library: Any) -> None:
    value = getattr(library, name)
    assert new_copy({"a": [value]})["a"][0] is value


def test_values_of_a_class_and_defaults(library: Any) -> None:
    assert new_copy(library.Box()).is_new() == (True, True)
    assert new_copy([library.Box.bare])[0] is library.Box.bare


def test_values_of_a_class_of_a_large_library() -> None:
    loss = sklearn._loss.loss.HalfSquaredError()
    assert new_copy(loss).interval_y_pred is type(loss.link).interval_y_pred
    assert new_copy(loss).interval_y_true is not loss.interval_y_true  # it has one of its own


def test_values_that_a_module_took_in_later(library: Any) -> None:
    pickle_value(library.NULL)
    library.LATE = library.Null()
    assert new_copy([library.LATE])[0] is library.LATE


def test_an_entry_that_grew_old_is_no_reference(library: Any) -> None:
    old = library.NULL
    pickle_value(old)
    library.NULL = None
    new = new_copy([old])[0]
    assert new is not old
    assert type(new) is library.Null


def test_objects_like_it_are_copied(library: Any) -> None:
    mine = library.Null()
    assert new_copy([mine])[0] is not mine
    bare = object()
    assert new_copy([bare])[0] is not bare


def test_what_a_kept_object_holds_must_be_the_same_there(library: Any) -> None:
    packed = pickle_value(library.REGISTRY).place()
    library.REGISTRY.known.append(2)
    with pytest.raises(NotPortable, match="holds something else"):
        unpickle(packed, classes=Classes.NEW)


def test_a_change_of_a_kept_object_is_told(library: Any) -> None:
    value = [library.REGISTRY]
    first = pickle_value(value)
    library.REGISTRY.known.append(2)
    second = pickle_value(value)
    assert first.fingerprint() != second.fingerprint()
    assert first.own != second.own


def test_both_ends_number_alike(library: Any) -> None:
    value = [[1], library.NULL, library.REGISTRY, random.random, [2], library.Box()]
    parcel = pickle_value(value)
    _, numbered, _ = unpickle(parcel.place(), classes=Classes.NEW)
    assert parcel.numbered.objects.keys() == numbered.objects.keys()
    for index, obj in parcel.numbered.objects.items():
        assert type(numbered.objects[index]) is type(obj)


def test_plain_values_that_a_module_keeps_do_not_leave_as_copies(library: Any) -> None:
    with pytest.raises(NotPortable, match="TABLE"):
        pickle_value([library.TABLE]).refuse_kept()
    with pytest.raises(NotPortable, match="defaults"):
        pickle_value(library.Box()).refuse_kept()
    pickle_value([dict(library.TABLE), library.Box(names=[])]).refuse_kept()


def test_what_only_says_that_it_is_a_module_is_left_alone() -> None:
    """Libraries of cffi do so, and cannot be referred to weakly."""

    class Library:
        __slots__ = ()

        @property
        def __class__(self) -> type:
            return types.ModuleType

    sys.modules["library_of_cffi"] = Library()  # type: ignore[assignment]
    try:
        assert isinstance(Library(), types.ModuleType)
        own = Own()
        own.update()
        assert "library_of_cffi" not in own._modules
    finally:
        del sys.modules["library_of_cffi"]
