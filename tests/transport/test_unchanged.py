"""What was changed in place is seen, however it was done; what was not is seen without pickling."""

from __future__ import annotations

import argparse
import ctypes
import mmap
import optparse
import os
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.transport import pages
from taskpar_kernel.transport.marks import Mark
from taskpar_kernel.transport.pages import MappedPages, watches_over
from taskpar_kernel.transport.pickling import Parcel, pickle_value, unpickle
from taskpar_kernel.transport.segments import Segments
from taskpar_kernel.transport.snapshots import Snapshot

Names = dict[str, Any]


def marked(names: Names) -> Mark:
    parcel = pickle_value(names)
    return Mark(names, parcel, watches_over(parcel.buffers))


def holds(mark: Mark, names: Names) -> bool:
    return mark.holds(lambda: pickle_value(names))


def never() -> Parcel:
    raise AssertionError("it was pickled")


class Twin:
    """Tells the test if it is asked what it is equal to."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("a snapshot asked an object")

    __hash__ = object.__hash__


def ballast() -> list[list[int]]:
    """What pickles to enough that a snapshot is taken."""
    return [list(range(k, k + 30)) for k in range(600)]


def shares_memory(x: Any) -> Any:
    return {"whole": x, "part": x[10:20]}


def structured() -> Any:
    return np.zeros(50, [("a", "i4"), ("b", "f8"), ("c", "S3")])


def read_only() -> Any:
    array = np.arange(9)
    array.flags.writeable = False
    return array


def objects() -> Any:
    array = np.empty(5, object)
    array[:] = [[1], [2], "three", None, 5.0]
    return array


def namespaces() -> list[argparse.Namespace]:
    return [argparse.Namespace(a=k, b=[k], c=str(k)) for k in range(300)]


def move_last(value: Any, name: str) -> None:
    vars(value)[name] = vars(value).pop(name)


def set_flag(array: Any) -> None:
    array.flags.writeable = True


def swap(value: Any, one: Any = 0, other: Any = 1) -> None:
    value[one], value[other] = value[other], value[one]


Case = tuple[Callable[[], Any], Callable[[Any], object]]
CHANGES: dict[str, Case] = {
    "item of a long list": (lambda: list(range(1000)), lambda x: x.__setitem__(777, -1)),
    "item of a short list": (lambda: [1, 2], lambda x: x.__setitem__(1, 3)),
    "equal, but of another type": (lambda: [1.0, 2.0] * 300, lambda x: x.__setitem__(5, 2)),
    "equal, but true": (lambda: [1, 0], lambda x: x.__setitem__(0, True)),
    "minus zero": (lambda: [0.0] * 300, lambda x: x.__setitem__(7, -0.0)),
    "order of a list": (lambda: [[1], [1]] + [[2]] * 300, lambda x: x.reverse()),
    "longer list": (lambda: [1] * 300, lambda x: x.append(1)),
    "shorter list": (lambda: [1] * 300, lambda x: x.pop()),
    "between two lists": (lambda: [[1, 2], [3]], lambda x: x[1].insert(0, x[0].pop())),
    "deep inside": (lambda: {"a": [({"b": [1]},)]}, lambda x: x["a"][0][0]["b"].append(2)),
    "value of a dict": (lambda: {"a": 1, "b": 2}, lambda x: x.update(b=3)),
    "key of a dict": (lambda: {"a": 1, "b": 2}, lambda x: x.__setitem__("c", x.pop("b"))),
    "order of a dict": (lambda: {"a": 1, "b": 1}, lambda x: x.__setitem__("a", x.pop("a"))),
    "values of a dict swapped": (lambda: {"a": 1, "b": 2}, lambda x: swap(x, "a", "b")),
    "factory": (lambda: defaultdict(list), lambda x: setattr(x, "default_factory", dict)),
    "item of a defaultdict": (lambda: defaultdict(list, a=[]), lambda x: x["a"].append(1)),
    "new key of a defaultdict": (lambda: defaultdict(list), lambda x: x["new"]),
    "order of an OrderedDict": (lambda: OrderedDict(a=1, b=2), lambda x: x.move_to_end("a")),
    "deque": (lambda: deque([1, 2, 3]), lambda x: x.rotate()),
    "set": (lambda: set(range(300)), lambda x: x.discard(7)),
    "bytearray": (lambda: bytearray(300), lambda x: x.__setitem__(7, 1)),
    "attribute": (namespaces, lambda x: setattr(x[7], "a", -1)),
    "attribute in it": (namespaces, lambda x: x[7].b.append(1)),
    "name of an attribute": (namespaces, lambda x: setattr(x[7], "d", vars(x[7]).pop("c"))),
    "order of attributes": (namespaces, lambda x: move_last(x[7], "a")),
    "attributes swapped": (namespaces, lambda x: swap(vars(x[7]), "a", "c")),
    "class": (namespaces, lambda x: setattr(x[7], "__class__", optparse.Values)),
    "all attributes": (namespaces, lambda x: setattr(x[7], "__dict__", {"a": 1})),
    "element": (lambda: np.arange(1000), lambda x: x.__setitem__(7, -1)),
    "through a view": (lambda: np.arange(1000), lambda x: x[::2].reshape(2, -1).T.fill(1)),
    "strided array": (lambda: np.arange(1000)[::2], lambda x: x.__setitem__(7, -1)),
    "transposed": (lambda: np.ones((30, 40)).T, lambda x: x.__setitem__((7, 7), -1)),
    "field": (structured, lambda x: x["b"].__setitem__(7, -1)),
    "field's bytes": (structured, lambda x: x["c"].__setitem__(7, b"x")),
    "names of fields": (structured, lambda x: setattr(x.dtype, "names", ("x", "b", "c"))),
    "flag": (read_only, set_flag),
    "shape": (lambda: np.arange(12), lambda x: x.resize(3, 4, refcheck=False)),
    "kind of numbers": (lambda: np.arange(9), lambda x: setattr(x, "dtype", np.float64)),
    "one of many arrays": (
        lambda: {k: np.full(9, k) for k in range(99)},
        lambda x: x[77].__setitem__(8, -1),
    ),
    "arrays swapped": (lambda: [np.zeros(9), np.ones(9)], swap),
    "texts in an array": (lambda: np.array(["a", "b"]), lambda x: x.__setitem__(1, "c")),
    "shared memory": (lambda: shares_memory(np.arange(99)), lambda x: x["part"].fill(1)),
    "no more shared": (
        lambda: shares_memory(np.arange(99)),
        lambda x: x.__setitem__("part", x["part"].copy()),
    ),
    "object": (objects, lambda x: x.__setitem__(2, "3")),
    "objects swapped": (objects, swap),
    "shape of objects": (objects, lambda x: setattr(x, "shape", (5, 1))),
    "in an object": (objects, lambda x: x[0].append(2)),
    "view of objects": (objects, lambda x: x[1:].__setitem__(0, None)),
    "column of strings": (
        lambda: pd.DataFrame({"a": ["x", "y"] * 999, "b": 1.0}),
        lambda x: x.__setitem__("a", x["a"].str.upper()),
    ),
    "cell of strings": (
        lambda: pd.DataFrame({"a": pd.Series(["x", "y"] * 999, dtype=object)}),
        lambda x: x.iloc.__setitem__((7, 0), "z"),
    ),
    "cell": (
        lambda: pd.DataFrame({"a": [1.0, 2.0] * 999}),
        lambda x: x.iloc.__setitem__((7, 0), -1.0),
    ),
    "label": (lambda: pd.Series([1, 2], ["a", "b"]), lambda x: setattr(x, "index", ["a", "c"])),
}


@pytest.mark.parametrize(("make", "change"), CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("padded", [False, True], ids=["pickled", "looked at"])
def test_a_change_in_place_is_seen(
    make: Callable[[], Any], change: Callable[[Any], object], padded: bool
) -> None:
    names = {"x": make(), "other": ballast() if padded else None}
    mark = marked(names)
    assert holds(mark, names)
    change(names["x"])
    assert not holds(mark, names)


@pytest.mark.parametrize(
    "make",
    [
        lambda: [0.5] * 20_000,
        ballast,
        lambda: {str(k): k / 7 for k in range(9_000)},
        lambda: [(k, str(k)) for k in range(9_000)],
        lambda: set(range(9_000)),
        lambda: [{"a": k, "b": str(k)} for k in range(900)],
        namespaces,
        lambda: {"a": ballast(), "b": np.arange(99), "c": [np.ones(3), deque([1])]},
        lambda: pd.DataFrame({"a": pd.Series([f"{k}" for k in range(9_000)], dtype=object)}),
        lambda: pd.DataFrame({"a": [f"{k}" for k in range(9_000)]}),
    ],
)
def test_what_was_not_changed_is_seen_without_pickling(make: Callable[[], Any]) -> None:
    names = {"x": make(), "other": ballast()}
    assert marked(names).holds(never)


def test_arrays_of_numbers_are_looked_at_whatever_their_form() -> None:
    arrays = [np.ones(3), np.arange(6).reshape(2, 3), np.array(["a"]), np.zeros(0), read_only()]
    assert Snapshot([{"a": arrays, "b": np.array(5)}]).opaque == []
    others = [np.ones((2, 3)).T, np.arange(9)[::2], structured(), np.zeros(3, "M8[s]")]
    assert list(map(id, Snapshot([others]).opaque)) == list(map(id, others))


def test_a_snapshot_asks_no_object() -> None:
    names = {"x": [*ballast(), "one"]}
    mark = marked(names)
    other = pickle_value({"x": ballast()})
    names["x"][-1] = Twin()
    assert not mark.holds(lambda: other)


def test_equal_objects_in_place_of_others_are_no_change_but_looked_at_anew() -> None:
    names = {"x": ballast(), "text": ["a" * 50]}
    mark = marked(names)
    names["x"][7] = list(names["x"][7])
    assert holds(mark, names)
    assert mark.holds(never)


def test_a_mark_taken_while_others_run_is_by_pickle_until_they_are_done() -> None:
    names = {"x": ballast()}
    parcel = pickle_value(names)
    names["x"][0].append(1)  # while it was on its way
    mark = Mark(names, parcel, quiet=False)
    assert not mark.holds(lambda: pickle_value(names), quiet=False)
    names["x"][0].pop()
    with pytest.raises(AssertionError, match="pickled"):
        mark.holds(never, quiet=False)
    assert mark.holds(lambda: pickle_value(names), quiet=False)
    with pytest.raises(AssertionError, match="pickled"):
        mark.holds(never)
    assert holds(mark, names)
    assert mark.holds(never)


def test_an_object_others_have_come_to_know_by_a_weak_reference_is_refused() -> None:
    names = {"x": namespaces(), "other": ballast()}
    mark = marked(names)
    known = weakref.ref(names["x"][7])
    with pytest.raises(NotPortable, match="weak references"):
        holds(mark, names)
    assert known() is not None


# Large memory -----------------------------------------------------------------------------------

LARGE = pages.SMALLEST_BYTES // 8 * 2
watched = pytest.mark.skipif(
    not pages.watches_over([memoryview(np.ones(LARGE))]), reason="the system does not watch pages"
)


def test_a_change_in_large_memory_is_seen_also_where_no_page_is_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pages, "SMALLEST_BYTES", 1 << 60)
    names = {"x": np.ones(LARGE)}
    mark = marked(names)
    assert holds(mark, names)
    names["x"][LARGE // 2] = 2
    assert not holds(mark, names)


@watched
@pytest.mark.parametrize("where", [0, 1, 511, LARGE // 2, LARGE - 512, LARGE - 1])
def test_one_element_of_a_watched_array_is_seen(where: int) -> None:
    names = {"x": np.ones(LARGE)}
    mark = marked(names)
    assert holds(mark, names)
    names["x"][where] = 2
    assert not holds(mark, names)


@watched
@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[::100_000].__setitem__(1, 5.0),
        lambda x: x.view([("a", "i4"), ("b", "i4")])["b"].fill(1),
        lambda x: x.view(np.uint8).__setitem__(-20_000, 1),
        lambda x: np.add(x, 1, out=x),
        lambda x: x.sort() or x.__imul__(2),
        lambda x: ctypes.memset(x.ctypes.data + 99_999, 1, 1),
        lambda x: setattr(x, "shape", (2, -1)),
        lambda x: x.resize(LARGE // 2, refcheck=False) or x.resize(LARGE, refcheck=False),
        lambda x: set_flag(x) or setattr(x.flags, "writeable", False),
    ],
)
def test_however_a_watched_array_is_changed(change: Callable[[Any], object]) -> None:
    names = {"x": np.ones(LARGE)}
    mark = marked(names)
    change(names["x"])
    assert not holds(mark, names)


@watched
def test_what_the_kernel_writes_is_seen() -> None:
    array = np.ones(LARGE)
    names = {"x": array}
    mark = marked(names)
    read, write = os.pipe()
    os.write(write, b"12345678")
    with open(read, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
        file.readinto(memoryview(array)[99_999:100_000])
    os.close(write)
    assert not holds(mark, names)


@watched
def test_two_watched_arrays_that_change_places_are_a_change() -> None:
    names = {"x": [np.zeros(LARGE), np.ones(LARGE)]}
    mark = marked(names)
    assert holds(mark, names)
    swap(names["x"])
    assert not holds(mark, names)


@watched
def test_a_second_mark_over_the_same_memory_survives_the_first() -> None:
    names = {"x": np.ones(LARGE)}
    first = marked(names)
    second = marked(names)
    del first
    assert holds(second, names)
    names["x"][99_999] = 2
    assert not holds(second, names)


@watched
def test_a_second_mark_does_not_cover_up_what_the_first_has_to_tell() -> None:
    whole = np.ones(5_000_000)
    part = whole[: len(whole) // 2]
    first, other, third = ({"x": part}, {"x": whole}, {"x": whole[len(whole) // 2 :]})
    marks = [marked(first), marked(third)]
    whole[7] = 5
    new = marked(other)  # protects what was written to again
    assert not holds(marks[0], first)
    assert holds(marks[1], third)
    assert holds(new, other)
    whole[-7] = 5
    assert not holds(marks[1], third)
    assert not holds(new, other)


@watched
def test_writes_to_many_places_are_all_told_when_pages_are_protected_again() -> None:
    whole = np.ones(5_000_000)
    parts = [{"x": p} for p in np.array_split(whole, 2)]
    marks = [marked(p) for p in parts]
    whole[1_000:-1_000:1024] = 5  # every second page: more runs than one call tells of
    assert holds(marked({"x": whole}), {"x": whole})
    assert not any(holds(m, p) for m, p in zip(marks, parts, strict=True))


def test_memory_that_others_can_write_to_is_not_watched() -> None:
    with mmap.mmap(-1, LARGE * 8) as shared:
        shared[:] = b"x" * len(shared)
        assert not watches_over([memoryview(shared)])


@watched
def test_dropped_pages_are_a_change() -> None:
    with mmap.mmap(-1, LARGE * 8, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory[:] = b"x" * len(memory)
        (watch,) = watches_over([memoryview(memory)])
        assert watch.intact()
        memory.madvise(mmap.MADV_DONTNEED, 8 * mmap.PAGESIZE, mmap.PAGESIZE)
        assert not watch.intact()


@watched
def test_a_forked_child_does_not_take_its_parents_pages_for_its_own() -> None:
    array = np.ones(LARGE)
    (watch,) = watches_over([memoryview(array)])
    child = os.fork()
    if child == 0:
        os._exit(watch.intact())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert watch.intact()


# Private maps of segments -----------------------------------------------------------------------


def arrived(names: Names, folder: str) -> tuple[Names, list[mmap.mmap]]:
    """Return the names as a worker has them, and the maps they lie in."""
    segments = Segments(folder, "t")
    value, _, maps = unpickle(pickle_value(names).place(segments), segments)
    return value, maps


def mapped(names: Names, maps: list[mmap.mmap]) -> Mark:
    return Mark(names, pickle_value(names), [MappedPages(m) for m in maps])


def test_arrays_that_change_places_in_a_segment_are_a_change(tmp_path: Path) -> None:
    names, maps = arrived({"x": [np.zeros(100_000), np.ones(100_000)]}, str(tmp_path))
    mark = mapped(names, maps)
    assert holds(mark, names)
    swap(names["x"])
    assert not holds(mark, names)


def test_a_page_that_was_copied_before_is_watched_as_well(tmp_path: Path) -> None:
    names, maps = arrived({"x": np.zeros(100_000)}, str(tmp_path))
    names["x"][5_000] = 1
    mark = mapped(names, maps)
    assert holds(mark, names)
    names["x"][5_001] = 1
    assert not holds(mark, names)
