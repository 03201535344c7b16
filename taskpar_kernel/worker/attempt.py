"""Carry out one `Attempt`: compiled code and the bundles it reads come in, its outcome goes out.

The rules: the code sees exactly the names it reads, so a name the analysis missed is an error here
and never a stale value; what it did is *found*, by comparing marks before and after, not guessed;
whatever would not arrive at home exactly as it is makes the attempt fail, so that home runs the
statement itself; and only what the code itself prints is its output, not what modules print that
are imported for its inputs.
"""

from __future__ import annotations

import builtins
import gc
import marshal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from taskpar_kernel.ambient import providers as ambient
from taskpar_kernel.ambient.libraries import LIBRARIES
from taskpar_kernel.errors import NotPortable
from taskpar_kernel.model.ids import HOME, Key
from taskpar_kernel.model.messages import ITEMS_NAME, AtGate, Attempt, Finished, Preload, Replica
from taskpar_kernel.transport.arrays import memory_of
from taskpar_kernel.transport.own import OWN
from taskpar_kernel.transport.pickling import (
    Numbered,
    Parcel,
    Reference,
    pickle_value,
    text_of,
)
from taskpar_kernel.transport.states import is_mutable, shallow_state
from taskpar_kernel.usage import Usage
from taskpar_kernel.worker.athome import left_to_home
from taskpar_kernel.worker.bundles import Bundles, Live, overlaps, references
from taskpar_kernel.worker.gate import Ask, Gate, GateReached
from taskpar_kernel.worker.journal import Journal
from taskpar_kernel.worker.kept import KEPT
from taskpar_kernel.worker.sameness import are_same
from taskpar_kernel.worker.undo import journal_of, take_back, touched_by
from taskpar_kernel.worker.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskpar_kernel.model.ids import Ticket
    from taskpar_kernel.transport.segments import Segments
    from taskpar_kernel.worker.store import Store

_PARTS_OF_FRAMES = frozenset(
    {
        "pandas._libs.internals",
        "pandas.core.internals.managers",
        "pandas.core.internals.blocks",
    }
)
"""A frame's state is written as a whole; home's own parts are replaced by it."""

_MODULE: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
_MODULE_NAMES = frozenset({*_MODULE, "__doc__", "__warningregistry__"})


IsOwn = Callable[[], bool]
"""Whether what an attempt shows now may depend on what is this worker's own; on any thread."""


class Shown(Protocol):
    """Counts what user code shows."""

    def begin(self, ticket: Ticket, is_own: IsOwn | None = None) -> None:
        """From now on, what is shown belongs to `ticket`; `is_own`: home may show other things."""

    def end(self, ticket: Ticket) -> int:
        """From now on it belongs to nobody; return how many messages there were."""


