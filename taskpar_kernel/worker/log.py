"""The log of one worker: what it did comes in, lines go out to a file in the pool's private folder.

A line reads `start end what (duration)`, times in monotonic seconds: the log of a worker reads
like the script it ran. The rule: a line is in the file before the next step begins, so that the
log tells the truth also about a worker that crashed.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_BYTES = 2 * 1024 * 1024


class Log:
    """An append-only file of at most two parts of `LARGEST_BYTES`."""

    def __init__(self, path: Path):
        self._path = path
        self._size = 0
        self._fd = _open(path)

    def line(self, what: str, start_s: float | None = None) -> None:
        """Write that `what` ended now, having begun at monotonic `start_s`."""
        now = time.monotonic()
        if start_s is None:
            text = f"{now:.6f} {now:.6f} {what}\n"
        else:
            text = f"{start_s:.6f} {now:.6f} {what} ({1000 * (now - start_s):.1f} ms)\n"
        self._size += os.write(self._fd, text.encode("utf-8", "backslashreplace"))
        if self._size > LARGEST_BYTES:
            self._turn_over()

    def _turn_over(self) -> None:
        os.close(self._fd)
        self._path.replace(self._path.with_suffix(".log.old"))
        self._fd, self._size = _open(self._path), 0


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
