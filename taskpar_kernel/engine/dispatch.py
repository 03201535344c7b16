"""A ready unit and the sources of its input come in, a script for the best worker goes out.

The rule: what is sent is what home has at this moment; everything that is assumed about it is
written into the `AttemptRecord`, and checked when home comes to the statement.
"""

from __future__ import annotations

import ast
import marshal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from taskpar_kernel.engine.attempts import AttemptRecord
from taskpar_kernel.engine.gains import Gains
from taskpar_kernel.engine.history import COSTS_MORE, SLOWER_AHEAD
from taskpar_kernel.engine.ledger import refuse_split_memory
from taskpar_kernel.engine.loads import Loads, Patience
from taskpar_kernel.engine.overtaking import Overtaking
from taskpar_kernel.engine.sizes import Size, size_of
from taskpar_kernel.engine.sources import (
    Blocked,
    Deferred,
    Known,
    Outcome,
    Source,
    needed_before,
    split_modules,
)
from taskpar_kernel.errors import Hurried, NotPortable
from taskpar_kernel.model.ids import HOME, Key, Place, Ticket, UnitId
from taskpar_kernel.model.messages import (
    ITEMS_NAME,
    VALUE_NAME,
    Attempt,
    Code,
    Instruction,
    Receive,
    Script,
    Send,
    Value,
)
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.model.steps import HomeStep, Unit
from taskpar_kernel.settings import usable_cores

if TYPE_CHECKING:
    from taskpar_kernel.engine.costs import Costs
    from taskpar_kernel.engine.ledger import Bundle, Ledger
    from taskpar_kernel.engine.stream import Instance, Order
    from taskpar_kernel.pool.link import WorkerPool
    from taskpar_kernel.settings import Settings

WORTH_S = 0.004
"""A statement known to be shorter than this stays home: going out and back costs a tenth of it."""
UNKNOWN_S = 0.1
"""What a statement of unknown cost counts for when the least loaded worker is chosen."""
_PRELUDE_SHARE = 0.3
"""Cheap statements are repeated by whoever needs what they make, up to this share of its time."""
_MOST_SIZES = 64
"""Sizes are remembered of so many values."""
_BYTES_PER_S = 2e9
_HANDOVER_S = 0.001
"""What it takes, at the least, to hand a value from one worker to another."""


@dataclass(slots=True)
class Chunk:
    """Iterations of one unit that go out together: `sources` are the same for all of them."""

    sources: dict[str, Source]
    instances: list[Instance] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    """What each reads beside `sources`: the targets of the loops around it."""


class Full(Exception):
    """No worker has room."""


