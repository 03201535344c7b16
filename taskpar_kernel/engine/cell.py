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
import sys
import time
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from taskpar_kernel.analysis.iterables import harmless
from taskpar_kernel.analysis.shapes import begins_with
from taskpar_kernel.engine.applied import AppliedHooks
from taskpar_kernel.engine.facts import CellFacts, facts_of
from taskpar_kernel.engine.history import why_home
from taskpar_kernel.engine.hometime import HomeTime
from taskpar_kernel.engine.inner import FreeLoop, InnerCalls
from taskpar_kernel.engine.iterations import SHORT_S, Iterations, Progress
from taskpar_kernel.engine.lookahead import WORTH_S, Lookahead, Moment
from taskpar_kernel.engine.past import Past
from taskpar_kernel.engine.stores import Stores
from taskpar_kernel.engine.stream import Instance, Order
from taskpar_kernel.engine.taking import Scene, Taking
from taskpar_kernel.engine.walking import both_ways, is_temporary, runs_no_code
from taskpar_kernel.model.effects import Effects, Scope, Touch, combined
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.model.run import Glance
from taskpar_kernel.model.steps import HomeStep, LoopStep, Span, Step, TopLevel, Unit, flat
from taskpar_kernel.source.rewrite import HOOKS, rewrite

if TYPE_CHECKING:
    from types import FrameType

    from taskpar_kernel.engine.attempts import AttemptRecord
    from taskpar_kernel.engine.session import Session

ANYTHING = Effects(touch=Touch.ANY)
BETWEEN_PEEKS_S = 0.002
"""A scan takes up to a millisecond: home makes one only if it has worked longer than that."""
_SHARE, _SMALL_SHARE = 10, 40
"""Home works so many times longer than it scans; the second while nothing can be sent."""
_CHUNK_WORTH_S = 0.0005
"""A step so long that was taken from workers before goes out in chunks from the first."""
_FUTILE = 4
"""After so many scans that sent nothing, they become seldom, and home rests between them."""


