"""Mutable objects come in, their shallow states go out, and are written into the original elsewhere.

An object of home's that an attempt changed gets its new state written *into it*, in place, so that
every other name and container that reaches it sees the change. The rule: only types whose whole
state is known here; any other changed object means that the statement runs at home.
"""

from __future__ import annotations

import random
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable
from typing import Any

from taskpar_kernel.errors import NotPortable

State = tuple[str, Any]

_SEQUENCES = (list, deque, bytearray)
_MAPPINGS = (dict, OrderedDict, defaultdict)


def is_mutable(value: object) -> bool:
    """Whether the object can change at all, as far as its type tells."""
    return not isinstance(value, type | types.FunctionType) or value.__module__ == "__main__"


def shallow_state(value: Any) -> State | None:
    """Return the state of one object (its parts by reference), or None if its type is unknown."""
    kind = type(value)
    if kind in _SEQUENCES:
        return "sequence", bytes(value) if kind is bytearray else list(value)
    if kind in _MAPPINGS:
        return "mapping", list(value.items())
    if kind is set:
        return "set", set(value)
    if kind is random.Random:
        return "random", value.getstate()
    module = kind.__module__.partition(".")[0]
    if module == "numpy":
        return _numpy_state(value)
    if module == "pandas":
        return _pandas_state(value)
    if kind.__flags__ & (1 << 9) and _ordinary(kind):  # Py_TPFLAGS_HEAPTYPE: a Python class
        return "attributes", _attributes(value)
    return None


def _numpy_state(value: Any) -> State | None:
    name = type(value).__name__
    if name == "ndarray":
        return "array", (value.shape, value.dtype, value.strides, value.copy())
    if name == "Generator":
        return "bits", value.bit_generator.state
    if name == "RandomState":
        return "legacy", value.get_state(legacy=False)
    if hasattr(value, "state") and name in {"PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"}:
        return "bit_generator", value.state
    return None


def _pandas_state(value: Any) -> State | None:
    if type(value).__name__ in {"DataFrame", "Series"}:
        return "frame", (value.copy(deep=True)._mgr, value.attrs, getattr(value, "_name", None))
    return None


def frame_arrays(values: Iterable[Any]) -> set[int]:
    """Return the ids of the arrays in which pandas frames among `values` keep their data.

    A frame's state carries its data; home's old arrays may be shared with other frames (copy on
    write) and must not be written to.
    """
    return {
        id(block.values)
        for value in values
        if type(value).__module__.startswith("pandas.") and hasattr(value, "_mgr")
        for block in value._mgr.blocks
    }


def _ordinary(kind: type) -> bool:
    """Whether instances keep all their state in `__dict__` and `__slots__`."""
    for base in kind.__mro__[:-1]:
        if not base.__flags__ & (1 << 9):
            return False
    return True


def _slots(kind: type) -> list[str]:
    names: list[str] = []
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    return [n for n in names if n not in {"__dict__", "__weakref__"}]


def _attributes(value: Any) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    own = list(vars(value).items()) if hasattr(value, "__dict__") else []
    slots = {n: getattr(value, n) for n in _slots(type(value)) if hasattr(value, n)}
    return own, slots


def write_state(target: Any, state: State) -> None:
    """Make `target`'s state the given one, in place.

    Raises:
        NotPortable: `target` is not what the state was taken from; nothing was changed.
    """
    kind, content = state
    _WRITERS[kind](target, content)


def check_state(target: Any, state: State) -> None:
    """Raise `NotPortable` if `write_state` could not be carried out to its end."""
    kind, content = state
    if kind == "array":
        shape, dtype, strides, _ = content
        fits = target.shape == shape and target.dtype == dtype and target.strides == strides
        if not fits or not target.flags.writeable:
            raise NotPortable("an array changed its shape, type or layout in place")
    if kind == "set" and list(set(list(content))) != list(content):
        raise NotPortable("a set would iterate in another order after the journey")


def _write_sequence(target: Any, content: Any) -> None:
    if isinstance(target, deque):
        target.clear()
        target.extend(content)
    else:
        target[:] = content


def _write_mapping(target: Any, content: list[tuple[Any, Any]]) -> None:
    target.clear()
    target.update(content)


def _write_set(target: set[Any], content: set[Any]) -> None:
    target.clear()
    target.update(content)


def _write_array(target: Any, content: Any) -> None:
    target[...] = content[3]


def _write_frame(target: Any, content: Any) -> None:
    manager, attributes, name = content
    target._mgr = manager
    target.attrs = attributes
    if hasattr(target, "_name"):
        target._name = name


def _write_attributes(target: Any, content: Any) -> None:
    own, slots = content
    if hasattr(target, "__dict__"):
        target.__dict__.clear()
        target.__dict__.update(own)
    for name in _slots(type(target)):
        if name in slots:
            object.__setattr__(target, name, slots[name])
        elif hasattr(target, name):
            object.__delattr__(target, name)


def _write_bits(target: Any, content: Any) -> None:
    target.bit_generator.state = content


def _write_bit_generator(target: Any, content: Any) -> None:
    target.state = content


_WRITERS = {
    "sequence": _write_sequence,
    "mapping": _write_mapping,
    "set": _write_set,
    "array": _write_array,
    "frame": _write_frame,
    "attributes": _write_attributes,
    "random": lambda target, content: target.setstate(content),
    "bits": _write_bits,
    "bit_generator": _write_bit_generator,
    "legacy": lambda target, content: target.set_state(content),
}
