"""The bundles a worker has unpacked: live objects by name, with what identifies and marks them.

Packed bundles come in from the store, live ones go out to attempts. The rules: a live bundle's
objects are what the bundle's version says, or it is not live; and an object that came from
elsewhere can always be named as (key, index), so that it goes back as a reference.

A bundle on the wire is `(names, states, deleted)`: `names` maps each name to its value, `states` is
a list of (reference, shallow state) for objects of earlier bundles that were changed in place. One
that another worker forwards has copies of what it refers to: then `deleted` is a `Copies`, and such
a bundle is not read beside the bundles it has copies of.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass, field
from typing import Any

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.model.ids import Key
from taskpar_kernel.model.messages import Packed
from taskpar_kernel.transport.pickling import (
    Classes,
    Numbered,
    Own,
    Parcel,
    Reference,
    digest_of_own,
    pickle_value,
    unpickle,
)
from taskpar_kernel.transport.segments import Segments, write_mark
from taskpar_kernel.worker.store import Store


@dataclass(frozen=True, slots=True)
class Copies:
    """The bundles whose objects a forwarded bundle holds copies of."""

    keys: frozenset[Key]


_COPIED = 2_000_000_000
"""Objects of a forwarded bundle are numbered from here: home has none of these, and so refuses."""


@dataclass(slots=True)
class Live:
    """One unpacked bundle.

    `known` maps the id of each object with an identity to the reference home knows it by; `keep`
    holds these objects alive. `held` are the other bundles whose objects this one holds as well.
    """

    names: dict[str, Any]
    known: dict[int, Reference]
    keep: list[object]
    maps: list[mmap.mmap] = field(default_factory=list)
    held: frozenset[Key] = frozenset()
    mark: object = None
    copies: frozenset[Key] = frozenset()
    """The bundles of which it holds copies, because it came from another worker."""
    own: Own = frozenset()
    """The process's own objects it refers to, with what they held when it was marked."""

    @property
    def constant(self) -> bool:
        """Whether nothing in it can change."""
        return not self.known

    def present_mark(self) -> object:
        """Return what stays equal as long as nothing in the bundle changed (same process only).

        Raises:
            NotPortable: one of the process's own objects was changed, which cannot be sent.
        """
        parcel = pickle_value(self.names)
        if self.mark is None:
            self.own = parcel.own
        else:
            _check_own(self.own, parcel.own)
        return self._mark_of(parcel)

    def settle(self) -> None:
        """Mark the bundle as it is now, and let go of objects that its names do not reach."""
        parcel = pickle_value(self.names)
        reached = parcel.numbered.index_of
        self.keep = [obj for obj in self.keep if id(obj) in reached]
        self.known = {i: ref for i, ref in self.known.items() if i in reached}
        if not self.constant:
            self.mark, self.own = self._mark_of(parcel), parcel.own

    def without(self, changed: frozenset[int]) -> Live:
        """Return the part of the bundle that does not reach these objects (by id)."""
        names = {
            name: value
            for name, value in self.names.items()
            if changed.isdisjoint(pickle_value(value).numbered.index_of)
        }
        rest = Live(names, self.known, self.keep, self.maps, self.held, copies=self.copies)
        rest.settle()
        return rest

    def _mark_of(self, parcel: Parcel) -> object:
        mapped = [write_mark(m) for m in self.maps]
        if mapped:  # the arrays' contents are watched by the system, the rest is in the pickle
            ranges = [address_range(m) for m in self.maps]
            return mapped, parcel.fingerprint_outside(ranges)
        return parcel.fingerprint()


def _check_own(before: Own, now: Own) -> None:
    """Raise `NotPortable` if an object of the process's own does not hold what it held.

    What is referred to only now is compared where it arrives, like all that is referred to.
    """
    present = dict(now)
    for place, digest in before:
        if digest != (present[place] if place in present else digest_of_own(place)):
            raise NotPortable("it changed an object that a library keeps")


def address_range(private: mmap.mmap) -> tuple[int, int]:
    """Return the addresses [start, end) at which a map lies."""
    import ctypes  # only consumers of segments need it

    start = ctypes.addressof(ctypes.c_char.from_buffer(private))
    return start, start + len(private)


