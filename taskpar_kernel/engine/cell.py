"""One run of one cell: home walks its statements in order and takes what workers have finished.

Theory of operation. Home executes the cell's own (rewritten) code natively, in the user's
namespace. At each unit that code calls `has`: if the unit was run ahead, from the input that home
has now, its outcome is committed there and then; otherwise home's code goes on and computes it.
Every decision is thus made at the statement's own place in program order:

    has(unit)   no attempt                     → False, home computes
                inputs differ, failed, lost …  → squash, False, home computes
                not started and home is free   → squash (taken over), False, home computes
                running                        → wait, showing its output live
                finished                       → commit, True

The rule: between two hooks the namespace is a state the serial run goes through.
"""

from __future__ import annotations

import ast
import builtins
import queue
import sys
import time
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from taskpar_kernel.commit.apply import Opened, apply, open_outcome
from taskpar_kernel.engine.attempts import AttemptRecord
from taskpar_kernel.engine.facts import CellFacts, facts_of
from taskpar_kernel.engine.history import changed, failed, too_short, why_home
from taskpar_kernel.engine.inner import FreeLoop, InnerCalls, walkable
from taskpar_kernel.engine.lookahead import WORTH_S, Lookahead, Moment
from taskpar_kernel.engine.passage import Passage
from taskpar_kernel.engine.signals import deferred_interrupts
from taskpar_kernel.engine.stream import Instance, Order
from taskpar_kernel.errors import NotPortable
from taskpar_kernel.model.effects import Effects, Reason, Touch
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.messages import ITEMS_NAME, VALUE_NAME
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.model.steps import HomeStep, LoopStep, Step, TopLevel, Unit
from taskpar_kernel.source.rewrite import HOOKS, rewrite
from taskpar_kernel.validation.verdict import same_value, stale_name

if TYPE_CHECKING:
    from types import FrameType

    from taskpar_kernel.engine.session import Session

_CHEAP_STEPS = 32
_SHORT_S = 0.01
"""Steps shorter than this, of which nothing goes out, are not stepped any longer."""
_CHEAP_S = 0.0003
"""A loop whose first steps take less than this each is handed to a native loop: its hooks cost 1 µs
a step, and nothing of that size is worth sending out one by one."""
BUSY_S = 0.01
"""Once home has been busy with one statement or loop for this long, unknown ones go out."""
ANYTHING = Effects(touch=Touch.ANY)
BETWEEN_PEEKS_S = 0.002
"""A scan takes up to a millisecond: home makes one only if it has worked longer than that."""
_METERED_S = 0.005
"""Over a shorter time than this, the cores a statement uses are not measured."""
_WAIT_S = 0.25
"""Home looks around at least this often while it waits (a lost wake-up costs no more)."""
_STUCK_S = 2.0
"""Home waits so long, at most, for an attempt that an idle worker does not begin."""
_LIVE_S = 0.3
"""Output of an attempt is shown live once home has waited this long for it."""


