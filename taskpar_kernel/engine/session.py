"""One notebook session: the pool, what was learned, and the cell that is running.

Cells come in as lists of statements, `RunRecord`s go out. The rule: whatever goes wrong with the
pool, the cell runs serially at home, and one line says so.
"""

from __future__ import annotations

import ast
import builtins
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING, Any

from taskpar_kernel.ambient import providers
from taskpar_kernel.ambient.libraries import LIBRARIES
from taskpar_kernel.analysis.decompose import decompose
from taskpar_kernel.analysis.trees import walk
from taskpar_kernel.engine.attempts import AttemptRecord
from taskpar_kernel.engine.cell import CellRun
from taskpar_kernel.engine.costs import Costs
from taskpar_kernel.engine.dispatch import Dispatch
from taskpar_kernel.engine.facts import CellFacts, facts_of
from taskpar_kernel.engine.gains import Gains
from taskpar_kernel.engine.history import History, too_short
from taskpar_kernel.engine.iterations import BUSY_S
from taskpar_kernel.engine.ledger import Ledger
from taskpar_kernel.engine.loads import Meter
from taskpar_kernel.engine.lookahead import Lookahead, Moment
from taskpar_kernel.engine.marks import AmbientMark
from taskpar_kernel.engine.memory.keeper import Memory, user_folder
from taskpar_kernel.engine.natively import explain_native
from taskpar_kernel.engine.overtaking import Overtaking
from taskpar_kernel.engine.preloads import Preloads
from taskpar_kernel.engine.reasons import STARTING, WORTH_S, explain
from taskpar_kernel.engine.relay import Relay
from taskpar_kernel.engine.signals import deferred_interrupts
from taskpar_kernel.engine.touched import FilesTouched, watch
from taskpar_kernel.engine.turn import Turn
from taskpar_kernel.errors import PoolError, TaskParError
from taskpar_kernel.model.ids import HOME, Key, Place, Ticket
from taskpar_kernel.model.messages import (
    AtGate,
    Event,
    Finished,
    Forget,
    Lost,
    Output,
    Preload,
    Preloaded,
    Prepared,
    Ready,
    Received,
    Script,
    Started,
)
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.model.run import ReasonRecord, RunRecord, StatementRecord
from taskpar_kernel.model.steps import LoopStep, Step, TopLevel, Unit, flat
from taskpar_kernel.pool.link import WorkerPool
from taskpar_kernel.settings import usable_cores
from taskpar_kernel.threads import start_thread
from taskpar_kernel.transport.own import OWN
from taskpar_kernel.transport.segments import NO_SEGMENTS, Segments, Sweeping

if TYPE_CHECKING:
    from taskpar_kernel.settings import Settings

_log = logging.getLogger(__name__)
_AGAIN_S, _SELDOM_S = 0.02, 0.16
"""The look-ahead thread looks again so long after it found nothing to send: seldom, in the end."""
SHORT_CELL_S = 0.015
"""A cell that took less than this is run as it is the next time: looking closer costs a tenth."""
_BUILTINS = frozenset(name for name in vars(builtins) if not name.startswith("_"))
_SUSPENDING = ("await", "async", "yield", "return")

_last: list[Callable[[], RunRecord]] = []
"""How to make the record of the last cell; a cell that ran as it is makes it only if asked."""


def last_run() -> RunRecord:
    """Return the record of the last cell that ran under the parallel engine in this process.

    Raises:
        TaskParError: no cell has run yet.
    """
    if not _last:
        raise TaskParError("no cell has run under taskpar yet")
    return _last[-1]()


