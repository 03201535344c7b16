"""Mutable objects come in, shallow states go out, and are written into the original elsewhere.

An object of home's that an attempt changed gets its new state written *into it*, in place, so that
every other name and container that reaches it sees the change. The rule: only types whose whole
state is known here; any other changed object means that the statement runs at home.
"""

from __future__ import annotations

import copyreg
import random
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from taskpar_kernel.errors import NotPortable

State = tuple[str, Any]

_SEQUENCES = (list, deque, bytearray)
_MAPPINGS = (dict, OrderedDict, defaultdict, Counter)
_HEAP_TYPE, _WORD = 1 << 9, tuple.__itemsize__
_PLAIN = (str, bytes, int, bool)


def is_mutable(value: object) -> bool:
    """Whether the object can change at all, as far as its type tells."""
    return not isinstance(value, type | types.FunctionType) or value.__module__ == "__main__"


def shallow_state(value: Any) -> State | None:  # noqa: PLR0911
    """Return the state of one object (its parts by reference), or None if its type is unknown."""
    kind = type(value)
    if kind in _SEQUENCES:
        return "sequence", bytes(value) if kind is bytearray else tuple(value)
    if kind in _MAPPINGS:
        if getattr(value, "__dict__", None):
            return None
        return "mapping", (getattr(value, "default_factory", None), tuple(value.items()))
    if kind is set:
        return "set", tuple(value)
    if kind is random.Random:
        return "random", value.getstate()
    module = package_of(kind)
    if module == "numpy":
        return _numpy_state(value)
    if module == "pandas":
        return _pandas_state(value)
    if is_ordinary(kind):
        own, slots = attributes_of(value)
        return "attributes", (kind, tuple(own), tuple(slots))
    return None


def _numpy_state(value: Any) -> State | None:
    name = type(value).__name__
    if name == "ndarray":
        layout = (value.shape, value.dtype, value.strides, value.flags.writeable)
        return "array", (layout, value.copy())
    if name == "Generator":
        return "bits", value.bit_generator.state
    if name == "RandomState":
        return "legacy", value.get_state(legacy=False)
    if hasattr(value, "state") and name in {"PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"}:
        return "bit_generator", value.state
    return None


def _pandas_state(value: Any) -> State | None:
    if type(value).__name__ in {"DataFrame", "Series"} and _copies_on_write():
        labels = value.flags.allows_duplicate_labels
        name = getattr(value, "_name", None)
        manager = value._mgr.apply(_copied)
        manager.axes = list(value._mgr.axes)  # these are objects that a program can see
        return "frame", (manager, value.attrs, name, labels)
    return None


def _copied(values: Any) -> Any:
    """Copy the values of a block as they lie in memory: sums of floats depend on that.

    A frame's own copy joins blocks of one type, and forgets which were filled by columns.
    """
    if isinstance(values, sys.modules["numpy"].ndarray):
        return values.copy(order="K")
    inner = getattr(values, "_ndarray", None)
    if inner is None:
        return values.copy()
    return values._from_backing_data(inner.copy(order="K"))


def _copies_on_write() -> bool:
    """Whether no frame shows that it shares memory with another (pandas 3)."""
    return int(sys.modules["pandas"].__version__.split(".", 1)[0]) >= 3


def frame_arrays(values: Iterable[Any]) -> set[int]:
    """Return the ids of the arrays in which pandas frames among `values` keep their data.

    A frame's state carries its data; home's old arrays may be shared with other frames (copy on
    write) and must not be written to.
    """
    return {
        id(part)
        for value in values
        if type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "_mgr")
        for block in value._mgr.blocks
        for part in frame_parts(block)
    }


def frame_parts(value: Any) -> list[Any]:
    """Return the arrays of a pandas block, frame or index that only it reads and writes.

    From pandas 3 on all of these copy on write, so a program cannot see whether two of them share
    memory. Before that it can, and the list is empty.
    """
    pandas = sys.modules.get("pandas")
    version = getattr(pandas, "__version__", "0")
    if int(version.partition(".")[0]) < 3:
        return []
    if isinstance(value, pandas.Index):  # type: ignore[union-attr]
        return _arrays_of(getattr(value, "_data", None))
    if hasattr(type(value), "mgr_locs"):  # a block; never ask a frame for its values here
        return _arrays_of(value.values)
    return []


def without_cache(value: Any) -> Any:
    """Return the reduction of a pandas object without what it has computed and kept, or None.

    The cache fills up when an array or a type is used; that is no change a program can see.
    """
    if _is_cython_array(value):
        reduction = value.__reduce__()
        state = reduction[2] if len(reduction) == 3 else None
        if not isinstance(state, tuple) or len(state) != 3 or not isinstance(state[2], dict):
            return None
        kept = _but_cache(state[2])
        return *reduction[:2], (*state[:2], kept) if kept else state[:2]
    if "_cache" not in getattr(value, "__dict__", ()):
        return None
    reduction = value.__reduce_ex__(5)
    if reduction[0] is not copyreg.__newobj__ or not isinstance(reduction[2], dict):  # type: ignore[attr-defined]
        return None
    return *reduction[:2], _but_cache(reduction[2]) or None


def _is_cython_array(value: Any) -> bool:
    module = sys.modules.get("pandas._libs.arrays")
    return module is not None and isinstance(value, module.NDArrayBacked)


def _but_cache(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in attributes.items() if name != "_cache"}


def _arrays_of(values: Any) -> list[Any]:
    inner = [getattr(values, name, None) for name in ("_ndarray", "_codes", "_data", "_mask")]
    return [values, *(part for part in inner if part is not None)]