class CellRun:
    """Home's walk through one cell. It runs on the main thread, but for `peek` and events."""

    def __init__(self, session: Session, tops: tuple[TopLevel, ...]):
        self._session = session
        self._tops = tops
        self._namespace: dict[str, Any] = session.namespace
        self._base = session.new_lookahead(tops)
        self.dispatch = self._base.dispatch
        self._ledger = self.dispatch.ledger
        self._ledger.needed = lambda: [b for look in self._looks() for b in look.inputs()]
        self.history = session.new_history()
        self.history.names = self.dispatch.labels
        self._free: FreeLoop | None = None
        """The loop inside other control flow, or inside a function, that home is in."""
        self._entered = (0, 0.0)
        self._inner = InnerCalls(tops, self._namespace)
        self.since_s = time.monotonic()
        """When home began what it is doing now."""
        self.user_s = 0.0
        """How long home has been running the user's code, between hooks."""
        self.waiting = False
        self.waited_s = 0.0
        self._passage = Passage(session)
        self._value: Any = None
        self.plain = not session.settings.eager
        """Nothing is out and nothing is planned: hooks only note where home is."""
        self._top: TopLevel | None = None
        self._at: UnitId | None = None
        self._short: dict[UnitId, list[float]] = {}
        self._peeked_s = 0.0
        self._metered = (0.0, 0.0)
        self._failed = False
        self._over = False
        self._scan_s = 0.0
        self._left: Effects | None = None
        self._home_part: Effects | None = None
        self._owed: tuple[Unit | HomeStep, ...] | None = None
        self._loops: dict[UnitId, _Stepped] = {}
        self._iteration: dict[UnitId, int] = {}
        self._around: dict[UnitId, tuple[UnitId, ...]] = {}
        self._steps: dict[UnitId, Step] = {}
        self._running: tuple[Step, float, Refusal | None, str] | None = None
        for top in tops:
            self._learn(top.steps, ())
            self._learn(top.free.loops, ())

    @property
    def look(self) -> Lookahead:
        """The window in which home is."""
        return self._base if self._free is None else self._free.look

    def _looks(self) -> list[Lookahead]:
        return [self._base] if self._free is None else [self._free.look, self._base]

    def _learn(self, steps: Iterable[Step], around: tuple[UnitId, ...]) -> None:
        for step in steps:
            self._steps[step.id] = step
            self._around[step.id] = around
            if isinstance(step, LoopStep):
                self._learn(step.body, (*around, step.id))

    # The walk ----------------------------------------------------------------------------------

    def statements(self) -> Iterator[tuple[int, ast.stmt]]:
        """Yield, one by one, index and code of the statements home has to run now.

        The caller runs what it is given before it asks for the next.
        """
        setattr(builtins, HOOKS, self)
        if self._session.settings.eager:
            self._session.wait_ready()
        self._arrive(())
        if self._session.settings.eager or self._is_planned():
            self.plain = False  # home runs the first dear statement, and looks ahead before
        if self._session.settings.eager:
            self.peek(Moment())
        for index, top in enumerate(self._tops):
            try:
                node = self._next(top)
            except KeyboardInterrupt:  # while home waited: it shows the statement's own line
                yield index, _raise_interrupt(top.node)
                return
            if node is not None:
                yield index, node
                self._session.ran_at_home(top.node)
        self._close_free()
        self._arrive((sys.maxsize,))

    def _next(self, top: TopLevel) -> ast.stmt | None:
        """Return what home has to run for `top`; None: its outcome was taken."""
        first = top.steps[0]
        self._close_free()
        if self.plain and self._top is not None:
            self._ledger.ambient.passed(self._top.effects)
            self._ledger.ambient.before_home()
        self._top = top
        if len(top.steps) == 1 and isinstance(first, Unit) and first.node is top.node:
            self._home_part = Effects(touch=Touch.NOTHING)
            if self.has(first.id):
                return None
            return rewrite(top.node, (), top.free) if top.free else top.node
        self._home_part = None
        node = rewrite(top.node, top.steps, top.free)
        if not isinstance(first, Unit):
            self._arrive((first.id,))
            if isinstance(first, HomeStep):
                self._run_here(first, why_home(first))
                self._leave(first)
            else:
                self._leave()
        return node

    def _is_planned(self) -> bool:
        """Whether a unit is known to be worth sending out, so that no first look is needed."""
        costs = self._session.costs
        return any(
            (costs.estimate(s) or 0.0) >= WORTH_S
            for s in self._steps.values()
            if isinstance(s, Unit)
        )

    def finish(self) -> None:
        """The cell is over, however it ended: nothing that is still ahead will be taken."""
        if getattr(builtins, HOOKS, None) is self:
            delattr(builtins, HOOKS)
        with self._session.lock:
            self._over = True
            self._end_running()
            self._end_short()
            for attempt in tuple(self.dispatch.attempts.values()):
                if not attempt.over:
                    self._base.drop(attempt)

    def facts(self) -> CellFacts:
        """Return what explains the run once it is over."""
        return facts_of(self._tops, self._inner.in_functions())

    def _arrive(self, order: Order) -> None:
        """Home has come to `order`: account for what it ran since the last hook."""
        self.user_s += time.monotonic() - self.since_s
        with self._session.lock:
            self._end_running()
            if self.plain:
                self._end_pass()
            if self._left is not None:
                self._ledger.after_home(self._left, self._names())
            self._left = self._owed = None
            self.look.move_to(order)
        self.since_s = time.monotonic()

    def _names(self) -> Mapping[str, Any]:
        """Return what the names mean where home is."""
        return self._namespace if self._free is None else self._free.names()

    def _binds_globally(self) -> bool:
        """Whether the names that a unit binds here are the notebook's."""
        return self._free is None or self._free.is_global

    # Loops inside other control flow ------------------------------------------------------------

    def _enter(self, loop: LoopStep, frame: FrameType, items: Iterable[Any]) -> None:
        """Home comes to a loop that no window has: look ahead of it alone."""
        self._close_free()
        with self._session.lock:
            local = self._inner.local_names(loop.id)
            self._entered = (len(self.dispatch.attempts), self.user_s)
            self._free = FreeLoop(loop, frame, self._namespace, self._base, local, items)
            self._home_part = None

    def _close_free(self) -> None:
        """Home has left that loop, by whatever way: it may have done anything since."""
        if self._free is None:
            return
        loop, (sent, begin_s) = self._free.loop, self._entered
        steps = max(1, self._iteration.get(loop.id, 0) + 1)
        if len(self.dispatch.attempts) == sent and self.user_s - begin_s < _SHORT_S * steps:
            self._inner.turn_off(loop.id)  # nothing of it went out, and it is short
        with self._session.lock:
            for attempt in self._free.look.attempts():
                if not attempt.over:
                    self._free.look.drop(attempt)
            self._end_running()
            self._end_pass()
            self._free = None
            self._owed = None
            self._home_part = ANYTHING
            if not self.plain:
                self._ledger.after_home(ANYTHING, self._namespace)
                self._left = ANYTHING
                self._ledger.before_home(ANYTHING, self._namespace)

    def _leave_loop(self, number: UnitId) -> Iterator[Iterator[Any]]:
        """Notice the end of a free loop: an iterable of no iterators that comes after its items."""
        if self._free is not None and self._free.loop.id == number:
            self._close_free()
        yield from ()

    def inner(self, number: int, function: Any) -> Any:
        """Return the twin of a notebook's function whose loops can look ahead, or itself."""
        twin, loops = self._inner.twin_of(UnitId(number), function)
        self._learn((loop for loop in loops if loop.id not in self._steps), ())
        return twin

    def _leave(self, *steps: Unit | HomeStep) -> None:
        """Home goes on with user code: with these steps, and what else is its own here."""
        self._owed = steps
        if not self.plain:
            with self._session.lock:
                self._begin_home()
        self.since_s = time.monotonic()

    def _begin_home(self, *, midway: bool = False) -> None:
        """Take down what home's code may do until the next hook; `midway`: it is doing it."""
        if self._owed is not None:
            bound = self._bound()
            self._left = combined((*(s.effects for s in self._owed), self._home_effects()), bound)
            self._owed = None
            self._ledger.before_home(self._left, self._names(), midway=midway)

    def _bound(self) -> frozenset[str]:
        """Return the names that home's own part of the present statement may bind anew."""
        if self._free is not None:
            return self._free.loop.effects.writes
        return self._top.effects.writes if self._top else frozenset()

    def _home_effects(self) -> Effects:
        """Return what home's own part of the present statement may do."""
        if self._home_part is None:
            steps = self._present_steps()
            self._home_part = combined(
                s.own() if s.own else s.effects for s in steps if isinstance(s, HomeStep)
            )
        return self._home_part

    def _present_steps(self) -> tuple[Unit | HomeStep, ...]:
        """Return the steps of the loop, or statement, in which home is."""
        if self._free is not None:
            return tuple(flat(self._free.loop.body))
        return tuple(flat(self._top.steps)) if self._top else ()

    def _run_here(self, step: Step, reason: Refusal | None, state: str = "home") -> None:
        self._running = (step, time.monotonic(), reason, state)
        self._meter()

    def _meter(self) -> None:
        self._metered = (time.process_time() - self._session.meter.mine_s, time.monotonic())

    def _threads(self) -> float | None:
        """Return how many cores were used since `_meter`, or None if that was too short a time."""
        cpu_s, wall_s = self._metered
        passed_s = time.monotonic() - wall_s
        if passed_s < _METERED_S:
            return None
        return (time.process_time() - self._session.meter.mine_s - cpu_s) / passed_s

    def _end_pass(self) -> None:
        if self._at is not None:
            self._pass(self._at)
            self._at = None

    def _end_running(self) -> None:
        if self._running is None:
            return
        self._session.relay.settle()
        step, start_s, reason, state = self._running
        self._running = None
        end_s = time.monotonic()
        self.history.home(step, start_s, end_s, reason, state)
        if not isinstance(step, LoopStep):
            self._session.costs.observe(step, end_s - start_s, self._threads())

    def _end_short(self) -> None:
        for number, (count, total_s, start_s) in self._short.items():
            step = self._steps[number]
            assert isinstance(step, Unit)
            self._session.costs.observe(step, total_s / count)
            reason = too_short(total_s / count) if total_s / count < WORTH_S else None
            self.history.home(step, start_s, start_s + total_s, reason, times=int(count))
        self._short = {}

    def peek(self, moment: Moment) -> int:
        """Send out what can run ahead now; home asks."""
        with self._session.lock:
            self._peeked_s = time.monotonic()
            sent = self._scan(moment)
            self._scan_s = (time.monotonic() - self._peeked_s) * (0.3 if sent else 1.0)
            return sent

    def _scan(self, moment: Moment) -> int:
        """Scan, unless that failed once: no defect of ours costs the user his cell."""
        if self._failed:
            return 0
        try:
            return sum(look.scan(moment) for look in self._looks())
        except Exception as error:  # noqa: BLE001 - the loop's edge: home goes on alone
            self._failed = True
            self.history.notes.append(f"taskpar: looking ahead failed: {error!r}")
            return 0

    def look_ahead(self, moment: Moment) -> int:
        """Send out what can run ahead while home is busy; the look-ahead thread asks.

        The two orders: it has its turn before the cell is over, and what it sends is dropped then;
        or afterwards, and nothing may go out: nobody would drop it, and its inputs are forgotten.
        """
        with self._session.lock.ahead():
            if self._over:
                return 0
            self._peeked_s = time.monotonic()
            if self.plain and self._top is not None:
                self._end_plain()
            return self._scan(moment)

    def _end_plain(self) -> None:
        """The look-ahead thread begins to send out while home is in the middle of something.

        The two orders: home is still where it noted to be, or it has gone on by a unit or two
        without looking. Both are covered: what it may have done is what the whole statement may
        do, and outcomes for places it has passed are dropped at its next hook.
        """
        self.plain = False
        if self._at is not None:
            self.look.move_to(self._order_of(self._at))
            self._running = (self._steps[self._at], self.since_s, None, "home")
            self._meter()
            self._at = None
            self._owed = self._present_steps()
        self._begin_home(midway=True)

    # Hooks called by the rewritten code -----------------------------------------------------------

    def has(self, number: int, *local: Any) -> bool:
        """Whether the unit's outcome was taken here; False: home computes it now.

        `local`: the values of the unit's local names, in their order.
        """
        if number in self._inner.off:
            return False
        if self._free is not None and number not in self._free.units:
            self._close_free()
        if self.plain:
            return self._pass(UnitId(number))
        if number in self._inner.units and self._free is None:
            return False  # its loop was left in some way, and nobody looks ahead of it
        order = self._order_of(UnitId(number))
        self._arrive(order)
        unit = self._steps[UnitId(number)]
        assert isinstance(unit, Unit)
        instance = self.look.find(order)
        reason: Refusal | None = None
        state = "home"
        eager = self._session.settings.eager
        missing = eager and (instance is None or instance.attempt is None)
        if missing or self._may_peek():
            self.peek(Moment())
            instance = self.look.find(order)
        if instance is not None and instance.attempt is not None:
            attempt = instance.attempt
            try:
                names = _joined(dict(zip(unit.local, local, strict=True)), self._names())
                begin_s = time.monotonic() - self.waited_s
                reason = self._take(attempt, instance, names)
                taken_s = time.monotonic() - self.waited_s - begin_s
                self._session.costs.observe_taking(unit, taken_s)
            except BaseException:  # an interrupt while home waits
                with self._session.lock:
                    self.look.drop(attempt)
                self._passage.take_back(attempt)
                raise
            if reason is None:
                self._leave()
                return True
            state = "squashed"
            self._squash(attempt, instance)
        elif instance is not None:
            reason = instance.refused
        self._run_here(unit, reason, state)
        self._leave(unit)
        return False

    def _may_peek(self) -> bool:
        """Whether home may look ahead again: that takes at most a tenth of its time."""
        rest_s = max(BETWEEN_PEEKS_S, 10 * self._scan_s)
        return time.monotonic() - self._peeked_s > rest_s

    def _pass(self, number: UnitId) -> bool:
        """Note that home is at `number`, at the least cost: loops of short steps come here."""
        now_s = time.monotonic()
        if self._at is not None:
            spent_s = now_s - self.since_s
            self.user_s += spent_s
            entry = self._short.get(self._at)
            if entry is None:
                self._short[self._at] = [1, spent_s, self.since_s]
            else:
                entry[0] += 1
                entry[1] += spent_s
        self._at = number
        self.since_s = now_s
        return False

    def goes_on(self) -> None:
        """A loop takes its time, however short its steps: from here on look ahead of them."""
        if self.plain:
            with self._session.lock:
                self._end_pass()
                self._end_short()
                self.plain = False
                self._owed = self._present_steps()
                self._begin_home()

    def value(self, number: int) -> Any:  # noqa: ARG002 - it is always the one just taken
        """Return the value of the expression whose outcome was just taken."""
        value, self._value = self._value, None
        return value

    def loop(self, number: int, iterable: Any) -> Any:
        """Return an iterator over `iterable` that knows how far home is."""
        number = UnitId(number)
        self._iteration[number] = -1
        self._loops.pop(number, None)
        step = self._inner.loops.get(number)
        if step is not None:
            items = walkable(iterable) if self._inner.is_long(number) else None
            if items is None:
                self._close_free()
                return self._unstepped(number, iterable)
            iterable = items
            self._enter(step, sys._getframe(1), items)
        elif self._free is not None and number not in self._free.loops:
            self._close_free()
        kind = type(iterable)
        if kind.__module__ not in _PLAIN_ITERABLES or getattr(kind, "__iter__", None) is None:
            return self._unstepped(number, iterable)
        try:
            inner = iter(iterable)
        except TypeError:  # an array without dimensions: the native loop says so itself
            return self._unstepped(number, iterable)
        stepped = self._loops[number] = _Stepped(self, number, inner)
        items = map(stepped, inner)
        return (
            items if step is None else chain(items, chain.from_iterable(self._leave_loop(number)))
        )

    def _unstepped(self, number: UnitId, iterable: Any) -> Any:
        self._loops[number] = _Stepped(self, number, iter(()))
        self._iteration[number] = -2  # its iterations are nobody's prediction
        return iterable

    def rest(self, number: int) -> Iterator[Any]:
        """Return what a stepped loop will have left for the native one."""
        return chain.from_iterable(self._left_of(UnitId(number)))

    def _left_of(self, number: UnitId) -> Iterator[Iterator[Any]]:
        yield self._loops[number].rest

    chain = staticmethod(chain)
    """Joins the stepped and the native part of a generator."""

    @staticmethod
    def extend(first: set[Any], rest: Iterable[Any]) -> set[Any]:
        """Add the native part of a set comprehension to the stepped one."""
        first.update(rest)
        return first

    def _order_of(self, unit: UnitId) -> Order:
        around = self._around[unit]
        return (*chain.from_iterable((n, self._iteration.get(n, -2)) for n in around), unit)

    def step(self, loop: UnitId, index: int) -> None:
        """Home begins iteration `index` of `loop`."""
        self._iteration[loop] = index

    # Taking an outcome ----------------------------------------------------------------------------

    def _take(
        self, attempt: AttemptRecord, instance: Instance, names: Mapping[str, Any]
    ) -> Refusal | None:
        """Commit the outcome for `instance`, or return why it cannot be taken."""
        if not attempt.complete:
            with self._session.lock:
                why = self._stale(attempt, instance, names)
            why = why or self._wait_for(attempt, instance, names)
            if why:
                return why
        with self._session.lock:
            why = self._unusable(attempt) or self._stale(attempt, instance, names)
            if why:
                return why
            try:
                opened = self._opened(attempt)
            except NotPortable as refused:
                return Refusal("not-portable", f"its outcome cannot be brought home: {refused}")
            if attempt.parts:
                return self._commit_part(attempt, instance, opened)
            with deferred_interrupts():
                self._commit(attempt, opened, names)
        return None

    def _opened(self, attempt: AttemptRecord) -> Opened:
        if attempt.opened is not None:
            return attempt.opened
        finished = attempt.finished
        assert finished is not None
        assert finished.packed is not None
        opened = open_outcome(finished.packed, self._session.segments, self._ledger.resolve)
        if attempt.parts:
            attempt.opened = opened
        return opened

    def _commit_part(
        self, attempt: AttemptRecord, instance: Instance, opened: Opened
    ) -> Refusal | None:
        """Bind what one part of a chunk made."""
        made = opened.names[ITEMS_NAME]
        if instance.part >= len(made):
            return Refusal("raised", "a step before it raised")
        for name, value in made[instance.part].items():
            if name == VALUE_NAME:
                self._value = value
            elif self._binds_globally():
                self._namespace[name] = value
        finished = attempt.finished
        assert finished is not None
        seconds = (finished.end_s - finished.start_s) / len(made)
        start_s = finished.start_s + instance.part * seconds
        self.history.took(instance.step, attempt.worker, start_s, start_s + seconds)
        self._session.costs.observe_away(instance.step, seconds)
        return None

    def _stale(
        self, attempt: AttemptRecord, instance: Instance, names: Mapping[str, Any]
    ) -> Refusal | None:
        """Return which of the attempt's inputs is not what home has now, or None.

        `names`: what the names mean where the statement stands.
        """
        pairs: list[tuple[str, object]] = []
        if attempt.items is not None:
            items = attempt.items.objects[ITEMS_NAME]
            pairs += items[instance.part].items()
            if not self._ledger.unchanged(attempt.items):
                return changed("what the loop goes through was changed in between")
        for name, bundle in attempt.reads:
            if not bundle.at_home:
                return changed(f"what makes `{name}` was run again", name)
            pairs.append((name, bundle.objects.get(name)))
        pairs += attempt.modules
        name = stale_name(pairs, names)
        if name:
            return changed(f"`{name}` is not what was predicted", name)
        for name, bundle in attempt.reads:
            if not self._ledger.unchanged(bundle):
                return changed(f"what `{name}` is bound to was changed in between", name)
        if self._ledger.ambient_mark() != attempt.ambient:
            return Refusal("squashed-ambient", "process-wide state was changed in between")
        return self._different_prelude(attempt)

    def _different_prelude(self, attempt: AttemptRecord) -> Refusal | None:
        """Return None if home's own run of the cheap statements made what the worker's made."""
        told, bundle = attempt.finished or attempt.gate, attempt.replica
        if bundle is None or bundle.at_home or told is None or told.replica is None:
            return None
        names = self._names()
        values = {n: names[n] for n in attempt.made if n in names}
        if len(values) == len(attempt.made) and self._ledger.accept_replica(
            bundle, values, attempt.inputs, told.replica
        ):
            return None
        return changed(f"`{', '.join(attempt.made)}` came out differently at home", *attempt.made)

    def _wait_for(
        self, attempt: AttemptRecord, instance: Instance, names: Mapping[str, Any]
    ) -> Refusal | None:
        """Return when the attempt is over, or when home had better run it itself.

        On the way it is let pass the gate, or the reason why not is returned.
        """
        begin_s = time.monotonic()
        limit_s = self._session.settings.statement_limit_s
        self.waiting = True
        try:
            while not attempt.complete and not attempt.lost and not attempt.dropped:
                waited_s = time.monotonic() - begin_s
                if attempt.waits and (why := self._let_pass(attempt, instance, names)):
                    return why
                if self._home_is_first(attempt) or self._is_stuck(attempt, waited_s):
                    return Refusal("home-first", "home was free before its worker")
                if limit_s and waited_s > limit_s:
                    attempt.lost = f"did not end within {limit_s:g} s"
                    break
                if waited_s > _LIVE_S:
                    attempt.shown = self._session.relay.show_live(attempt.outputs, attempt.shown)
                self.peek(Moment(bold=True, idle=True))
                try:
                    self._session.wake.get(timeout=_WAIT_S)
                except queue.Empty:
                    continue
        finally:
            self.waiting = False
            self.waited_s += time.monotonic() - begin_s
        return None

    def _let_pass(
        self, attempt: AttemptRecord, instance: Instance, names: Mapping[str, Any]
    ) -> Refusal | None:
        """Home is where the attempt is: let it change files, or return what has changed meanwhile.

        What it reads from now on is what the serial run reads: home stands still until it is over.
        """
        with self._session.lock:
            return self._stale(attempt, instance, names) or self._passage.open_for(attempt)

    def _is_stuck(self, attempt: AttemptRecord, waited_s: float) -> bool:
        """Whether the attempt does not begin although nothing else runs on its worker."""
        if attempt.started_s is not None or waited_s < _STUCK_S:
            return False
        return not any(
            other.worker == attempt.worker and other.started_s is not None and not other.over
            for other in self.dispatch.attempts.values()
        )

    def _home_is_first(self, attempt: AttemptRecord) -> bool:
        """Whether the attempt's worker is busy with something else, so that home is free first.

        An attempt at the gate waits for home to come to it, and what has not begun may wait for
        that worker (for a place in its queue, for a value it holds, for a third that waits so). So
        it never waits: home runs it. If it has begun after all, and only word of that is on its
        way, it ends in its worker unseen, or at the gate, where it is told.
        """
        if attempt.started_s is not None:
            return False
        if any(other.waits for other in self.dispatch.attempts.values()):
            return True
        if self._session.settings.eager:
            return False
        for other in self.dispatch.attempts.values():
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

    def _commit(self, attempt: AttemptRecord, opened: Opened, names: Mapping[str, Any]) -> None:
        self._session.relay.show(attempt.outputs[attempt.shown :])
        step = attempt.instance.step
        if isinstance(step, Unit) and step.is_expression:
            self._value = opened.value
        apply(opened, self._namespace if self._binds_globally() else {})
        self._passage.make_final(attempt)
        attempt.outcome.objects |= {
            name: names[name]
            for name in self._session.costs.changes(step)
            if name in names and any(name == n for n, _ in attempt.reads)
        }
        self._ledger.take_in(attempt.outcome, opened)
        keys = opened.changed_keys()
        changed = frozenset(n for n, b in attempt.reads if b.key in keys)
        self._session.costs.observe_changes(step, changed)
        finished = attempt.finished
        assert finished is not None
        self.history.took(step, attempt.worker, finished.start_s, finished.end_s)
        self._session.overtaking.took(step)
        seconds = finished.end_s - finished.start_s - finished.waited_s
        self._session.costs.observe_away(step, seconds)

    def _squash(self, attempt: AttemptRecord, instance: Instance) -> None:
        with self._session.lock:
            self.history.squashed += 1
            if attempt.finished is not None:
                self._session.costs.observe_squash(instance.step)
            if attempt.parts and attempt.finished is not None and not attempt.finished.ok:
                self._session.costs.forbid_chunks(instance.step)
            self.look.drop(attempt)
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

    def instance_of(self, attempt: AttemptRecord) -> Instance:
        """Return the statement instance an attempt belongs to."""
        return attempt.instance


