"""How far a run is comes in, lines on the terminal go out; never mixed into what is printed.

The rule: on a terminal one line is written over and over; anywhere else each cell gets one line
when it is over, so that a log reads well.
"""

from __future__ import annotations

import re
import sys
import time
from typing import TextIO

_WIDTH = 50
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def plain(text: str, stream: TextIO) -> str:
    """Return `text` without its colours if `stream` is no terminal."""
    return text if stream.isatty() else _COLOUR.sub("", text)


class Progress:
    """Tells of the cells of one run, on stderr."""

    def __init__(self, number: int, stream: TextIO | None = None):
        self._number = number
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._begin_s = self._cell_s = time.monotonic()
        self._at = 0

    def begins(self, source: str) -> None:
        """A cell begins."""
        self._at += 1
        self._cell_s = time.monotonic()
        if self._terminal:
            line = f"\r\x1b[Kcell {self._at} of {self._number}  {_first(source)}"
            print(line, end="", file=self._stream, flush=True)

    def ends(self, source: str) -> None:
        """The cell is over."""
        seconds = time.monotonic() - self._cell_s
        line = f"cell {self._at} of {self._number}  {_first(source):{_WIDTH}} {seconds:8.2f} s"
        start = "\r\x1b[K" if self._terminal else ""
        print(start + line, file=self._stream, flush=True)

    def over(self, what: str) -> None:
        """Nothing more comes."""
        seconds = time.monotonic() - self._begin_s
        print(f"{what} after {seconds:.2f} s", file=self._stream, flush=True)


def _first(source: str) -> str:
    """Return the line that tells a cell: its first one that is no comment."""
    lines = [s for line in source.splitlines() if (s := line.strip()) and not s.startswith("#")]
    line = (lines or [source.strip()])[0]
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
