"""NumPy arrays come in, reductions that keep strides, order, flags and sharing go out.

The rule: an array arrives with the memory layout it had, because the layout decides the last bit of
a sum; and arrays that share memory arrive sharing it, or not at all. numpy is used only if the
process has it already.
"""

from __future__ import annotations

import array
import math
import pickle
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.transport.objects import SMALLEST, reduce_objects
from taskpar_kernel.transport.segments import SMALLEST_BYTES

Span = tuple[int, int]

_LARGER = 8
"""A root array, or the memory a strided view spans, may be this much larger than what is sent."""
_SMALL_BYTES = 4096


class ArrayReducer:
    """Reduces the numpy objects of one message and remembers the memory they lie in.

    `roots`: id → array whose views are sent as views (see `shared_roots`); so are those of `known`.
    """

    def __init__(self, roots: Mapping[int, Any], known: Mapping[int, object]):
        self._roots = roots
        self._known = known
        self.arrays: list[tuple[int, int, Any]] = []
        """(start, end, array) of each array copied into the message: addresses in this process."""
        self._owned: set[int] = set()

    @property
    def spans(self) -> list[Span]:
        """The memory ranges of the arrays."""
        return [(low, high) for low, high, _ in self.arrays]

    @property
    def owned_spans(self) -> frozenset[Span]:
        """The memory ranges of the arrays in which frames keep their data."""
        return frozenset((low, high) for low, high, a in self.arrays if id(a) in self._owned)

    def own(self, parts: Iterable[Any]) -> None:
        """Note arrays in which an object that copies on write keeps its data."""
        self._owned.update(map(id, parts))

    def shared(self) -> list[list[tuple[int, int, Any]]]:
        """Return the groups of arrays whose shared memory a program could tell from copies."""
        return [
            group
            for group in overlapping(self.arrays)
            if not all(id(array) in self._owned for _, _, array in group)
        ]

    def reduce(self, value: Any) -> Any:
        """Return a reduction for a numpy object, or NotImplemented for the default one."""
        kind = type(value)
        if kind.__name__ == "memmap":
            raise NotPortable("a numpy memmap is bound to its file")
        if kind.__name__ == "void":
            raise NotPortable("a numpy record may be a view into an array")
        if kind.__name__ != "ndarray":
            return NotImplemented
        root = root_of(value)
        if root is not value and (id(root) in self._roots or id(root) in self._known):
            return _view_reduction(value, root)
        if not value.nbytes:
            return _make_empty, (value.shape, value.dtype, value.flags.writeable)
        low, high = memory_of(value) or (0, 0)
        self.arrays.append((low, high, value))
        if value.dtype.hasobject:
            if not value.flags.forc or not value.flags.writeable:
                raise NotPortable("an array of objects would lose its strides or flags")
            return NotImplemented if value.size < SMALLEST else reduce_objects(value)
        return _array_reduction(value, low, high - low)

    def subclass(self, value: Any) -> None:
        """Remember the memory of an instance of a subclass of ndarray."""
        plain = sys.modules["numpy"].ndarray.__reduce__
        if type(value).__reduce__ is plain and getattr(value, "__dict__", None):
            raise NotPortable(f"a {type(value).__qualname__} would lose its attributes")
        if value.nbytes:
            if not value.flags.forc or not value.flags.writeable:
                raise NotPortable(f"a {type(value).__qualname__} would lose its strides or flags")
            low, high = memory_of(value) or (0, 0)
            self.arrays.append((low, high, value))


def reduce_dtype(dtype: Any) -> Any:
    """Return the reduction of a data type: numpy's own object, where numpy has one."""
    own = sys.modules["numpy"].dtype
    return (own, (dtype.char,)) if own(dtype.char) is dtype else NotImplemented


def _array_reduction(value: Any, low: int, span: int) -> Any:
    np = sys.modules["numpy"]
    dense = value.flags.forc
    if not dense and span > _LARGER * value.nbytes + _SMALL_BYTES:
        raise NotPortable("a strided view is much smaller than the memory it spans")
    if value.nbytes > span:
        raise NotPortable("the elements of an array share memory")
    flat = value.ravel(order="K") if dense else np.ascontiguousarray(value).ravel()
    buffer = pickle.PickleBuffer(flat.view(np.uint8))
    start = 0 if dense else value.__array_interface__["data"][0] - low
    layout = (value.shape, value.strides, start, span)
    return _make_array, (buffer, value.dtype, layout, dense, value.flags.writeable, _hold_of(value))


def _hold_of(value: Any) -> str:
    """Return how an array holds its memory: "own", "base" (another array's) or "any".

    Arrays that go into segments lie in the segment, so it does not matter there.
    """
    if value.nbytes >= SMALLEST_BYTES:
        return "any"
    if value.flags.owndata:
        return "own"
    return "base" if type(value.base) is sys.modules["numpy"].ndarray else "any"