class _Stepped:
    """Tells the cell which iteration of a loop begins; hands over when that is not worth it.

    The loop walks `map(stepped, iterable)`, so that an error of the iterable itself is raised with
    no frame of ours; StopIteration from here ends that loop, and the native one goes on.
    """

    def __init__(self, cell: CellRun, loop: UnitId, inner: Iterator[Any]):
        self._cell = cell
        self._loop = loop
        self._inner = inner
        self._index = -1
        self._next_look = 1
        self._looked = (0, cell.user_s, 0)
        self._begin_s = time.monotonic()
        self.rest: Iterator[Any] = iter(())

    def __call__(self, item: Any) -> Any:
        self._index += 1
        if self._index == self._next_look:
            self._next_look *= 2
            if self._is_in_vain():
                self.rest = chain((item,), self._inner)
                self._cell.step(self._loop, sys.maxsize)  # home is past all of its steps
                raise StopIteration
            spent_s = time.monotonic() - self._begin_s
            if spent_s > BUSY_S and spent_s > _CHEAP_S * self._index:
                self._cell.goes_on()
        self._cell.step(self._loop, self._index)
        return item

    def _is_in_vain(self) -> bool:
        """Whether the steps since the last look were short, or nothing of them could go out.

        What else took time meanwhile (the hooks themselves, another process) does not count.
        """
        if self._index < _CHEAP_STEPS:
            return False
        begin, begin_s, sent = self._looked
        attempts = self._cell.dispatch.attempts
        self._looked = (self._index, self._cell.user_s, len(attempts))
        each_s = (self._cell.user_s - begin_s) / (self._index - begin)
        if each_s < _CHEAP_S:
            return not any(not a.over for a in self._cell.dispatch.out)
        looked_ahead = begin >= _CHEAP_STEPS and not self._cell.plain
        return looked_ahead and len(attempts) == sent and each_s < _SHORT_S