class Attempts:
    """Runs attempts one after the other and keeps what they made for those that follow.

    It does not know sockets or scripts, and it does not decide what is run.
    """

    def __init__(
        self,
        store: Store,
        segments: Segments,
        shown: Shown,
        ask: Callable[[AtGate], bool] | None = None,
        folder: str = "",
    ):
        """`ask` waits at the gate; `folder`: the pool's private one, where journals are."""
        self._store = store
        self._segments = segments
        self._shown = shown
        self.bundles = Bundles(store, segments)
        self._gate = Gate()
        tempfile._get_candidate_names()  # type: ignore[attr-defined] # made at first use, once
        self._ask = ask
        self._folder = folder
        self._ambient: Key | None = None
        self._quiet: Watch | None = None
        """That of the last attempt, if nothing has happened since."""
        self._waited_s = 0.0
        self._usage = Usage()

    def carry_out(self, instruction: Attempt) -> Finished:
        """Run one attempt; `worker` of the result is filled in by the caller.

        If it does not return an outcome that is `ok`, `take_back` must be called next.
        """
        start_s = end_s = time.monotonic()
        why, error, shown, cores, own_s = "", None, 0, None, 0.0
        packed = replica = watch = None
        loaded: tuple[str, ...] = ()
        inputs: dict[Key, Live] = {}
        involved: dict[Key, Live] = {}
        self._waited_s = 0.0
        self._gate.forget(Journal(journal_of(self._folder, instruction.ticket)))
        try:
            inputs, watch = self._prepare(instruction)
            made = self._prelude(instruction, inputs)
            reads = self._reads(instruction.reads, instruction.modules, instruction.made, made)
            involved = self.bundles.involved(key for _, key in instruction.reads)
            if instruction.replica is not None:
                replica = self._replicate(instruction, reads, inputs)
                involved[instruction.replica] = self.bundles.live(instruction.replica)
                involved |= {
                    k: v for k, v in inputs.items() if k in involved[instruction.replica].held
                }
            self._shown.begin(instruction.ticket, watch.is_own)
            start_s = time.monotonic()
            self._usage.begin()
            try:
                asking = self._asking(instruction, replica)
                finish = self._execute(instruction, reads, involved, asking)
            except BaseException as raised:
                error = raised
                raise
            finally:
                end_s, cores, own_s = time.monotonic(), self._usage.cores(), self._usage.own_s()
                shown = self._shown.end(instruction.ticket)
            self._check_process(watch)
            self._check_files()
            loaded = watch.loaded()
            parcel = finish()
            packed = parcel.place(self._segments)
        except KeyboardInterrupt as interrupt:
            error, why = interrupt, "interrupted"
        except NotPortable as refused:
            why = str(refused)
        except GateReached as reached:
            why = f"it reached the gate: {reached}"
        except BaseException as raised:  # noqa: BLE001 - the edge at which user code runs
            error = raised
            why = f"it raised {type(raised).__name__}: {text_of(raised)}"
        if packed is not None:
            self._store.put(instruction.outcome, packed)
        else:
            self._give_up(instruction, {**inputs, **involved}, watch)
        return Finished(
            instruction.ticket,
            HOME,
            ok=packed is not None,
            start_s=start_s,
            end_s=end_s,
            why=why,
            ename=type(error).__name__ if error else "",
            evalue=text_of(error),
            traceback=_traceback_of(error),
            packed=packed,
            replica=replica if packed is not None else None,
            outputs=shown,
            files_read=self._gate.files,
            waited_s=self._waited_s,
            cores=cores,
            own_s=own_s,
            loaded=loaded,
        )

    def take_back(self, finished: Finished) -> Finished:
        """The attempt just carried out failed: undo what it did to files, and tell of it."""
        journal = self._gate.journal
        if not journal.begun:
            return finished
        journal.silence()
        touched = touched_by(journal.folder)
        left = "; ".join(take_back(journal.folder))
        return replace(finished, left=left, taken_back=touched)

    def forget(self, keys: tuple[Key, ...]) -> None:
        """Drop what is known of these bundles."""
        self.bundles.forget(keys)

    def disturbed(self) -> None:
        """Other code than an attempt's is about to run here."""
        self._quiet = self._ambient = None

    def preload(self, instruction: Preload) -> None:
        """Import modules that later attempts will need; what cannot be imported is left alone."""
        self.disturbed()
        ambient.restore(instruction.around)
        for module in instruction.modules:
            with suppress(Exception):
                import_module(module)
        OWN.update()
        KEPT.update()
        LIBRARIES.update()
        ambient.fingerprint()  # the first one looks up what the modules have

    # Before ----------------------------------------------------------------------------------

    def _prepare(self, instruction: Attempt) -> tuple[dict[Key, Live], Watch]:
        """Unpack what the attempt needs, and import what that takes; nothing of it may show."""
        with self._gate.preparing():
            self._restore_ambient(instruction.ambient)
            keys = (key for key in instruction.needs if key != instruction.ambient)
            changed = {key for name, key in instruction.reads if name in instruction.expected}
            inputs = self.bundles.involved(keys, () if instruction.prelude else changed)
            modules = _modules_of(instruction)
            names = {n: v for live in inputs.values() for n, v in live.names.items()}
            LIBRARIES.update()
            packages = LIBRARIES.packages([*names.values(), *modules], names)
            earlier, self._quiet = self._quiet, None
            return inputs, Watch(modules, packages, earlier)

    def _reads(
        self,
        keys: Iterable[tuple[str, Key]],
        modules: Iterable[tuple[str, str]],
        made: Iterable[tuple[str, int]],
        results: list[dict[str, Any]],
    ) -> dict[str, Any]:
        reads: dict[str, Any] = {}
        for name, key in keys:
            names = self.bundles.live(key).names
            if name not in names:
                raise NotPortable(f"{name!r} is not in the bundle that should hold it")
            reads[name] = names[name]
        for name, module in modules:
            reads[name] = import_module(module)
        for name, number in made:
            if name not in results[number]:
                raise NotPortable(f"{name!r} was not made by the statement that should make it")
            reads[name] = results[number][name]
        return reads

    def _prelude(self, instruction: Attempt, inputs: dict[Key, Live]) -> list[dict[str, Any]]:
        """Run the cheap statements before the main one; return the namespace after each.

        What they change in place is not what later attempts expect of these bundles, so the
        changed ones are unpacked anew when they are needed again.
        """
        results: list[dict[str, Any]] = []
        for code in instruction.prelude:
            namespace = self._namespace(self._reads(code.reads, code.modules, code.made, results))
            self._run(_loaded(code.code), namespace)
            results.append({n: v for n, v in namespace.items() if n not in _MODULE_NAMES})
        if not instruction.prelude:
            return results
        direct = {key for _, key in instruction.reads}
        for key, live in inputs.items():
            if live.changed():
                self._lose(key, live)
                if key in direct:
                    raise NotPortable("a statement before it changed what it reads")
                live.remark()
        return results

    def _replicate(
        self, instruction: Attempt, reads: dict[str, Any], inputs: dict[Key, Live]
    ) -> Replica:
        """Keep what the prelude made as a bundle of its own, and return its fingerprints."""
        assert instruction.replica is not None
        names = {name: reads[name] for name, _ in instruction.made}
        known = _nameable(inputs)
        states: list[Any] = []
        content = pickle_value((names, states, ()), comparing=True)
        structure, held = content, frozenset[Key]()
        if content.numbered.index_of.keys() & known.keys():
            structure = pickle_value((names, states, ()), known, comparing=True)
            held = frozenset(inputs)
        if overlaps(structure, _spans(inputs)):
            raise NotPortable("a statement before it made a view into the memory of an array")
        structure.numbered.forget(names, states)
        mine = references(instruction.replica, structure.numbered)
        keep = {id(obj): obj for obj in structure.numbered.objects.values()}
        for key in held:
            keep |= {id(obj): obj for obj in inputs[key].keep}
            mine |= inputs[key].known
        live = Live(names, mine, list(keep.values()), held=held)
        live.remark()
        self.bundles.adopt(instruction.replica, live)
        return Replica(structure.fingerprint(), content.fingerprint() if held else None)

    def _restore_ambient(self, key: Key | None) -> None:
        if key is not None and key != self._ambient:
            self._quiet = None
            ambient.restore(self.bundles.names_in(key))
            self._ambient = key

    @staticmethod
    def _namespace(reads: dict[str, Any]) -> dict[str, Any]:
        """Make `__main__` hold exactly `reads`, and return its dict."""
        namespace = vars(sys.modules["__main__"])
        namespace.clear()
        namespace |= _MODULE | reads
        return namespace

    # During ----------------------------------------------------------------------------------

    def _asking(self, instruction: Attempt, replica: Replica | None) -> Ask | None:
        """Return how the attempt waits at the gate."""
        ask = self._ask
        if ask is None:
            return None

        def wait(what: str) -> bool:
            begin_s = time.monotonic()
            passes = ask(AtGate(instruction.ticket, HOME, what, self._gate.files, replica))
            self._waited_s += time.monotonic() - begin_s
            return passes

        return wait

    def _execute(
        self,
        instruction: Attempt,
        reads: dict[str, Any],
        involved: dict[Key, Live],
        ask: Ask | None,
    ) -> Callable[[], Parcel]:
        """Run the attempt's code; return what pickles its outcome."""
        if instruction.items is not None:  # its parts have turns of their own: none may pass
            made = self._each(instruction, reads, involved)
            return lambda: self._chunk(made, involved)
        namespace = self._namespace(reads)
        self._run(_loaded(instruction.code), namespace, ask)
        return lambda: self._outcome(instruction, namespace, reads, involved)

    def _run(self, code: Any, namespace: dict[str, Any], ask: Ask | None = None) -> None:
        _count_cores()
        self._gate.close(ask)
        try:
            with left_to_home(self._gate.stop):
                exec(code, namespace)  # noqa: S102 - this is what a worker is for
        finally:
            self._gate.open()
        if self._gate.reached:
            raise GateReached(self._gate.reached)

    def _each(
        self, instruction: Attempt, reads: dict[str, Any], involved: dict[Key, Live]
    ) -> list[dict[str, Any]]:
        """Run the code for each item; return what each run wrote, up to the first that failed."""
        assert instruction.items is not None
        involved |= self.bundles.involved([instruction.items])
        items = self.bundles.live(instruction.items).names[ITEMS_NAME]
        code = _loaded(instruction.code)
        made: list[dict[str, Any]] = []
        for item in items:
            seen = {**reads, **item}
            namespace = self._namespace(seen)
            try:
                self._run(code, namespace)
            except Exception:
                if not made:
                    raise
                break  # home runs the rest itself, and meets it
            _refuse_module_changes(namespace)
            if seen.keys() - namespace.keys():
                raise NotPortable("it deletes names")
            made.append(_written(namespace, seen))
        return made

    def _chunk(self, made: list[dict[str, Any]], involved: dict[Key, Live]) -> Parcel:
        """Pickle what the runs of a chunk wrote.

        Raises:
            NotPortable: one of them changed an object, or made what does not travel.
        """
        for key, live in involved.items():
            if live.changed():
                self._lose(key, live)
                raise NotPortable("a step of the loop changes an object")
        names = {ITEMS_NAME: made}
        states: list[tuple[Reference, Any]] = []
        parcel, _ = _pickle_outcome(names, states, (), _nameable(involved), involved)
        parcel.numbered.forget(names, states, made, *made)
        return parcel

    def _check_process(self, watch: Watch) -> None:
        changed = watch.changes()
        if changed:
            raise NotPortable(f"it changed {', '.join(changed)}")
        if watch.left_threads():
            raise NotPortable("it left a thread running")
        self._quiet = watch

    def _check_files(self) -> None:
        """Refuse to leave a file open: what is still to be written to it would come too late."""
        if self._gate.journal.left_open():
            gc.collect()
            if self._gate.journal.left_open():
                raise NotPortable("it left a file open for writing")

    # After -----------------------------------------------------------------------------------

    def _give_up(
        self, instruction: Attempt, involved: dict[Key, Live], watch: Watch | None
    ) -> None:
        """An attempt failed: the next one must find nothing of it."""
        self._namespace({})
        if watch is not None:
            watch.put_back()
        self.disturbed()
        self.bundles.drop_live([instruction.outcome])
        if instruction.replica is not None:
            self.bundles.drop_live([instruction.replica])
        self._discard_changed(involved)

    def _discard_changed(self, involved: dict[Key, Live]) -> None:
        """Drop the live bundles that a failed attempt changed; they can be unpacked again."""
        held = {identity for live in involved.values() for identity in live.known}
        shared = self.bundles.sharing(held, involved)
        for key, live in (involved | shared).items():
            if _may_be_changed(live):
                self._lose(key, live)

    def _lose(self, key: Key, live: Live) -> None:
        why = "an attempt that failed had changed it" if live.held else ""
        self.bundles.drop_live([key], why)

    def _outcome(
        self,
        instruction: Attempt,
        namespace: dict[str, Any],
        reads: dict[str, Any],
        involved: dict[Key, Live],
    ) -> Parcel:
        """Pickle what the attempt made and changed, and keep it as a live bundle.

        Raises:
            NotPortable: some of it would not arrive at home as it is.
        """
        _refuse_module_changes(namespace)
        written = _written(namespace, reads)
        deleted = tuple(sorted(reads.keys() - namespace.keys()))
        changed = {key: live for key, live in involved.items() if live.changed()}
        try:
            known = _known(involved) if changed else {}
            states, touched = self._states(changed, known)
            # what was not marked was only taken to be changed
            changed = {
                key: live
                for key, live in changed.items()
                if live.mark is not None or not touched.isdisjoint(live.known)
            }
            parcel, held = _pickle_outcome(written, states, deleted, _nameable(involved), involved)
            parcel.numbered.forget(written, states)
        except NotPortable:
            for key, live in changed.items():
                self._lose(key, live)
            raise
        self._keep(instruction, reads, written, parcel, (changed, involved, held), touched)
        return parcel

    def _states(
        self, changed: dict[Key, Live], known: dict[int, Reference]
    ) -> tuple[list[tuple[Reference, Any]], frozenset[int]]:
        """Return the new shallow states of the objects in the changed bundles, and their ids."""
        states: list[tuple[Reference, Any]] = []
        touched: set[int] = set()
        suspects: list[tuple[Reference, Any, Any]] = []
        before: list[Any] = []
        originals: dict[Key, Numbered | None] = {}
        present = {known[id(obj)]: obj for live in changed.values() for obj in live.keep}
        for live in changed.values():
            parts = live.frame_parts()
            for obj in live.keep:
                key, index = reference = known[id(obj)]
                if type(obj).__module__ in _PARTS_OF_FRAMES or id(obj) in parts:
                    continue
                if OWN.place_of(obj) is not None:  # the mark has told that it is as it was
                    continue
                state = shallow_state(obj) if is_mutable(obj) else None
                if state is not None and not _is_array(obj):
                    states.append((reference, state))
                    touched.add(id(obj))
                    continue
                if key not in originals:
                    originals[key] = self._original(key, present)
                fresh = originals[key]
                suspects.append((reference, obj, state))
                before.append(None if fresh is None else fresh.objects.get(index))
        as_before = are_same(before, [obj for _, obj, _ in suspects])
        for (reference, obj, state), same in zip(suspects, as_before, strict=True):
            if same:
                continue
            touched.add(id(obj))
            if state is None:
                raise NotPortable(
                    f"it changed a {type(obj).__qualname__}, which cannot be changed from afar"
                )
            states.append((reference, state))
        return states, frozenset(touched)

    def _original(self, key: Key, present: dict[Reference, Any]) -> Numbered | None:
        """Return the bundle's objects as they arrived, or None if they cannot be rebuilt."""
        try:
            return self.bundles.fresh(key, _found_in(present))
        except NotPortable:
            return None

    def _keep(
        self,
        instruction: Attempt,
        reads: dict[str, Any],
        written: dict[str, Any],
        parcel: Parcel,
        footprint: tuple[dict[Key, Live], dict[Key, Live], bool],
        touched: frozenset[int],
    ) -> None:
        """Keep the outcome live, for the attempts that follow here."""
        changed, involved, refers = footprint
        held = involved if refers else None
        keys = dict(instruction.reads)
        if instruction.replica is not None:
            keys |= dict.fromkeys((n for n, _ in instruction.made), instruction.replica)
        # By the names it was read under: another bundle may know another object by the same name.
        names: dict[str, Any] = {n: reads[n] for n, key in keys.items() if key in changed}
        unchanged = [n for n in instruction.expected if n in keys and n not in names]
        names |= {n: reads[n] for n in unchanged}
        names |= written
        keep = {id(obj): obj for obj in parcel.numbered.objects.values()}
        known: dict[int, Reference] = {}
        holds = dict(held or {})
        holds |= {keys[n]: involved[keys[n]] for n in unchanged}
        for live in holds.values():
            known |= live.known
            keep |= {id(obj): obj for obj in live.keep}
        others = frozenset(holds).union(*(other.held for other in holds.values()))
        known = {**references(instruction.outcome, parcel.numbered), **known}
        live = Live(names, known, list(keep.values()), held=others)
        if holds or changed:
            live.settle()
        else:
            live.unread = True  # its objects are its own, and most outcomes are read at home only
        # Not all that was involved: each iteration of a loop would hold all those before it.
        live.held &= {key for key, _ in live.known.values()}
        live.held = live.held or others  # what was sent refers to others: it cannot be unpacked
        shared = self.bundles.sharing(touched, involved)
        self._retire(changed | shared, touched)
        self.bundles.adopt(instruction.outcome, live)

    def _retire(self, changed: dict[Key, Live], touched: frozenset[int]) -> None:
        """These bundles' versions are past; what was not changed in them can still be read.

        One that holds only its own objects is unpacked anew when it is needed.
        """
        for key, old in changed.items():
            if not old.held:
                self.bundles.drop_live([key])
                continue
            rest = old.without(touched)
            if rest.names:
                self.bundles.adopt(key, rest)
            else:
                self.bundles.drop_live([key], "its objects were changed since")


