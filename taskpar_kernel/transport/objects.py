"""Arrays of objects come in, reductions that send each distinct object once go out.

A column of strings holds a few thousand objects a million times. Its pointers are factorised, so
that the pickle holds each object once and the positions go out of band: identity inside the array
is kept exactly, at a tenth of the time.
"""

from __future__ import annotations

import pickle
import sys
from typing import Any

SMALLEST = 32
"""Arrays with fewer elements are pickled as ever."""


class _Pointers:
    """Shows the pointers of an array of objects as integers, without copying them."""

    def __init__(self, flat: Any):
        self._flat = flat
        self.__array_interface__ = {
            "data": (flat.__array_interface__["data"][0], True),
            "shape": flat.shape,
            "typestr": f"<i{flat.itemsize}" if sys.byteorder == "little" else f">i{flat.itemsize}",
            "version": 3,
        }


def reduce_objects(value: Any) -> Any:
    """Return a reduction of a dense, writeable array of objects; O(n)."""
    np = sys.modules["numpy"]
    flat = value.ravel(order="K")
    codes, distinct = _factorised(np.asarray(_Pointers(flat)))
    first = np.empty(distinct, np.intp)
    first[codes[::-1]] = np.arange(len(flat) - 1, -1, -1)
    parts = [flat[i] for i in first.tolist()]
    kind = np.min_scalar_type(max(distinct - 1, 0))
    buffer = pickle.PickleBuffer(codes.astype(kind))
    return _make_objects, (buffer, kind, parts, value.shape, bool(value.flags.c_contiguous))


def _factorised(pointers: Any) -> tuple[Any, int]:
    """Return a code for each pointer, numbered by first appearance, and how many there are."""
    np = sys.modules["numpy"]
    pandas = sys.modules.get("pandas")
    if pandas is not None and hasattr(pandas, "factorize"):
        codes, distinct = pandas.factorize(pointers)
        return codes, len(distinct)
    _, first, codes = np.unique(pointers, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[codes], len(first)


def _make_objects(
    buffer: Any, kind: Any, parts: list[Any], shape: tuple[int, ...], c_order: bool
) -> Any:
    import numpy as np  # the receiver may not have it loaded yet

    table = np.empty(len(parts), object)
    for index, part in enumerate(parts):
        table[index] = part
    flat = table[np.frombuffer(buffer, kind)]
    return flat.reshape(shape) if c_order else flat.reshape(shape[::-1]).T