def is_ordinary(kind: type, root: type = object) -> bool:
    """Whether instances keep all state in `__dict__` and `__slots__`, but for what `root` has.

    Types written in C may look like Python classes, but their instances are larger than that. Other
    bases written in C do not count if they add nothing (`ValueError` to `BaseException`).
    """
    if not is_heap_type(kind):
        return False
    inner = [base for base in kind.__mro__ if not is_heap_type(base)]
    if any(base.__basicsize__ != root.__basicsize__ for base in inner if base is not object):
        return False
    words = len(_slots(kind)) + _pointers(kind) - _pointers(root)
    return kind.__basicsize__ == root.__basicsize__ + words * _WORD


def _pointers(kind: type) -> int:
    """Return how many words of an instance lead to its `__dict__` and weak references."""
    offset = kind.__dictoffset__  # negative: before the object, or after its last item
    return (offset > 0 or (offset < 0 and kind.__itemsize__ > 0)) + (kind.__weakrefoffset__ > 0)


def package_of(kind: type) -> str:
    """Return the name of the outermost package that a class says it comes from."""
    module = kind.__module__
    return module.partition(".")[0] if isinstance(module, str) else ""


def is_heap_type(kind: type) -> bool:
    """Whether the class was made while the program ran, as Python classes are."""
    return bool(kind.__flags__ & _HEAP_TYPE)


def _slots(kind: type) -> list[types.MemberDescriptorType]:
    return [
        member
        for base in kind.__mro__
        if "__slots__" in vars(base)
        for member in vars(base).values()
        if type(member) is types.MemberDescriptorType
    ]


def has_slots(kind: type) -> bool:
    """Whether instances keep attributes in `__slots__`."""
    return bool(_slots(kind))


def attributes_of(value: Any) -> tuple[list[tuple[str, Any]], list[tuple[int, Any]]]:
    """Return the items of `__dict__`, and the filled slots with their numbers."""
    own = list(vars(value).items()) if hasattr(value, "__dict__") else []
    slots: list[tuple[int, Any]] = []
    for number, member in enumerate(_slots(type(value))):
        try:
            slots.append((number, member.__get__(value, type(value))))
        except AttributeError:  # an empty slot
            continue
    return own, slots


def fill_attributes(value: Any, own: Iterable[tuple[str, Any]], slots: dict[int, Any]) -> None:
    """Give a new, empty object these attributes."""
    if own:
        vars(value).update(own)
    for number, member in enumerate(_slots(type(value))):
        if number in slots:
            member.__set__(value, slots[number])


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
        layout = (target.shape, target.dtype, target.strides, target.flags.writeable)
        if layout != content[0] or not target.flags.writeable:
            raise NotPortable("an array changed its shape, type, layout or flags in place")
    if kind == "attributes" and type(target) is not content[0]:
        raise NotPortable("an object changed its class")
    if kind == "frame" and target.flags.allows_duplicate_labels != content[3]:
        raise NotPortable("a frame changed its flags")
    if kind == "set" and list(set(content)) != list(content):
        raise NotPortable("a set would iterate in another order after the journey")


def _alike(old: Any, new: Any) -> bool:
    """Whether `old` can stay where `new` should be: what did not change keeps its identity."""
    return old is new or (type(old) is type(new) and type(old) in _PLAIN and bool(old == new))


def _write_sequence(target: Any, content: Any) -> None:
    if len(target) == len(content):
        for index, (old, new) in enumerate(zip(list(target), content, strict=True)):
            if not _alike(old, new):
                target[index] = new
    elif isinstance(target, deque):
        target.clear()
        target.extend(content)
    else:
        target[:] = content


def _write_mapping(target: Any, content: tuple[Any, tuple[tuple[Any, Any], ...]]) -> None:
    factory, items = content
    if isinstance(target, defaultdict):
        target.default_factory = factory
    _write_items(target, items)


def _write_items(target: Any, items: tuple[tuple[Any, Any], ...]) -> None:
    """Write the items; where only values changed, a loop over `target` can go on."""
    same_keys = len(target) == len(items) and all(
        _alike(old, new) for old, (new, _) in zip(target, items, strict=True)
    )
    if not same_keys:
        target.clear()
        if isinstance(target, Counter):  # its own update would count
            dict.update(target, items)
        else:
            target.update(items)
        return
    for (key, old), (_, new) in zip(list(target.items()), items, strict=True):
        if not _alike(old, new):
            target[key] = new


def _write_set(target: set[Any], content: tuple[Any, ...]) -> None:
    if list(target) != list(content):
        target.clear()
        target.update(list(content))


def _write_array(target: Any, content: Any) -> None:
    target[...] = content[1]


def _write_frame(target: Any, content: Any) -> None:
    manager, attributes, name, _ = content
    target._mgr = manager
    # not by `attrs`, which takes a copy: what the dict holds now may be written only after this
    object.__setattr__(target, "_attrs", attributes)
    if hasattr(target, "_name"):
        target._name = name


def _write_attributes(target: Any, content: Any) -> None:
    _, own, filled = content
    slots = dict(filled)
    if hasattr(target, "__dict__"):
        _write_items(target.__dict__, own)
    old = dict(attributes_of(target)[1])
    for number, member in enumerate(_slots(type(target))):
        if number in slots:
            member.__set__(target, slots[number])
        elif number in old:
            member.__delete__(target)


def _write_bits(target: Any, content: Any) -> None:
    target.bit_generator.state = content


def _write_bit_generator(target: Any, content: Any) -> None:
    target.state = content


_WRITERS: dict[str, Callable[[Any, Any], object]] = {
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
