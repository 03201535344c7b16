"""A value comes in, its scale goes out: its type, and its size to the nearest power of two.

Containers and objects are sampled, as in `engine.sizes`. The rules: no code of the user's is run
(libraries are asked for a size only where that is known to be harmless), and it takes microseconds.
"""

from __future__ import annotations

from itertools import islice
from types import FunctionType, ModuleType
from typing import Any

from taskpar_kernel.engine.memory.codes import magnitude, module_of

_SIZED = frozenset({"numpy", "torch", "pyarrow", "xarray", "polars"})
"""Libraries whose `nbytes` is a number that they know, or add up, without other effects."""
_SAMPLED = 4
_DEEPEST = 3
_MOST_ATTRIBUTES = 32
_ITEM_BYTES = 8
_OBJECT_BYTES = 64


def scale_of(value: object) -> str:
    """Return what counts of a value for the cost of a statement that reads it."""
    kind = type(value)
    name = f"{module_of(kind)}.{type.__getattribute__(kind, '__qualname__')}"
    if kind in (int, float, bool, type(None)):
        return magnitude(value)
    if issubclass(kind, type | ModuleType | FunctionType):  # `isinstance` may ask `__class__`
        return name
    try:
        return f"{name} {int(_size_of(value, 0)).bit_length()}"
    except Exception:  # noqa: BLE001 - another thread changes it, or a library cannot tell its size
        return name


def _size_of(value: Any, depth: int) -> float:
    kind = type(value)
    if kind in (str, bytes, bytearray):
        return float(len(value))
    if kind in (list, tuple, set, frozenset):
        return _sampled(value, len(value), depth)
    if kind is dict:
        return _sampled(value.values(), len(value), depth)
    module = module_of(kind)
    if module == "builtins":
        return _OBJECT_BYTES
    if module.partition(".")[0] == "pandas":
        return _of_frame(value)
    sized = module.partition(".")[0] in _SIZED and hasattr(kind, "nbytes")
    nbytes = value.nbytes if sized else None
    return float(nbytes) if isinstance(nbytes, int) else _of_object(value, depth)


def _of_object(value: Any, depth: int) -> float:
    if depth >= _DEEPEST:
        return _OBJECT_BYTES
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return _OBJECT_BYTES
    if type(attributes) is not dict:
        return _OBJECT_BYTES
    some = islice(tuple(attributes.values()), _MOST_ATTRIBUTES)
    return _OBJECT_BYTES + sum(_size_of(each, depth + 1) for each in some)


def _sampled(values: Any, number: int, depth: int) -> float:
    if not number or depth >= _DEEPEST:
        return float(_ITEM_BYTES * number)
    some = list(islice(values, _SAMPLED))
    total = sum(_size_of(each, depth + 1) for each in some)
    return number * (_ITEM_BYTES + total / len(some))


def _of_frame(value: Any) -> float:
    """Return the cells of a pandas object: what its columns take would be ten times dearer."""
    shape = value.shape if hasattr(type(value), "shape") else ()
    cells = 1
    for length in shape if isinstance(shape, tuple) else ():
        cells *= length if isinstance(length, int) else 1
    return float(_ITEM_BYTES * cells)


__all__ = ["scale_of"]
