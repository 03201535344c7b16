"""Large plain containers: lists, dicts and tuples of plain values come in, what they hold goes out.

A pickler asks and remembers something of each object it meets, which takes many times what writing
a word or a number does. So a large container of nothing but such is pickled as a whole. The rules:
what is inside is plain all the way down, and its own containers are found in one order, which is
the same where it was rebuilt: that order is their number there and here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from itertools import chain, count
from typing import Any

Plain = list[Any] | dict[Any, Any] | tuple[Any, ...]

MANY = 200
"""Smaller containers are pickled one by one: that takes some 0.1 ms."""

_VALUES = frozenset((str, bytes, int, float, bool, type(None)))
_PLAIN = _VALUES | {list, dict, tuple}
_TUPLES = {tuple}
_SHALLOW = 3
"""So deep, tuples that are met more than once are looked into each time."""
_NUMBERED = (list, dict)


def plain_parts(whole: Plain, met: AbstractSet[int] = frozenset()) -> list[object] | None:
    """Return the lists and dicts in `whole`, itself first; None if it holds something not plain.

    `met`: ids of what is known otherwise, and must not be copied with it.
    """
    parts: list[object] = [whole]
    seen = {id(whole)}
    level: Collection[Any] = (whole,)
    for depth in count():
        kinds = set(map(type, _items(level)))
        if not kinds <= _PLAIN:
            return None
        inner = kinds - _VALUES
        if not inner:
            return parts
        if inner == _TUPLES and depth < _SHALLOW and len(seen) == 1:
            level = [i for i in _items(level) if type(i) is tuple]  # rows: they have no number
            continue
        new = {id(i): i for i in _items(level) if type(i) in inner and id(i) not in seen}
        level = new.values()
        seen.update(new)
        found = [i for i in level if type(i) in _NUMBERED]
        if not met.isdisjoint(map(id, found)):
            return None
        parts += found
    raise AssertionError


def looks_plain(whole: Plain) -> bool:
    """Whether its first item is plain: most of what is not shows it there."""
    items = whole.values() if isinstance(whole, dict) else whole
    return type(next(iter(items), None)) in _PLAIN


def _items(level: Collection[Plain]) -> Iterable[object]:
    if dict not in set(map(type, level)):
        return chain.from_iterable(level)
    return chain.from_iterable(
        chain(whole, whole.values()) if type(whole) is dict else whole for whole in level
    )
