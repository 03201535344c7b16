"""Whether a program that read one value would have done the same with another."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from taskpar_kernel.validation.verdict import MISSING, changed_file, same_value, stale_name

SAME: list[tuple[Any, Any]] = [
    (1, 1),
    (10**30, 10**30),
    ("a" * 99, "".join(["a"] * 99)),
    (b"ab" * 9, b"".join([b"ab"] * 9)),
    (1.5, 1.5),
    ((1, ("a", 2.0)), (1, ("a", 2.0))),
    (np.float64(1.5), np.float64(1.5)),
    (np.int32(7), np.int32(7)),
    (None, None),
    (MISSING, MISSING),
]
DIFFERENT: list[tuple[Any, Any]] = [
    (1, 2),
    (1, True),
    (1, 1.0),
    (0.0, -0.0),
    (float("nan"), float("nan")),
    ("a", b"a"),
    ([1], [1]),
    ({}, {}),
    ({1}, {1}),
    ((1, [2]), (1, [2])),
    ((1, 2), (1, 2, 3)),
    ((1, 0.0), (1, -0.0)),
    (np.float64(1), 1.0),
    (np.float64(1), np.float32(1)),
    (np.float64(0.0), np.float64(-0.0)),
    (np.zeros(2), np.zeros(2)),
    (object(), object()),
    (MISSING, None),
    (len, max),
]


@pytest.mark.parametrize(("now", "then"), SAME)
def test_same(now: object, then: object) -> None:
    assert same_value(now, then)
    assert same_value(then, now)


@pytest.mark.parametrize(("now", "then"), DIFFERENT)
def test_different(now: object, then: object) -> None:
    assert not same_value(now, then)
    assert not same_value(then, now)


def test_an_object_is_the_same_as_itself_even_if_it_denies_it() -> None:
    class Denies:
        def __eq__(self, other: object) -> bool:
            raise AssertionError

        __hash__ = None  # type: ignore[assignment]

    one = Denies()
    assert same_value(one, one)
    assert not same_value(one, Denies())


def test_the_first_stale_name_is_told() -> None:
    shared = [1]
    assert not stale_name([("a", 1), ("b", shared)], {"a": 1, "b": shared})
    assert stale_name([("a", 1), ("b", [1])], {"a": 1, "b": shared}) == "b"
    assert stale_name([("a", 1)], {}) == "a"
    assert not stale_name([("a", MISSING)], {})
    assert stale_name([("a", MISSING)], {"a": None}) == "a"


def test_changed_files() -> None:
    absent = (-1, -1, -1, -1, b"")
    now = {"/a": (5, 10, 1, 5, b""), "/b": absent}

    def state(path: str, _then: object) -> tuple[int, int, int, int, bytes]:
        return now[path]

    assert not changed_file((("/a", now["/a"]), ("/b", absent)), state)
    for then in itertools.product((5, 6), (10, 11), (1, 2), (5, 6), (b"", b"c:x")):
        expected = "" if then == now["/a"] else "/a"
        assert changed_file((("/a", then),), state) == expected
