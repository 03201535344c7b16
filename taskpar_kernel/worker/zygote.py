"""A process that has imported what a worker needs, and forks workers: requests come in by a socket.

Theory of operation. Home starts it once, as it would a worker (`python worker/__main__.py --zygote
DESCRIPTOR`), and says by the socket what it wants:

    home:    fork NUMBER ARGUMENTS ENVIRONMENT FOLDER ERRORS   import MODULES AROUND   take PID
    zygote:  ready   forked NUMBER PID   refused NUMBER WHY   imported SECONDS   ended PID CODE

`serve` returns in the forked children only, where everything is as if the interpreter had just been
started with these arguments; so a child goes on as a worker that was started plainly. The zygote
waits for the end of its children, ends what they leave in their groups, and tells home; it takes
their exit codes when home says so, and until then home may use the pid.

It may import libraries too, as home does and where home does (`around` is home's folder, path and
environment), so that workers are forked with them. Home asks only for some that are known to stand
it. Their pools of threads end at a fork and begin again when they are needed, which a fork of
nothing brings about; and generators of random numbers that they keep are seeded anew in each child.

The rule: a fork copies one thread and what the others held stays locked, so there is a fork only
while this process has a single thread. It has no zmq context, no event loop and no handler of a
signal. It ends with home, and its children with it (`die_with_parent`), also if it is killed.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from taskpar_kernel.ambient import providers
from taskpar_kernel.transport.lines import Lines

_LATER = (
    *("IPython.core.completerlib", "IPython.core.debugger", "IPython.core.logger"),
    *("IPython.core.oinspect", "IPython.extensions.storemagic", "code", "faulthandler", "pdb"),
    *("tornado.platform.asyncio", "unicodedata"),
)
"""What a worker imports while it starts, beside what `worker.app` has imported."""


_DRAWING = frozenset({"numpy.random", "sympy.core.random"})
"""Modules that keep a generator, and a function `seed` for it; `random` does that by itself."""
_NEVER = frozenset(
    {"dask.distributed", "distributed", "jax", "polars", "pyarrow", "ray", "tensorflow", "torch"}
)
"""What does not stand a fork, even while it has no threads."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What a worker is started with; `errors` is the file for its stderr."""

    number: int
    arguments: list[str]
    environment: dict[str, str]
    folder: str
    errors: str


class Zygote:
    """The children of this process, and the socket to home."""

    def __init__(self, descriptor: int):
        os.set_inheritable(descriptor, False)
        self._home = Lines(socket.socket(fileno=descriptor))
        self._children: dict[int, int] = {}
        """The pid of each child that runs, by the descriptor that tells its end."""
        self._waiting = select.poll()
        self._waiting.register(descriptor, select.POLLIN)

    def serve(self) -> None:
        """Do as home says until it is gone; returns in each child, and nowhere else."""
        self._home.send("ready")
        while True:
            for descriptor, _ in self._waiting.poll():
                if descriptor in self._children:
                    self._ended(descriptor)
                elif self._listen():
                    return

    def _listen(self) -> bool:
        """Read what home says; return whether this is a child now."""
        messages = self._home.receive()
        if messages is None:
            os._exit(0)
        for kind, *rest in messages:
            if kind == "take":
                os.waitpid(rest[0], 0)
            elif kind == "import":
                self._home.send("imported", _import_ahead(*rest))
            elif self._fork(_Request(*rest)):
                return True
        return False

    def _fork(self, request: _Request) -> bool:
        """Fork a worker and tell its pid, once it is in a group of its own; True in the child."""
        try:
            _be_alone()
            read, write = os.pipe()
            child = os.fork()
        except (OSError, RuntimeError) as error:
            self._home.send("refused", request.number, str(error))
            return False
        if child == 0:
            os.close(read)
            self._become_worker(request)
            os.close(write)
            return True
        os.close(write)
        os.read(read, 1)  # nothing is written: it ends when the child closes it, or has ended
        os.close(read)
        ended = os.pidfd_open(child)
        self._children[ended] = child
        self._waiting.register(ended, select.POLLIN)
        self._home.send("forked", request.number, child)
        return False

    def _become_worker(self, request: _Request) -> None:
        """Be what a process is that was just started with this."""
        parent = os.getppid()
        os.setsid()
        errors = os.open(request.errors, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.dup2(errors, 2)
        for descriptor in (errors, *self._children):
            os.close(descriptor)
        self._home.close()
        os.chdir(request.folder)
        os.environ.clear()
        os.environ.update(request.environment)
        os.environ["JPY_PARENT_PID"] = str(parent)
        sys.argv[:] = request.arguments
        sys.orig_argv[:] = [sys.orig_argv[0], *request.arguments]
        gc.enable()
        for name in _DRAWING & sys.modules.keys():
            sys.modules[name].seed()

    def _ended(self, descriptor: int) -> None:
        """End what a child has left in its group, and tell how it ended."""
        child = self._children.pop(descriptor)
        self._waiting.unregister(descriptor)
        os.close(descriptor)
        with suppress(ProcessLookupError):  # it ended before it had a group
            os.killpg(child, signal.SIGKILL)  # its exit code is not taken: the pid is still its own
        how: Any = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        exited = how.si_code == os.CLD_EXITED
        self._home.send("ended", child, how.si_status if exited else -how.si_status)


def serve(descriptor: int) -> None:
    """Be a zygote; returns in each forked child, which is to become a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a worker does first of all
    gc.disable()
    for module in _LATER:
        import_module(module)
    gc.freeze()  # a collection in a child would write to all the pages that it shares
    Zygote(descriptor).serve()


def _import_ahead(modules: list[str], around: dict[str, Any]) -> float:
    """Import `modules`, what cannot be imported excepted; return the seconds that took.

    That is 0 if this process cannot be forked any more.
    """
    begin_s, own = time.monotonic(), providers.around_imports()
    try:
        providers.restore(around)
        for module in modules:
            with suppress(Exception):
                import_module(module)
    except OSError:  # home's folder is gone
        pass
    finally:
        providers.restore(own)
    gc.freeze()
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    try:
        _be_alone()
    except RuntimeError:
        return 0.0
    return time.monotonic() - begin_s


def _be_alone() -> None:
    """Make sure that this process can be forked.

    Raises:
        RuntimeError: it has more than one thread, or a library that does not stand it.
    """
    if found := _NEVER & sys.modules.keys():
        raise RuntimeError(f"the zygote has imported {', '.join(sorted(found))}")
    threads = tuple(Path("/proc/self/task").iterdir())
    if threading.active_count() != 1 or len(threads) != 1:
        raise RuntimeError(f"the zygote has {len(threads)} threads")
