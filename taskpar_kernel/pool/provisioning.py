"""One subkernel process: a `Launch` comes in, a `Subkernel` goes out, by way of jupyter_client.

It is forked from the pool's zygote, or started plainly where that cannot be. The rule: starts
happen on the thread that lives as long as the pool, because the system ends a worker, or the zygote
with its workers, when the *thread* that started it ends. Each process is started once; a restart is
a new `Launch` with the next incarnation, so no file, socket or key is used twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from taskpar_kernel.errors import PoolError
from taskpar_kernel.pool.zygote import WORKER_PROGRAM, Forked
from taskpar_kernel.seed import HashSeed

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_client.connect import KernelConnectionInfo

    from taskpar_kernel.pool.zygote import Zygote

POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Launch:
    """What a subkernel is started with: interpreter, folders, cwd, and which process it will be."""

    python: str
    folder: Path
    segments: str
    shared_mb: float
    cwd: str
    number: int
    incarnation: int

    def file(self, ending: str) -> Path:
        """Return the path of this process's file of this kind."""
        return self.folder / f"w{self.number}-{self.incarnation}.{ending}"


class _Starter(AsyncKernelManager):
    """Starts a kernel; our messages take the place of the control channel."""

    def _connect_control_socket(self) -> None:
        pass


class _Provisioner(LocalProvisioner):
    """Has the kernel forked, or else starts it as jupyter_client does."""

    zygote: Zygote | None = None
    errors: Path

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Launch a kernel with a command."""
        forked = None
        if self.zygote is not None:
            folder, errors = kwargs["cwd"], str(self.errors)
            forked = await self.zygote.fork(cmd[1:], kwargs["env"], folder, errors)
        if forked is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.process: Any = forked
        self.pid = self.pgid = forked.pid
        return self.connection_info


class Subkernel:
    """A running worker process: its pid, its session for IOPub, and its end."""

    def __init__(self, launch: Launch, starter: AsyncKernelManager):
        self.launch = launch
        self._starter = starter
        self._popen: Any = starter.provisioner.process  # type: ignore[union-attr]
        self.pid: int = self._popen.pid
        self.session: Any = starter.session
        self.iopub = f"{starter.ip}-{starter.iopub_port}"

    @classmethod
    async def start(cls, launch: Launch, zygote: Zygote | None = None) -> Subkernel:
        """Start the process; `zygote` forks it if it can.

        Raises:
            PoolError: the interpreter cannot be run, or this process has no present folder.
        """
        starter = _Starter(
            transport="ipc", connection_file=str(launch.file("json")), kernel_name="taskpar-worker"
        )
        starter._kernel_spec = KernelSpec(
            argv=[
                launch.python,
                str(WORKER_PROGRAM),
                "-f",
                "{connection_file}",
                f"--WorkerApp.number={launch.number}",
                f"--WorkerApp.incarnation={launch.incarnation}",
                f"--WorkerApp.segments={launch.segments}",
                f"--WorkerApp.shared_mb={launch.shared_mb}",
                "--HistoryManager.enabled=False",
            ],
            env=HashSeed.environment(),
            display_name="taskpar worker",
            language="python",
        )
        starter.provisioner = provisioner = _Provisioner(
            kernel_spec=starter._kernel_spec, parent=starter
        )
        provisioner.zygote, provisioner.errors = zygote, launch.file("err")
        cwd = _folder_for(launch)
        errors = os.open(launch.file("err"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await starter.start_kernel(stdin=DEVNULL, stdout=DEVNULL, stderr=errors, cwd=cwd)
        except OSError as error:
            raise PoolError(f"worker {launch.number} cannot be started: {error}") from error
        finally:
            os.close(errors)
        return cls(launch, starter)

    def watch(self, loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> None:
        """Call `ended` on `loop` once, soon after the process ended."""
        try:
            fd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            self._poll_until_ended(loop, ended)
            return

        def readable() -> None:
            loop.remove_reader(fd)
            os.close(fd)
            ended()

        loop.add_reader(fd, readable)

    def _poll_until_ended(self, loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> None:
        if self._popen.poll() is None:
            loop.call_later(POLL_S, self._poll_until_ended, loop, ended)
        else:
            ended()

    def signal(self, number: int) -> None:
        """Send a signal to the process and its children; nothing if it has ended."""
        if not self.running:
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError:  # macOS: the group has only a zombie left
            self._popen.send_signal(number)

    def end_children(self) -> None:
        """End the processes that this one, which has ended, left in its group.

        Nobody has taken its exit code yet, so its pid is still its own.
        """
        if self._popen.returncode is None:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._popen.poll() is None

    def why_ended(self) -> str | None:
        """Tell how the process ended, with the last it said; None while it runs."""
        code = self._popen.poll()
        if code is None:
            return None
        how = f"ended by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        said = self._last_words()
        return f"{how}: {said}" if said and code != 0 else how

    def _last_words(self) -> str:
        try:
            text = self.launch.file("err").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        lines = text.strip().splitlines()
        return lines[-1].strip() if lines else ""

    async def clean_up(self) -> None:
        """Remove the connection file and sockets of a process that has ended."""
        if isinstance(self._popen, Forked):
            self._popen.let_go()
        await self._starter.cleanup_resources()
        for ending in ("inbox", "pipe", "err"):
            self.launch.file(ending).unlink(missing_ok=True)


def _folder_for(launch: Launch) -> str:
    try:
        here = str(Path.cwd())
    except FileNotFoundError:  # jupyter_client would fail too, but after it has started the process
        raise PoolError(
            "the present folder was deleted: change to another one (%cd) and restart the workers"
        ) from None
    return launch.cwd if launch.cwd and Path(launch.cwd).is_dir() else here


async def wait_ended(processes: list[Subkernel], limit_s: float) -> None:
    """Wait until all of `processes` have ended, at most `limit_s` seconds."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + limit_s
    while any(p.running for p in processes) and loop.time() < until_s:
        await asyncio.sleep(0.005)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