class Session:
    """Ties a notebook's namespace to a pool of workers. One per shell.

    It owns the pool and the look-ahead thread; it does not walk the cell (`CellRun` does).
    """

    def __init__(self, shell: Any, settings: Settings):
        self.settings = settings
        self.lock = Turn()
        self.meter = Meter()
        self.wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.memory = Memory(user_folder, lambda: self.settings.history)
        self.costs = Costs(self.memory.recall, self.memory.tag)
        self.overtaking = Overtaking(costs=self.costs)
        self.gains = Gains(usable_cores())
        self.touched = FilesTouched()
        self._ambient = AmbientMark()
        self.relay = Relay(shell)
        self.pool: WorkerPool | None = None
        self.segments: Segments = NO_SEGMENTS
        self._shell = shell
        self._keys = count(1)
        self._tickets = count(1)
        self._cell: CellRun | None = None
        self._attempts: dict[Ticket, AttemptRecord] = {}
        self._running: dict[Place, Ticket] = {}
        """What each worker runs now, as far as it has said."""
        self._busy = threading.Event()
        self._can_plan = threading.Event()
        self._thread: threading.Thread | None = None
        self._warned = False
        self._modules = 0
        self._preloads = Preloads(self._preload, self._prepare)
        self._text = ""
        self._declined: tuple[Refusal | None, CellFacts | None] = (None, None)
        """Why the present cell runs as it is; or the facts that tell."""
        self._compile: Callable[[ast.AST], Any] = _plain_compile

    @property
    def namespace(self) -> dict[str, Any]:
        """The user's namespace."""
        namespace: dict[str, Any] = self._shell.user_ns
        return namespace

    def hidden_builtins(self) -> set[str]:
        """Return the names of builtins that the user has bound to something else."""
        names, own = self.namespace, self._shell.user_ns_hidden
        return {n for n in names.keys() & _BUILTINS if names[n] is not own.get(n, names)}

    @property
    def expected_s(self) -> float | None:
        """How long the present cell took the last time, or None."""
        return self.costs.cell_s(self._text)

    @property
    def imported(self) -> tuple[str, ...]:
        """The modules and packages that workers import as soon as home has."""
        return self._preloads.told

    # Life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to start the workers; returns at once."""
        if self.pool is not None:
            return
        try:
            pool = WorkerPool(self.settings.workers, self.settings, self._on_event)
            pool.start()
        except (OSError, TaskParError) as error:
            self._no_pool(str(error))
            return
        most_bytes = self.settings.shared_mb * 1e6
        self.segments = Segments(pool.segments or None, "home", most_bytes)
        self._sweeping = Sweeping(self.segments, pool.call_later)
        self.pool = pool
        self._preloads.began()
        self._get_ready()
        self.memory.start(self.costs.take_unsaved, lambda: self._cell is not None)

    def close(self) -> None:
        """Stop the workers; the session runs cells serially from here on."""
        pool, self.pool = self.pool, None
        try:
            self.memory.save(self.costs.take_unsaved, ends=True)
        finally:
            if pool is not None:
                pool.close()
        self._preloads.all_lost()
        self._running.clear()

    def resize(self, settings: Settings) -> None:
        """Replace the pool by one of another size; it comes up in the background."""
        self.close()
        self.settings = settings
        self._warned = False
        self.start()

    def wait_ready(self) -> None:
        """Wait until the workers are up (eager mode only)."""
        if self.pool is None:
            return
        try:
            self.pool.wait_ready(self.settings.start_limit_s)
        except PoolError as error:
            self._no_pool(str(error))

    def _no_pool(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            self.say(
                f"taskpar: the workers could not be started ({why}); cells run serially at home"
            )

    def say(self, line: str) -> None:
        """Tell the user one line, on stderr."""
        if self._cell is not None:
            self._cell.history.notes.append(line)
        sys.stderr.write(line + "\n")

    # Cells -----------------------------------------------------------------------------------

    def prepare(
        self,
        nodes: Sequence[ast.stmt],
        interactive: frozenset[int],
        compile_unit: Callable[[ast.AST], Any],
        lines: Sequence[str],
    ) -> CellRun | None:
        """Return the run of a cell, or None if it has nothing to gain and is to run as it is."""
        if self._cell is not None or threading.current_thread() is not threading.main_thread():
            return None
        self._text = "".join(lines)
        if self.pool is None:
            self._declined = (Refusal("no-workers", "the workers are not running"), None)
            return None
        declined = self._too_little(nodes, self._text)
        if declined is not None:
            self._declined = (declined, None)
            return None
        if self.pool.failure and not self.pool.ready:
            self._no_pool(self.pool.failure)
            self._declined = (Refusal("no-workers", self.pool.failure), None)
            return None
        tops = decompose(
            nodes,
            self.namespace,
            interactive=interactive,
            eager=self.settings.eager,
            lines=lines,
        )
        self.gains.begin_cell()
        self.costs.begin_cell(self.memory.identities(tops, self.namespace))
        if not self._gains(tops):
            self._declined = (None, facts_of(tops))
            return None
        self._compile = compile_unit
        cell = CellRun(self, tops)
        self._plan(cell, tops)
        return cell

    def _plan(self, cell: CellRun, tops: tuple[TopLevel, ...]) -> None:
        """Let a plan say where the statements go, if their costs are known by now."""
        if self.settings.eager or self.settings.policy == "online" or not self._can_plan.is_set():
            return
        # late on purpose: networkx takes 0.1 s to import, and the look-ahead thread has the time
        from taskpar_kernel.engine.planned import planned

        plan = planned(
            tops, self.costs, self.namespace, self.settings.workers, self.settings.policy
        )
        cell.dispatch.places, cell.history.planned = plan.places, plan.records

    def _too_little(self, nodes: Sequence[ast.stmt], text: str) -> Refusal | None:
        """Return why a closer look at a cell cannot pay; the text is looked at first, for free."""
        if sys.gettrace() is not None:
            return Refusal("cell-traced", "a debugger or tracer watches what runs here")
        if any(word in text for word in _SUSPENDING) and any(map(_awaits, nodes)):
            return Refusal("blocked-await", "the cell awaits at the top level")
        if self.settings.eager:
            return None
        cell_s = self.costs.cell_s(text)
        if cell_s is not None and cell_s < SHORT_CELL_S:
            return too_short(cell_s)
        calls = "(" in text and any(map(_calls, nodes))
        return None if calls else Refusal("no-calls", "nothing in it calls a function")

    def _gains(self, tops: tuple[TopLevel, ...]) -> bool:
        """Whether at least two steps may be dear, and one of them may travel."""
        if self.settings.eager:
            return any(top.free or any(map(_is_unit, flat(top.steps))) for top in tops)
        if any(top.free for top in tops):
            return True
        units = dear = 0
        for top in tops:
            for step in top.steps:
                if isinstance(step, LoopStep):
                    return True
                if isinstance(step, Unit):
                    cost_s = self.costs.estimate(step)
                    if not step.trivial and (cost_s is None or cost_s > BUSY_S):
                        units += 1
                elif self.costs.estimate(step) != 0.0:
                    dear += 1
        return units >= 1 and units + dear >= 2

    @contextmanager
    def running(self, cell: CellRun) -> Iterator[None]:
        """Let the look-ahead thread watch `cell` while the block runs, and clean up after it."""
        self._cell = cell
        self._watch()
        self.touched.clear()
        watch(self.touched)
        try:
            yield
        finally:
            watch(None)
            with deferred_interrupts():
                self._end(cell)

    def _end(self, cell: CellRun) -> None:
        tidy = (cell.finish, self._warm_up, partial(self._forget, cell), partial(self._tell, cell))
        for step in tidy:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - no defect of ours costs the user a cell
                _log.debug("after the cell", exc_info=True)
                self.say(
                    f"taskpar: an error of its own after the cell ({type(error).__name__}: "
                    f"{error}); what the cell did is complete"
                )
        self._cell = None
        self._busy.clear()
        self.memory.has_news()

    def _tell(self, cell: CellRun) -> None:
        """Keep the record of the cell for `last_run`, and what it cost."""
        self._say_notice()
        record = cell.history.record(len(cell.dispatch.attempts), cell.taking.waited_s)
        self.costs.observe_cell(self._text, record.wall_s)
        history, facts, waited_s = cell.history, cell.facts(), cell.taking.waited_s

        @cache
        def told() -> RunRecord:
            reasons = explain(record, facts, ready=history.ready, waited_s=waited_s)
            return replace(history.named(record), reasons=reasons)

        _last[:] = [told]

    def ran_early(self, nodes: Sequence[ast.stmt], wall_s: float, text: str) -> None:
        """A cell of this text began before the session was there."""
        self._ran_natively(nodes, wall_s, text, partial(self._explain_early, nodes, wall_s, text))

    def _explain_early(
        self, nodes: Sequence[ast.stmt], wall_s: float, text: str
    ) -> tuple[ReasonRecord, ...]:
        """Tell whether the workers were missed; the cell is looked into only if someone asks."""
        tops = decompose(nodes, self.namespace, lines=text.splitlines(keepends=True))
        if wall_s >= WORTH_S and self._gains(tops):
            return explain_native(None, wall_s, STARTING)
        return explain_native(facts_of(tops), wall_s, None)

    def ran_natively(self, nodes: Sequence[ast.stmt], wall_s: float, text: str) -> None:
        """A cell of this text ran as it is: nothing went out."""
        (refusal, facts), self._declined = self._declined, (None, None)
        self._ran_natively(nodes, wall_s, text, partial(explain_native, facts, wall_s, refusal))

    def _ran_natively(
        self,
        nodes: Sequence[ast.stmt],
        wall_s: float,
        text: str,
        explained: Callable[[], tuple[ReasonRecord, ...]],
    ) -> None:
        self._say_notice()
        self._warm_up()
        self.costs.observe_cell(text, wall_s)
        for node in nodes:
            self.ran_at_home(node)
        names = {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}
        values = [self.namespace[name] for name in names if name in self.namespace]
        LIBRARIES.suspect(LIBRARIES.packages(values, self.namespace))
        workers = self.settings.workers
        _last[:] = [partial(serial_record, tuple(nodes), wall_s, workers, cache(explained))]

    def _say_notice(self) -> None:
        """Tell what is wrong with the file of learned costs, if it is not told yet."""
        notice = self.memory.notice()
        if notice:
            self.say(notice)

    def _warm_up(self) -> None:
        """Take in the modules that a cell has loaded before something of the next is pickled."""
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            LIBRARIES.update()
            self._preloads.loaded(self.pool.ready if self.pool is not None else ())
            start_thread(OWN.update, "warm-up")

    def new_lookahead(self, tops: tuple[TopLevel, ...]) -> Lookahead:
        """Return a fresh look-ahead over these statements."""
        assert self.pool is not None
        self._attempts = {}
        self._ambient.passed()
        self._ambient.now()
        dispatch = Dispatch(
            self.namespace,
            Ledger(self._keys, self.segments, self._ambient, self.lock.check),
            self.pool,
            self.costs,
            self.settings,
            self._compile,
            lambda: Ticket(next(self._tickets)),
            self._attempts,
            self.overtaking,
            self.gains,
        )
        return Lookahead(tops, dispatch, lambda: self.namespace, self.free_workers)

    def new_history(self) -> History:
        """Return an empty history of a cell that starts now."""
        return History(self.settings.workers, self.settings.eager or bool(self.free_workers()))

    def _forget(self, cell: CellRun) -> None:
        """Let go of the cell's bundles, here and on the workers."""
        pool = self.pool
        bundles = tuple(cell.dispatch.ledger.bundles.values())
        cell.dispatch.let_go()
        if pool is None or not bundles:
            return
        self.segments.release_all()  # also what workers sent one another, and what nobody took
        self._sweeping.begin()
        for worker in pool.ready:
            keys = tuple(Key(b.key) for b in bundles if worker in b.holders)
            if keys:
                pool.post(worker, Script((Forget(keys),)))

    def announce(self, nodes: Sequence[ast.stmt]) -> None:
        """A cell of these statements begins: what it imports first, workers begin to import."""
        if self.gains.cores > 1:  # home's own import needs one
            self._preloads.announced(nodes, self.pool.ready if self.pool is not None else ())

    def ran_at_home(self, node: ast.stmt) -> None:
        """Home ran a statement: what it imported, workers will need too."""
        if isinstance(node, ast.Import | ast.ImportFrom):
            LIBRARIES.update()
            self._preloads.imported(node, self.pool.ready if self.pool is not None else ())

    def _preload(self, worker: Place, modules: tuple[str, ...]) -> None:
        if self.pool is not None:
            self.pool.post(worker, Script((Preload(modules, providers.around_imports()),)))

    def _prepare(self, modules: tuple[str, ...]) -> bool:
        if self.pool is None or self.settings.eager:  # eager: no worker is kept waiting
            return False
        self.pool.prepare(modules, providers.around_imports())
        return True

    def free_workers(self) -> frozenset[Place]:
        """Return the workers that are up and not busy importing."""
        if self.pool is None:
            return frozenset()
        ready = frozenset(w for w in self.pool.ready if not self.is_held(w))
        if self.settings.eager:
            return ready
        return frozenset(w for w in ready if not self._preloads.is_importing(w))

    def are_importing(self) -> bool:
        """Whether a worker is still busy with what home has imported."""
        return self.pool is not None and any(map(self._preloads.is_importing, self.pool.places))

    def is_held(self, worker: Place) -> bool:
        """Whether the worker still runs what was given up, and does not let go of it."""
        ticket = self._running.get(worker)
        if ticket is None:
            return False
        attempt = self._attempts.get(ticket)
        return attempt is None or attempt.dropped

    # Events (on the I/O thread) -----------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Ready):
            self._preloads.came_up(event.worker)
        elif isinstance(event, Preloaded):
            self._preloads.done(event.worker)
        elif isinstance(event, Prepared):
            self._preloads.prepared(
                event.replaced, self.pool.ready if self.pool is not None else ()
            )
        elif isinstance(event, Received):
            cell = self._cell
            if cell is not None:
                cell.history.moved(event)
            return
        elif isinstance(event, Lost):
            self._lost(event)
        elif isinstance(event, Started | AtGate | Finished | Output):
            self._progress(event)
        self.wake.put(None)

    def _progress(self, event: Started | AtGate | Finished | Output) -> None:
        attempt = self._attempts.get(event.ticket)
        if isinstance(event, Started):
            self._running[event.worker] = event.ticket
        elif isinstance(event, Finished) and self._running.get(event.worker) == event.ticket:
            del self._running[event.worker]
        if attempt is None:
            return
        if isinstance(event, Started):
            attempt.started_s = event.at_s
        elif isinstance(event, AtGate):
            attempt.gate = event
        elif isinstance(event, Finished):
            attempt.finished = event
            self._busy.set()
        else:
            attempt.outputs.append(event)

    def _lost(self, event: Lost) -> None:
        self._running.pop(event.worker, None)
        self._preloads.lost(event.worker, final=event.final)
        for attempt in tuple(self._attempts.values()):
            if attempt.worker == event.worker and attempt.finished is None:
                attempt.gone = True
            if attempt.worker == event.worker and not attempt.over:
                attempt.lost = f"ended ({event.why})"
        cell = self._cell
        if cell is not None:
            for bundle in tuple(cell.dispatch.ledger.bundles.values()):
                bundle.holders.discard(event.worker)

    # The look-ahead thread ------------------------------------------------------------------------

    def _get_ready(self) -> None:
        """Start the look-ahead thread: what it imports takes a second beside a busy home."""
        if self._thread is None:
            self._thread = start_thread(self._look, "look-ahead")

    def _watch(self) -> None:
        self._get_ready()
        self._busy.set()

    def _look(self) -> None:
        """Wake up when home is stuck in one statement, and send out what is ready."""
        import_module("taskpar_kernel.engine.planned")
        self._can_plan.set()
        OWN.update()
        while True:
            self._busy.wait()
            self._busy.clear()
            self.meter.read()
            rest_s = _AGAIN_S
            while (cell := self._cell) is not None and not self.settings.eager:
                busy_s = time.monotonic() - cell.time.since_s
                threads = self.meter.read()
                if busy_s < BUSY_S or cell.taking.waiting:
                    time.sleep(BUSY_S)
                    continue
                if cell.look_ahead(Moment(bold=True, threads=threads)):
                    rest_s = _AGAIN_S
                elif self._busy.wait(rest_s):
                    self._busy.clear()
                else:
                    rest_s = min(2 * rest_s, _SELDOM_S)


def serial_record(
    nodes: Sequence[ast.stmt],
    wall_s: float,
    workers: int,
    reasons: Callable[[], tuple[ReasonRecord, ...]],
) -> RunRecord:
    """Return the record of a cell that ran as it is; `reasons` gives why."""
    told = {reason.line: reason for reason in reasons()}
    statements = []
    for node in nodes:
        why = told.get(node.lineno, told.get(0))
        sentence, kind = (why.sentence, why.kind) if why else ("", "")
        text = ast.unparse(node).split("\n", 1)[0][:120]
        statements.append(
            StatementRecord(node.lineno, text, "home", "home", 0.0, 0.0, sentence, kind)
        )
    return RunRecord(wall_s, wall_s, workers, tuple(statements), reasons=reasons())


def _is_unit(step: Step) -> bool:
    return isinstance(step, Unit)


def _plain_compile(node: ast.AST) -> Any:
    return compile(node, "<cell>", "exec")  # type: ignore[call-overload]


def _awaits(node: ast.stmt) -> bool:
    kinds = ast.Await | ast.AsyncFor | ast.AsyncWith | ast.Yield | ast.YieldFrom | ast.Return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return any(isinstance(n, kinds) for n in walk(node))


def _calls(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return any(isinstance(n, ast.Call) for n in walk(node))


__all__ = ["HOME", "Session", "last_run"]
