"""Which statements run ahead, where, and from what: instances come in, scripts for workers go out.

Theory of operation. `scan` walks the window of instances from home's position on, and keeps for
each name where its value will come from at that point of the program:

    known     home has it now (or the loop will bind it): it can be sent
    outcome   an attempt that is out makes it: its worker sends it on
    deferred  a cheap statement makes it: whoever needs it repeats that statement on the spot
    pending   home, or a statement that is not out, makes it: whoever reads it has to wait

A unit whose inputs are all of the first three kinds is sent out, as long as workers have room. The
scan starts anew each time, because home moves and outcomes arrive; a window is short.

The rule: whatever is assumed here is checked when home comes to the statement.
"""

from __future__ import annotations

import ast
import builtins
import marshal
import sys
import time
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from taskpar_kernel.analysis.iterables import harmless
from taskpar_kernel.analysis.sources import global_names
from taskpar_kernel.engine.attempts import AttemptRecord
from taskpar_kernel.engine.stream import Binding, Instance, Item, Opaque, Order, Stream
from taskpar_kernel.errors import NotPortable
from taskpar_kernel.model.effects import Blocker, Effects, Scope
from taskpar_kernel.model.ids import HOME, Key, Place, Ticket, UnitId
from taskpar_kernel.model.messages import (
    VALUE_NAME,
    Attempt,
    Code,
    Instruction,
    Receive,
    Script,
    Send,
    Value,
)
from taskpar_kernel.model.steps import HomeStep, TopLevel, Unit

if TYPE_CHECKING:
    from taskpar_kernel.engine.costs import Costs
    from taskpar_kernel.engine.ledger import Bundle, Ledger
    from taskpar_kernel.pool.link import WorkerPool
    from taskpar_kernel.settings import Settings

WINDOW = 256
"""Instances looked at in one scan; a scan of this many takes about a millisecond."""
WORTH_S = 0.004
"""A statement known to be shorter than this stays home: going out and back costs a tenth of it."""
LONGEST_PRELUDE = 32
PRELUDE_SHARE = 0.3
"""Cheap statements are repeated by whoever needs what they make, up to this share of its time."""
MOST_BYTES_UNKNOWN = 400_000_000
_UNKNOWN_S = 0.1
"""What a statement of unknown cost counts for when the least loaded worker is chosen."""
_ROOM = 2
"""Attempts a worker may have at a time while costs are unknown: one runs, one waits."""
_ROOM_EAGER = 64
_ROOM_S = 1.0
"""Seconds of known work a worker may have waiting."""
_BYTES_PER_S = 2e9
_HANDOVER_S = 0.001
"""What it takes, at the least, to hand a value from one worker to another."""


@dataclass(frozen=True, slots=True)
class _Known:
    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    attempt: AttemptRecord


@dataclass(frozen=True, slots=True, eq=False)
class _Deferred:
    instance: Instance
    sources: dict[str, Any]


_PENDING = object()


class Blocked(Exception):  # it is an answer, not an error
    """A unit cannot go out now; the text says why."""


class Full(Exception):
    """No worker has room."""