@dataclass(slots=True)
class Dispatch:
    """Chooses a worker for a unit, and posts its script. It does not decide what may go out."""

    globals: dict[str, Any]
    """The namespace of the notebook."""
    ledger: Ledger
    pool: WorkerPool
    costs: Costs
    settings: Settings
    compile_unit: Callable[[ast.Module], Any]
    next_ticket: Callable[[], Ticket]
    attempts: dict[Ticket, AttemptRecord]
    overtaking: Overtaking
    gains: Gains
    places: dict[UnitId, Place] = field(default_factory=dict)
    """Where the plan puts statements; what is not in it goes by the on-line policy."""
    labels: dict[Key, dict[str, None]] = field(default_factory=dict)
    """The names read from each bundle, for the record."""
    out: list[AttemptRecord] = field(default_factory=list)
    """The attempts that were not over when last looked at."""
    _codes: dict[UnitId, bytes] = field(default_factory=dict)
    _sizes: dict[int, tuple[object, Size]] = field(default_factory=dict)
    _patience: Patience = field(default_factory=Patience)
    _cores: int = field(default_factory=usable_cores)

    def let_go(self) -> None:
        """Hold no object any more: the cell is over, and what it deleted is to be gone."""
        self._sizes.clear()
        self.ledger.let_go()

    def loads(self, workers: frozenset[Place], threads: float) -> Loads:
        """Return how busy `workers` are now; `threads`: cores that home uses."""
        loads = Loads(workers, self.settings.eager, self._cores, threads)
        self.out = [a for a in self.out if not a.over]
        for attempt in self.out:
            cost_s = self._load_s(attempt.instance) * len(attempt.instances)
            loads.add(attempt, cost_s, self.costs.threads(attempt.instance.step) or 1.0)
        return loads

    def cost_s(self, instance: Instance) -> float:
        """Return the seconds an instance counts for."""
        estimate = self.costs.estimate(instance.step)
        if self.settings.eager:  # all statements count alike, so that all workers get their share
            return UNKNOWN_S
        return UNKNOWN_S if estimate is None else estimate

    def _load_s(self, instance: Instance) -> float:
        """Return the seconds for which an instance keeps a worker busy, on average."""
        mean_s = None if self.settings.eager else self.costs.mean(instance.step)
        return self.cost_s(instance) if mean_s is None else mean_s

    def send_out(
        self, instance: Instance, sources: dict[str, Source], loads: Loads, *, idle: bool
    ) -> AttemptRecord:
        """Send one instance to a worker; `idle`: home has nothing else to do.

        Raises:
            Blocked: it cannot go out now, or not yet.
            Full: no worker, or no core, has room.
        """
        assert isinstance(instance.step, Unit)
        prelude = needed_before(sources)
        spent_s = sum(self.cost_s(d.instance) for d in prelude)
        if spent_s > max(WORTH_S, _PRELUDE_SHARE * self.cost_s(instance)):
            text = "what comes before it would have to be repeated, and takes too long"
            raise Blocked("prelude", text)
        if not loads.has_cores(self.costs.threads(instance.step)):
            raise Blocked("uses-all-cores", "it uses several cores by itself")
        if not self.settings.eager:
            self._refuse_in_vain(instance)
        every = (*(d.sources for d in prelude), sources)
        worker = self._choose(instance, sources, every, loads)
        if not self.settings.eager:
            self._be_patient(instance, every, loads.now_s, idle=idle)
        begin_s = time.thread_time()
        try:
            attempt = self._post(instance, sources, prelude, worker, loads)
        except NotPortable as why:
            raise Blocked("not-portable", str(why)) from None
        except Hurried:
            self._patience.hurried(_known_values(every).values())
            raise
        attempt.posting_s = time.thread_time() - begin_s
        return attempt

    def pays(self, step: Unit | HomeStep) -> bool:
        """Whether it is not seen to be in vain to run `step` ahead."""
        return self.no_gain(step) is None

    def no_gain(self, step: Unit | HomeStep) -> Refusal | None:
        """Return why running `step` ahead was seen to be in vain, or None."""
        if self.costs.is_dear_to_take(step) or not self.gains.pays(step, self.costs.mean(step)):
            return COSTS_MORE
        return SLOWER_AHEAD if self.costs.is_slower_away(step) else None

    def _refuse_in_vain(self, instance: Instance) -> None:
        """Raise Blocked where experience says that running ahead does not pay."""
        why = self.no_gain(instance.step)
        if why is not None:
            raise Blocked(why.kind, why.text)
        if self.costs.in_vain(instance.step):
            raise Blocked("in-vain", "it was run ahead in vain before")

    def _be_patient(
        self, instance: Instance, every: Iterable[dict[str, Source]], now_s: float, *, idle: bool
    ) -> None:
        """Raise Blocked if sending the input costs home more than it has spent waiting for it.

        An idle home has the time, but would be sooner done with what takes less than sending.
        """
        new = {n: v for n, v in _known_values(every).items() if not self.ledger.packed(n, v)}
        pack_s = sum(self._size(value).pack_s for value in new.values())
        cost_s = self.costs.known(instance.step)
        if instance.step.id in self.places or (cost_s is not None and cost_s > 2 * pack_s):
            return
        if idle and (cost_s is None or cost_s > pack_s):
            return
        if not self._patience.ends(new.values(), pack_s, now_s):
            text = f"sending its input would take {1e3 * pack_s:.0f} ms"
            raise Blocked("input-large", text, *sorted(new))

    def _size(self, value: Any) -> Size:
        known = self._sizes.get(id(value))
        if len(self._sizes) > _MOST_SIZES:
            self._sizes.clear()  # they hold their objects
        if known is None:
            try:
                size = size_of(value)
            except Exception:  # noqa: BLE001 - a library's own idea of `nbytes` or `dtypes`
                size = Size()
            known = self._sizes[id(value)] = (value, size)
        return known[1]

    def send_chunk(self, chunk: Chunk, loads: Loads, *, idle: bool) -> None:
        """Send several iterations of one cheap unit to a worker at once.

        Raises:
            Blocked: it cannot go out now, or not yet.
            Full: no worker, or no core, has room.
        """
        first = chunk.instances[0]
        if not loads.has_cores(self.costs.threads(first.step)):
            raise Blocked("uses-all-cores", "it uses several cores by itself")
        every = (chunk.sources,)
        worker = self._choose(first, chunk.sources, every, loads)
        if not self.settings.eager:
            self._be_patient(first, every, loads.now_s, idle=idle)
        begin_s = time.thread_time()
        try:
            attempt = self._post_chunk(chunk, worker, loads)
            attempt.posting_s = time.thread_time() - begin_s
        except NotPortable as why:
            self.costs.forbid_chunks(first.step)
            raise Blocked("not-portable", str(why)) from None
        except Hurried:
            self._patience.hurried(_known_values(every).values())
            raise

    def _post_chunk(self, chunk: Chunk, worker: Place, loads: Loads) -> AttemptRecord:
        first = chunk.instances[0]
        bundles, modules = self._inputs(chunk.sources, worker)
        items = self.ledger.items_bundle(chunk.items)
        refuse_splits([bundles, {ITEMS_NAME: items}])
        ambient_key, ambient_mark, ambient = self.ledger.ambient_key()
        inputs = (*{b.key: b for b in bundles.values()}.values(), items)
        attempt = AttemptRecord(
            self.next_ticket(),
            first,
            worker,
            self.ledger.expect(self.ledger.next_key(), worker),
            tuple(bundles.items()),
            tuple((name, sys.modules[module]) for name, module in modules),
            ambient_mark,
            inputs,
            (),
            None,
            tuple(chunk.instances),
            items,
        )
        script: list[Instruction] = []
        for bundle in (*inputs, *([ambient] if ambient is not None else [])):
            self._deliver(bundle, worker, script)
        step = first.step
        label = f"line {step.line}: {len(chunk.items)} × {step.text}"
        script.append(
            Attempt(
                attempt.ticket,
                attempt.outcome.key,
                self._code(step),
                label,
                _keys(bundles),
                tuple(modules),
                ambient_key,
                items=items.key,
            )
        )
        for name, bundle in bundles.items():
            self.labels.setdefault(bundle.key, {})[name] = None
        self._send_off(attempt, script)
        cost_s = self._load_s(first) * len(chunk.items)
        loads.add(attempt, cost_s, self.costs.threads(step) or 1.0)
        attempt.ends_s = loads.ends_s(worker)
        return attempt

    # The script ----------------------------------------------------------------------------------

    def _post(
        self,
        instance: Instance,
        sources: dict[str, Source],
        prelude: list[Deferred],
        worker: Place,
        loads: Loads,
    ) -> AttemptRecord:
        inputs = [self._inputs(s, worker) for s in (*(d.sources for d in prelude), sources)]
        refuse_splits(bundles for bundles, _ in inputs)
        ambient_key, ambient_mark, ambient = self.ledger.ambient_key()
        everything = {b.key: b for found, _ in inputs for b in found.values()}
        if ambient is not None:
            everything[ambient.key] = ambient
        for found, _ in inputs:
            for name, bundle in found.items():
                self.labels.setdefault(bundle.key, {})[name] = None
        script: list[Instruction] = []
        for bundle in everything.values():
            self._deliver(bundle, worker, script)
        bundles, modules = inputs[-1]
        attempt = AttemptRecord(
            self.next_ticket(),
            instance,
            worker,
            self.ledger.expect(self.ledger.next_key(), worker),
            tuple(bundles.items()),
            tuple((name, sys.modules[module]) for name, module in modules),
            ambient_mark,
            tuple(everything.values()),
            tuple(name for name, s in sources.items() if isinstance(s, Deferred)),
            self.ledger.expect(self.ledger.next_key(), worker) if prelude else None,
        )
        script.append(self._instruction(attempt, sources, prelude, inputs, ambient_key))
        self._send_off(attempt, script)
        loads.add(attempt, self._load_s(instance), self.costs.threads(instance.step) or 1.0)
        attempt.ends_s = loads.ends_s(worker)
        return attempt

    def _send_off(self, attempt: AttemptRecord, script: list[Instruction]) -> None:
        """Post the script; only what was posted is waited for.

        Its events may come before this returns: they find the attempt by its ticket.
        """
        self.attempts[attempt.ticket] = attempt
        try:
            self.pool.post(attempt.worker, Script(tuple(script)))
        except BaseException:
            del self.attempts[attempt.ticket]
            raise
        self.out.append(attempt)
        for part, instance in enumerate(attempt.instances):
            instance.attempt, instance.part = attempt, part

    def _instruction(
        self,
        attempt: AttemptRecord,
        sources: dict[str, Source],
        prelude: list[Deferred],
        inputs: list[tuple[dict[str, Bundle], list[tuple[str, str]]]],
        ambient: Key,
    ) -> Attempt:
        step = attempt.instance.step
        number = {d.instance.order: i for i, d in enumerate(prelude)}
        bundles, modules = inputs[-1]
        return Attempt(
            attempt.ticket,
            attempt.outcome.key,
            self._code(step),
            f"line {step.line}: {step.text}",
            _keys(bundles),
            tuple(modules),
            ambient,
            tuple(sorted(self.costs.changes(step))),
            tuple(
                Code(self._code(d.instance.step), _keys(b), tuple(m), _made(d.sources, number))
                for d, (b, m) in zip(prelude, inputs[:-1], strict=True)
            ),
            _made(sources, number),
            None if attempt.replica is None else attempt.replica.key,
        )

    def _inputs(
        self, sources: dict[str, Source], worker: Place
    ) -> tuple[dict[str, Bundle], list[tuple[str, str]]]:
        """Return the bundles and the modules from which these sources come."""
        values, modules = split_modules(sources)
        bundles = self.ledger.bundles_for(values, worker)
        for name, source in sources.items():
            if isinstance(source, Outcome):
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
                raise Blocked("worker-lost", "the worker that held its input is gone")
            self.pool.post(source, Script((Send(bundle.key, (worker,)),)))
            script.append(Receive(bundle.key, source, limit_s))
        bundle.holders.add(worker)

    def _code(self, step: Unit | HomeStep) -> bytes:
        code = self._codes.get(step.id)
        if code is None:
            units = step.members or (step,) if isinstance(step, Unit) else (step,)
            code = marshal.dumps(self.compile_unit(ast.Module([*map(_statement, units)], [])))
            self._codes[step.id] = code
        return code

    # The worker ----------------------------------------------------------------------------------

    def _choose(
        self,
        instance: Instance,
        sources: dict[str, Source],
        every: Iterable[dict[str, Source]],
        loads: Loads,
    ) -> Place:
        """Return the worker on which the instance would end first; ties go to the lowest number.

        Raises:
            Full: no worker has room.
        """
        stays = self._stays_put(instance, sources, loads)
        if stays is not None:
            return stays
        made_by = {s.attempt.worker for s in sources.values() if isinstance(s, Outcome)}
        ends = [s.attempt.ends_s - loads.now_s for s in sources.values() if isinstance(s, Outcome)]
        made_s = max(ends, default=0.0)
        values = _known_values(every)
        known = self.costs.known(instance.step) is not None
        best: tuple[float, Place] | None = None
        for place, (_, seconds) in loads.places.items():
            if not loads.has_room(place, known=known) and place not in made_by:
                continue
            new = (v for n, v in values.items() if not self.ledger.held(n, v, place))
            start_s = seconds + sum(self._size(v).nbytes for v in new) / _BYTES_PER_S
            if made_by - {place}:  # it waits for its input wherever it runs
                start_s = max(start_s, made_s + _HANDOVER_S)
            if best is None or start_s < best[0]:
                best = (start_s, place)
        if best is None:
            raise Full
        return best[1]

    def _stays_put(
        self, instance: Instance, sources: dict[str, Source], loads: Loads
    ) -> Place | None:
        """Return the worker that has the object which changes step by step, or that is planned."""
        for name in self.costs.changes(instance.step):
            source = sources.get(name)
            if isinstance(source, Outcome) and source.attempt.worker in loads.places:
                return source.attempt.worker
        planned = self.places.get(instance.step.id)
        return planned if planned in loads.places else None


