"""What callers of the public pool wait for: events come in, futures end.

A run has ended when its `Finished` *and* as many of its outputs as that says are here: the two
travel on different sockets. The rule: every future ends, by its answer, by the loss of the process
it was posted to (the incarnation tells which that is), or when the pool is closed.
"""

from __future__ import annotations

import re
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from taskpar_kernel.errors import ReceiveTimeout, RemoteError, TaskParError, WorkerLost
from taskpar_kernel.model.messages import (
    Event,
    Finished,
    Lost,
    Output,
    Received,
    TimedOut,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from taskpar_kernel.model.ids import Key, Place, Ticket

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run printed, and how many seconds it took."""

    stdout: str
    stderr: str
    seconds: float


def _future() -> Future[Any]:
    """Return a future that cannot be cancelled: what was posted is done."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


@dataclass(slots=True)
class _Run:
    place: Place
    incarnation: int
    future: Future[RunResult] = field(default_factory=_future)
    outputs: list[Output] = field(default_factory=list)
    finished: Finished | None = None


@dataclass(slots=True)
class _Arrivals:
    name: str
    stamps: dict[Place, int]
    paths: set[str] = field(default_factory=set)
    """What can be let go of when all have it."""
    future: Future[None] = field(default_factory=_future)


@dataclass(slots=True)
class _Gathered:
    name: str
    place: Place
    incarnation: int
    future: Future[Value] = field(default_factory=_future)


class Answers:
    """The open futures of one pool.

    `hear` is called on the I/O thread. Whoever posts holds `lock` until the future is made, so no
    answer comes before its future, and no loss is missed. Futures end outside of the lock: their
    callbacks are foreign code. `release` takes the files of segments that all have opened.
    """

    def __init__(self, release: Callable[[Iterable[str]], None]) -> None:
        self._release = release
        self.lock = threading.RLock()
        self._runs: dict[Ticket, _Run] = {}
        self._arrivals: dict[Key, _Arrivals] = {}
        self._values: dict[Key, _Gathered] = {}
        self._due: list[Callable[[], None]] = []

    def expect_run(self, ticket: Ticket, place: Place, incarnation: int) -> Future[RunResult]:
        """Return the future of a run that was posted to this process."""
        run = self._runs[ticket] = _Run(place, incarnation)
        return run.future

    def expect_arrivals(self, key: Key, name: str, stamps: Mapping[Place, int]) -> Future[None]:
        """Return the future of a value that is on its way to these processes."""
        arrivals = self._arrivals[key] = _Arrivals(name, dict(stamps))
        return arrivals.future

    def expect_value(self, key: Key, name: str, place: Place, incarnation: int) -> Future[Value]:
        """Return the future of a value that was asked of this process."""
        gathered = self._values[key] = _Gathered(name, place, incarnation)
        return gathered.future

    def hear(self, event: Event) -> None:
        """Take an event; end the futures that it answers."""
        with self.lock:
            if isinstance(event, Output):
                self._take_output(event)
            elif isinstance(event, Finished):
                self._take_finished(event)
            elif isinstance(event, Value):
                self._take_value(event)
            elif isinstance(event, Received | TimedOut):
                self._take_arrival(event)
            elif isinstance(event, Lost):
                self._take_loss(event)
        self._settle()

    def end(self, error: TaskParError) -> None:
        """Let everything that is still open fail with `error`."""
        with self.lock:
            for table in (self._runs, self._arrivals, self._values):
                for waiting in table.values():
                    self._fail(waiting.future, error)
                table.clear()
        self._settle()

    def _settle(self) -> None:
        with self.lock:
            due, self._due = self._due, []
        for end in due:
            end()

    def _take_output(self, output: Output) -> None:
        run = self._runs.get(output.ticket)
        if run is not None:
            run.outputs.append(output)
            self._end_if_complete(output.ticket, run)

    def _take_finished(self, finished: Finished) -> None:
        run = self._runs.get(finished.ticket)
        if run is not None:
            run.finished = finished
            self._end_if_complete(finished.ticket, run)

    def _end_if_complete(self, ticket: Ticket, run: _Run) -> None:
        finished = run.finished
        if finished is None or len(run.outputs) < finished.outputs:
            return
        del self._runs[ticket]
        if finished.ok:
            self._due.append(partial(run.future.set_result, _result(finished, run.outputs)))
        else:
            self._due.append(partial(run.future.set_exception, _error(finished)))

    def _take_value(self, value: Value) -> None:
        gathered = self._values.pop(value.key, None)
        if gathered is None:
            return
        if value.error:
            error = _named_error(value.error, f"{gathered.name!r} was not sent: {value.error}")
            self._due.append(partial(gathered.future.set_exception, error))
        else:
            self._due.append(partial(gathered.future.set_result, value))

    def _take_arrival(self, event: Received | TimedOut) -> None:
        arrivals = self._arrivals.get(event.key)
        if arrivals is None:
            return
        if isinstance(event, TimedOut):
            del self._arrivals[event.key]
            why = event.why or "it did not arrive within the limit"
            message = (
                f"worker {event.worker} did not receive {arrivals.name!r} "
                f"from worker {event.source}: {why}"
            )
            error = _named_error(event.why or "ReceiveTimeout", message)
            self._due.append(partial(arrivals.future.set_exception, error))
            return
        arrivals.stamps.pop(event.worker, None)
        arrivals.paths |= event.paths
        if not arrivals.stamps:
            del self._arrivals[event.key]
            self._due.append(partial(self._release, arrivals.paths))
            self._due.append(partial(arrivals.future.set_result, None))

    def _take_loss(self, lost: Lost) -> None:
        ends = "it will not be started again" if lost.final else "a new process takes its place"
        text = (
            f"worker {lost.worker} was lost ({lost.why}); what only it held is gone "
            f"and what was posted to it is not done; {ends}"
        )

        def is_lost(place: Place, incarnation: int) -> bool:
            return place == lost.worker and incarnation <= lost.incarnation

        for ticket, run in list(self._runs.items()):
            if is_lost(run.place, run.incarnation):
                self._fail(self._runs.pop(ticket).future, WorkerLost(text))
        for key, gathered in list(self._values.items()):
            if is_lost(gathered.place, gathered.incarnation):
                self._fail(self._values.pop(key).future, WorkerLost(text))
        for key, arrivals in list(self._arrivals.items()):
            if any(is_lost(p, i) for p, i in arrivals.stamps.items()):
                self._fail(self._arrivals.pop(key).future, WorkerLost(text))

    def _fail(self, future: Future[Any], error: TaskParError) -> None:
        self._due.append(partial(future.set_exception, error))


def _result(finished: Finished, outputs: list[Output]) -> RunResult:
    texts = {"stdout": "", "stderr": ""}
    for output in outputs:
        if output.msg_type == "stream":
            texts[str(output.content["name"])] += str(output.content["text"])
    return RunResult(texts["stdout"], texts["stderr"], finished.end_s - finished.start_s)


def _error(finished: Finished) -> TaskParError:
    place = f"worker {finished.worker}"
    if finished.ename == "ReceiveTimeout":
        return ReceiveTimeout(f"{place} did not run this: {finished.why}")
    trace = _COLOURS.sub("", finished.traceback)
    what = f"{finished.ename}: {finished.evalue}" if finished.ename else finished.why
    return RemoteError(
        f"{place}: {what}\n\n{trace}".rstrip(),
        ename=finished.ename,
        evalue=finished.evalue,
        traceback=trace,
    )


def _named_error(line: str, message: str) -> TaskParError:
    """Return the error whose name begins `line`, "NameError: …", with `message`."""
    ename, _, evalue = line.partition(": ")
    if ename == "WorkerLost":
        return WorkerLost(message)
    if ename == "ReceiveTimeout":
        return ReceiveTimeout(message)
    return RemoteError(message, ename=ename, evalue=evalue)