@dataclass(slots=True)
class Lookahead:
    """Sends out what can run ahead. The engine's lock guards it; it never touches the namespace.

    It decides neither what is committed nor what home runs.
    """

    tops: tuple[TopLevel, ...]
    namespace: dict[str, Any]
    ledger: Ledger
    pool: WorkerPool
    costs: Costs
    settings: Settings
    compile_unit: Callable[[ast.Module], Any]
    next_ticket: Callable[[], Ticket]
    attempts: dict[Ticket, AttemptRecord]
    free_workers: Callable[[], frozenset[Place]]
    places: dict[UnitId, Place] = field(default_factory=dict)
    """Where the plan puts statements; what is not in it goes by the on-line policy."""
    labels: dict[Key, dict[str, None]] = field(default_factory=dict)
    """The names read from each bundle, for the record."""
    here: Order = ()
    window: deque[Item] = field(default_factory=deque)
    index: dict[Order, Instance] = field(default_factory=dict)
    stream: Stream = field(init=False)
    started: bool = False
    _codes: dict[UnitId, bytes] = field(default_factory=dict)
    _env: dict[str, Any] = field(default_factory=dict)
    _loads: dict[Place, tuple[int, float]] = field(default_factory=dict)
    _scan_s: float = 0.0
    """When the scan began, in monotonic seconds: loads and ends are compared as of then."""

    def __post_init__(self) -> None:
        self.stream = Stream(self.tops, self._walk, lambda order: self.here[: len(order)] > order)
        self.ledger.needed = lambda: [b for a in self._ahead() for b in (*a.inputs, a.outcome)]

    # Home moves --------------------------------------------------------------------------------

    def move_to(self, order: Order) -> None:
        """Home is at `order` now: what comes before it is retired."""
        self.here = order
        if not self.started:
            return
        while self.window and self.window[0].order < order:
            self._retire(self.window.popleft())
        while not self.window:
            item = self.stream.pull()
            if item is None:
                return
            if item.order >= order:
                self._admit(item)

    def _retire(self, item: Item) -> None:
        if isinstance(item, Instance):
            self.index.pop(item.order, None)
            if item.attempt is not None and not item.attempt.over:
                self.drop(item.attempt)

    def _admit(self, item: Item) -> None:
        self.window.append(item)
        if isinstance(item, Instance):
            self.index[item.order] = item

    def find(self, order: Order) -> Instance | None:
        """Return the instance at `order`, if the stream has come to it."""
        return self.index.get(order)

    def drop(self, attempt: AttemptRecord) -> None:
        """Give up an attempt and every attempt that reads its outcome."""
        queue, gone = [attempt], []
        while queue:
            lost = queue.pop()
            if lost.dropped:
                continue
            lost.dropped = lost.outcome.dropped = True
            gone.append(lost)
            queue += [a for a in self._ahead() if any(b is lost.outcome for _, b in a.reads)]
        for lost in gone:
            if lost.instance.attempt is lost and lost is not attempt:
                lost.instance.attempt = None
            if lost.finished is None and not lost.lost:
                self.pool.abandon(lost.worker, (lost.ticket,))
                if lost.started_s is not None:
                    self.pool.interrupt(lost.worker)

    def _ahead(self) -> list[AttemptRecord]:
        """Return the attempts of statements that home has not passed."""
        return [
            item.attempt
            for item in self.window
            if isinstance(item, Instance) and item.attempt is not None
        ]

    # The scan ----------------------------------------------------------------------------------

    def scan(self, *, bold: bool) -> int:
        """Send out what is ready and has room; return how many attempts that were.

        `bold`: statements of unknown cost go out too (home has been busy for a while).
        """
        ready = self.free_workers()
        if not ready:
            return 0
        if not self.started:
            self.started = True
            self.move_to(self.here)
        self._env = {}
        self._scan_s = time.monotonic()
        self._loads = self._load(ready)
        sent = 0
        try:
            for item in self._items():
                if isinstance(item, Binding):
                    self._env |= {n: _Known(v) for n, v in item.values.items()}
                elif isinstance(item, Opaque):
                    self._pend(item.effects)
                elif _reads_clock(item) and item.order > self.here:
                    break  # work that overtook a clock read would make the user's durations untrue
                else:
                    sent += self._consider(item, bold=bold)
        except Full:
            pass
        return sent

    def _items(self) -> Iterator[Item]:
        yield from tuple(self.window)
        while len(self.window) < WINDOW:
            item = self.stream.pull()
            if item is None:
                return
            if item.order >= self.here:
                self._admit(item)
                yield item

    def _load(self, ready: frozenset[Place]) -> dict[Place, tuple[int, float]]:
        now_s = time.monotonic()
        loads = dict.fromkeys(sorted(ready), (0, 0.0))
        for attempt in self._ahead():
            if not attempt.over and attempt.worker in loads:
                number, seconds = loads[attempt.worker]
                cost_s = self._cost(attempt.instance)
                if attempt.started_s is not None:
                    cost_s = max(0.0, cost_s - (now_s - attempt.started_s))
                loads[attempt.worker] = (number + 1, seconds + cost_s)
        return loads

    def _cost(self, instance: Instance) -> float:
        estimate = self.costs.estimate(instance.step)
        if self.settings.eager:  # all statements count alike, so that all workers get their share
            return _UNKNOWN_S
        return _UNKNOWN_S if estimate is None else estimate

    def _consider(self, instance: Instance, *, bold: bool) -> int:
        attempt = instance.attempt
        if attempt is not None and not attempt.dropped:
            self._bind_outcome(instance, _Outcome(attempt))
            return 0
        here = instance.order <= self.here and not (self.settings.eager and not bold)
        if here or attempt is not None:
            self._pend(instance.effects, self.costs.changes(instance.step))
            return 0
        try:
            sources = self._sources(instance.effects)
            if self._goes_along(instance.step):
                self._bind_outcome(instance, _Deferred(instance, sources))
                return 0
            stays = self.places.get(instance.step.id) == HOME
            if (
                stays
                or not isinstance(instance.step, Unit)
                or not self._worth(instance.step, bold=bold)
            ):
                self._pend(instance.effects, self.costs.changes(instance.step))
                return 0
            attempt = self._send_out(instance, sources)
        except Blocked as why:
            instance.refused = str(why)
            self._pend(instance.effects, self.costs.changes(instance.step))
            return 0
        self._bind_outcome(instance, _Outcome(attempt))
        return 1

    def _goes_along(self, step: Unit | HomeStep) -> bool:
        """Whether a step is so cheap that whoever needs what it makes repeats it on the spot."""
        if self.settings.eager or not step.effects.travels or step.effects.prints:
            return False
        if isinstance(step, HomeStep) and not step.whole:
            return False
        if step.effects.files_read or step.effects.draws or step.effects.deletes:
            return False
        if isinstance(step.node, ast.expr):
            return False
        estimate = self.costs.estimate(step)
        return estimate is not None and estimate < WORTH_S

    def _worth(self, step: Unit, *, bold: bool) -> bool:
        if self.settings.eager:
            return True
        cost_s = self.costs.estimate(step)
        return bold if cost_s is None else cost_s >= WORTH_S

    # Where values come from --------------------------------------------------------------------

    def _sources(self, effects: Effects) -> dict[str, Any]:
        sources = {}
        for name in sorted(effects.reads | effects.changes | effects.deletes):
            source = self._env.get(name)
            if source is None:
                if name in self.namespace:
                    source = _Known(self.namespace[name])
                elif name in vars(builtins) or name in effects.writes:
                    continue
                else:
                    raise Blocked(f"`{name}` does not exist yet")
            if source is _PENDING:
                raise Blocked(f"`{name}` is not known yet")
            sources[name] = source
        self._add_what_methods_use(sources)
        return sources

    def _add_what_methods_use(self, sources: dict[str, Any]) -> None:
        """Add the global names that methods of the notebook's objects among `sources` may use.

        The analysis sees a name such as a loop variable, not yet the class of its value.
        """
        queue = [s.value for s in sources.values() if isinstance(s, _Known)]
        while queue:
            for name in names_behind(queue.pop(), self.namespace):
                if name in sources or self._env.get(name) is _PENDING:
                    continue
                source = sources[name] = self._env.get(name) or _Known(self.namespace[name])
                if isinstance(source, _Known):
                    queue.append(source.value)

    def _pend(self, effects: Effects, changes: frozenset[str] | None = None) -> None:
        if changes is None:
            changes = effects.changes
        for name in effects.writes | effects.deletes:
            self._env[name] = _PENDING
        for name in changes:
            self._pend_object(name)

    def _pend_object(self, name: str) -> None:
        """What `name` is bound to may change: so may every name that reaches the same object."""
        source = self._env.get(name) or _Known(self.namespace.get(name, _PENDING))
        self._env[name] = _PENDING
        if isinstance(source, _Known) and source.value is not _PENDING:
            self._pend_holders(source.value)

    def _pend_holders(self, value: Any) -> None:
        for other in self._interesting():
            source = self._env.get(other)
            if source is None and other in self.namespace:
                source = _Known(self.namespace[other])
            if isinstance(source, _Known) and _holds(source.value, value):
                self._env[other] = _PENDING

    def _interesting(self) -> frozenset[str]:
        return frozenset[str]().union(*(top.effects.reads for top in self.tops))

    def _bind_outcome(self, instance: Instance, source: _Outcome | _Deferred) -> None:
        effects = instance.effects
        for name in self.costs.changes(instance.step):
            old = self._env.get(name) or _Known(self.namespace.get(name, _PENDING))
            if isinstance(old, _Known) and old.value is not _PENDING:
                self._pend_holders(old.value)
            self._env[name] = source
        for name in effects.writes:
            self._env[name] = source
        for name in effects.deletes:
            self._env[name] = _PENDING

    # Sending out -------------------------------------------------------------------------------

    def _send_out(self, instance: Instance, sources: dict[str, Any]) -> AttemptRecord:
        assert isinstance(instance.step, Unit)
        prelude = _needed_before(sources)
        spent_s = sum(self._cost(d.instance) for d in prelude)
        if spent_s > max(WORTH_S, PRELUDE_SHARE * self._cost(instance)):
            raise Blocked("what comes before it would have to be repeated, and takes too long")
        try:
            worker = self._choose(instance, [sources, *(d.sources for d in prelude)])
            inputs = [self._inputs(s, worker) for s in (*(d.sources for d in prelude), sources)]
            _refuse_split_objects(bundles for bundles, _ in inputs)
            ambient_key, ambient_mark, ambient = self.ledger.ambient_key()
        except NotPortable as why:
            raise Blocked(str(why)) from None
        bundles, modules = inputs[-1]
        everything = {b.key: b for found, _ in inputs for b in found.values()}
        if ambient is not None:
            everything[ambient.key] = ambient
        script: list[Instruction] = []
        for found, _ in inputs:
            for name, bundle in found.items():
                self.labels.setdefault(bundle.key, {})[name] = None
        for bundle in everything.values():
            self._deliver(bundle, worker, script)
        outcome = self.ledger.expect(self.ledger.next_key(), worker)
        replica = self.ledger.expect(self.ledger.next_key(), worker) if prelude else None
        number = {d.instance.order: i for i, d in enumerate(prelude)}
        attempt = AttemptRecord(
            self.next_ticket(),
            instance,
            worker,
            outcome,
            tuple(bundles.items()),
            tuple((name, sys.modules[module]) for name, module in modules),
            ambient_mark,
            tuple(everything.values()),
            tuple(name for name, s in sources.items() if isinstance(s, _Deferred)),
            replica,
        )
        script.append(
            Attempt(
                attempt.ticket,
                outcome.key,
                self._code(instance.step),
                f"line {instance.step.line}: {instance.step.text}",
                _keys(bundles),
                tuple(modules),
                ambient_key,
                tuple(sorted(self.costs.changes(instance.step))),
                tuple(
                    Code(self._code(d.instance.step), _keys(b), tuple(m), _made(d.sources, number))
                    for d, (b, m) in zip(prelude, inputs[:-1], strict=True)
                ),
                _made(sources, number),
                None if replica is None else replica.key,
            )
        )
        self.attempts[attempt.ticket] = attempt
        instance.attempt = attempt
        self.pool.post(worker, Script(tuple(script)))
        count, seconds = self._loads.get(worker, (0, 0.0))
        self._loads[worker] = (count + 1, seconds + self._cost(instance))
        attempt.ends_s = self._scan_s + self._loads[worker][1]
        return attempt

    def _inputs(
        self, sources: dict[str, Any], worker: Place
    ) -> tuple[dict[str, Bundle], list[tuple[str, str]]]:
        """Return the bundles and the modules from which these sources come."""
        values, modules = _split_modules(sources)
        bundles = self.ledger.bundles_for(values, worker)
        for name, source in sources.items():
            if isinstance(source, _Outcome):
                bundles[name] = source.attempt.outcome
        return bundles, modules

    def _deliver(self, bundle: Bundle, worker: Place, script: list[Instruction]) -> None:
        """See to it that `bundle` is at `worker` before the attempt that follows in `script`."""
        if worker in bundle.holders:
            return
        limit_s = self.settings.receive_limit_s
        if HOME in bundle.holders and bundle.packed is not None:
            name = ", ".join(bundle.objects)
            value = Value(bundle.key, HOME, bundle.packed, name, time.monotonic())
            self.pool.send_value(worker, value)
            script.append(Receive(bundle.key, HOME, limit_s))
        else:
            source = min((p for p in bundle.holders if p in self.pool.ready), default=None)
            if source is None:
                raise Blocked("the worker that held its input is gone")
            self.pool.post(source, Script((Send(bundle.key, (worker,)),)))
            script.append(Receive(bundle.key, source, limit_s))
        bundle.holders.add(worker)

    def _choose(  # noqa: C901 - one decision
        self, instance: Instance, inputs: list[dict[str, Any]]
    ) -> Place:
        """Return the worker on which the instance would end first; ties go to the lowest number.

        Raises:
            Full: no worker has room.
            Blocked: what would have to be sent is too large for a statement of unknown cost.
        """
        sources = inputs[0]
        made_by = {s.attempt.worker for s in sources.values() if isinstance(s, _Outcome)}
        for name in self.costs.changes(instance.step):
            source = sources.get(name)
            if isinstance(source, _Outcome) and source.attempt.worker in self._loads:
                return source.attempt.worker  # an object that changes step by step stays put
        planned = self.places.get(instance.step.id)
        if planned in self._loads:
            assert planned is not None
            return planned
        sizes = {
            (name, id(source.value)): (name, source.value, roughly_bytes(source.value))
            for found in inputs
            for name, source in found.items()
            if isinstance(source, _Known)
        }
        unknown = self.costs.known(instance.step) is None and not self.settings.eager
        ends = [
            s.attempt.ends_s - self._scan_s for s in sources.values() if isinstance(s, _Outcome)
        ]
        made_s = max(ends, default=0.0)
        best: tuple[float, Place] | None = None
        too_large = False
        for place, (number, seconds) in self._loads.items():
            if not self._has_room(number, seconds, instance) and place not in made_by:
                continue
            moved = sum(b for n, v, b in sizes.values() if not self.ledger.held(n, v, place))
            if unknown and moved > MOST_BYTES_UNKNOWN:
                too_large = True
                continue
            start_s = seconds + moved / _BYTES_PER_S
            if made_by - {place}:  # it waits for its input wherever it runs
                start_s = max(start_s, made_s + _HANDOVER_S)
            if best is None or start_s < best[0]:
                best = (start_s, place)
        if best is None and too_large:
            raise Blocked("its input is large, and nothing is known of its cost")
        if best is None:
            raise Full
        return best[1]

    def _has_room(self, number: int, seconds: float, instance: Instance) -> bool:
        if self.settings.eager:
            return number < _ROOM_EAGER
        if number < _ROOM:
            return True
        return self.costs.known(instance.step) is not None and seconds < _ROOM_S

    def _code(self, unit: Unit | HomeStep) -> bytes:
        code = self._codes.get(unit.id)
        if code is None:
            node = unit.node
            if isinstance(node, ast.expr):
                target = ast.Name(VALUE_NAME, ast.Store())
                node = ast.copy_location(ast.Assign([target], node), node)
                ast.copy_location(target, node)
            code = marshal.dumps(self.compile_unit(ast.Module([node], [])))
            self._codes[unit.id] = code
        return code

    # Walking iterables ---------------------------------------------------------------------------

    def _walk(self, node: ast.expr) -> Iterator[Any] | None:
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        known: dict[str, Any] = {}
        for name in names:
            source = self._env.get(name)
            if isinstance(source, _Known):
                known[name] = source.value
            elif source is not None or (name not in self.namespace and name not in vars(builtins)):
                return None
        objects = {
            n: known.get(n, self.namespace.get(n))
            for n in names
            if n in known or n in self.namespace
        }
        if not harmless(node, Scope(objects)):
            return iter(())
        expression = ast.Expression(node)
        try:
            code = self.compile_unit(expression)  # type: ignore[arg-type]
            iterable: Iterable[Any] = eval(code, self.namespace, known)  # noqa: S307 - harmless by analysis
            return iter(iterable)
        except Exception:  # noqa: BLE001 - home will raise it at its turn
            return iter(())