def _statement(step: Unit | HomeStep) -> ast.stmt:
    """Return the statement that a worker runs: the value of an expression has a name there."""
    node = step.node
    if isinstance(node, ast.stmt):
        return node
    target = ast.copy_location(ast.Name(VALUE_NAME, ast.Store()), node)
    others = step.targets if isinstance(step, Unit) else ()
    return ast.copy_location(ast.Assign([target, *others], node), node)


def _known_values(every: Iterable[dict[str, Source]]) -> dict[str, Any]:
    return {n: s.value for found in every for n, s in found.items() if isinstance(s, Known)}


def _keys(bundles: dict[str, Bundle]) -> tuple[tuple[str, Key], ...]:
    return tuple((name, bundle.key) for name, bundle in bundles.items())


def _made(sources: dict[str, Source], number: dict[Order, int]) -> tuple[tuple[str, int], ...]:
    return tuple(
        (name, number[source.instance.order])
        for name, source in sources.items()
        if isinstance(source, Deferred)
    )


def refuse_splits(inputs: Iterable[dict[str, Bundle]]) -> None:
    """Raise NotPortable if two bundles of one attempt would hold copies of one object or memory.

    What the statements of a prelude read, and what the attempt itself reads, was packed apart.
    """
    seen: dict[int, Bundle] = {}
    every = {b.key: b for bundles in inputs for b in bundles.values()}.values()
    refuse_split_memory(every)
    for bundle in every:
        for number in (*bundle.numbered.index_of, *bundle.numbered.dicts):
            if seen.setdefault(number, bundle) is not bundle:
                raise NotPortable("statements before it share objects with what it reads")