def _loaded(code: bytes) -> Any:
    return marshal.loads(code)  # noqa: S302 - compiled by home


def _refuse_module_changes(namespace: dict[str, Any]) -> None:
    if any(namespace.get(name) is not value for name, value in _MODULE.items()):
        raise NotPortable("it changed a name that belongs to the module")
    if "__annotations__" in namespace:
        raise NotPortable("it annotated a variable")


def _written(namespace: dict[str, Any], reads: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in namespace.items()
        if name not in _MODULE_NAMES and (name not in reads or reads[name] is not value)
    }


def _pickle_outcome(
    written: dict[str, Any],
    states: list[tuple[Reference, Any]],
    deleted: tuple[str, ...],
    known: dict[int, Reference],
    involved: dict[Key, Live],
) -> tuple[Parcel, bool]:
    """Return the outcome's parcel, and whether it refers to objects of other bundles."""
    value = (written, states, deleted)
    parcel = pickle_value(value) if not states else None
    if parcel is not None and not (
        parcel.numbered.index_of.keys() & known.keys() or overlaps(parcel, _spans(involved))
    ):
        parcel.refuse_kept()
        return parcel, False
    parcel = pickle_value(value, known)
    parcel.refuse_kept()
    if parcel.spans and overlaps(parcel, _spans(involved)):
        raise NotPortable("its result is a view into the memory of an array it read")
    return parcel, True


