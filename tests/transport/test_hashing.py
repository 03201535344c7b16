"""What would ask the user's code for a hash in another process does not travel."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import pytest

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.transport.pickling import pickle_value, unpickle


class Key:
    """Asked for its hash."""

    def __init__(self, number: int):
        self.number = number

    def __hash__(self) -> int:
        return hash(self.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other.number == self.number


class Heir(Key):
    """Asked as well."""


@dataclass(frozen=True)
class Point:
    """Its hash is that of its fields."""

    x: int


class Colour(Enum):
    """Hashed by its name, by code of the standard library."""

    RED = 1


class Pair(NamedTuple):
    """A tuple."""

    a: object
    b: object


class Plain:
    """Hashed by where it is."""


class Odd(dict[Any, Any]):
    """Tells something else of itself than it holds."""

    def __iter__(self) -> Any:
        return iter(())


@pytest.mark.parametrize(
    "value",
    [
        {Key(1): 1},
        {1: {Heir(1): 2}},
        {(1, (Key(1), 2)): 1},
        {Pair(1, Key(2)): 1},
        {frozenset([Key(1)]): 1},
        {Key(1)},
        Counter([Key(1)]),
        OrderedDict({Key(1): 1}),
        Odd({Key(1): 1}),
        [Key(1), {"k": [{Key(2): 0}]}],
    ],
    ids=lambda value: type(value).__name__,
)
def test_keys_that_are_asked(value: object) -> None:
    with pytest.raises(NotPortable, match="hash is computed by code of the notebook"):
        pickle_value(value)


@pytest.mark.parametrize(
    "value",
    [
        [Key(1), Heir(2)],
        {1: Key(1)},
        {Point(1): 1, (Point(2), 3): 4},
        {Colour.RED: 1},
        {Pair(1, "b"): 1},
        {Plain(): 1},
        Counter("hash"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_keys_that_are_not(value: object) -> None:
    assert unpickle(pickle_value(value).place())
