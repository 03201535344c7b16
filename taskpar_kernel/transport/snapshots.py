"""Objects come in, what they hold goes out, and is compared later by looking at pointers.

Pickling 30,000 small dicts to see that none was changed takes 200 ms; seeing that they hold the
very same objects takes five. The rule: a snapshot that `holds` proves that nothing reached from
its roots was changed; one that does not proves nothing, and who needs to know pickles and compares.

Objects are of three kinds. *Plain* ones are known by the objects they hold, in order: containers,
arrays of objects, and instances that travel by class and attributes; arrays of numbers by their
layout and a digest of their memory. What cannot change needs no look; tuples lead on to what they
hold. All else is *opaque*: it is pickled, with references to the plain ones in it. What was held is
kept alive, so that no address can be another object's.
"""

from __future__ import annotations

import ctypes
import sys
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any

import xxhash

from taskpar_kernel.model.ids import Key
from taskpar_kernel.transport.arrays import Span, memory_of
from taskpar_kernel.transport.pickling import number_kinds
from taskpar_kernel.transport.segments import SMALLEST_BYTES
from taskpar_kernel.transport.ways import travels_by_attributes

Numbers = Iterable[Iterable[object]]
Parts = Iterable[Iterable[object]]
Look = Callable[[list[Any]], tuple[Numbers, Parts]]
"""Objects of one kind → numbers for each, and the objects they hold, in order."""

_LONG = 200
"""Lists that are longer are compared where they are: copying their pointers costs more."""

_UNCHANGING = frozenset({str, bytes, int, float, complex, bool, type(None), type(...)})
_LEADING_ON = frozenset({tuple, frozenset})
_attributes = attrgetter("__dict__")
_shape, _strides, _data_type = map(attrgetter, ("shape", "strides", "dtype"))
_flags = attrgetter("flags.num")
_IN_ORDER = 1 << 0
"""Of an array's flags: its memory is dense, in the order of C."""
_NUMBERS = frozenset("biufcSU")
"""The kinds of data types, numbers and texts, whose memory is all there is to them."""
_KEY = Key(0)
_WORD = tuple.__itemsize__
_ITEMS_AT = object.__basicsize__ + _WORD
CAN_LOOK = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether lists are laid out as they are here, and nobody changes them while they are looked at."""


def _look_at_items(group: list[Any]) -> tuple[Numbers, Parts]:
    return [map(len, group)], group


def _look_at_dicts(group: list[Any]) -> tuple[Numbers, Parts]:
    return [map(len, group)], chain(group, map(dict.values, group))


def _look_at_defaultdicts(group: list[Any]) -> tuple[Numbers, Parts]:
    numbers, parts = _look_at_dicts(group)
    return numbers, chain([[d.default_factory for d in group]], parts)


def _look_at_sets(group: list[Any]) -> tuple[Numbers, Parts]:
    # The size of its table decides the order of what is added later.
    return [map(len, group), map(sys.getsizeof, group)], group


def _look_at_instances(group: list[Any]) -> tuple[Numbers, Parts]:
    dicts = list(map(_attributes, group))
    numbers, parts = _look_at_dicts(dicts)
    known = map(weakref.getweakrefcount, group)  # by a weak reference: such do not travel
    return [*numbers, known], chain([list(map(type, group)), dicts], parts)


@dataclass(frozen=True, slots=True)
class _LookAtNumbers:
    """Looks at arrays of numbers; those in `watched` memory are known to be as they were."""

    watched: Collection[Span]

    def __call__(self, group: list[Any]) -> tuple[Numbers, Parts]:
        digest = xxhash.xxh3_128()
        deque(map(digest.update, filter(self._is_read, group)), maxlen=0)
        layout = (map(_shape, group), map(_strides, group), map(_flags, group))
        return [*layout, [digest.digest()]], [map(_data_type, group)]

    def _is_read(self, obj: Any) -> bool:
        if not self.watched or obj.nbytes < SMALLEST_BYTES:
            return True
        low, high = memory_of(obj) or (0, 0)
        return not any(a <= low and high <= b for a, b in self.watched)


def is_of_numbers(obj: Any) -> bool:
    """Whether an array's memory, in the order of C, is all there is to it."""
    return obj.dtype.kind in _NUMBERS and bool(_flags(obj) & _IN_ORDER)


_LOOKS: dict[type, Look] = {
    list: _look_at_items,
    deque: _look_at_items,
    dict: _look_at_dicts,
    defaultdict: _look_at_defaultdicts,
    set: _look_at_sets,
}


@dataclass(frozen=True, slots=True)
class _Long:
    """A long list or an array of objects, with what it held, in the order of its memory."""

    container: Any
    layout: object
    held: list[object]

    @classmethod
    def of(cls, container: Any) -> _Long:
        """Note what a container holds now."""
        held = list(container) if type(container) is list else container.ravel("K").tolist()
        return cls(container, _layout(container), held)

    def holds(self) -> bool:
        """Whether it holds the very same objects, in the same layout."""
        if _layout(self.container) != self.layout:
            return False
        if type(self.container) is list:
            return _are_same(self.container, self.held)
        start = self.container.__array_interface__["data"][0]
        return _holds_same(start, _items(self.held), len(self.held))


