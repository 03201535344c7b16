"""A notebook's cells come in, everything a user could see comes out. One `Front` is one kernel.

The rule: a front gives every notebook a clean kernel and an empty folder, and starts no process for
it; after a hang it can be started anew.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import tempfile
import threading
import time
from ast import literal_eval
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from taskpar_kernel.testing.observe import LAST_RUN
from taskpar_kernel.testing.seen import Seems, Seen, cleaned, note

LIMIT_S = 40.0
_PROBE = "__import__('taskpar_kernel.testing.probe', fromlist=['begin'])"
_READY = "__import__('taskpar_kernel.testing.ready', fromlist=['x']).wait_for_workers()"


class HangError(AssertionError):
    """A kernel did not answer in time."""


class Front:
    """One running kernel, and the folder its notebooks run in."""

    def __init__(self, kernel: str, folder: Path, **environ: str):
        self.kernel = kernel
        self.folder = folder
        self.environ = environ
        self.manager: KernelManager | None = None
        self.client: BlockingKernelClient | None = None
        self._sockets: str | None = None
        self._record = ""

    # Life ------------------------------------------------------------------------------------

    def start(self) -> Front:
        """Start the kernel and wait until it answers."""
        self._sockets = tempfile.mkdtemp(prefix="tp")
        self.folder.mkdir(exist_ok=True)
        environ = {
            k: v for k, v in os.environ.items() if not k.startswith(("TASKPAR_", "PYTEST", "COV_"))
        }
        environ |= {"PYTHONHASHSEED": "0", "MPLBACKEND": "agg", "TASKPAR_HISTORY": "0"}
        environ |= {"COLUMNS": "100", "PYDEVD_DISABLE_FILE_VALIDATION": "1"} | self.environ
        self.manager = KernelManager(
            kernel_name=self.kernel,
            transport="ipc",
            connection_file=str(Path(self._sockets) / "k.json"),
        )
        self.manager.start_kernel(
            cwd=str(self.folder),
            env=environ,
            extra_arguments=["--HistoryManager.hist_file=:memory:"],
        )
        client = self.manager.client()
        assert isinstance(client, BlockingKernelClient)
        self.client = client
        client.start_channels()
        client.wait_for_ready(timeout=LIMIT_S)
        self.begin()
        return self

    def begin(self) -> None:
        """Let the probe see the new kernel before any cell; it loads NumPy, pandas and more."""
        self.evaluate(f"{_PROBE}.begin({str(self._stacks)!r})")

    @property
    def _stacks(self) -> Path:
        return Path(self._sockets or "") / "stacks.txt"

    def stacks(self, limit_s: float = 5.0) -> str:
        """Return where all threads of a kernel that does not answer are; "" if it is dead."""
        with suppress(RuntimeError, OSError):
            assert self.manager is not None
            self.manager.signal_kernel(signal.SIGUSR2)
            end_s = time.monotonic() + limit_s
            while not self._stacks.stat().st_size and time.monotonic() < end_s:
                threading.Event().wait(0.05)
            return self._stacks.read_text(encoding="utf-8")
        return ""

    def stop(self) -> None:
        """End the kernel, whatever state it is in."""
        if self.client is not None:
            self.client.stop_channels()
            self.client = None
        if self.manager is not None:
            with suppress(RuntimeError):
                self.manager.shutdown_kernel(now=True)
            self.manager.cleanup_resources()
            if self.manager.context is not None:
                self.manager.context.destroy(linger=0)
            self.manager = None
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def restart(self) -> Front:
        """Replace the kernel by a new one."""
        self.stop()
        return self.start()

    def __enter__(self) -> Front:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Cells -----------------------------------------------------------------------------------

    def send(self, code: str, **options: Any) -> str:
        """Send a cell and return its message id."""
        assert self.client is not None
        identity: str = self.client.execute(code, **options)
        return identity

    def collect(
        self,
        identity: str,
        *,
        limit_s: float = LIMIT_S,
        answers: tuple[str, ...] = (),
        on_output: Any = None,
    ) -> Seen:
        """Return what the cell showed, once it is over.

        Raises:
            HangError: that took longer than `limit_s`.
        """
        assert self.client is not None
        seen, end_s, left = Seen(), time.monotonic() + limit_s, list(answers)
        idle = replied = False
        while not (idle and replied):
            if time.monotonic() > end_s:
                raise HangError(f"{self.kernel}: no answer within {limit_s} s; so far {seen}")
            with suppress(queue.Empty):
                while not idle:
                    message = self.client.get_iopub_msg(timeout=0 if replied and not idle else 0.02)
                    if message["parent_header"].get("msg_id") != identity:
                        continue
                    idle = note(seen, message)
                    if on_output is not None:
                        on_output(message)
            if left:
                with suppress(queue.Empty):
                    self.client.get_stdin_msg(timeout=0)
                    self.client.input(left.pop(0))
            if not replied:
                with suppress(queue.Empty):
                    reply = self.client.get_shell_msg(timeout=0.02 if idle else 0)
                    if reply["parent_header"].get("msg_id") == identity:
                        replied = True
                        seen.status = reply["content"]["status"]
                        seen.count = reply["content"].get("execution_count")
                        seen.payload = cleaned(reply["content"].get("payload", []))
        return seen

    def run(self, code: str, **options: Any) -> Seen:
        """Run one cell to its end."""
        limit_s = options.pop("limit_s", LIMIT_S)
        answers = options.pop("answers", ())
        on_output = options.pop("on_output", None)
        identity = self.send(code, allow_stdin=bool(answers), **options)
        return self.collect(identity, limit_s=limit_s, answers=answers, on_output=on_output)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a literal-valued expression, unseen by the notebook."""
        assert self.client is not None
        reply = self.client.execute(
            "", silent=True, user_expressions={"x": expression}, reply=True, timeout=LIMIT_S
        )
        answer = reply["content"]["user_expressions"]["x"]
        assert answer["status"] == "ok", "\n".join(answer["traceback"])
        return literal_eval(answer["data"]["text/plain"])

    def last(self) -> dict[str, Any] | None:
        """Return the record of the cell that just ran, or None if it did not use the engine."""
        text = self.evaluate(LAST_RUN)
        if not text or text == self._record:
            return None
        self._record = text
        record: dict[str, Any] = json.loads(text)
        return record

    def wait_for_workers(self) -> None:
        """Wait until all workers of a taskpar kernel are up."""
        self.evaluate(_READY)

    def reset(self) -> list[str]:
        """Give the next notebook an empty namespace and folder, and the state of a new kernel.

        Returns what could not be undone: empty, or the kernel should be started anew.
        """
        empty(self.folder)
        left: list[str] = self.evaluate(f"{_PROBE}.reset()")
        return left

    def notebook(
        self, cells: Sequence[str], *, limit_s: float = LIMIT_S / 2, clean: bool = False
    ) -> Seems:
        """Run the cells of a notebook in a clean namespace and folder (`clean`: it is clean).

        Raises:
            HangError: a cell took longer than `limit_s`.
        """
        if not clean:
            self.reset()
        seems = Seems([], {})
        for cell in cells:
            seems.cells.append(self.run(cell, limit_s=limit_s))
            record = self.last()  # asked of python3 too: hooks count cells
            seems.add(record)
        path = self.folder.parent / f"state-{self.kernel}.json"
        self.evaluate(f"{_PROBE}.write({str(path)!r})")
        seems.state = cleaned(json.loads(path.read_text(encoding="utf-8")))
        return seems


def empty(folder: Path) -> None:
    """Remove what is in `folder`, but not the folder: workers stand in it."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
