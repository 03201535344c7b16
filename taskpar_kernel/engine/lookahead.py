"""Which statements run ahead: instances of the cell's steps come in, what is ready is sent out.

Theory of operation. `scan` walks the window of instances from home's position on, and keeps for
each name where its value will come from at that point of the program (`sources`). A unit whose
inputs are all known, made by attempts that are out, or cheap to repeat is sent out, as long as
workers have room (`dispatch`, `loads`). The scan starts anew each time, because home moves and
outcomes arrive; a window is short.

The rule: whatever is assumed here is checked when home comes to the statement.
"""

from __future__ import annotations

import ast
import builtins
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from taskpar_kernel.analysis.iterables import harmless
from taskpar_kernel.engine.chunks import Chunks
from taskpar_kernel.engine.dispatch import WORTH_S, Dispatch, Full
from taskpar_kernel.engine.loads import Loads
from taskpar_kernel.engine.sources import Blocked, Deferred, Known, Names, Outcome
from taskpar_kernel.engine.stream import Binding, Instance, Item, Opaque, Order, Stream
from taskpar_kernel.errors import Hurried
from taskpar_kernel.model.effects import Blocker, Effects, Scope
from taskpar_kernel.model.ids import HOME, Place
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.model.steps import HomeStep, LoopStep, Step, TopLevel, Unit

if TYPE_CHECKING:
    from taskpar_kernel.engine.attempts import AttemptRecord
    from taskpar_kernel.engine.ledger import Bundle

_SURELY = 5
"""A step whose runs differ goes out if one of the last took so many times what is worth it."""
_LONGEST_SCAN_S = 0.004
"""A scan that has sent something ends after this: home may have to go on."""
WINDOW = 256
"""Instances looked at in one scan; a scan of this many takes about a millisecond."""


READS_NATIVELY = Refusal(
    "files-unseen", "it reads files natively, and what comes before it may write files"
)
IN_BRANCH = Refusal(
    "branch", "whether home comes to it is known only when the `if` around it is evaluated"
)


@dataclass(frozen=True, slots=True)
class Moment:
    """What home is doing when a scan begins."""

    bold: bool = False
    """Statements of unknown cost go out too: home has been busy for a while."""
    idle: bool = False
    """Home waits for a worker, and has nothing better to do."""
    threads: float = 1.0
    """Cores that home's present statement uses."""


