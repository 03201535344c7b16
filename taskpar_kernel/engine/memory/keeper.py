"""What a session observes of statements comes in, and is there again in the next session.

Theory of operation. A thread of its own reads the file when the session begins, and writes it when
no cell has run for a moment; home asks only for what is in memory by then, and writes only when the
kernel ends. Until the file is read, and where it cannot be, nothing is known of earlier sessions;
so a folder that does not answer keeps nobody waiting. All that a session has learned goes into
every write, so that what two kernels take from each other when they write at once is back after the
next one.

The rule: what goes wrong here costs time, never a cell.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from taskpar_kernel.engine.memory.codes import digest
from taskpar_kernel.engine.memory.file import CostFile, Lines
from taskpar_kernel.engine.memory.identity import Identities
from taskpar_kernel.engine.memory.records import Learned, from_line, merged, to_line
from taskpar_kernel.errors import WireError
from taskpar_kernel.model.steps import TopLevel
from taskpar_kernel.threads import start_thread

IDLE_S = 1.0
"""So long after a cell what was learned is written, if no other begins."""
_EVERY_S = 5.0
"""Not more often than this, but when the kernel ends."""
_LAST_S, _WAIT_S = 0.05, 0.5
"""How long a write waits for another one, at the end of the kernel and in the background."""

Take = Callable[[], Mapping[str, Learned]]
"""Gives what is new since it was last asked, by code."""

_log = logging.getLogger(__name__)


def user_folder() -> Path:
    """Return the folder of the user's in which learned costs are kept."""
    from jupyter_core.paths import jupyter_data_dir  # a file's worth of start time

    return Path(jupyter_data_dir(), "taskpar")


class Memory:
    """One session's memory of statements, on disk if `is_kept`."""

    def __init__(self, folder: Callable[[], Path], is_kept: Callable[[], bool]):
        self._folder = folder
        self._is_kept = is_kept
        self._file: CostFile | None = None
        self._lines: Lines = {}
        self._mine: Lines = {}
        self._key = b"" if is_kept() else os.urandom(32)
        self._thread: threading.Thread | None = None
        self._news = threading.Event()
        self._turn = threading.Lock()
        self._saved_s = -_EVERY_S

    def identities(
        self, tops: Sequence[TopLevel], namespace: Mapping[str, Any]
    ) -> Identities | None:
        """Return the tags of a cell's steps; None: the key is not known (yet)."""
        return Identities(tops, namespace, self._key) if self._key else None

    def start(self, take: Take, is_busy: Callable[[], bool]) -> None:
        """Begin to read the file, and keep what `take` gives whenever not `is_busy`."""
        if self._thread is None and self._is_kept():
            self._thread = start_thread(partial(self._live, take, is_busy), "memory")

    def has_news(self) -> None:
        """A cell has ended: there may be something to keep."""
        self._news.set()

    def _live(self, take: Take, is_busy: Callable[[], bool]) -> None:
        self.open()
        atexit.register(self.save, take, ends=True)  # the end of a kernel that has no door
        while self._file is not None:
            self._news.wait()
            self._news.clear()
            rest_s = max(IDLE_S, self._saved_s + _EVERY_S - time.monotonic())
            if not self._news.wait(rest_s) and not is_busy():  # the end of that cell is news too
                self.save(take)

    def open(self) -> None:
        """Read the file."""
        try:
            file = CostFile(self._folder())
            self._lines = file.open()
            self._file, self._key = file, file.key
        except Exception as error:  # noqa: BLE001 - the edge: who looks ahead goes on without
            _log.info("learned costs are not kept: %r", error)
            self._key = self._key or os.urandom(32)

    def recall(self, code: str) -> Learned | None:
        """Return what earlier sessions learned of the statement with this code, or None."""
        line = self._lines.get(code.encode())
        if line is None or not self._is_kept():
            return None
        try:
            return _record(line)
        except (WireError, UnicodeDecodeError) as error:
            _log.info("forgotten: %s", error)
            return None

    def tag(self, name: str) -> str:
        """Return what stands for a name in the file."""
        return digest(("name", name), self._key)[:6].hex()

    def save(self, take: Take, *, ends: bool = False) -> None:
        """Write what is new since the last time; `take` gives it. `ends`: the kernel does."""
        wait_s = _LAST_S if ends else _WAIT_S
        if self._file is None or not self._is_kept() or not self._turn.acquire(timeout=wait_s):
            return
        try:
            new = {code.encode(): self._line(code, learned) for code, learned in take().items()}
            if new:
                self._mine |= new
                self._lines = self._file.merge(self._mine, _joined, wait_s)
                self._saved_s = time.monotonic()
        except Exception as error:  # noqa: BLE001 - the edge: the kernel goes on, or ends, as ever
            _log.info("learned costs are not kept: %r", error)
            self._file = None
        finally:
            self._turn.release()

    def notice(self) -> str:
        """Return what the user is to be told, once."""
        if self._file is None or not self._file.notice:
            return ""
        line, self._file.notice = self._file.notice, ""
        return line

    def _line(self, code: str, learned: Learned) -> bytes:
        tags = learned.tags | {self.tag(name) for name in learned.changes}
        return f"{code} {to_line(replace(learned, tags=tags))}".encode()


def _record(line: bytes) -> Learned:
    return from_line(line.partition(b" ")[2].decode())


def _joined(theirs: bytes, mine: bytes) -> bytes:
    try:
        both = merged(_record(theirs), _record(mine))
    except (WireError, UnicodeDecodeError):
        return mine
    return b"%s %s" % (mine.partition(b" ")[0], to_line(both).encode())


__all__ = ["IDLE_S", "Memory", "user_folder"]
