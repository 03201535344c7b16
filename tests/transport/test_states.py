"""A changed object's new state is written into the original, and every alias sees it."""

from __future__ import annotations

import array
import copy
import random
import re
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.transport.states import check_state, shallow_state, write_state


class Plain:
    pass


class Slotted:
    __slots__ = ("__own", "a", "b")

    def set_own(self, value: object) -> None:
        self.__own = value

    def get_own(self) -> object:
        return getattr(self, "_Slotted__own", None)


class Both(Slotted):
    def __init__(self) -> None:
        self.a = 1
        self.x = 2


def plain(**attributes: object) -> Plain:
    new = Plain()
    vars(new).update(attributes)
    return new


def slotted(**attributes: object) -> Slotted:
    new = Slotted()
    for name, value in attributes.items():
        setattr(new, name, value)
    return new


def drop(obj: Any) -> None:
    del obj.a
    obj.b = 3


CHANGES: dict[str, tuple[object, Callable[[Any], object]]] = {
    "list": ([1, 2], lambda v: v.append(3)),
    "list in place": ([1, 2], lambda v: v.__setitem__(0, 9)),
    "dict": ({"a": 1}, lambda v: v.update(b=2)),
    "dict order": ({"a": 1, "b": 2}, lambda v: v.update(a=v.pop("a"))),
    "default dict": (defaultdict(list, a=[1]), lambda v: v["z"]),
    "default dict's default": (defaultdict(list), lambda v: setattr(v, "default_factory", int)),
    "ordered dict": (OrderedDict(a=1, b=2), lambda v: v.move_to_end("a")),
    "counter": (Counter("aab"), lambda v: v.update("c")),
    "set": ({1, 2}, lambda v: v.add(3)),
    "deque": (deque([1, 2], maxlen=2), lambda v: v.append(3)),
    "bytes": (bytearray(b"ab"), lambda v: v.extend(b"c")),
    "array": (np.zeros((2, 3)), lambda v: v.__setitem__((1, 1), 5)),
    "strided array": (np.zeros((4, 3))[::2], lambda v: v.__setitem__((1, 1), 5)),
    "array of objects": (np.array([None, "a"]), lambda v: v.__setitem__(0, "b")),
    "frame": (pd.DataFrame({"a": [1, 2]}), lambda v: v.__setitem__("b", [3, 4])),
    "frame's labels": (pd.DataFrame({"a": [1, 2]}), lambda v: setattr(v, "columns", ["z"])),
    "series": (pd.Series([1, 2], name="n"), lambda v: v.__setitem__(0, 9)),
    "series' name": (pd.Series([1, 2], name="n"), lambda v: setattr(v, "name", "m")),
    "object": (plain(a=1), lambda v: setattr(v, "b", 2)),
    "object loses": (plain(a=1), drop),
    "slots": (slotted(a=1), drop),
    "private slot": (slotted(a=1), lambda v: v.set_own(5)),
    "slots and dict": (Both(), drop),
    "namespace": (plain(n=types.SimpleNamespace), lambda v: setattr(v, "n", 1)),
    "random": (random.Random(1), lambda v: v.random()),
    "generator": (np.random.default_rng(1), lambda v: v.normal()),
    "legacy generator": (np.random.RandomState(1), lambda v: v.normal()),
    "bit generator": (np.random.PCG64(1), lambda v: v.random_raw()),
}


def shown(value: Any) -> object:
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, np.random.BitGenerator):
        return value.state
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state(legacy=False))
    if isinstance(value, pd.DataFrame | pd.Series):
        return repr(value)
    if isinstance(value, Slotted):
        slots = [getattr(value, n, None) for n in ("a", "b")]
        return slots, value.get_own(), getattr(value, "__dict__", None)
    return (
        repr(vars(value))
        if isinstance(value, Plain)
        else (
            repr(value),
            np.asarray(value).tolist() if isinstance(value, np.ndarray) else list(value),
        )
    )


@pytest.mark.parametrize("name", CHANGES)
def test_written_in_place(name: str) -> None:
    original, change = CHANGES[name]
    target, far = copy.deepcopy(original), copy.deepcopy(original)
    aliases = [target, {"k": target}]
    change(far)
    assert shown(far) != shown(target)
    state = shallow_state(far)
    assert state is not None
    check_state(target, state)
    write_state(target, state)
    assert shown(aliases[0]) == shown(far)
    assert aliases[1]["k"] is target


UNSUPPORTED = [
    array.array("i", [1]),
    re.compile("a"),
    iter([]),
    np.ma.masked_array([1]),
    type("L", (list,), {})([1]),
    type("E", (Exception,), {})(),
    pd.Index([1]),
    np.random.SeedSequence(1),
    len,
]


@pytest.mark.parametrize("value", UNSUPPORTED, ids=lambda v: type(v).__name__)
def test_unsupported(value: object) -> None:
    assert shallow_state(value) is None


def test_ordered_dicts_with_attributes_are_unsupported() -> None:
    value: Any = OrderedDict()
    value.extra = 1
    assert shallow_state(value) is None


def frozen() -> np.ndarray:
    value = np.zeros(3)
    value.flags.writeable = False
    return value


class Other:
    pass


MISFITS: dict[str, tuple[object, object]] = {
    "shape": (np.zeros(3), np.zeros(4)),
    "type": (np.zeros(3), np.zeros(3, "f4")),
    "strides": (np.zeros((2, 2)), np.zeros((2, 2), order="F")),
    "frozen here": (frozen(), np.zeros(3)),
    "frozen there": (np.zeros(3), frozen()),
    "class": (Other(), Plain()),
    "flags": (
        pd.DataFrame({"a": [1]}),
        pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False),
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_misfits_are_found_before_anything_is_written(name: str) -> None:
    target, far = MISFITS[name]
    state = shallow_state(far)
    assert state is not None
    with pytest.raises(NotPortable):
        check_state(target, state)


def test_a_loop_over_a_dict_goes_on_where_only_values_changed() -> None:
    target = dict.fromkeys(range(9), 0)
    for key in (0, 1, 2):
        del target[key]
    seen = []
    for key in target:
        seen.append(key)
        write_state(target, ("mapping", (None, [(k, v + 1) for k, v in target.items()])))
    assert seen == [3, 4, 5, 6, 7, 8]
    assert set(target.values()) == {6}


def test_what_did_not_change_keeps_its_identity() -> None:
    big, text = 10**30, "text " * 3
    target: list[Any] = [big, text, 1]
    write_state(target, ("sequence", [10**30, "text " * 3, 2]))
    assert target[0] is big
    assert target[1] is text
    assert target[2] == 2


def test_equal_values_of_different_types_are_written() -> None:
    target: list[Any] = [1, 0.0]
    write_state(target, ("sequence", [True, -0.0]))
    assert repr(target) == "[True, -0.0]"