class Bundles:
    """Live bundles by key, unpacked from `store` on first use."""

    def __init__(self, store: Store, segments: Segments):
        self._store = store
        self._segments = segments
        self._live: dict[Key, Live] = {}
        self._gone: dict[Key, str] = {}

    def live(self, key: Key) -> Live:
        """Return the bundle `key` with its objects as that version has them.

        Raises:
            NotPortable: it is not here, or cannot be rebuilt.
        """
        live = self._live.get(key)
        if live is None:
            if key in self._gone:
                raise NotPortable(self._gone[key])
            live = self._live[key] = self._unpack(key)
        return live

    def names_in(self, key: Key) -> dict[str, Any]:
        """Return a new copy of what the bundle holds, by name; it is watched by nobody.

        Raises:
            NotPortable: it is not here, or cannot be rebuilt.
        """
        (names, _, _), _, _ = self._rebuilt(key)
        return dict(names)

    def _unpack(self, key: Key) -> Live:
        (names, states, deleted), numbered, maps = self._rebuilt(key)
        if states:
            raise NotPortable("it changed objects in place that are not here")
        numbered.forget(names, states)
        live = Live(names, references(key, numbered), list(numbered.objects.values()), maps)
        if isinstance(deleted, Copies):
            live.copies = deleted.keys
            live.known = {i: (key, index + _COPIED) for i, (_, index) in live.known.items()}
        if not live.constant:
            live.mark = live.present_mark()
        return live

    def fresh(
        self, key: Key, resolve: Callable[[Reference], object] | None = None
    ) -> Numbered | None:
        """Return the objects of a new copy of the bundle, as it arrived; None if there is none.

        `resolve` gives the objects of other bundles that it refers to.
        """
        if key not in self._store or key in self._gone:
            return None
        numbered: Numbered
        (_, _, deleted), numbered, _ = self._rebuilt(key, resolve)
        if isinstance(deleted, Copies):
            pairs = numbered.objects.items()
            return Numbered.of((index + _COPIED, obj) for index, obj in pairs)
        return numbered

    def _rebuilt(self, key: Key, resolve: Callable[[Reference], object] | None = None) -> Any:
        if key not in self._store:
            raise NotPortable(f"bundle {key} did not arrive")
        return unpickle(self._store.get(key), self._segments, resolve, Classes.NEW)

    def involved(self, keys: Iterable[Key]) -> dict[Key, Live]:
        """Return the live bundles `keys`, and those whose objects they hold as well.

        Raises:
            NotPortable: one is not here, or holds copies of what another one holds.
        """
        found: dict[Key, Live] = {}
        queue = list(keys)
        while queue:
            key = queue.pop()
            if key in found:
                continue
            live = found[key] = self.live(key)
            queue += [k for k in live.held if k in self._live]
        copied = [k for live in found.values() for k in live.copies]
        if len(copied) > len(set(copied)) or not found.keys().isdisjoint(copied):
            raise NotPortable("it reads an object and a copy of it that another worker sent")
        return found

    def sharing(self, objects: Set[int], known: Collection[Key]) -> dict[Key, Live]:
        """Return the live bundles, but for the `known` ones, that hold one of the objects (ids)."""
        return {
            key: live
            for key, live in self._live.items()
            if key not in known and not live.known.keys().isdisjoint(objects)
        }

    def adopt(self, key: Key, live: Live) -> None:
        """Take an attempt's outcome as the live bundle `key`."""
        self._live[key] = live

    def drop_live(self, keys: Iterable[Key], why: str = "") -> None:
        """Forget the objects of these bundles; a `why` says that they cannot be rebuilt either."""
        for key in keys:
            self._live.pop(key, None)
            if why:
                self._gone[key] = why

    def forward(self, key: Key) -> Packed:
        """Return the bundle as another worker can read it: self-contained, as its version has it.

        Raises:
            NotPortable: later attempts here changed its objects.
        """
        live = self._live.get(key)
        if live is None or not live.held:
            if key in self._gone or key not in self._store:
                raise NotPortable(self._gone.get(key, f"bundle {key} is not here"))
            return self._store.get(key)
        if live.present_mark() != live.mark:
            raise NotPortable("its objects were changed since")
        copies = Copies(live.held | live.copies)
        return pickle_value((live.names, [], copies)).place(self._segments)

    def forget(self, keys: Iterable[Key]) -> None:
        """Drop these bundles altogether."""
        for key in keys:
            self._live.pop(key, None)
            self._gone.pop(key, None)


def references(key: Key, numbered: Numbered) -> dict[int, Reference]:
    """Return id → reference for the objects of the bundle `key`."""
    return {i: (key, index) for i, index in numbered.index_of.items()}


def overlaps(parcel: Parcel, spans: Iterable[tuple[int, int, bool]]) -> bool:
    """Whether an array in `parcel` shares memory with one of `spans`, and a program could tell.

    `spans` are (start, end, whether a pandas frame keeps its data there).
    """
    if not parcel.spans:
        return False
    theirs = list(spans)
    return any(
        a < d and c < b and not (owned and (a, b) in parcel.owned)
        for a, b in parcel.spans
        for c, d, owned in theirs
    )