def _nameable(bundles: dict[Key, Live]) -> dict[int, Reference]:
    """Return the references by which home finds the objects of `bundles`.

    The arrays inside frames have none: home's frames replace them when they change, and share them
    with other frames in ways that only pandas keeps track of.
    """
    maps = [live.known for live in bundles.values() if live.known]
    parts = set[int]().union(*(live.frame_parts() for live in bundles.values()))
    if len(maps) == 1 and not parts:
        return maps[0]
    known = _known(bundles)
    for part in parts:
        known.pop(part, None)
    return known


def _known(bundles: dict[Key, Live]) -> dict[int, Reference]:
    return {i: ref for live in bundles.values() for i, ref in live.known.items()}


_counted: list[int] = []


def _count_cores() -> None:
    """Let joblib count the cores before the gate closes: it starts a program for that, once."""
    loky = sys.modules.get("joblib.externals.loky")
    if loky is not None and not _counted:
        _counted.append(0)
        with suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _counted.append(loky.cpu_count(only_physical_cores=True))


def _found_in(objects: dict[Reference, Any]) -> Callable[[Reference], object]:
    """Return a function that finds objects as they are now: each is compared under its own name."""

    def find(reference: Reference) -> object:
        if reference not in objects:
            raise NotPortable("it refers to an object that is not here")
        return objects[reference]

    return find


def _modules_of(instruction: Attempt) -> list[Any]:
    pairs = chain(instruction.modules, *(code.modules for code in instruction.prelude))
    return [import_module(module) for _, module in pairs]


def _spans(involved: dict[Key, Live]) -> Iterator[tuple[int, int, bool]]:
    for live in involved.values():
        parts = live.frame_parts()
        for obj in live.keep:
            span = memory_of(obj)
            if span is not None:
                yield *span, id(obj) in parts


def _is_array(obj: object) -> bool:
    return type(obj).__module__ == "numpy" and type(obj).__name__ == "ndarray"


def _may_be_changed(live: Live) -> bool:
    try:
        return live.changed()
    except NotPortable:
        return True


def _traceback_of(error: BaseException | None) -> str:
    try:
        return "" if error is None else "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - a user's own attributes of an exception
        return type(error).__name__