def _raise_interrupt(node: ast.stmt) -> ast.stmt:
    """Return code that raises KeyboardInterrupt at the position of `node`."""
    new = ast.copy_location(ast.Raise(ast.Name("KeyboardInterrupt", ast.Load()), None), node)
    for child in ast.walk(new):
        ast.copy_location(child, node)
    return new


_PLAIN_ITERABLES = frozenset({"builtins", "itertools", "numpy", "pandas"})


def flat(steps: Iterable[Step]) -> Iterator[Unit | HomeStep]:
    """Yield all steps, those inside loops included, loops themselves excluded."""
    for step in steps:
        if isinstance(step, LoopStep):
            yield from flat(step.body)
        else:
            yield step


def combined(parts: Iterable[Effects], bound: frozenset[str] = frozenset()) -> Effects:
    """Return what several effects may change together (only what validation needs).

    `bound`: names that may be bound anew meanwhile.
    """
    touch = Touch.NOTHING
    changes: frozenset[str] = frozenset()
    assumes: tuple[tuple[str, object], ...] = ()
    home: tuple[Reason, ...] = ()
    for effects in parts:
        assumes += effects.assumes
        home += effects.home
        if effects.touch is Touch.ANY:
            touch = Touch.ANY
        elif effects.touch is Touch.OBJECTS and touch is not Touch.ANY:
            touch = Touch.OBJECTS
            changes |= effects.changes
    if touch is Touch.ANY:
        return Effects(touch=touch, home=home)
    return Effects(touch=touch, changes=changes, writes=bound, assumes=assumes, home=home)


def _joined(local: dict[str, Any], names: Mapping[str, Any]) -> Mapping[str, Any]:
    return ChainMap(local, names) if local else names  # type: ignore[arg-type]


__all__ = ["CellRun", "combined", "flat", "same_value"]
