"""A value comes in, about how many bytes it has and how long pickling takes goes out.

Nothing is walked as a whole: containers and objects are sampled. The rule: an estimate takes some
microseconds, and is only ever used to decide when something is sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

_BYTES_PER_S = 1.5e9
"""Copying into a shared segment and hashing, measured on pages that are fresh."""
_POINTER_S = 4e-8
"""One pointer of an array of objects (a column of strings), factorised."""
_NUMBER_S = 2e-8
_TEXT_S = 8e-7
_OBJECT_S = 3e-6
"""One number, one string, one small object or container in a pickle, numbered."""
_NUMBERS = (int, float, complex, bool, type(None))
_SAMPLED = 4
_DEEPEST = 3


@dataclass(frozen=True, slots=True)
class Size:
    """About how large a value is, and how many seconds it takes to pickle and place it."""

    nbytes: int = 0
    pack_s: float = 0.0

    def __add__(self, other: Size) -> Size:
        return Size(self.nbytes + other.nbytes, self.pack_s + other.pack_s)

    def times(self, factor: float) -> Size:
        """Return the size of so many of these."""
        return Size(int(self.nbytes * factor), self.pack_s * factor)


def size_of(value: Any, depth: int = 0) -> Size:
    """Estimate the size of `value`."""
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    if package == "pandas":
        return _size_of_frame(value)
    if kind in _NUMBERS:
        return Size(8, _NUMBER_S)
    if kind in (str, bytes, bytearray):
        return Size(len(value), _TEXT_S + len(value) / _BYTES_PER_S)
    if hasattr(kind, "nbytes") and isinstance(nbytes := value.nbytes, int):
        return _size_of_array(nbytes, getattr(value, "dtype", None))
    return _size_of_parts(value, kind, depth)


def _size_of_parts(value: Any, kind: type, depth: int) -> Size:
    if depth >= _DEEPEST:
        return Size(64, _OBJECT_S)
    if issubclass(kind, dict):
        number = dict.__len__(value)  # as it is, whatever a class of the user's makes of it
        keys = _sampled(dict.__iter__(value), number, depth)
        return keys + _sampled(dict.values(value), number, depth)
    if kind in (list, tuple, set, frozenset, deque):
        return _sampled(value, len(value), depth)
    if kind.__module__ in ("builtins", "types"):
        return Size(64, _OBJECT_S)
    try:
        state = object.__getattribute__(value, "__dict__")  # runs no code of the user's
    except AttributeError:
        return Size(64, _OBJECT_S)
    return _all(state.values(), depth)


def _all(values: Iterable[Any], depth: int) -> Size:
    total = Size(64, _OBJECT_S)
    for value in islice(values, 64):
        total = total + size_of(value, depth + 1)
    return total


def _sampled(values: Iterable[Any], number: int, depth: int) -> Size:
    if not number:
        return Size(64, _OBJECT_S)
    some = list(islice(values, _SAMPLED))
    total = Size()
    for value in some:
        total = total + size_of(value, depth + 1)
    each = Size(8) + total.times(1 / len(some))
    return each.times(number)


def _size_of_array(nbytes: int, dtype: Any) -> Size:
    if getattr(dtype, "hasobject", False):
        return Size(nbytes, nbytes / dtype.itemsize * _POINTER_S)
    return Size(nbytes, _OBJECT_S + nbytes / _BYTES_PER_S)


def _size_of_frame(value: Any) -> Size:
    """Return the size of a pandas object, by columns."""
    dtypes = getattr(value, "dtypes", None)
    if dtypes is None or not hasattr(value, "memory_usage") or not hasattr(value, "ndim"):
        used = getattr(value, "nbytes", None)
        return Size(used if isinstance(used, int) else 1000, 1e-4)
    pointers = sum(map(_holds_objects, dtypes if value.ndim > 1 else [dtypes]))
    used = value.memory_usage(deep=False)
    nbytes = int(used if isinstance(used, int) else used.sum())
    return Size(nbytes, 2e-4 + nbytes / _BYTES_PER_S + len(value) * pointers * _POINTER_S)


def _holds_objects(dtype: Any) -> bool:
    kind = getattr(dtype, "kind", "O")
    return bool(kind in "OSU" and getattr(dtype, "storage", "python") == "python")


def size_of_all(values: Iterable[Any]) -> Size:
    """Return the size of several values together."""
    total = Size()
    for value in values:
        total = total + size_of(value)
    return total


__all__ = ["Size", "size_of", "size_of_all"]