def _view_reduction(value: Any, root: Any) -> Any:
    if root.dtype.hasobject and (value.dtype != root.dtype or not value.flags.c_contiguous):
        raise NotPortable("a strided view of an array of objects would lose its strides")
    low, _ = memory_of(root) or (0, 0)
    start = value.__array_interface__["data"][0] - low
    arguments = (root, value.dtype, value.shape, value.strides, start, value.flags.writeable)
    return _make_view, arguments


def memory_of(value: Any) -> Span | None:
    """Return the addresses [start, end) of an object's memory, if it is memory others may share."""
    if isinstance(value, bytearray | array.array):
        with memoryview(value) as view:
            return span_of_buffer(view) if view.nbytes else None
    np = sys.modules.get("numpy")
    if np is None or not isinstance(value, np.ndarray) or not value.nbytes:
        return None
    if value.flags.forc:  # 13 µs less
        start = int(value.ctypes.data)
        return start, start + int(value.nbytes)
    tools = getattr(np.lib, "array_utils", None) or np
    low, high = tools.byte_bounds(value)
    return int(low), int(high)


def span_of_buffer(view: memoryview) -> Span | None:
    """Return the addresses of a contiguous buffer, or None without numpy (nobody shares it)."""
    np = sys.modules.get("numpy")
    if np is None:
        return None
    start = int(np.frombuffer(view, np.uint8).__array_interface__["data"][0])
    return start, start + view.nbytes


def root_of(value: Any) -> Any:
    """Return the array in whose memory `value` lies; itself if it is no view of another array."""
    np = sys.modules["numpy"]
    while type(value.base) is np.ndarray:
        value = value.base
    return value


def overlapping(arrays: Iterable[tuple[int, int, Any]]) -> list[list[tuple[int, int, Any]]]:
    """Return the groups of two and more whose spans overlap; O(n log n)."""
    groups: list[list[tuple[int, int, Any]]] = []
    end = -1
    for one in sorted(arrays, key=lambda a: a[:2]):
        if one[0] < end:
            groups[-1].append(one)
        else:
            groups.append([one])
        end = max(end, one[1])
    return [group for group in groups if len(group) > 1]


def shared_roots(groups: Iterable[list[tuple[int, int, Any]]]) -> dict[int, Any]:
    """Return id → root for the roots of arrays that share memory, which are sent in their place.

    Raises:
        NotPortable: they are not all views of one dense array.
    """
    np = sys.modules["numpy"]
    roots: dict[int, Any] = {}
    for group in groups:
        if any(type(a) is not np.ndarray for _, _, a in group):
            raise NotPortable("objects that share memory would arrive apart")
        root = root_of(group[0][2])
        low, high = memory_of(root) or (0, 0)
        if not root.flags.forc or any(root_of(a) is not root for _, _, a in group):
            raise NotPortable("arrays that share memory would arrive apart")
        if high - low > _LARGER * sum(a.nbytes for _, _, a in group) + _SMALL_BYTES:
            raise NotPortable("views are much smaller than the array they share")
        roots[id(root)] = root
    return roots


def _make_empty(shape: tuple[int, ...], dtype: Any, writeable: bool) -> Any:
    import numpy as np  # the receiver may not have it loaded yet

    array = np.empty(shape, dtype)
    array.flags.writeable = writeable
    return array


def _make_view(
    root: Any,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    start: int,
    writeable: bool,
) -> Any:
    import numpy as np  # the receiver may not have it loaded yet

    flat = root.ravel(order="K")
    if dtype.hasobject:
        first = start // dtype.itemsize
        view = flat[first : first + math.prod(shape)].reshape(shape)
    else:
        view = np.ndarray(shape, dtype, buffer=flat.view(np.uint8), offset=start, strides=strides)
    if not writeable:
        view.flags.writeable = False
    return view


def _make_array(
    buffer: Any,
    dtype: Any,
    layout: tuple[tuple[int, ...], tuple[int, ...], int, int],
    dense: bool,
    writeable: bool,
    hold: str,
) -> Any:
    import numpy as np  # the receiver may not have it loaded yet

    shape, strides, start, span = layout
    if dense:
        memory: Any = np.frombuffer(buffer, dtype).copy() if hold == "base" else buffer
        start = min_offset(shape, strides)
    else:
        memory = np.empty(span, np.uint8)
    array = np.ndarray(shape, dtype, buffer=memory, offset=start, strides=strides)
    if not dense:
        array[...] = np.frombuffer(buffer, dtype=dtype).reshape(shape)
    if hold == "own" and (copy := array.copy(order="K")).strides == strides:
        array = copy
    if not writeable:
        array.flags.writeable = False
    return array


def min_offset(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Return where the first element lies, in bytes from the lowest address of the array."""
    return -sum(min(0, (n - 1) * s) for n, s in zip(shape, strides, strict=True))
