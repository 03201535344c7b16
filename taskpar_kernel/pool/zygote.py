"""Home's end of the zygote: what a worker is to be started with comes in, a process goes out.

A zygote (`worker/zygote.py`) has imported the worker's code and forks it, which takes a third of
the time of a start and half of the memory. The rule: it is never needed. Where there is none, or
it is not ready in time, refuses, or has ended, `fork` returns None and the worker is started
plainly. A zygote stands for home as home was when it was started; where home has changed in what a
process takes from its parent, and the request cannot carry it, workers are started plainly, too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import TYPE_CHECKING, Any

from taskpar_kernel.seed import HashSeed
from taskpar_kernel.transport.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taskpar_kernel.pool.shared import Plan

WORKER_PROGRAM = Path(__file__).resolve().parent.parent / "worker" / "__main__.py"
READY_LIMIT_S = 10.0
ANSWER_LIMIT_S = 5.0
IMPORT_LIMIT_S = 30.0
_SEND_LIMIT_S = 1.0
_END_LIMIT_S = 0.3
_READ_EARLY = (
    *("PYTHON", "LC_", "LANG", "LD_", "GLIBC_", "MALLOC_", "TZ", "HOME", "USER"),
    *("JUPYTER", "IPYTHON", "PYZMQ", "TORNADO", "TRAITLETS"),
)
"""How variables begin that are read before a worker's first own line, or when it imports."""
_PASSED_ON = ("Umask", "SigBlk", "Cpus_allowed")
_SET_BY_ALL = sum(1 << (n - 1) for n in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ))
"""The signals that are ignored or not whatever the parent does, as the system writes them."""
_log = logging.getLogger(__name__)


