"""What home sent out or took in: which objects each bundle stands for, and if they are unchanged.

Objects of the namespace come in, bundles go out. The rule: a bundle is trusted only as long as
nothing that home ran since could have changed it; after that it is compared, bit by bit, with
what was sent.

`epoch` counts the moments at which home ran something that could change anything reachable. A
bundle is *verified* at an epoch; it is compared again if the epoch has moved on.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import FunctionType
from typing import TYPE_CHECKING, Any

from taskpar_kernel.analysis.sources import global_names
from taskpar_kernel.engine.marks import AmbientMark
from taskpar_kernel.errors import NotPortable
from taskpar_kernel.model.effects import Effects, Touch
from taskpar_kernel.model.ids import HOME, Key, Place
from taskpar_kernel.model.messages import ITEMS_NAME, VALUE_NAME, Packed, Replica
from taskpar_kernel.transport.arrays import Span, memory_of
from taskpar_kernel.transport.marks import Mark
from taskpar_kernel.transport.pages import watches_over
from taskpar_kernel.transport.pickling import Numbered, Parcel, Reference, pickle_value
from taskpar_kernel.transport.segments import Segments
from taskpar_kernel.transport.states import frame_arrays

if TYPE_CHECKING:
    from taskpar_kernel.commit.apply import Opened

_LIST_LIKE = (list, dict, set, deque, bytearray)
_UNVERIFIED = -1
_DEAR_S = 0.003
"""What takes longer than this to unpickle is not pickled for a fingerprint that may be of use."""


@dataclass(slots=True, eq=False)
class Bundle:
    """Values that travel together. `objects` is empty until home has them (attempts' outcomes)."""

    key: Key
    objects: dict[str, Any] = field(default_factory=dict)
    numbered: Numbered = field(default_factory=Numbered)
    mark: Mark | None = None
    verified: int = _UNVERIFIED
    holders: set[Place] = field(default_factory=set)
    packed: Packed | None = None
    refers: bool = False
    """Whether it holds objects of other bundles, so that only its holders can read it."""
    at_home: bool = True
    """Whether home has its objects: False for the outcome of an attempt not yet committed."""
    dropped: bool = False
    """The attempt that should make it was given up, or its objects have moved on."""
    spans: tuple[Span, ...] = ()
    opened_s: float = 0.0
    """How long it took home to unpickle it."""
    sources: tuple[Key, ...] = ()
    """The bundles that an attempt read which made this one: it may hold objects of theirs."""
    paths: frozenset[str] = frozenset()
    """The files of its segments."""
    is_past: bool = False
    """Whether nothing can ask for it any more."""
    _mentioned: tuple[int, frozenset[str]] = (0, frozenset())
    """Of how many objects, and the names that functions among them use."""

    @property
    def constant(self) -> bool:
        """Whether nothing in it can change."""
        return not self.numbered.objects

    def mentions(self, namespace: Mapping[str, Any]) -> frozenset[str]:
        """Return the global names that the functions in it use whose globals are `namespace`.

        O(objects), once for as many: who asks has seen that none of them was changed.
        """
        objects = self.numbered.objects
        if self._mentioned[0] != len(objects):
            functions = (obj for obj in objects.values() if type(obj) is FunctionType)
            codes = (f.__code__ for f in functions if f.__globals__ is namespace)
            self._mentioned = len(objects), frozenset[str]().union(*map(global_names, codes))
        return self._mentioned[1]

    def let_go(self) -> None:
        """Hold no object any more."""
        self.objects, self.numbered, self.mark = {}, Numbered(), None
        self.packed, self.dropped = None, True


class Ledger:
    """The bundles of one cell run. Not thread-safe: the engine's lock guards it."""

    def __init__(
        self,
        keys: count[int],
        segments: Segments,
        ambient: AmbientMark,
        check: Callable[[], None] = lambda: None,
    ):
        self._keys = keys
        self._check = check
        """Called again and again while something is pickled; may raise to give that up."""
        self._segments = segments
        self.ambient = ambient
        self.bundles: dict[Key, Bundle] = {}
        self._by_name: dict[str, Bundle] = {}
        self.epoch = 0
        self.needed: Callable[[], Iterable[Bundle]] = tuple
        """Gives the inputs of the attempts that are out."""
        self.home_is_busy = False
        """Whether home is just running something that may change anything."""
        self._home_runs = False
        """Whether it is running anything at all."""
        self.placed_bytes = 0
        """What was packed here to be sent, in all."""
        self._ambient_key: Key | None = None
        self._ambient_sent: dict[str, object] = {}

    def _active(self) -> list[Bundle]:
        """Return the bundles that may still be asked about: the newest of each name, and inputs."""
        recent = {b.key: b for b in self._by_name.values()}
        recent |= {b.key: b for b in self.needed()}
        return list(recent.values())

    def let_go(self) -> None:
        """Hold no object any more."""
        for bundle in self.bundles.values():
            bundle.let_go()
        self._by_name.clear()

    def prune(self, needed: Iterable[Bundle]) -> list[Bundle]:
        """Let go of all bundles but the newest of each name, the `needed` ones and their sources.

        Returns those that hold nothing from now on, once each; O(bundles).
        """
        queue = [*self._by_name.values(), *needed]
        if self._ambient_key is not None:
            queue.append(self.bundles[self._ambient_key])
        kept: set[Key] = set()
        while queue:
            bundle = queue.pop()
            if bundle.key not in kept:
                kept.add(bundle.key)
                queue += [self.bundles[key] for key in bundle.sources if bundle.refers]
        gone = [b for b in self.bundles.values() if b.key not in kept and not b.is_past]
        for bundle in gone:
            bundle.let_go()
            bundle.is_past = True
        return gone

    def next_key(self) -> Key:
        """Return a key that no bundle of this pool had before."""
        return Key(next(self._keys))

    # Out -------------------------------------------------------------------------------------

    def held(self, name: str, value: object, worker: Place) -> bool:
        """Whether `worker` has a bundle with this value (as far as home knows)."""
        bundle = self._by_name.get(name)
        if bundle is None or bundle.dropped or worker not in bundle.holders:
            return False
        return bundle.objects.get(name, self) is value

    def packed(self, name: str, value: object) -> bool:
        """Whether this value of `name` was sent before, so that sending it again costs little."""
        bundle = self._by_name.get(name)
        return bundle is not None and not bundle.dropped and bundle.objects.get(name) is value

    def bundles_for(self, values: Mapping[str, Any], worker: Place) -> dict[str, Bundle]:
        """Return, for each name, the bundle that holds its value as home has it now.

        A bundle that is there already is used again if `worker` has it or can be sent it.

        Names whose values share objects share a bundle, so that a worker sees them shared too.

        Raises:
            NotPortable: one of the values cannot travel, or they share memory that would be split.
        """
        found: dict[str, Bundle] = {}
        parcels: dict[str, Parcel] = {}
        for name, value in values.items():
            bundle = self._by_name.get(name)
            if (
                bundle is not None
                and bundle.objects.get(name, self) is value
                and (worker in bundle.holders or not bundle.refers)
                and self.unchanged(bundle)
            ):
                found[name] = bundle
            else:
                parcels[name] = self._pickle({name: value})
        groups = _groups(
            [({n}, set(p.numbered.index_of)) for n, p in parcels.items()]
            + [({n}, set(b.numbered.index_of)) for n, b in found.items()]
        )
        for names in groups:
            held = {found[n].key for n in names if n in found}
            if names <= found.keys() and len(held) == 1:
                continue
            ordered = {n: v for n, v in values.items() if n in names}
            parcel = parcels[next(iter(names))] if len(names) == 1 else self._pickle(ordered)
            bundle = self._place(ordered, parcel)
            found |= dict.fromkeys(names, bundle)
        refuse_split_memory({b.key: b for b in found.values()}.values())
        return found

    def _pickle(self, values: dict[str, Any]) -> Parcel:
        states: list[Any] = []
        parcel = pickle_value((values, states, ()), check=self._check)
        parcel.numbered.forget(values, states)
        return parcel

    def _place(self, values: dict[str, Any], parcel: Parcel) -> Bundle:
        bundle = Bundle(
            self.next_key(),
            dict(values),
            parcel.numbered,
            self._mark(values, parcel),  # before it is copied: what is written meanwhile is seen
            _UNVERIFIED if self.home_is_busy else self.epoch,
            {HOME},
            parcel.place(self._segments, self._check),
            spans=parcel.spans,
        )
        if bundle.packed is not None:
            bundle.paths = bundle.packed.paths
            self.placed_bytes += bundle.packed.nbytes
        self.bundles[bundle.key] = bundle
        self._by_name |= dict.fromkeys(values, bundle)
        return bundle

    def _mark(self, values: Mapping[str, Any], parcel: Parcel) -> Mark:
        watches = watches_over(parcel.buffers)
        return Mark(dict(values), parcel, watches, quiet=not self._home_runs)

    def items_bundle(self, items: list[dict[str, Any]]) -> Bundle:
        """Return a bundle with what the parts of a chunk read each.

        Raises:
            NotPortable: one of the values cannot travel.
        """
        values = {ITEMS_NAME: items}
        parcel = self._pickle(values)
        parcel.numbered.forget(items, *items)
        bundle = self._place(values, parcel)
        del self._by_name[ITEMS_NAME]
        return bundle

    def ambient_key(self) -> tuple[Key, dict[str, object], Bundle | None]:
        """Return key and mark of home's ambient state, and a bundle if it must be sent first."""
        mark = self.ambient_mark()
        if self._ambient_key is not None and mark == self._ambient_sent:
            return self._ambient_key, mark, self.bundles[self._ambient_key]
        parcel = self._pickle(self.ambient.state)
        bundle = Bundle(self.next_key(), holders={HOME}, packed=parcel.place(self._segments))
        self.bundles[bundle.key] = bundle
        self._ambient_key, self._ambient_sent = bundle.key, mark
        return bundle.key, mark, bundle

    def ambient_mark(self) -> dict[str, object]:
        """Return the mark of the ambient state that workers are given: now's, if home is quiet."""
        return self.ambient.mark if self.home_is_busy else self.ambient.now()

    # Home moves on ---------------------------------------------------------------------------

    def before_home(
        self, effects: Effects, namespace: Mapping[str, Any], *, midway: bool = False
    ) -> None:
        """Home is about to run something: fix what can only be fixed before.

        `midway`: it is running already, and nothing is out.
        """
        self._home_runs = True
        if not (_is_contained(effects, namespace) and _is_as_assumed(effects, namespace)):
            if not midway:
                self.ambient.before_home()
            self.home_is_busy = True
            needed = {b.key for b in self.needed()}
            for bundle in self._active():
                self._fix(bundle, needed=bundle.key in needed)

    def _fix(self, bundle: Bundle, *, needed: bool) -> None:
        """Take the fingerprint of what home took in, before home can change it.

        What is dear to pickle and nobody needs now is given up: it can be sent again.
        """
        if bundle.mark is None and bundle.at_home and bundle.objects and not bundle.dropped:
            if bundle.verified != self.epoch and not bundle.constant:
                bundle.dropped = True  # it may have been changed since: too late to tell
                return
            if not needed and bundle.opened_s > _DEAR_S:
                bundle.dropped = True
                return
            try:
                bundle.mark = self._mark(bundle.objects, self._pickle(bundle.objects))
            except NotPortable:
                bundle.dropped = True

    def after_home(self, effects: Effects, namespace: Mapping[str, Any]) -> None:
        """Home has run something with these effects."""
        was_busy, self.home_is_busy, self._home_runs = self.home_is_busy, False, False
        if effects.touch is Touch.NOTHING and not was_busy:
            return
        if was_busy or not _is_contained(effects, namespace):
            self.epoch += 1
            self.ambient.passed(effects, namespace)
        else:
            self._changed(namespace[name] for name in effects.changes)

    def _changed(self, objects: Iterable[object]) -> None:
        """Compare, before they are trusted again, the bundles that hold these objects or memory."""
        for obj in objects:
            span = memory_of(obj)
            for bundle in self._active():
                if bundle.numbered.reaches(obj) or _lies_in(bundle, span):
                    bundle.verified = _UNVERIFIED

    def unchanged(self, bundle: Bundle) -> bool:
        """Whether the bundle's objects at home are still what was sent or taken in."""
        if bundle.dropped or not bundle.at_home:
            return False
        if bundle.constant or bundle.verified == self.epoch:
            return True
        try:
            same = bundle.mark is not None and bundle.mark.holds(
                lambda: self._pickle(bundle.objects), quiet=not self._home_runs
            )
        except NotPortable:
            same = False
        if not same:
            bundle.dropped, bundle.mark = True, None
        elif not self.home_is_busy:
            bundle.verified = self.epoch
        return same

    def is_as_seen(self, opened: Opened, inputs: Iterable[Bundle], replica: Bundle | None) -> bool:
        """Whether home's objects that an outcome changes are what its attempt saw.

        What it reads may be the same, and not all that holds it. Objects that an attempt before it
        changed are in that one's outcome, which is among the inputs.
        """
        keys = {key for key in opened.changed_keys() if not self.unchanged(self.bundles[Key(key)])}
        if not keys:
            return True
        seen = [b for b in (*inputs, replica) if b is not None and self.unchanged(b)]
        return all(
            any(id(target) in bundle.numbered.index_of for bundle in seen)
            for (key, _), target, _ in opened.states
            if key in keys
        )

    # In --------------------------------------------------------------------------------------

    def resolve(self, reference: Reference) -> object:
        """Return home's object behind a reference.

        Raises:
            NotPortable: home does not have it.
        """
        bundle = self.bundles.get(reference[0])
        if bundle is None or reference[1] not in bundle.numbered.objects:
            raise NotPortable("it refers to an object that home does not have")
        return bundle.numbered.objects[reference[1]]

    def expect(self, key: Key, worker: Place) -> Bundle:
        """Return a new bundle for the outcome of an attempt that was just sent out."""
        bundle = Bundle(key, at_home=False, holders={worker})
        self.bundles[key] = bundle
        return bundle

    def accept_replica(
        self, bundle: Bundle, values: dict[str, Any], inputs: Iterable[Bundle], replica: Replica
    ) -> bool:
        """Whether home's `values` are what a prelude made; then `bundle` stands for them.

        Both ends pickle the same names in the same order; equal bytes mean equal states, and the
        same numbers for the same objects.
        """
        here = [b for b in inputs if b.at_home]
        parts = frame_arrays(obj for b in here for obj in b.numbered.objects.values())
        known = {
            id(obj): (b.key, index)
            for b in here
            for index, obj in b.numbered.objects.items()
            if id(obj) not in parts
        }
        try:
            states: list[Any] = []
            value = (values, states, ())
            content = structure = pickle_value(value, comparing=True)
            if replica.content is not None:
                structure = pickle_value(value, known, comparing=True)
            mark = self._mark(values, self._pickle(values))
        except NotPortable:
            return False
        if replica.content is None:
            if content.numbered.index_of.keys() & known.keys():
                return False
        elif content.fingerprint() != replica.content:
            return False
        if structure.fingerprint() != replica.structure:
            return False
        bundle.objects = dict(values)
        bundle.numbered = structure.numbered
        bundle.mark = mark
        bundle.numbered.forget(values, states)
        bundle.spans = structure.spans  # what it shares with the inputs it shares there, too
        bundle.at_home = True
        bundle.verified = self.epoch
        return True

    def take_in(self, bundle: Bundle, opened: Opened) -> None:
        """The outcome `bundle` was committed: home has its objects now."""
        for key in opened.changed_keys():
            old = self.bundles[Key(key)]
            bundle.objects = {**old.objects, **bundle.objects}
            old.dropped = True
        self._changed(target for _, target, _ in opened.states)
        bundle.objects |= opened.names
        bundle.numbered = opened.numbered
        # what it was expected to change and left as it was is in it as well, under earlier numbers
        left = bundle.objects.keys() - opened.names.keys()
        bundle.refers = bool(opened.states or opened.refers or left)
        if bundle.refers:
            self._fix_now(bundle)
        bundle.spans = _spans(bundle)
        bundle.at_home = True
        bundle.verified = self.epoch
        # a value without a name is home's own from here on: nothing can be sent by it
        self._by_name |= dict.fromkeys(bundle.objects.keys() - {VALUE_NAME}, bundle)

    def _fix_now(self, bundle: Bundle) -> None:
        try:
            parcel = self._pickle(bundle.objects)
        except NotPortable:
            bundle.dropped = True
            return
        bundle.mark = self._mark(bundle.objects, parcel)
        extra = parcel.numbered
        free = max(bundle.numbered.objects, default=0) + 1_000_000_000
        for index, obj in extra.objects.items():  # known by id, never by these numbers
            if id(obj) not in bundle.numbered.index_of:
                bundle.numbered.objects[free + index] = obj
                bundle.numbered.index_of[id(obj)] = free + index
        bundle.numbered.dicts |= extra.dicts


def _is_contained(effects: Effects, namespace: Mapping[str, Any]) -> bool:
    """Whether all that a step may change is a few containers known by name.

    A name that is bound anew meanwhile may have stood for objects that nobody knows afterwards.
    """
    if effects.touch is Touch.OBJECTS and not effects.changes & effects.writes:
        return all(type(namespace.get(name)) in _LIST_LIKE for name in effects.changes)
    return effects.touch is Touch.NOTHING


def _is_as_assumed(effects: Effects, namespace: Mapping[str, Any]) -> bool:
    """Whether the names are bound to what the prediction took them to be bound to."""
    return all(
        (value := namespace.get(name, effects)) is then or type(value) is then
        for name, then in effects.assumes
    )


def _spans(bundle: Bundle) -> tuple[Span, ...]:
    spans = map(memory_of, bundle.numbered.objects.values())
    return tuple(span for span in spans if span is not None)


def _lies_in(bundle: Bundle, span: Span | None) -> bool:
    return span is not None and any(a < span[1] and span[0] < b for a, b in bundle.spans)


def _groups(items: list[tuple[set[str], set[int]]]) -> list[set[str]]:
    """Merge the items whose second parts overlap; return the merged first parts."""
    groups: list[tuple[set[str], set[int]]] = []
    for names, ids in items:
        merged_names, merged_ids = set(names), set(ids)
        rest = []
        for other_names, other_ids in groups:
            if merged_ids & other_ids:
                merged_names |= other_names
                merged_ids |= other_ids
            else:
                rest.append((other_names, other_ids))
        groups = [*rest, (merged_names, merged_ids)]
    return [names for names, _ in groups]


def refuse_split_memory(bundles: Iterable[Bundle]) -> None:
    """Raise NotPortable if arrays in two bundles share memory, of which there would be two."""
    seen: list[tuple[int, int, Bundle]] = []
    for bundle in bundles:
        for low, high in bundle.spans:
            for start, end, other in seen:
                if low < end and start < high and other is not bundle:
                    if _copies_on_write(bundle) and _copies_on_write(other):
                        continue
                    raise NotPortable("it reads arrays that share memory")
            seen.append((low, high, bundle))


def _copies_on_write(bundle: Bundle) -> bool:
    """Whether the bundle holds only pandas objects that never show their sharing (pandas 3)."""
    pandas = sys.modules.get("pandas")
    if pandas is None or int(pandas.__version__.split(".", 1)[0]) < 3:
        return False
    return all(type(o).__module__.partition(".")[0] == "pandas" for o in bundle.objects.values())
