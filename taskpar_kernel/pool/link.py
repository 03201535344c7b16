"""The low-level pool that the engine uses: scripts and values go to workers, events come back.

The rule: every method may be called from any thread and returns at once (`wait_ready`, `describe`,
`log` and `close` excepted); everything posted to one worker is carried out in posting order.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]

from taskpar_kernel.errors import PoolError, UsageError
from taskpar_kernel.model.ids import HOME, Place, Ticket
from taskpar_kernel.model.messages import Event, Lost, Proceed, Script, Value
from taskpar_kernel.pool.folder import Folder
from taskpar_kernel.pool.shared import Plan, Shared, Snapshot, WorkerState
from taskpar_kernel.pool.zygote import Zygote
from taskpar_kernel.settings import Settings, check_workers
from taskpar_kernel.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from taskpar_kernel.pool.io_loop import IoLoop

CLOSE_LIMIT_S = 3.0


class WorkerPool:
    """`workers` subkernels, numbered from 1, and the thread that talks to them.

    `listener(event)` is called on that thread for everything that happens. Making and starting a
    pool takes no time worth mentioning: the workers come up in the background, all at once, and
    what is posted meanwhile waits for them. `forks`: they are forked from a zygote where the system
    allows it.
    """

    def __init__(
        self,
        workers: int,
        settings: Settings,
        listener: Callable[[Event], None],
        *,
        python: str = sys.executable,
        forks: bool = True,
    ):
        self._plan = Plan(check_workers(workers), settings, python, _present_folder(), forks)
        self._folder = Folder()
        self._listener = listener
        self.places = tuple(Place(n) for n in range(1, self._plan.workers + 1))
        self._shared = Shared(self._folder.path, {p: Snapshot(1, "starting") for p in self.places})
        self._thread: threading.Thread | None = None
        self._loop: IoLoop | None = None
        self._closed = False
        self._closing = threading.Lock()
        self._owner = os.getpid()

    def start(self) -> None:
        """Start the I/O thread, which starts the workers; returns at once."""
        if self._thread is not None or self._closed:
            return
        self._thread = start_thread(self._serve, "I/O")
        atexit.register(self.close)

    def _serve(self) -> None:
        zygote = Zygote.start(self._plan)  # it imports beside this thread
        # late on purpose: jupyter_client takes 0.1 s to import, and this thread has the time
        from taskpar_kernel.pool.io_loop import IoLoop

        try:
            self._loop = IoLoop(self._plan, self._shared, self._folder, self._listener, zygote)
            self._loop.run()
        except BaseException as error:
            why = f"the pool's I/O thread ended: {type(error).__name__}: {error}"
            self._shared.fail(why)
            for place, snapshot in self._shared.snapshots.items():
                self._listener(Lost(place, why, snapshot.incarnation, final=True))
            raise
        finally:
            if zygote is not None:
                zygote.close()
            self._folder.remove()

    # State

    @property
    def ready(self) -> frozenset[Place]:
        """The workers that are up now."""
        return self._shared.ready

    @property
    def failure(self) -> str:
        """Why not all workers will come up; empty if nothing is wrong."""
        return self._shared.failure

    @property
    def segments(self) -> str:
        """The folder for shared segments of this pool, '' if there is none; made by `start`."""
        return self._folder.segments

    @property
    def folder(self) -> str:
        """The private folder of this pool."""
        return str(self._folder.path)

    def incarnation(self, worker: Place) -> int:
        """Return which process of `worker` gets what is posted now."""
        return self._shared.snapshots[worker].incarnation

    def wait_ready(self, limit_s: float, count: int | None = None) -> int:
        """Wait until `count` workers (default: all) are up; return how many are.

        Raises:
            PoolError: they cannot come up, or `limit_s` seconds were not enough.
        """
        wanted = len(self.places) if count is None else count
        until_s = time.monotonic() + limit_s
        shared = self._shared
        with shared.changed:
            while len(shared.ready) < wanted and not shared.failure and not self._closed:
                left_s = until_s - time.monotonic()
                if left_s <= 0 or not shared.changed.wait(left_s):
                    break
            if len(shared.ready) >= wanted:
                return len(shared.ready)
        why = shared.failure or ("it is closed" if self._closed else f"{limit_s:g} s have passed")
        raise PoolError(f"{len(shared.ready)} of {wanted} workers are up: {why}")

    def describe(self) -> tuple[WorkerState, ...]:
        """Return number, pid, state, memory in bytes and seconds up of each worker, in order."""
        now_s = time.monotonic()
        return tuple(
            WorkerState(
                p, s.pid, s.state, _memory_bytes(s.pid), now_s - s.since_s if s.since_s else 0.0
            )
            for p, s in sorted(self._shared.snapshots.items())
        )

    def log(self, worker: Place) -> str:
        """Return what `worker` did, a line each, all its processes in order."""
        self._check(worker)
        paths = sorted(
            self._folder.path.glob(f"w{worker}-*.log*"),
            key=lambda p: (int(p.name.split("-")[1].split(".")[0]), p.suffix != ".old"),
        )
        return "".join(p.read_text(encoding="utf-8") for p in paths)

    # Messages

    def post(self, worker: Place, script: Script) -> int:
        """Give `script` to `worker`; return to which incarnation of it."""
        from taskpar_kernel.transport.sockets import encode  # zmq is not light

        incarnation = self._check(worker)
        frames = encode(HOME, 0, script)
        self._submit(lambda loop: loop.post(worker, incarnation, script, frames))
        return incarnation

    def send_value(self, worker: Place, value: Value) -> int:
        """Send a value from home to `worker`; return to which incarnation of it."""
        return self._send(worker, value)

    def abandon(self, worker: Place, tickets: Iterable[Ticket]) -> None:
        """Have `worker` not start these attempts, and end the one that runs.

        A `Finished` tells of each.
        """
        incarnation, gone = self._check(worker), tuple(tickets)
        self._submit(lambda loop: loop.give_up(worker, incarnation, gone))

    def proceed(self, worker: Place, ticket: Ticket) -> None:
        """Let an attempt that waits at the gate pass it."""
        self._send(worker, Proceed(ticket))

    def interrupt(self, worker: Place | None = None) -> None:
        """Interrupt what runs on `worker`, or on all."""
        self._signal(worker, signal.SIGINT)

    def kill(self, worker: Place) -> None:
        """End the process of `worker` at once; `Lost` tells when, and another one starts."""
        self._signal(worker, signal.SIGKILL)

    def restart(self, worker: Place) -> None:
        """Replace the process of `worker`; unlike deaths, these are not counted."""
        self._check(worker)
        self._submit(lambda loop: loop.restart(worker))

    def prepare(self, modules: tuple[str, ...], around: dict[str, Any]) -> None:
        """Have the zygote import `modules`, so that workers are forked with them from now on.

        `around` is what home's ambient state is as far as an import may look at it. `Prepared`
        tells when it is done, and which workers, given nothing but imports so far, are replaced.
        """
        self._submit(lambda loop: loop.prepare(modules, around))

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call back on the I/O thread, unless the pool is closed before."""
        with suppress(PoolError):
            self._submit(lambda loop: loop.call_later(delay_s, call))

    def _send(self, worker: Place, message: Value | Proceed) -> int:
        from taskpar_kernel.transport.sockets import encode  # zmq is not light

        incarnation = self._check(worker)
        frames = encode(HOME, 0, message)
        self._submit(lambda loop: loop.send(worker, incarnation, frames))
        return incarnation

    def _signal(self, worker: Place | None, number: int) -> None:
        for place in self.places if worker is None else (worker,):
            self._check(place)
            self._submit(partial(_send_signal, place, number))

    def _submit(self, call: Callable[[IoLoop], None]) -> None:
        if self._closed:
            raise PoolError("the pool is closed; nothing was sent")
        self._shared.submit(partial(self._call, call))

    def _call(self, call: Callable[[IoLoop], None]) -> None:
        assert self._loop is not None
        call(self._loop)

    def _check(self, worker: Place) -> int:
        if worker not in self._shared.snapshots:
            raise UsageError(
                f"there is no worker {worker!r}: workers are numbered from 1 to {len(self.places)}"
            )
        return self._shared.snapshots[worker].incarnation

    # The end

    def close(self) -> None:
        """End all workers and remove the folders; does nothing in a fork, or again."""
        if os.getpid() != self._owner:
            return
        with self._closing:
            if self._closed:
                return
            if self._thread is not None:
                self._submit(lambda loop: loop.stop())
            self._closed = True
        with self._shared.changed:
            self._shared.changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_LIMIT_S)
        atexit.unregister(self.close)


def _present_folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was deleted: the start tells
        return ""


def _send_signal(place: Place, number: int, loop: IoLoop) -> None:
    loop.signal(place, number)


def _memory_bytes(pid: int) -> int:
    if not pid:
        return 0
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
