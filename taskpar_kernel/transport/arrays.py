"""NumPy arrays come in, reductions that keep strides, order and flags go out.

The rule: an array arrives with the memory layout it had, because the layout decides the last bit of
a sum. numpy is used only if the process has it already.
"""

from __future__ import annotations

import pickle
import sys
from typing import Any

from taskpar_kernel.errors import NotPortable


def numpy_reducer(value: Any, spans: list[tuple[int, int]]) -> Any:
    """Return a reduction for a numpy object, or NotImplemented for the default one.

    Adds the memory range of each array to `spans`, as (start, end) addresses.
    """
    kind = type(value)
    if kind.__name__ == "memmap":
        raise NotPortable("a numpy memmap is bound to its file")
    if kind.__name__ != "ndarray":
        return NotImplemented
    if not value.nbytes or value.dtype.hasobject:
        if value.nbytes:
            spans.append(_span(value))
            if not value.flags.forc:
                raise NotPortable("a strided array of objects would lose its strides")
        return NotImplemented
    spans.append(_span(value))
    np = sys.modules["numpy"]
    flat = value.ravel(order="K") if value.flags.forc else np.ascontiguousarray(value).ravel()
    buffer = pickle.PickleBuffer(flat.view(np.uint8))
    start = 0 if value.flags.forc else value.__array_interface__["data"][0] - spans[-1][0]
    layout = (value.shape, value.strides, start, spans[-1][1] - spans[-1][0])
    if not value.flags.forc and layout[3] > 8 * value.nbytes + 4096:
        raise NotPortable("a strided view is much smaller than the memory it spans")
    return _make_array, (buffer, value.dtype, layout, value.flags.forc, value.flags.writeable)


def _span(value: Any) -> tuple[int, int]:
    bounds = getattr(sys.modules["numpy"], "lib", None)
    tools = getattr(bounds, "array_utils", None) or sys.modules["numpy"]
    low, high = tools.byte_bounds(value)
    return int(low), int(high)


def _make_array(
    buffer: Any,
    dtype: Any,
    layout: tuple[tuple[int, ...], tuple[int, ...], int, int],
    dense: bool,
    writeable: bool,
) -> Any:
    import numpy as np  # noqa: PLC0415 - the receiver may not have it loaded yet

    shape, strides, start, span = layout
    if dense:
        memory: Any = buffer
    else:
        memory = np.empty(span, np.uint8)
    array = np.ndarray(shape, dtype, buffer=memory, offset=start, strides=strides)
    if not dense:
        array[...] = np.frombuffer(buffer, dtype=dtype).reshape(shape)
    if not writeable:
        array.flags.writeable = False
    return array