class Forked:
    """A process that a zygote has forked; as far as it is needed, it looks like a `Popen`.

    Its pid is its own until the exit code is taken.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, take: Callable[[int], None]):
        self.pid = pid
        self.returncode: int | None = None
        self._take = take
        self._code: int | None = None
        self._wanted = True

    def end(self, code: int) -> None:
        """Take note that the process has ended with this exit code (negative: a signal)."""
        self._code = code
        if not self._wanted:
            self.poll()

    def poll(self) -> int | None:
        """Take the exit code and return it; None as long as it is not known."""
        if self.returncode is None and self._code is not None:
            self.returncode = self._code
            self._take(self.pid)
        return self.returncode

    def wait(self) -> int | None:
        """Return the exit code of a process that has ended."""
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Send a signal to the process; nothing if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def let_go(self) -> None:
        """Have the exit code taken as soon as it is known: nobody asks any more."""
        self._wanted = False
        self.poll()


class Zygote:
    """A zygote and the processes it has forked. All of it happens on the pool's I/O thread."""

    def __init__(
        self, plan: Plan, process: Popen[bytes], end: socket.socket, said: int, stands_for: object
    ):
        self._folder = plan.cwd
        self._ready_limit_s = min(READY_LIMIT_S, plan.settings.start_limit_s)
        self._process = process
        self._said = said
        self._stands_for = stands_for
        self._lines = Lines(end)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = asyncio.Event()
        self._usable, self._is_up = True, False
        self._stopping = self._closed = False
        self._numbers = count(1)
        self._imported_s = 0.0
        self._answers: dict[int, asyncio.Future[Forked | None]] = {}
        self._children: dict[int, Forked] = {}

    @classmethod
    def start(cls, plan: Plan) -> Zygote | None:
        """Start one, which takes some milliseconds; None where there can be none.

        The thread that calls this must live as long as the workers: they end with it.
        """
        environment = _environment()
        stands_for = _inherited(environment, plan.cwd)
        if not plan.forks or sys.platform != "linux" or stands_for is None:
            return None
        try:
            with ExitStack() as on_failure:
                ours, theirs = socket.socketpair()
                on_failure.callback(ours.close)
                said = os.memfd_create("zygote")
                on_failure.callback(os.close, said)
                with theirs:
                    process = _start(plan, environment, theirs.fileno(), said)
                on_failure.pop_all()
        except OSError as error:
            _log.info("there is no zygote, workers are started plainly: %s", error)
            return None
        ours.settimeout(_SEND_LIMIT_S)
        return cls(plan, process, ours, said, stands_for)

    def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen to it, from now on."""
        self._loop = loop
        loop.add_reader(self._lines.fileno(), self._listen)

    async def fork(
        self, arguments: list[str], environment: Mapping[str, str], folder: str, errors: str
    ) -> Forked | None:
        """Return a worker with these, None if it has to be started plainly.

        Raises:
            CancelledError: the pool is being closed.
        """
        if not self._usable or _inherited(environment, folder) != self._stands_for:
            return None
        forked: Forked | None = None
        try:
            await asyncio.wait_for(self._ready.wait(), self._ready_limit_s)
            if self._usable:
                number = next(self._numbers)
                answer = self._answers[number] = asyncio.get_running_loop().create_future()
                self._say("fork", number, arguments, dict(environment), folder, errors)
                forked = await asyncio.wait_for(answer, ANSWER_LIMIT_S)
        except TimeoutError:
            self._give_up("it does not answer")
        if forked is None and self._stopping:  # jupyter_client would show any other error
            raise asyncio.CancelledError("the pool is closed")
        return forked

    async def import_ahead(self, modules: tuple[str, ...], around: dict[str, Any]) -> float:
        """Have it import `modules`; return how many seconds that took, 0 if none can be forked."""
        self._imported_s = 0.0
        if not self._stands_for_home():
            return 0.0
        path = [entry for entry in around["path"] if isinstance(entry, str)]  # no other counts
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), self._ready_limit_s)
            if self._usable:
                self._ready.clear()
                self._say("import", modules, around | {"path": path})
                await asyncio.wait_for(self._ready.wait(), IMPORT_LIMIT_S)
        if not self._ready.is_set():
            self._give_up("it does not come back from an import")
        return self._imported_s if self._stands_for_home() else 0.0

    def _stands_for_home(self) -> bool:
        inherited = _inherited(_environment(), self._folder)
        return self._usable and inherited == self._stands_for

    def stop(self) -> None:
        """Fork nothing any more; who waits for it is told."""
        self._stopping = True
        self._let_go()

    def close(self) -> None:
        """End the zygote, and what it may have forked last; again does nothing."""
        if self._closed:
            return
        self._closed = True
        self.stop()
        self._lose_socket()  # it ends when it has taken the last exit codes
        if not self._is_up:
            self._process.kill()
        try:
            self._process.wait(_END_LIMIT_S)
        except TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._said)

    # What it says

    def _listen(self) -> None:
        messages = self._lines.receive()
        if messages is None:
            self._ended()
            return
        for kind, *rest in messages:
            if kind == "ready":
                self._is_up = True
                self._ready.set()
            elif kind == "imported":
                self._imported_s = rest[0]
                self._ready.set()
            elif kind == "forked":
                self._forked(*rest)
            elif kind == "refused":
                _log.info("a worker is started plainly: %s", rest[1])
                self._answer(rest[0], None)
            elif kind == "ended" and (child := self._children.get(rest[0])) is not None:
                child.end(rest[1])

    def _forked(self, number: int, pid: int) -> None:
        child = self._children[pid] = Forked(pid, self._take)
        if not self._answer(number, child):  # nobody waits for it any more
            child.let_go()
            os.killpg(pid, signal.SIGKILL)

    def _answer(self, number: int, child: Forked | None) -> bool:
        answer = self._answers.pop(number, None)
        if answer is None or answer.done():
            return False
        answer.set_result(child)
        return True

    def _take(self, pid: int) -> None:
        """Have the zygote take the exit code of a process that has ended."""
        del self._children[pid]
        if self._loop is not None:
            self._say("take", pid)

    def _say(self, *message: Any) -> None:
        try:
            self._lines.send(*message)
        except OSError as error:  # a part of it may have been sent
            self._give_up(str(error))
            self._process.kill()

    # Its end

    def _ended(self) -> None:
        """Take note that it has ended; the system ends its children at the same moment."""
        self._give_up(self._last_words() or "it has ended")
        self._lose_socket()
        for child in tuple(self._children.values()):
            child.end(-signal.SIGKILL)

    def _give_up(self, why: str) -> None:
        if self._usable and not self._stopping:
            _log.info("workers are started plainly from now on: the zygote: %s", why)
        if not self._is_up:
            self._process.kill()
        self._let_go()

    def _let_go(self) -> None:
        self._usable = False
        self._ready.set()
        for number in tuple(self._answers):
            self._answer(number, None)

    def _lose_socket(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._lines.fileno())
        self._loop = None
        self._lines.close()

    def _last_words(self) -> str:
        os.lseek(self._said, 0, os.SEEK_SET)
        lines = os.read(self._said, 65536).decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


def _environment() -> dict[str, str]:
    """Return what a worker is started with."""
    return {**os.environ, **HashSeed.environment()}


def _start(plan: Plan, environment: dict[str, str], socket_fd: int, said: int) -> Popen[bytes]:
    return Popen(  # noqa: S603 - our own program
        [plan.python, str(WORKER_PROGRAM), "--zygote", str(socket_fd)],
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=said,
        pass_fds=(socket_fd,),
        env={**environment, "JPY_PARENT_PID": str(os.getpid())},
        cwd=plan.cwd,
        start_new_session=True,
    )


def _inherited(environment: Mapping[str, str], folder: str) -> object:
    """Return what a process started now would take from home, and a forked one would not.

    None where it cannot be told.
    """
    early = {k: v for k, v in environment.items() if k.startswith(_READ_EARLY)}
    try:
        status = Path("/proc/thread-self/status").read_text(encoding="utf-8").splitlines()
        fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
        ignored = int(fields["SigIgn"], 16) & ~_SET_BY_ALL
        limits = Path("/proc/self/limits").read_bytes()
        return early, folder, ignored, [fields[name] for name in _PASSED_ON], limits
    except (OSError, KeyError):
        return None