def names_behind(value: Any, namespace: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of `namespace` that a notebook's function or object's methods may use."""
    if isinstance(value, types.FunctionType):
        ours = value.__globals__ is namespace
        return global_names(value.__code__) & namespace.keys() if ours else frozenset()
    kind = value if isinstance(value, type) else type(value)
    if kind.__module__ != "__main__":
        return frozenset()
    functions = [
        getattr(member, "__func__", member)
        for base in kind.__mro__
        if base.__module__ == "__main__"
        for member in vars(base).values()
    ]
    codes = [f.__code__ for f in functions if isinstance(f, types.FunctionType)]
    return frozenset[str]().union(*map(global_names, codes)) & namespace.keys()


def roughly_bytes(value: Any) -> int:
    """Return about how many bytes a value takes, without walking through it."""
    nbytes = getattr(value, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    if type(value).__module__.startswith("pandas.") and hasattr(value, "memory_usage"):
        used = value.memory_usage(deep=False)
        return int(used if isinstance(used, int) else used.sum())
    return sys.getsizeof(value, 0) if type(value) in (list, dict, set, str, bytes) else 0


def _reads_clock(instance: Instance) -> bool:
    return any(reason.blocker is Blocker.CLOCK for reason in instance.effects.home)


def _needed_before(sources: dict[str, Any]) -> list[_Deferred]:
    """Return the cheap statements these sources need, theirs included, in program order.

    Raises:
        Blocked: they are too many to be repeated for one statement.
    """
    found: dict[Order, _Deferred] = {}
    queue = [s for s in sources.values() if isinstance(s, _Deferred)]
    while queue:
        deferred = queue.pop()
        if deferred.instance.order not in found:
            found[deferred.instance.order] = deferred
            queue += [s for s in deferred.sources.values() if isinstance(s, _Deferred)]
    if len(found) > LONGEST_PRELUDE:
        raise Blocked("too many cheap statements come before it")
    return [found[order] for order in sorted(found)]


def _keys(bundles: dict[str, Bundle]) -> tuple[tuple[str, Key], ...]:
    return tuple((name, bundle.key) for name, bundle in bundles.items())


def _made(sources: dict[str, Any], number: dict[Order, int]) -> tuple[tuple[str, int], ...]:
    return tuple(
        (name, number[source.instance.order])
        for name, source in sources.items()
        if isinstance(source, _Deferred)
    )


def _refuse_split_objects(inputs: Iterable[dict[str, Bundle]]) -> None:
    """Raise NotPortable if two bundles of one attempt would hold copies of the same object."""
    seen: dict[int, Bundle] = {}
    for bundle in {b.key: b for bundles in inputs for b in bundles.values()}.values():
        for number in bundle.numbered.index_of:
            if seen.setdefault(number, bundle) is not bundle:
                raise NotPortable("statements before it share objects with what it reads")


def _split_modules(sources: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the known values that travel as bundles, and (name, module name) for modules."""
    values: dict[str, Any] = {}
    modules: list[tuple[str, str]] = []
    for name, source in sources.items():
        if not isinstance(source, _Known):
            continue
        value = source.value
        if isinstance(value, types.ModuleType):
            if sys.modules.get(value.__name__) is not value or value.__name__ == "__main__":
                raise NotPortable(f"the module `{name}` cannot be imported by name")
            modules.append((name, value.__name__))
        else:
            values[name] = value
    return values, modules


def _holds(container: Any, value: Any) -> bool:
    """Whether `container` is `value` or, one level deep, holds it (a prediction only)."""
    if container is value:
        return True
    if type(container) in (list, tuple) and len(container) <= 1000:
        return any(v is value for v in container)
    if type(container) is dict and len(container) <= 1000:
        return any(v is value for v in container.values())
    return False