class CellRun(AppliedHooks):
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
        self._frees: list[FreeLoop] = []
        """The loops inside other control flow, and the bodies of functions, that home is in."""
        self._inner = InnerCalls(tops, self._namespace)
        self._past = Past(self.dispatch)
        self.taking = Taking(session, self.history, self.peek, self._past)
        self.plain = not session.settings.eager
        """Nothing is out and nothing is planned: hooks only note where home is."""
        self._top: TopLevel | None = None
        self._peeked_s = 0.0
        self._failed = False
        self._over = False
        self._scan_s = 0.0
        self._futile = 0
        """How many scans in a row have sent nothing."""
        self._rests = False
        """Whether home is plain again for a while, because scans were futile."""
        self._most_futile = _FUTILE
        """After so many futile scans it rests."""
        self._left: Effects | None = None
        self._home_part: Effects | None = None
        self._stores: tuple[Effects | None, Stores | None] = (None, None)
        """Home's part as predicted, and what is looked at to tell that it is less than that."""
        self._block: tuple[frozenset[UnitId], Refusal | None, str] = (frozenset(), None, "home")
        """The units of the block that home runs itself, and why."""
        self._owed: tuple[Unit | HomeStep, ...] | None = None
        self._iterations = Iterations(self)
        self._steps = self._iterations.steps
        self.time = HomeTime(session, self.history, self._steps)
        for top in tops:
            self._iterations.learn((*top.steps, *top.free.steps))

    @property
    def _free(self) -> FreeLoop | None:
        """The innermost of them."""
        return self._frees[-1] if self._frees else None

    @property
    def look(self) -> Lookahead:
        """The window in which home is."""
        return self._base if self._free is None else self._free.look

    def _looks(self) -> list[Lookahead]:
        return [*(free.look for free in reversed(self._frees)), self._base]

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
        elif self._is_known():
            self._most_futile = 1
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
        self._close_all()
        self._arrive((sys.maxsize,))

    def _next(self, top: TopLevel) -> ast.stmt | None:
        """Return what home has to run for `top`; None: its outcome was taken."""
        first = top.steps[0]
        self._close_all()
        if self.plain and self._top is not None:
            self._ledger.ambient.passed(self._top.effects, self._namespace)
            self._ledger.ambient.before_home()
        self._top = top
        if len(top.steps) == 1 and isinstance(first, Unit) and first.node is top.node:
            self._home_part = Effects(touch=Touch.NOTHING)
            if self.has(first.id):
                return None
            return rewrite(top.node, (), top.free) if top.free else top.node
        self._home_part = None
        node = rewrite(top.node, top.steps, top.free)
        if isinstance(first, HomeStep) and first.node is top.node:
            self._arrive((first.id,))
            self.time.begins(first, why_home(first))
            self._leave(first)
        elif not isinstance(first, Unit) or not begins_with(top.node, first.node):
            self._arrive((first.id,))
            self._leave()
        return node

    def _is_planned(self) -> bool:
        """Whether a unit is known to be worth sending out, so that no first look is needed."""
        costs = self._session.costs
        units = [step for step in self._steps.values() if isinstance(step, Unit)]
        return any(
            (cost_s := costs.typical(unit) or 0.0) >= WORTH_S
            or (cost_s >= _CHUNK_WORTH_S and costs.was_taken(unit) and self.dispatch.pays(unit))
            for unit in units
        )

    def _is_known(self) -> bool:
        """Whether it is known how long every unit takes: one look is enough to see what pays."""
        costs = self._session.costs
        return all(costs.known(s) is not None for s in self._steps.values() if isinstance(s, Unit))

    def finish(self) -> None:
        """The cell is over, however it ended: nothing that is still ahead will be taken."""
        if getattr(builtins, HOOKS, None) is self:
            delattr(builtins, HOOKS)
        with self._session.lock:
            if self._top is not None:
                self._ledger.ambient.passed(self._top.effects, self._namespace)
            self._over = True
            self._session.relay.arrives(0)
            self.time.ends()
            self.time.add_up()
            for attempt in tuple(self.dispatch.attempts.values()):
                if not attempt.over:
                    self._base.drop(attempt)

    def glance(self) -> Glance:
        """Return how far the cell is; any thread may ask, and nobody waits for it."""
        at = next((i for i, top in enumerate(self._tops, 1) if top is self._top), 1)
        out = [a for a in tuple(self.dispatch.out) if not a.over]
        return Glance(
            at,
            len(self._tops),
            self.history.committed,
            sum(len(a.instances) for a in out),
            len({a.worker for a in out if a.started_s is not None}),
            self._session.settings.workers,
            self._session.expected_s,
        )

    def facts(self) -> CellFacts:
        """Return what explains the run once it is over."""
        kept = tuple(self._inner.together.values())
        return facts_of(self._tops, self._inner.in_functions(), kept)

    def _arrive(self, order: Order) -> None:
        """Home has come to `order`: account for what it ran since the last hook."""
        self._session.relay.arrives(len(self._frees))
        self.time.arrives()
        with self._session.lock:
            self.time.ends()
            if self.plain:
                self.time.has_passed()
            if self._left is not None:
                self._ledger.after_home(self._left, self._names())
            self._left = self._owed = None
            self.look.move_to(order)
        self.time.goes_on()

    def _names(self) -> Mapping[str, Any]:
        """Return what the names mean where home is."""
        return self._namespace if self._free is None else self._free.names()

    def _scene(self) -> Scene:
        is_global = self._free is None or self._free.is_global
        return Scene(self.look, self._names(), self._namespace if is_global else {})

    # Loops inside other control flow ------------------------------------------------------------

    def _enter(self, place: LoopStep | Span, frame: FrameType, items: Iterable[Any]) -> None:
        """Home comes to a loop or body that no window has: look ahead of it alone."""
        while self._frees and not self._frees[-1].surrounds(place, frame):
            self._close_free()
        with self._session.lock:
            local = self._inner.local_names(place.id)
            free = FreeLoop(place, frame, self._namespace, self._base, local, items)
            free.entered = (len(self.dispatch.attempts), self.time.user_s)
            self._frees.append(free)
            self._home_part = None

    def _comes_back(self, number: UnitId, frame: FrameType) -> bool:
        """Close what home has left when it comes to a unit or loop; False: nobody looks ahead."""
        for index in reversed(range(len(self._frees))):
            if self._frees[index].has(number, frame):
                self._close_all(index + 1)
                return True
        if number in self._inner.units:
            return False  # its loop was left in some way
        self._close_all()
        return True

    def _close_all(self, but: int = 0) -> None:
        while len(self._frees) > but:
            self._close_free()

    def _close_free(self) -> None:
        """Home has left that loop, by whatever way: it may have done anything since."""
        with self._session.lock:
            free = self._frees.pop()
            sent, begin_s = free.entered
            spent_s = self.time.user_s - begin_s
            is_short = spent_s < SHORT_S * self._iterations.done(free.place.id)
            if len(self.dispatch.attempts) == sent and is_short:
                self._inner.turn_off(free.place.id)  # nothing of it went out, and it is short
            for attempt in free.look.attempts():
                if not attempt.over:
                    free.look.drop(attempt)
            self.time.ends()
            self.time.has_passed()
            self._owed = None
            anything = self._anything()
            self._home_part = None if self._frees else anything
            self._stores = self._home_part, None
            self._has_done(anything)

    def _anything(self) -> Effects:
        """Return what home may do in the present statement, by what its names lead to."""
        if self._top is None:
            return ANYTHING
        effects = self._top.effects
        return Effects(touch=Touch.ANY, reads=effects.used, home=effects.home)

    def _has_done(self, effects: Effects) -> None:
        """Home may have done this since the last hook, and may do so up to the next."""
        if not self.plain:
            self._ledger.after_home(effects, self._names())
            self._left = effects
            self._ledger.before_home(effects, self._names())

    def _leave_loop(self, number: UnitId) -> Iterator[Iterator[Any]]:
        """Notice the end of a free loop: an iterable of no iterators that comes after its items."""
        if self._free is not None and self._free.place.id == number:
            self._close_free()
        yield from ()

    def inner(self, number: int, function: Any) -> Any:
        """Return the twin of a notebook's function whose loops can look ahead, or itself."""
        twin, steps = self._inner.twin_of(UnitId(number), function)
        self._session.costs.meet(self._top, steps)
        self._iterations.learn(step for step in steps if step.id not in self._steps)
        return twin

    def enter(self, number: int) -> None:
        """Home begins a body in which several statements could run side by side."""
        span = UnitId(number)
        if self._inner.is_long(span):
            self._enter(self._inner.spans[span], sys._getframe(1), ())

    def _leave(self, *steps: Unit | HomeStep) -> None:
        """Home goes on with user code: with these steps, and what else is its own here."""
        self._owed = steps
        if not self.plain:
            with self._session.lock:
                self._begin_home()
        self.time.goes_on()

    def _begin_home(self, *, midway: bool = False) -> None:
        """Take down what home's code may do until the next hook; `midway`: it is doing it."""
        if self._owed is not None:
            bound, home = self._bound(), self._home_effects()
            if not (self._owed or midway) and home.touch is Touch.ANY:
                home = self._as_stores(home)
            self._left = combined((*(s.effects for s in self._owed), home), bound)
            self._owed = None
            self._ledger.before_home(self._left, self._names(), midway=midway)

    def _bound(self) -> frozenset[str]:
        """Return the names that home's own part of the present statement may bind anew."""
        if self._free is not None:
            return self._free.place.effects.writes
        return self._top.effects.writes if self._top else frozenset()

    def _home_effects(self) -> Effects:
        """Return what home's own part of the present statement may do."""
        if self._home_part is None:
            steps = self._present_steps()
            self._home_part = combined(
                s.own() if s.own else s.effects for s in steps if isinstance(s, HomeStep)
            )
        return self._home_part

    def _as_stores(self, home: Effects) -> Effects:
        """Return what home's part may do, seen what its names are bound to now."""
        predicted, stores = self._stores
        if predicted is not home:
            place = self._present_loop()
            stores = None if place is None else Stores.of(place)
            self._stores = home, stores
        found = None if stores is None else stores.effects(self._names(), self.taking.values())
        return home if found is None else found

    def _present_loop(self) -> Step | Span | None:
        """Return the loop that all of home's present part is in, with the notebook's own names."""
        if self._free is not None:
            return self._free.place if self._free.is_global else None
        steps = () if self._top is None else self._top.steps
        return steps[0] if len(steps) == 1 else None

    def _present_steps(self) -> tuple[Unit | HomeStep, ...]:
        """Return the steps of the loop, or statement, in which home is."""
        if self._free is not None:
            return tuple(flat(self._free.steps))
        return tuple(flat(self._top.steps)) if self._top else ()

    def peek(self, moment: Moment) -> int:
        """Send out what can run ahead now; home asks."""
        with self._session.lock:
            self._peeked_s = time.monotonic()
            sent = self._scan(moment)
            self._scan_s = (time.monotonic() - self._peeked_s) * (0.3 if sent else 1.0)
            self._futile = 0 if sent else self._futile + 1
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
            sent = self._scan(moment)
            if sent:
                self._futile = 0
            return sent

    def _end_plain(self) -> None:
        """The look-ahead thread begins to send out while home is in the middle of something.

        The two orders: home is still where it noted to be, or it has gone on by a unit or two
        without looking. Both are covered: what it may have done is what the whole statement may
        do, and outcomes for places it has passed are dropped at its next hook.
        """
        self.plain = False
        number = self.time.is_caught()
        if number is not None:
            self.look.move_to(self._iterations.order_of(number))
            self._owed = self._present_steps()
        self._begin_home(midway=True)

    # Hooks called by the rewritten code -----------------------------------------------------------

    def has(self, number: UnitId, *local: Any) -> bool:
        """Whether the unit's outcome was taken here; False: home computes it now.

        `local`: the values of the unit's local names, in their order.
        """
        if number in self._inner.off:
            return False
        if self.taking.kept is not None and self.taking.keeps(number, self._names()):
            return True
        if (self._frees or number in self._inner.units) and not self._comes_back(
            number, sys._getframe(1)
        ):
            return False
        if self.plain and self._rests and self._may_peek():
            self._end_rest()
        if self.plain:
            if number not in self._iterations.blocks:
                self.time.passes(number)
            return False
        return self._has(number, local)

    def _has(self, number: UnitId, local: tuple[Any, ...]) -> bool:
        order = self._iterations.order_of(number)
        self._arrive(order)
        unit = self._steps[number]
        assert isinstance(unit, Unit)
        instance = self._found(order)
        reason: Refusal | None = None
        state = "home"
        if instance is not None and instance.attempt is not None:
            reason = self._taken(unit, instance, instance.attempt, local)
            if reason is None:
                self._leave()
                return True
            state = "squashed"
        elif instance is not None:
            reason = instance.refused
        elif number in self._block[0]:
            _, reason, state = self._block
        if self._is_futile():
            self._rest(number)
            return False
        if unit.members:  # home runs them one by one
            self._block = (frozenset(member.id for member in unit.members), reason, state)
            return False
        self.time.begins(unit, reason, state)
        self._leave(unit)
        return False

    def _found(self, order: Order) -> Instance | None:
        """Return the instance at which home is; look ahead once more if that is due."""
        instance = self.look.find(order)
        eager = self._session.settings.eager
        if (eager and (instance is None or instance.attempt is None)) or self._may_peek():
            self.peek(Moment())
            instance = self.look.find(order)
        return instance

    def _taken(
        self, unit: Unit, instance: Instance, attempt: AttemptRecord, local: tuple[Any, ...]
    ) -> Refusal | None:
        """Take the attempt's outcome, or return why not; then nothing of it is left."""
        scene = self._scene()
        why = None if self._session.settings.eager else self.dispatch.no_gain(unit)
        if why is not None:
            self.taking.squash(attempt, instance, scene)
            return why
        try:
            names = _joined(dict(zip(unit.local, local, strict=True)), scene.names)
            reason = self.taking.take(attempt, instance, scene, names)
        except BaseException:  # an interrupt while home waits
            self.taking.give_up(attempt, scene)
            raise
        if reason is not None:
            self.taking.squash(attempt, instance, scene)
        with self._session.lock:
            self._past.tidy(a for look in self._looks() for a in look.attempts())
        return reason

    def _may_peek(self) -> bool:
        """Whether home may look ahead again: that takes at most a tenth of its time."""
        share = _SHARE if self._futile < self._most_futile else _SMALL_SHARE
        rest_s = max(BETWEEN_PEEKS_S, share * self._scan_s)
        return time.monotonic() - self._peeked_s > rest_s

    # Rest ----------------------------------------------------------------------------------------

    def _is_futile(self) -> bool:
        """Whether nothing was to be sent for a while, and nothing that was sent is to be taken."""
        if self._futile < self._most_futile or self._session.settings.eager:
            return False
        if any(not attempt.over for attempt in self.dispatch.out):
            return False
        return not any(look.attempts() for look in self._looks())

    def _rest(self, number: UnitId) -> None:
        """Become plain again, at a unit: what home does from here on is not followed, only timed.

        Nothing is out that would have to be judged by it. What was sent is compared before it is
        used again, as after anything that home does.
        """
        with self._session.lock:
            self._ledger.after_home(self._anything(), self._names())
            self._left = self._owed = None
            self.plain = self._rests = True
            if number not in self._iterations.blocks:
                self.time.passes(number)

    def _end_rest(self) -> None:
        """Home, between two statements, has rested long enough to look ahead once more."""
        with self._session.lock:
            self.time.has_passed()
            self.time.add_up()
            self.plain = self._rests = False
            self._futile -= 1  # one more scan in vain, and it rests again

    def progress(self) -> Progress:
        """Tell a stepped loop how things stand."""
        waits = any(not a.over for a in self.dispatch.out)
        return Progress(self.time.user_s, len(self.dispatch.attempts), waits, not self.plain)

    def goes_on(self) -> None:
        """A loop takes its time, however short its steps: from here on look ahead of them."""
        if self.plain:
            with self._session.lock:
                self.time.has_passed()
                self.time.add_up()
                self.plain = False
                self._owed = self._present_steps()
                self._begin_home()

    def hands_over(self) -> None:
        """A native loop goes on from here, whose time is not that of the step before."""
        with self._session.lock:
            self.time.ends()
            self.time.has_passed()
            self._has_done(self._anything())

    def value(self, number: int) -> Any:  # noqa: ARG002 - it is always the one just taken
        """Return the value of the expression whose outcome was just taken."""
        return self.taking.value()

    def loop(self, number: int, iterable: Any) -> Any:
        """Return an iterator over `iterable` that knows how far home is."""
        return self._walked(UnitId(number), iterable, sys._getframe(1))

    def _walked(self, number: UnitId, iterable: Any, frame: FrameType) -> Any:
        self._iterations.enter(number)
        step = self._inner.loops.get(number)
        if step is not None:
            names = ChainMap(frame.f_locals, frame.f_globals)
            temporary = is_temporary(step.clause.iter, names)
            is_long = self._inner.is_long(number)
            walks = both_ways(iterable, temporary=temporary) if is_long else None
            if walks is None:
                if is_long:
                    self._inner.keep(step, iterable)
                return self._iterations.leave_alone(number, iterable)
            iterable, items = walks
            self._enter(step, frame, items)
        elif self._frees:
            self._comes_back(number, frame)
        is_quiet = runs_no_code(iterable)
        if not (is_quiet and self._was_head_harmless(number)):
            with self._session.lock:
                anything = self._anything()
                if not is_quiet:  # its code runs before each iteration
                    self._home_part = anything
                    self._stores = anything, None
                self._has_done(anything)
        walked, is_stepped = self._iterations.walk(number, iterable)
        if step is None or not is_stepped:
            return walked
        return chain(walked, chain.from_iterable(self._leave_loop(number)))

    def _was_head_harmless(self, number: UnitId) -> bool:
        """Whether home has evaluated what a loop goes through without running the user's code.

        The analysis may have taken names for what they are not.
        """
        loop = self._steps.get(number)
        if not isinstance(loop, LoopStep) or isinstance(loop.clause.iter, ast.Name):
            return True
        names = self._names()
        used = [n.id for n in ast.walk(loop.clause.iter) if isinstance(n, ast.Name)]
        values = {name: names[name] for name in used if name in names}
        return harmless(loop.clause.iter, Scope(values))

    def rest(self, number: int) -> Iterable[Any]:
        """Return what a stepped loop will have left for the native one."""
        loop = self._steps.get(UnitId(number))
        if isinstance(loop, LoopStep) and isinstance(loop.node, ast.For) and loop.node.orelse:
            with self._session.lock:  # no step tells what the `else` of a loop does
                self._has_done(self._anything())
        return self._iterations.rest(UnitId(number))

    chain = staticmethod(chain)
    """Joins the stepped and the native part of a generator."""

    @staticmethod
    def extend(first: set[Any], rest: Iterable[Any]) -> set[Any]:
        """Add the native part of a set comprehension to the stepped one."""
        first.update(rest)
        return first


def _raise_interrupt(node: ast.stmt) -> ast.stmt:
    """Return code that raises KeyboardInterrupt at the position of `node`."""
    new = ast.copy_location(ast.Raise(ast.Name("KeyboardInterrupt", ast.Load()), None), node)
    for child in ast.walk(new):
        ast.copy_location(child, node)
    return new


def _joined(local: dict[str, Any], names: Mapping[str, Any]) -> Mapping[str, Any]:
    return ChainMap(local, names) if local else names  # type: ignore[arg-type]


__all__ = ["CellRun"]
