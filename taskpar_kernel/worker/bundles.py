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
from taskpar_kernel.transport.marks import Mark
from taskpar_kernel.transport.pages import MappedPages
from taskpar_kernel.transport.pickling import (
    Classes,
    Numbered,
    Parcel,
    Reference,
    pickle_value,
    unpickle,
)
from taskpar_kernel.transport.segments import Segments
from taskpar_kernel.transport.states import frame_arrays, package_of
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
    mark: Mark | None = None
    copies: frozenset[Key] = frozenset()
    """The bundles of which it holds copies, because it came from another worker."""

    unread: bool = False
    """Whether no attempt has read it: it is as it was made, and is marked before one does."""
    _frames: list[object] | None = None

    def frame_parts(self) -> set[int]:
        """Return the ids of the arrays in which its pandas frames keep their data now."""
        if self._frames is None:
            self._frames = [o for o in self.keep if package_of(type(o)) == "pandas"]
        return frame_arrays(self._frames)

    @property
    def constant(self) -> bool:
        """Whether nothing in it can change."""
        return not self.known

    def changed(self) -> bool:
        """Whether anything in the bundle is not as it was when it was marked.

        Raises:
            NotPortable: one of the process's own objects was changed, which cannot be sent.
        """
        if self.constant:
            return False
        return self.mark is None or not self.mark.holds(lambda: pickle_value(self.names))

    def remark(self) -> None:
        """Take the bundle as it is now."""
        if not self.constant:
            self._mark_as(pickle_value(self.names))

    def settle(self, *, mark: bool = True) -> None:
        """Let go of objects that its names do not reach, and mark the bundle as it is now.

        Without a `mark`, it is taken to be changed from now on; one of an object that a library
        keeps is never left out.
        """
        parcel = pickle_value(self.names)
        reached = parcel.numbered.index_of
        self.keep = [obj for obj in self.keep if id(obj) in reached]
        self.known = {i: ref for i, ref in self.known.items() if i in reached}
        self._frames = None
        if (mark or parcel.own) and not self.constant:
            self._mark_as(parcel)

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

    def _mark_as(self, parcel: Parcel) -> None:
        self.mark = Mark(self.names, parcel, [MappedPages(m) for m in self.maps])


class Bundles:
    """Live bundles by key, unpacked from `store` on first use."""

    def __init__(self, store: Store, segments: Segments):
        self._store = store
        self._segments = segments
        self._live: dict[Key, Live] = {}
        self._gone: dict[Key, str] = {}

    def live(self, key: Key, *, mark: bool = True) -> Live:
        """Return the bundle `key` with its objects as that version has them.

        Without a `mark`, if it is unpacked now: who asks is known to change it.

        Raises:
            NotPortable: it is not here, or cannot be rebuilt.
        """
        live = self._live.get(key)
        if live is None:
            if key in self._gone:
                raise NotPortable(self._gone[key])
            live = self._live[key] = self._unpack(key, mark=mark)
        elif live.unread:
            live.unread = False
            live.remark()
        return live

    def names_in(self, key: Key) -> dict[str, Any]:
        """Return a new copy of what the bundle holds, by name; it is watched by nobody.

        Raises:
            NotPortable: it is not here, or cannot be rebuilt.
        """
        (names, _, _), _, _ = self._rebuilt(key)
        return dict(names)

    def _unpack(self, key: Key, *, mark: bool) -> Live:
        (names, states, deleted), numbered, maps = self._rebuilt(key)
        if states:
            raise NotPortable("it changed objects in place that are not here")
        numbered.forget(names, states)
        live = Live(names, references(key, numbered), list(numbered.objects.values()), maps)
        if isinstance(deleted, Copies):
            live.copies = deleted.keys
            live.known = {i: (key, index + _COPIED) for i, (_, index) in live.known.items()}
        live.settle(mark=mark)  # unpickling makes states of its own, which nothing refers to
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

    def involved(self, keys: Iterable[Key], to_be_changed: Collection[Key] = ()) -> dict[Key, Live]:
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
            live = found[key] = self.live(key, mark=key not in to_be_changed)
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
        if live.changed():
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
