"""Home is where an attempt's statement stands: its outcome is taken, or the reason why not is told.

Theory of operation. An attempt is waited for if that is sooner than running the statement at home,
and let pass the gate where it stands there. What it has made is taken only if all it read is what
home has now. Everything else is squashed: dropped, its outputs forgotten, its files taken back.

The rule: an outcome is taken as a whole, or nothing of it is.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taskpar_kernel.commit.apply import Opened, apply, open_outcome
from taskpar_kernel.engine.alike import import_alike
from taskpar_kernel.engine.gains import Spent
from taskpar_kernel.engine.history import History, changed, failed
from taskpar_kernel.engine.lookahead import Lookahead, Moment
from taskpar_kernel.engine.passage import Passage
from taskpar_kernel.engine.signals import deferred_interrupts
from taskpar_kernel.engine.splits import is_split
from taskpar_kernel.errors import NotPortable
from taskpar_kernel.model.messages import ITEMS_NAME, VALUE_NAME
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.model.steps import HomeStep, Step, Unit
from taskpar_kernel.validation.verdict import stale_name

if TYPE_CHECKING:
    from taskpar_kernel.engine.attempts import AttemptRecord
    from taskpar_kernel.engine.ledger import Ledger
    from taskpar_kernel.engine.past import Past
    from taskpar_kernel.engine.session import Session
    from taskpar_kernel.engine.stream import Instance
    from taskpar_kernel.model.ids import Place, UnitId

_CONTAINERS = frozenset({list, dict, set, deque})
_WAIT_S = 0.25
"""Home looks around at least this often while it waits (a lost wake-up costs no more)."""
_STUCK_S = 2.0
"""Home waits so long, at most, for an attempt that an idle worker does not begin."""
_HELD_S = 0.1
"""The same, for a worker that runs what was given up: most let go of it sooner."""
_MANY = 8
_LIVE_S = 0.3
"""Output of an attempt is shown live once home has waited this long for it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where home is: what names mean there, and who looks ahead of it."""

    look: Lookahead
    names: Mapping[str, Any]
    globals: dict[str, Any]
    """What is bound there, is bound here."""

    @property
    def ledger(self) -> Ledger:
        """What home sent out and took in."""
        return self.look.dispatch.ledger


class Taking:
    """Judges and takes the outcomes of one cell run. It runs on the main thread."""

    def __init__(
        self, session: Session, history: History, peek: Callable[[Moment], int], past: Past
    ):
        self._session = session
        self._past = past
        self._history = history
        self._peek = peek
        self._passage = Passage(session)
        self._value: Any = None
        self.kept: tuple[UnitId, Any, str] | None = None
        """The value at the end of the block that was just taken, and of which unit it is."""
        self._begin_s = 0.0
        """The thread's CPU seconds when the present outcome was there."""
        self._writing = False
        """Whether something of the present outcome is at home already."""
        self._begun: set[Place] = set()
        """The workers of which an outcome was taken in this cell."""
        self.waiting = False
        self.waited_s = 0.0

    def value(self) -> Any:
        """Return the value of the expression whose outcome was just taken."""
        value, self._value = self._value, None
        return value

    def values(self) -> tuple[object, ...]:
        """Return the values that home's code is about to go on with."""
        return (self._value,) if self.kept is None else (self._value, self.kept[1])

    def keeps(self, number: UnitId, names: Mapping[str, Any]) -> bool:
        """Whether the unit's value was taken with the block before; `value` gives it then.

        Between the two, home has looked up a name and its method: of a plain container's, that
        changes nothing.
        """
        kept, self.kept = self.kept, None
        if kept is None or kept[0] != number:
            return False
        if kept[2] and type(names.get(kept[2])) not in _CONTAINERS:
            return False
        self._value = kept[1]
        return True

    def take(
        self, attempt: AttemptRecord, instance: Instance, scene: Scene, names: Mapping[str, Any]
    ) -> Refusal | None:
        """Commit the outcome for `instance`, or return why it cannot be taken.

        `names`: what the names mean where the statement stands, its own local ones included.
        """
        begin_s = time.monotonic() - self.waited_s
        self._writing = False
        try:
            why = self._take(attempt, instance, scene, names)
        except Exception as error:  # no defect of ours costs the user a cell
            if self._writing:
                raise
            why = Refusal("defect", f"an error of taskpar's own ({type(error).__name__}: {error})")
        taken_s = time.monotonic() - self.waited_s - begin_s
        if not instance.part:  # of a chunk, nearly all of it is done with the first part
            each_s = taken_s / max(1, len(attempt.parts))
            self._session.costs.observe_taking(instance.step, each_s)
        if why is None and not attempt.weighed:
            attempt.weighed = True
            self._weigh(attempt, time.thread_time() - self._begin_s)
        return why

    def _weigh(self, attempt: AttemptRecord, taking_s: float) -> None:
        """Remember what it cost to have the outcome, beside the work in it.

        With a cell's first attempt a worker is sent what later ones find there; that is little
        beside what the many parts of a chunk read each.
        """
        is_first = attempt.worker not in self._begun and len(attempt.parts) < _MANY
        self._begun.add(attempt.worker)
        finished = attempt.finished
        assert finished is not None
        work_s = finished.end_s - finished.start_s - finished.waited_s
        worked_s = finished.own_s * max(1.0, finished.cores or 1.0)
        beside_s = finished.busy_s - finished.own_s
        spent = Spent(work_s, worked_s, attempt.posting_s + taking_s, beside_s)
        self._session.gains.observe(attempt.instance.step, spent, first=is_first)

    def _take(
        self, attempt: AttemptRecord, instance: Instance, scene: Scene, names: Mapping[str, Any]
    ) -> Refusal | None:
        if not attempt.complete:
            with self._session.lock:
                why = self._rebound(attempt, instance, names)
            why = why or self._wait_for(attempt, instance, scene, names)
            if why:
                return why
        self._begin_s = time.thread_time()
        with self._session.lock:
            why = self._unusable(attempt) or self._stale(attempt, instance, scene, names)
            if why:
                return why
            try:
                opened = self._opened(attempt, scene)
            except NotPortable as refused:
                return Refusal("not-portable", f"its outcome cannot be brought home: {refused}")
            if not scene.ledger.is_as_seen(opened, attempt.inputs, attempt.replica):
                return changed("what it changes was changed in between")
            if attempt.parts:
                return self._commit_part(attempt, instance, scene, opened)
            with deferred_interrupts():
                self._commit(attempt, opened, scene, names)
        return None

    def _opened(self, attempt: AttemptRecord, scene: Scene) -> Opened:
        if attempt.opened is not None:
            return attempt.opened
        finished = attempt.finished
        assert finished is not None
        assert finished.packed is not None
        import_alike(finished.loaded)
        begin_s = time.monotonic()
        opened = open_outcome(finished.packed, self._session.segments, scene.ledger.resolve)
        attempt.outcome.opened_s = time.monotonic() - begin_s
        if attempt.parts:
            attempt.opened = opened
        return opened

    def _commit_part(
        self, attempt: AttemptRecord, instance: Instance, scene: Scene, opened: Opened
    ) -> Refusal | None:
        """Bind what one part of a chunk made."""
        self._writing = True
        made = opened.names[ITEMS_NAME]
        if not instance.part:
            self._past.took(attempt)
        if instance.part >= len(made):
            return Refusal("raised", "a step before it raised")
        for name, value in made[instance.part].items():
            if name == VALUE_NAME:
                self._keep(instance.step, value)
            else:
                scene.globals[name] = value
        finished = attempt.finished
        assert finished is not None
        seconds = (finished.end_s - finished.start_s) / len(made)
        start_s = finished.start_s + instance.part * seconds
        self._record(instance.step, attempt.worker, start_s, start_s + seconds)
        self._session.costs.observe_away(instance.step, seconds, finished.cores)
        return None

    def _stale(
        self, attempt: AttemptRecord, instance: Instance, scene: Scene, names: Mapping[str, Any]
    ) -> Refusal | None:
        """Return which of the attempt's inputs is not what home has now, or None."""
        ledger = scene.ledger
        why = self._rebound(attempt, instance, names)
        if why:
            return why
        if attempt.items is not None and not ledger.unchanged(attempt.items):
            return changed("what the loop goes through was changed in between")
        for name, bundle in attempt.reads:
            if not ledger.unchanged(bundle):
                return changed(f"what `{name}` is bound to was changed in between", name)
        if ledger.ambient_mark() != attempt.ambient:
            return Refusal("squashed-ambient", "process-wide state was changed in between")
        name = self._hidden_builtin(attempt, instance)
        if name:
            return changed(f"`{name}` is not what was predicted", name)
        return self._different_prelude(attempt, scene) or self._split(attempt, scene)

    def _hidden_builtin(self, attempt: AttemptRecord, instance: Instance) -> str:
        """Return a builtin that the notebook's code may have used while home has its own, or "".

        A name of home's own that a worker lacks is an error there; that of a builtin is none.
        """
        hidden = self._session.hidden_builtins()
        if not hidden:
            return ""
        hidden -= {name for name, _ in (*attempt.reads, *attempt.modules)}.union(attempt.made)
        inputs = [*attempt.inputs]
        if attempt.items is not None:
            hidden -= attempt.items.objects[ITEMS_NAME][instance.part].keys()
            inputs.append(attempt.items)
        if attempt.replica is not None:
            inputs.append(attempt.replica)
        assert isinstance(instance.step, Unit)
        namespace = self._session.namespace
        used = instance.step.mentions().union(*(bundle.mentions(namespace) for bundle in inputs))
        return min(hidden & used, default="")

    def _split(self, attempt: AttemptRecord, scene: Scene) -> Refusal | None:
        """Return None unless its worker saw two objects where home has one."""
        inputs = attempt.inputs if attempt.replica is None else (*attempt.inputs, attempt.replica)
        if is_split(inputs, scene.ledger.bundles):
            return changed("two of its inputs hold the same object, and reached the worker apart")
        return None

    @staticmethod
    def _rebound(
        attempt: AttemptRecord, instance: Instance, names: Mapping[str, Any]
    ) -> Refusal | None:
        """Return which name the attempt read is bound to something else now, or None."""
        pairs: list[tuple[str, object]] = []
        if attempt.items is not None:
            pairs += attempt.items.objects[ITEMS_NAME][instance.part].items()
        for name, bundle in attempt.reads:
            if not bundle.at_home:
                return changed(f"what makes `{name}` was run again", name)
            pairs.append((name, bundle.objects.get(name)))
        pairs += attempt.modules
        name = stale_name(pairs, names)
        return changed(f"`{name}` is not what was predicted", name) if name else None

    def _different_prelude(self, attempt: AttemptRecord, scene: Scene) -> Refusal | None:
        """Return None if home's own run of the cheap statements made what the worker's made."""
        told, bundle = attempt.finished or attempt.gate, attempt.replica
        if bundle is None or bundle.at_home or told is None or told.replica is None:
            return None
        values = {n: scene.names[n] for n in attempt.made if n in scene.names}
        if len(values) == len(attempt.made) and scene.ledger.accept_replica(
            bundle, values, attempt.inputs, told.replica
        ):
            return None
        return changed(f"`{', '.join(attempt.made)}` came out differently at home", *attempt.made)

    def _wait_for(
        self, attempt: AttemptRecord, instance: Instance, scene: Scene, names: Mapping[str, Any]
    ) -> Refusal | None:
        """Return when the attempt is over, or when home had better run it itself.

        On the way it is let pass the gate, or the reason why not is returned.
        """
        begin_s = time.monotonic()
        limit_s = self._session.settings.statement_limit_s
        dispatch, seen = scene.look.dispatch, -1
        self.waiting = True
        try:
            while not attempt.complete and not attempt.lost and not attempt.dropped:
                waited_s = time.monotonic() - begin_s
                if attempt.waits and (why := self._let_pass(attempt, instance, scene, names)):
                    return why
                others = [other for other in dispatch.out if not other.over]
                if self._home_is_first(attempt, others) or self._is_stuck(
                    attempt, others, waited_s
                ):
                    return Refusal("home-first", "home was free before its worker")
                if limit_s and waited_s > limit_s:
                    attempt.lost = f"did not end within {limit_s:g} s"
                    break
                if waited_s > _LIVE_S and (why := self._show_live(attempt, instance, scene, names)):
                    return why
                over = len(dispatch.attempts) - len(others)
                if over != seen:  # somebody has room, or has made what another needs
                    if self._peek(Moment(bold=True, idle=True)):
                        continue
                    seen = over
                try:
                    self._session.wake.get(timeout=_WAIT_S)
                except queue.Empty:
                    continue
        finally:
            self.waiting = False
            self.waited_s += time.monotonic() - begin_s
        return None

    def _show_live(
        self, attempt: AttemptRecord, instance: Instance, scene: Scene, names: Mapping[str, Any]
    ) -> Refusal | None:
        """Show what it has put out so far, if it ran from what home has now; else return why not.

        Home stands still until it is over, so what it reads cannot change any more.
        """
        if len(attempt.outputs) == attempt.shown:
            return None
        if not attempt.shown:
            replica = attempt.replica
            if replica is not None and not replica.at_home and attempt.gate is None:
                return None  # what its prelude made is not known before it ends
            with self._session.lock:
                if why := self._stale(attempt, instance, scene, names):
                    return why
        attempt.shown = self._session.relay.show_live(attempt.outputs, attempt.shown)
        return None

    def _let_pass(
        self, attempt: AttemptRecord, instance: Instance, scene: Scene, names: Mapping[str, Any]
    ) -> Refusal | None:
        """Home is where the attempt is: let it change files, or return what has changed meanwhile.

        What it reads from now on is what the serial run reads: home stands still until it is over.
        """
        with self._session.lock:
            return self._stale(attempt, instance, scene, names) or self._passage.open_for(attempt)

    def _is_stuck(
        self, attempt: AttemptRecord, others: Iterable[AttemptRecord], waited_s: float
    ) -> bool:
        """Whether the attempt does not begin although nothing else runs on its worker."""
        if attempt.started_s is not None or waited_s < _HELD_S:
            return False
        if self._session.is_held(attempt.worker):
            return True
        if waited_s < _STUCK_S:
            return False
        return not any(
            other.worker == attempt.worker and other.started_s is not None and not other.over
            for other in others
        )

    def _home_is_first(self, attempt: AttemptRecord, others: Collection[AttemptRecord]) -> bool:
        """Whether the attempt's worker is busy with something else, so that home is free first.

        An attempt at the gate waits for home to come to it, and what has not begun may wait for
        that worker (for a place in its queue, for a value it holds, for a third that waits so). So
        it never waits: home runs it. If it has begun after all, and only word of that is on its
        way, it ends in its worker unseen, or at the gate, where it is told.
        """
        if attempt.started_s is not None:
            return False
        if any(other.waits for other in others):
            return True
        if self._session.settings.eager:
            return False
        for other in others:
            same = other.worker == attempt.worker and other is not attempt
            if same and not other.over and other.started_s is not None:
                known = self._session.costs.known(other.instance.step)
                own = self._session.costs.known(attempt.instance.step)
                if known is None or own is None:
                    return True
                known *= len(other.instances)
                return other.started_s + known - time.monotonic() > own * len(attempt.instances)
        return False

    def _unusable(self, attempt: AttemptRecord) -> Refusal | None:
        if attempt.lost:
            return Refusal("worker-lost", f"worker {attempt.worker} {attempt.lost}")
        if attempt.dropped:
            return Refusal("given-up", "it was given up")
        finished = attempt.finished
        assert finished is not None
        files = None if attempt.passed else self._passage.changed(attempt, finished.files_read)
        return files if finished.ok else failed(finished.why)

    def _commit(
        self, attempt: AttemptRecord, opened: Opened, scene: Scene, names: Mapping[str, Any]
    ) -> None:
        self._writing = True
        self._past.took(attempt)
        self._session.relay.show(attempt.outputs[attempt.shown :])
        step = attempt.instance.step
        if isinstance(step, Unit) and step.value_of is not None:
            self._keep(step, opened.value)
        apply(opened, scene.globals)
        self._passage.make_final(attempt)
        attempt.outcome.objects |= {
            name: names[name]
            for name in self._session.costs.changes(step)
            if name in names and any(name == n for n, _ in attempt.reads)
        }
        keys_read = tuple(bundle.key for bundle in attempt.inputs)
        attempt.outcome.sources = keys_read
        if attempt.replica is not None:
            attempt.replica.sources = keys_read
            attempt.outcome.sources += (attempt.replica.key,)
        scene.ledger.take_in(attempt.outcome, opened)
        keys = opened.changed_keys()
        changed = frozenset(n for n, b in attempt.reads if b.key in keys)
        self._session.costs.observe_changes(step, changed)
        finished = attempt.finished
        assert finished is not None
        self._record(step, attempt.worker, finished.start_s, finished.end_s)
        self._session.overtaking.took(step)
        seconds = finished.end_s - finished.start_s - finished.waited_s
        self._session.costs.observe_away(step, seconds, finished.cores)

    def _keep(self, step: Step, value: Any) -> None:
        """Keep the value for home's own code, which asks for it now or in a moment."""
        assert isinstance(step, Unit)
        unit = step.value_of
        if unit is None or unit is step:
            self._value = value
        else:
            self.kept = (unit.id, value, step.receiver)

    def _record(self, step: Unit | HomeStep, worker: Place, start_s: float, end_s: float) -> None:
        """Record what was taken: of a block, each statement with its share as seen at home."""
        members = step.members if isinstance(step, Unit) and step.members else (step,)
        known = [self._session.costs.known(unit) or 0.0 for unit in members]
        scale = (end_s - start_s) / sum(known) if sum(known) else 0.0
        for unit, seconds in zip(members, known, strict=True):
            stop_s = end_s if unit is members[-1] else start_s + scale * seconds
            self._history.took(unit, worker, start_s, stop_s)
            start_s = stop_s

    def give_up(self, attempt: AttemptRecord, scene: Scene) -> None:
        """Home was interrupted while it waited: drop the attempt, and what it did to files."""
        with self._session.lock:
            scene.look.drop(attempt)
        self._passage.take_back(attempt)

    def squash(self, attempt: AttemptRecord, instance: Instance, scene: Scene) -> None:
        """Home runs the statement itself: nothing of the attempt is left."""
        with self._session.lock:
            self._history.squashed += 1
            if attempt.finished is not None:
                self._session.costs.observe_squash(instance.step)
            if attempt.finished is not None and not attempt.finished.ok:
                self._session.costs.observe_failure(instance.step, chunk=bool(attempt.parts))
            scene.look.drop(attempt)
            for part in attempt.parts:
                if part is not instance:
                    part.attempt = None
        self._passage.take_back(attempt)
        if attempt.shown:
            self._session.relay.expect_again(attempt.outputs[: attempt.shown])
        if attempt.lost:
            line = attempt.instance.step.line
            self._session.say(
                f"taskpar: worker {attempt.worker} {attempt.lost}; line {line} was run again at "
                "home, and nothing is lost"
            )


__all__ = ["Scene", "Taking"]
