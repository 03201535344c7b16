"""An outcome that was judged good comes in; the namespace becomes what running it would have made.

The rule: everything that can fail is tried before anything is changed.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from taskpar_kernel.model.messages import VALUE_NAME, Packed
from taskpar_kernel.transport.pickling import Classes, Numbered, Reference, unpickle
from taskpar_kernel.transport.segments import Segments
from taskpar_kernel.transport.states import State, check_state, write_state

_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Opened:
    """An outcome unpacked at home, not applied yet.

    `states` are (object of home's, new state) with the reference it was named by.
    """

    names: dict[str, Any]
    states: tuple[tuple[Reference, Any, State], ...]
    deleted: tuple[str, ...]
    numbered: Numbered
    refers: bool = False
    """Whether it holds objects that home had before."""

    @property
    def value(self) -> Any:
        """The value of an expression's outcome."""
        return self.names[VALUE_NAME]

    def changed_keys(self) -> frozenset[int]:
        """Return the keys of the bundles whose objects it changed."""
        return frozenset(reference[0] for reference, _, _ in self.states)


def open_outcome(
    packed: Packed, segments: Segments, resolve: Callable[[Reference], object]
) -> Opened:
    """Unpack an outcome; references become home's own objects.

    Raises:
        NotPortable: it refers to what home does not have, or cannot be written into it.
    """
    found: list[Reference] = []

    def resolved(reference: Reference) -> object:
        found.append(reference)
        return resolve(reference)

    (names, states, deleted), numbered, _ = unpickle(packed, segments, resolved, Classes.FOREIGN)
    targets = tuple((ref, resolve(ref), state) for ref, state in states)
    for _, target, state in targets:
        check_state(target, state)
    return Opened(names, targets, deleted, numbered, bool(found))


def apply(opened: Opened, namespace: MutableMapping[str, Any]) -> None:
    """Write the changed states into home's objects, bind and unbind names."""
    for _, target, state in opened.states:
        write_state(target, state)
    for name, value in opened.names.items():
        if name != VALUE_NAME:
            namespace[name] = value
    for name in opened.deleted:
        namespace.pop(name, None)
