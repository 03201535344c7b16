"""The public pool: run code on a worker, send a variable from one worker to another, gather.

Two abilities carry everything: *run this on that worker* and *send this variable from there to
here*; both return at once. The rule: everything that concerns one worker happens there in the
order in which it was posted, so a variable sent before a run is there when the run begins, and no
other synchronisation is needed. A run whose variable did not arrive fails with the reason, and is
not run with an older value.

>>> with Pool(2) as pool:
...     pool.run(2, "y = 1")
...     pool.send("y", 2, 1)
...     pool.run(1, "z = y + 1")
...     pool.gather(1, "z")
{'z': 2}
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, Any

from taskpar_kernel.errors import PoolError, ReceiveTimeout, UsageError
from taskpar_kernel.model.ids import HOME, Key, Place, Ticket
from taskpar_kernel.model.messages import Receive, Run, Script, Send, Value
from taskpar_kernel.pool.answers import Answers, RunResult
from taskpar_kernel.pool.link import WorkerPool
from taskpar_kernel.settings import Settings, TaskPar, check_workers
from taskpar_kernel.transport.pickling import pack, unpack
from taskpar_kernel.transport.segments import Segments, Sweeping

if TYPE_CHECKING:
    from types import TracebackType

    from taskpar_kernel.pool.shared import WorkerState

__all__ = ["Pool", "RunResult"]


class Pool:
    """`n` subkernels (default: as the settings say), numbered from 1.

    A context manager; `close` ends the workers. Methods may be called from any thread.
    """

    def __init__(self, n: int | None = None, **settings: Any):
        self._settings = _settings(n, settings)
        self._keys = itertools.count(1)
        self._tickets = itertools.count(1)
        self._answers = Answers(self._release)
        self._link = WorkerPool(self._settings.workers, self._settings, self._answers.hear)
        self._link.start()
        shared_bytes = self._settings.shared_mb * 1e6
        self._segments = Segments(self._link.segments or None, "api", shared_bytes)
        self._sweeping = Sweeping(self._segments, self._link.call_later)

    @property
    def workers(self) -> tuple[Place, ...]:
        """The numbers of the workers."""
        return self._link.places

    def run(self, worker: int, code: str) -> Future[RunResult]:
        """Run `code` on `worker`, like a cell; return at once.

        The future's result is a `RunResult`. It raises `RemoteError` if the code raised, with the
        worker's traceback; `ReceiveTimeout` if a variable sent to the worker before did not arrive,
        and the code was not run; `WorkerLost` if its process ended.
        """
        place = self._place(worker)
        if not isinstance(code, str):
            raise UsageError(f"code is text, not {type(code).__name__}; nothing was run")
        ticket = Ticket(next(self._tickets))
        with self._answers.lock:
            incarnation = self._link.post(place, Script((Run(ticket, code),)))
            return self._answers.expect_run(ticket, place, incarnation)

    def send(
        self,
        name: str,
        source: int,
        target: int | Iterable[int],
        *,
        limit_s: float | None = None,
    ) -> Future[None]:
        """Send the variable `name` from worker `source` straight to `target` (one or several).

        Returns at once. The future ends when all have it, or raises `ReceiveTimeout` or
        `WorkerLost`; there is no need to wait for it: the targets do, at most `limit_s` seconds
        from when their turn comes (default: the setting `receive_limit_s`).
        """
        places = tuple(
            dict.fromkeys(
                self._place(t) for t in (target if isinstance(target, Iterable) else (target,))
            )
        )
        origin, name = self._place(source), _name(name)
        if not places:
            raise UsageError(f"{name!r} has no target; nothing was sent")
        key = Key(next(self._keys))
        receive = Receive(key, origin, self._limit(limit_s), name)
        with self._answers.lock:
            self._link.post(origin, Script((Send(key, places, name),)))
            stamps = {p: self._link.post(p, Script((receive,))) for p in places}
            return self._answers.expect_arrivals(key, name, stamps)

    def put(self, worker: int | Iterable[int], /, **values: object) -> None:
        """Bind `values` on `worker` (one or several) by name; returns at once."""
        workers = worker if isinstance(worker, Iterable) else (worker,)
        places = dict.fromkeys(self._place(w) for w in workers)
        for name, value in values.items():
            key = Key(next(self._keys))
            packed = pack(value, self._segments)
            message = Value(key, HOME, packed, name, time.monotonic(), once=True)
            script = Script((Receive(key, HOME, self._limit(None), name),))
            with self._answers.lock:
                for place in places:
                    self._link.send_value(place, message)
                stamps = {place: self._link.post(place, script) for place in places}
                self._answers.expect_arrivals(key, name, stamps)

    def gather(
        self, worker: int, names: str | Iterable[str], *, limit_s: float | None = None
    ) -> dict[str, Any]:
        """Return the variables `names` of `worker`, as they are once all that was posted is done.

        Raises:
            ReceiveTimeout: it took longer than `limit_s` seconds.
            RemoteError: a name does not exist there, or its value cannot travel.
            WorkerLost: its process ended.
        """
        place = self._place(worker)
        wanted = [_name(n) for n in ([names] if isinstance(names, str) else names)]
        futures: dict[str, Future[Value]] = {}
        with self._answers.lock:
            for name in wanted:
                key = Key(next(self._keys))
                incarnation = self._link.post(place, Script((Send(key, (HOME,), name),)))
                futures[name] = self._answers.expect_value(key, name, place, incarnation)
        limit = self._limit(limit_s)
        until_s = time.monotonic() + limit
        gathered = {}
        for name, future in futures.items():
            try:
                value = future.result(max(0.0, until_s - time.monotonic()))
            except FutureTimeout:
                if future.done():  # the error came in the future
                    raise
                raise ReceiveTimeout(
                    f"worker {place} did not send {name!r} within {limit:g} s: what was posted "
                    "to it before is still running; it goes on, and a later gather finds the value"
                ) from None
            gathered[name] = unpack(value.packed, self._segments)
            self._release(value.packed.paths)
        return gathered

    def _release(self, paths: Iterable[str]) -> None:
        """Let go of segments that nobody will open any more."""
        Segments.release(paths)
        self._sweeping.begin()

    def wait_ready(self, limit_s: float | None = None, count: int | None = None) -> int:
        """Wait until `count` workers (default: all) are up; there is no need to."""
        limit = self._settings.start_limit_s if limit_s is None else limit_s
        return self._link.wait_ready(limit, count)

    def log(self, worker: int) -> str:
        """Return what `worker` did, one line each: start and end (monotonic seconds), and what."""
        return self._link.log(self._place(worker))

    def describe(self) -> tuple[WorkerState, ...]:
        """Return number, pid, state, memory and age of each worker."""
        return self._link.describe()

    def interrupt(self, worker: int | None = None) -> None:
        """Interrupt the code that runs on `worker`, or on all."""
        self._link.interrupt(None if worker is None else self._place(worker))

    def restart(self, worker: int) -> None:
        """Give `worker` a new process; what was posted to the old one and is not done is lost."""
        self._link.restart(self._place(worker))

    def close(self) -> None:
        """End all workers; what is not done fails with `PoolError`. Again does nothing."""
        self._link.close()
        self._answers.end(PoolError("the pool was closed before this was done"))

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _place(self, worker: object) -> Place:
        places = self._link.places
        if isinstance(worker, bool) or not isinstance(worker, int) or worker not in places:
            raise UsageError(
                f"there is no worker {worker!r}: workers are numbered from 1 to {len(places)}; "
                "nothing was sent"
            )
        return Place(worker)

    def _limit(self, limit_s: float | None) -> float:
        return self._settings.receive_limit_s if limit_s is None else float(limit_s)


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise UsageError(f"{name!r} is not the name of a variable; nothing was sent")
    return name


def _settings(n: int | None, given: dict[str, Any]) -> Settings:
    unknown = given.keys() - Settings.__dataclass_fields__.keys()
    if unknown:
        raise UsageError(
            f"unknown setting {', '.join(sorted(unknown))}; known are "
            f"{', '.join(Settings.__dataclass_fields__)}; nothing was started"
        )
    if n is not None:
        given["workers"] = check_workers(n)
    return TaskPar(**given).freeze()
