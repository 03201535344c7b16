"""Objects as they arrived and as they are now come in, which of them are the same goes out.

A fitted model holds hundreds of arrays and trees; pickling each by itself, twice, takes longer than
many a fit. Arrays of numbers are compared as memory, and all others as one, because nearly always
none of them was changed. The rule: the same is what pickles to the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xxhash

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.transport.pickling import pickle_value
from taskpar_kernel.transport.snapshots import is_of_numbers


def are_same(before: Sequence[Any], now: Sequence[Any]) -> list[bool]:
    """Return, for each pair, whether it is the same; None is the same as nothing."""
    found = [_are_arrays_alike(old, new) for old, new in zip(before, now, strict=True)]
    open_ones = [i for i, same in enumerate(found) if same is None and before[i] is not None]
    alike = _same([before[i] for i in open_ones], [now[i] for i in open_ones])
    for i in open_ones:
        found[i] = alike or (len(open_ones) > 1 and _same(before[i], now[i]))
    return [bool(same) for same in found]


def _same(old: object, new: object) -> bool:
    try:
        return pickle_value(old).fingerprint() == pickle_value(new).fingerprint()
    except NotPortable:
        return False


def _are_arrays_alike(old: Any, new: Any) -> bool | None:
    """Return whether two arrays of numbers are the same; None: they are something else."""
    if not (_is_readable(old) and _is_readable(new)):
        return None
    layouts = [(a.dtype, a.shape, a.strides, a.flags.writeable) for a in (old, new)]
    return layouts[0] == layouts[1] and _digest(old) == _digest(new)


def _is_readable(obj: Any) -> bool:
    is_array = type(obj).__module__ == "numpy" and type(obj).__name__ == "ndarray"
    return is_array and is_of_numbers(obj) and obj.nbytes > 0


def _digest(array: Any) -> bytes:
    return xxhash.xxh3_128(array).digest()


__all__ = ["are_same"]