@dataclass(slots=True)
class Lookahead:
    """Keeps the window and says what goes out. The engine's lock guards it.

    It never touches the namespace, and decides neither what is committed nor what home runs.
    """

    tops: tuple[TopLevel, ...]
    dispatch: Dispatch
    namespace: Callable[[], Mapping[str, Any]]
    """Gives what the names mean where the statements stand."""
    free_workers: Callable[[], frozenset[Place]]
    local: frozenset[str] = frozenset()
    """The names of the function in which they stand."""
    walked: tuple[ast.expr, Iterable[Any]] | None = None
    """An iterable that home has evaluated, and its expression."""
    here: Order = ()
    window: deque[Item] = field(default_factory=deque)
    index: dict[Order, Instance] = field(default_factory=dict)
    stream: Stream = field(init=False)
    started: bool = False
    _names: Names = field(init=False)
    _chunks: Chunks = field(init=False)
    _interesting: frozenset[str] = field(init=False)
    _used: frozenset[str] = field(init=False)
    """The names that units read: what makes them cannot go out in a chunk."""

    def __post_init__(self) -> None:
        self._interesting = frozenset[str]().union(*(top.effects.reads for top in self.tops))
        units = (u for top in self.tops for u in _units(top.steps))
        self._used = frozenset[str]().union(*(u.effects.reads | u.effects.changes for u in units))
        self._names = Names(self.namespace(), self._interesting, self.local)
        self.stream = Stream(
            self.tops, self._walk, self._has_passed, self._known, self.dispatch.costs.is_apart
        )

    # Home moves --------------------------------------------------------------------------------

    def move_to(self, order: Order) -> None:
        """Home is at `order` now: what comes before it is retired."""
        self.here = order
        if not self.started:
            return
        while self.window and self.window[0].order < order:
            self._retire(self.window.popleft())
        if not self.window:  # what is pulled now begins where home is
            self._names = Names(self.namespace(), self._interesting, self.local)
        while not self.window:
            item = self.stream.pull()
            if item is None:
                return
            if item.order >= order:
                self._admit(item)

    def _retire(self, item: Item) -> None:
        if isinstance(item, Instance):
            self.index.pop(item.order, None)
            if item.doubtful:
                self.dispatch.costs.observe_branch(item.step, reached=item.reached)
            attempt = item.attempt
            if attempt is not None and not attempt.over and item is attempt.instances[-1]:
                self.drop(attempt)

    def _admit(self, item: Item) -> None:
        self.window.append(item)
        if isinstance(item, Instance):
            self.index[item.order] = item

    def find(self, order: Order) -> Instance | None:
        """Return the instance at `order`, to which home has come, if the stream has."""
        instance = self.index.get(order)
        if instance is not None:
            instance.reached = True
        return instance

    def drop(self, attempt: AttemptRecord) -> None:
        """Give up an attempt and every attempt that reads its outcome."""
        pool = self.dispatch.pool
        queue, gone = [attempt], []
        while queue:
            lost = queue.pop()
            if lost.dropped:
                continue
            lost.dropped = lost.outcome.dropped = True
            gone.append(lost)
            queue += [a for a in self.attempts() if any(b is lost.outcome for _, b in a.reads)]
        for lost in gone:
            for instance in lost.instances:
                if instance.attempt is lost and lost is not attempt:
                    instance.attempt = None
            if lost.finished is None and not lost.gone:
                pool.abandon(lost.worker, (lost.ticket,))

    def attempts(self) -> list[AttemptRecord]:
        """Return the attempts of statements that home has not passed."""
        found = {
            item.attempt.ticket: item.attempt
            for item in self.window
            if isinstance(item, Instance) and item.attempt is not None
        }
        return list(found.values())

    # The scan ----------------------------------------------------------------------------------

    def inputs(self) -> list[Bundle]:
        """Return the bundles on which attempts of statements ahead of home rest."""
        return [bundle for attempt in self.attempts() for bundle in attempt.inputs]

    def scan(self, moment: Moment) -> int:
        """Send out what is ready and has room; return how many attempts that were."""
        ready = self.free_workers()
        if not ready:
            return 0
        if not self.started:
            self.started = True
            self.move_to(self.here)
        self._names = Names(self.namespace(), self._interesting, self.local)
        loads = self.dispatch.loads(ready, moment.threads)
        end_s = inf if self.dispatch.settings.eager else loads.now_s + _LONGEST_SCAN_S
        if loads.are_full:
            return 0
        self._chunks = Chunks(self.dispatch, loads, idle=moment.idle)
        sent = 0
        written = False  # files may be written by what comes before, and nobody has seen it
        with suppress(Full, Hurried):
            for item in self._items():
                if isinstance(item, Binding):
                    self._names.assume(item.values)
                elif isinstance(item, Opaque):
                    self._names.pend(item.effects, item.effects.changes)
                    written |= _may_write(item.effects)
                elif _reads_clock(item) and item.order > self.here:
                    break  # work that overtook a clock read would make the user's durations untrue
                elif written and item.attempt is None and self._stays_behind(item):
                    changes = self.dispatch.costs.changes(item.step)
                    self._names.pend(item.effects, changes, item.local)
                else:
                    sent += self._consider(item, loads, moment)
                    written |= _may_write(item.effects)
                    if sent and time.monotonic() > end_s:
                        break  # there will be another scan
            self._chunks.flush()
        return sent + self._chunks.sent

    def _items(self) -> Iterator[Item]:
        yield from tuple(self.window)
        while len(self.window) < WINDOW:
            item = self.stream.pull()
            if item is None:
                return
            if item.order >= self.here:
                self._admit(item)
                yield item

    def _consider(self, instance: Instance, loads: Loads, moment: Moment) -> int:
        """Send the instance out if it may go and can; note in any case what it makes."""
        changes = self.dispatch.costs.changes(instance.step)
        source: Outcome | Deferred | None = None
        sent = 0
        attempt = instance.attempt
        if attempt is not None:
            if not attempt.dropped and not attempt.parts:
                source = Outcome(attempt)
        elif instance.order > self.here or (self.dispatch.settings.eager and not moment.bold):
            try:
                source = self._source_of(instance, loads, moment)
                sent = isinstance(source, Outcome)
            except Blocked as why:
                instance.refused = why.refusal
        if source is None:
            self._names.pend(instance.effects, changes, instance.local)
        else:
            self._names.bind(instance.effects, changes, source, instance.local)
        return sent

    def _source_of(
        self, instance: Instance, loads: Loads, moment: Moment
    ) -> Outcome | Deferred | None:
        """Send the instance out, or let it go along; None: home makes what it makes.

        Raises:
            Blocked: it cannot go out now.
        """
        if instance.doubtful and not self._is_likely(instance.step):
            instance.refused = IN_BRANCH
            return None
        sources = self._names.needed_by(instance.effects, instance.local)
        if not instance.effects.writes & self._used and self._chunks.takes(instance, sources):
            return None
        if self._goes_along(instance.step):
            return Deferred(instance, sources)
        if not self._may_go(instance.step, bold=moment.bold):
            return None
        return Outcome(self.dispatch.send_out(instance, sources, loads, idle=moment.idle))

    def _stays_behind(self, instance: Instance) -> bool:
        """Whether what may write files is not to be overtaken by this one."""
        if instance.effects.files_unseen:
            instance.refused = READS_NATIVELY
            return True
        return not self.dispatch.settings.eager and self.dispatch.overtaking.holds_back(instance)

    def _is_likely(self, step: Unit | HomeStep) -> bool:
        """Whether home came to a step in a branch the last times it could have."""
        return self.dispatch.settings.eager or self.dispatch.costs.is_likely(step)

    def _goes_along(self, step: Unit | HomeStep) -> bool:
        """Whether a step is so cheap that whoever needs what it makes repeats it on the spot."""
        if self.dispatch.settings.eager or not step.effects.travels or step.effects.prints:
            return False
        if isinstance(step, HomeStep) and not step.whole:
            return False
        if step.effects.files_read or step.effects.files_written:
            return False
        if step.effects.draws or step.effects.deletes:
            return False
        if isinstance(step, Unit) and step.value_of is not None and not step.targets:
            return False  # what it makes has no name by which another could read it
        return self._is_worth_it(step) is False

    def _may_go(self, step: Unit | HomeStep, *, bold: bool) -> bool:
        """Whether the step is one that travels, and is worth it (as far as is known)."""
        if not isinstance(step, Unit) or self.dispatch.places.get(step.id) == HOME:
            return False
        if self.dispatch.settings.eager:
            return True
        is_worth_it = self._is_worth_it(step)
        return bold if is_worth_it is None else is_worth_it

    def _is_worth_it(self, step: Unit | HomeStep) -> bool | None:
        """Whether a step takes long enough to be sent out by itself; None: nobody knows."""
        costs = self.dispatch.costs
        cost_s, most_s = costs.typical(step), costs.most(step)
        if cost_s is None or most_s is None:
            return None
        return cost_s >= WORTH_S or most_s >= _SURELY * WORTH_S

    # Walking iterables ---------------------------------------------------------------------------

    def _has_passed(self, order: Order) -> bool:
        """Whether home has left a loop, or has handed over the rest of it to a native one."""
        place, inside = self.here[: len(order)], self.here[len(order) : len(order) + 1]
        return place > order or (place == order and inside == (sys.maxsize,))

    def _known(self, node: ast.expr) -> dict[str, Any]:
        """Return the values of the names in `node` that are known now."""
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        sources = {name: self._names.now(name) for name in names}
        return {n: s.value for n, s in sources.items() if isinstance(s, Known)}

    def _walk(self, node: ast.expr) -> Iterator[Any] | None:
        """Evaluate a loop's iterable ahead of home; None: its input is not known yet."""
        if self.walked is not None and node is self.walked[0]:
            return iter(self.walked[1])
        values: dict[str, Any] = {}
        for name in {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}:
            source = self._names.now(name)
            if isinstance(source, Known):
                values[name] = source.value
            elif source is not None or name not in vars(builtins):
                return None
        if not harmless(node, Scope(values)):
            return iter(())
        expression = ast.Expression(node)
        try:
            code = self.dispatch.compile_unit(expression)  # type: ignore[arg-type]
            iterable: Iterable[Any] = eval(code, self.dispatch.globals, values)  # noqa: S307 - harmless by analysis
            return iter(iterable)
        except Exception:  # noqa: BLE001 - home will raise it at its turn
            return iter(())


def _units(steps: Iterable[Step]) -> Iterator[Unit]:
    for step in steps:
        if isinstance(step, Unit):
            yield step
        elif isinstance(step, LoopStep):
            yield from _units(step.body)


def _may_write(effects: Effects) -> bool:
    """Whether a statement may change files, as far as is predicted."""
    return effects.files_written or any(r.blocker in _WRITERS for r in effects.home)


_WRITERS = frozenset(
    {Blocker.WORLD, Blocker.SHELL, Blocker.THREAD, Blocker.HANDLE, Blocker.UNKNOWN}
)


def _reads_clock(instance: Instance) -> bool:
    return any(reason.blocker is Blocker.CLOCK for reason in instance.effects.home)


__all__ = ["WORTH_S", "Lookahead", "Moment"]