def _is_long(obj: Any) -> bool:
    """Whether an object, a list or an array, is looked at where it is."""
    if type(obj) is list:
        return len(obj) > _LONG
    return bool(obj.dtype == object and obj.flags.forc and obj.size)


def _layout(container: Any) -> object:
    if type(container) is list:
        return None
    return container.shape, container.strides, container.dtype, container.flags.writeable


class Snapshot:
    """What the objects that are reached from `roots` hold now.

    `opaque` are the objects among them that must be compared otherwise, `plain` leads from ids of
    the others to references. Memory that is `watched` is known to be as it was.
    """

    def __init__(self, roots: Iterable[object], watched: Collection[Span] = ()):
        self._at_numbers = _LookAtNumbers(watched)
        self._groups: list[tuple[list[Any], Look]] = []
        self._long: list[_Long] = []
        self.opaque: list[object] = []
        self.plain: dict[int, tuple[Key, int]] = {}
        self._walk(list(roots))
        self._found = self._look()

    def holds(self) -> bool:
        """Whether all plain objects hold what they held; runs no code of theirs."""
        if not all(long.holds() for long in self._long):
            return False
        numbers, held = self._look()
        then_numbers, then_held = self._found
        return numbers == then_numbers and _are_same(held, then_held)

    def _look(self) -> tuple[list[object], list[object]]:
        numbers: list[object] = []
        held: list[object] = []
        for group, look in self._groups:
            found, parts = look(group)
            numbers += chain.from_iterable(found)
            deque(map(held.extend, parts), maxlen=0)
        return numbers, held

    def _walk(self, layer: list[Any]) -> None:
        """Sort what is reached into groups of one kind, layer by layer."""
        seen: set[int] = set()
        while layer:
            kinds = set(map(type, layer)) - _UNCHANGING - number_kinds()
            groups: dict[type, list[Any]] = {kind: [] for kind in kinds}
            for obj in layer if kinds else ():
                group = groups.get(type(obj))
                if group is not None and id(obj) not in seen:
                    seen.add(id(obj))
                    group.append(obj)
            layer = []
            for kind, group in groups.items():
                layer += self._sorted(kind, group)

    def _sorted(self, kind: type, group: list[Any]) -> Iterable[object]:
        """Note a group; return what it leads on to."""
        if kind in _LEADING_ON:
            return chain.from_iterable(group)
        long: list[_Long] = []
        if kind is list or _is_array_kind(kind):
            long = [_Long.of(obj) for obj in group if _is_long(obj)]
            group = [obj for obj in group if not _is_long(obj)]
        if _is_array_kind(kind):
            self._note([obj for obj in group if is_of_numbers(obj)], self._at_numbers)
            group = [obj for obj in group if not is_of_numbers(obj)]
        self._long += long
        self._refer(entry.container for entry in long)
        held = chain.from_iterable(entry.held for entry in long)
        look = _LOOKS.get(kind)
        if look is None and travels_by_attributes(kind):
            look = _look_at_instances
        if look is None:
            self.opaque += group
            return held
        self._note(group, look)
        return chain(held, chain.from_iterable(look(group)[1]))

    def _note(self, group: list[Any], look: Look) -> None:
        if group:
            self._groups.append((group, look))
            self._refer(group)

    def _refer(self, objects: Iterable[object]) -> None:
        first = len(self.plain)
        self.plain |= {id(obj): (_KEY, first + i) for i, obj in enumerate(objects)}


def arrays_of_objects(objects: Iterable[Any]) -> list[Any]:
    """Return the arrays among `objects` that a snapshot looks at itself."""
    return [obj for obj in objects if _is_array_kind(type(obj)) and _is_long(obj)]


def _is_array_kind(kind: type) -> bool:
    return kind.__module__ == "numpy" and kind.__name__ == "ndarray"


def _are_same(some: list[object], others: list[object]) -> bool:
    """Whether two lists hold the same objects; `==` would ask the objects."""
    count = len(some)
    return count == len(others) and (not count or _holds_same(_items(some), _items(others), count))


def _items(held: list[object]) -> int:
    """Return where a list that is not empty has its pointers: behind the head of the object."""
    start = ctypes.c_void_p.from_address(id(held) + _ITEMS_AT).value
    assert start is not None
    return start


def _holds_same(some: int, others: int, count: int) -> bool:
    return bool(_compare(some, others, count * _WORD) == 0)


_compare = ctypes.PyDLL(None).memcmp  # keeps the interpreter's lock: nobody changes them meanwhile
_compare.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
_compare.restype = ctypes.c_int
