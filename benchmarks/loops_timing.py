"""A `Cell` comes in, its times under python3 and taskpar and every difference go out.

The rule: both kernels are new for each cell and run it in turns, so that what else the machine does
meets both; nothing is compared by this file itself, but by the project's own comparison.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from loops_cells import Cell

from taskpar_kernel.testing import compare, seen
from taskpar_kernel.testing.digests import PROBE
from taskpar_kernel.testing.fronts import Front

LIMIT_S = 120
_LAST = (
    "__import__('taskpar_kernel.report.last', fromlist=['x']).last_text("
    "get_ipython().door.explained(__import__('taskpar_kernel').last_run()))"
)


@dataclass(slots=True)
class Timing:
    """One cell as it went: seconds of each run, the first run first."""

    cell: Cell
    workers: int
    stock_s: list[float] = field(default_factory=list)
    ours_s: list[float] = field(default_factory=list)
    ahead: list[int] = field(default_factory=list)
    """Statements taken from workers, run by run."""
    differences: list[str] = field(default_factory=list)
    peers_s: dict[str, list[float]] = field(default_factory=dict)
    explained: list[str] = field(default_factory=list)
    """What `%taskpar last --text` says of the first and the last run."""

    @property
    def serial_s(self) -> float:
        """Median seconds under python3."""
        return median(self.stock_s)

    @property
    def first(self) -> float:
        """How many times as fast the first run is, against the median serial one.

        What the first serial run pays for the first use of a library is in both.
        """
        return self.stock_s[0] / self.ours_s[0]

    @property
    def later(self) -> float:
        """How many times as fast the later runs are, by medians."""
        return median(self.stock_s[1:]) / median(self.ours_s[1:])

    def peer(self, library: str, *, later: bool) -> float | None:
        """Return how many times as fast the hand-written version is."""
        seconds = self.peers_s.get(library)
        if not seconds:
            return None
        return self.serial_s / (median(seconds[1:]) if later else seconds[0])

    def to_dict(self) -> dict[str, Any]:
        """Return the record for the JSON file."""
        known = asdict(self)
        cell = known.pop("cell")
        return {key: cell[key] for key in ("name", "title", "parallel")} | known


class Bare(Front):
    """A kernel in which nothing was loaded before the first cell."""

    def begin(self) -> None:
        """Do nothing: the usual probe loads libraries, which workers then load, too."""


def measure(cell: Cell, workers: int, later: int, peers: Sequence[str]) -> Timing:
    """Run one cell `1 + later` times in turns, then its hand-written versions under python3."""
    timing = Timing(cell, workers)
    with tempfile.TemporaryDirectory(prefix="loops") as place:
        stock = Bare("python3", Path(place) / "stock", **_ENVIRON)
        ours = Bare("taskpar", Path(place) / "taskpar", **_ENVIRON, TASKPAR_WORKERS=str(workers))
        with stock, ours:
            _in_turns(timing, stock, ours, later)
            for library in peers:
                if library in cell.peers:
                    timing.peers_s[library] = _peer(stock, cell.peers[library], workers)
    return timing


_ENVIRON = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}


def _in_turns(timing: Timing, stock: Front, ours: Front, later: int) -> None:
    seems = seen.Seems([], {}), seen.Seems([], {})
    ours.wait_for_workers()
    for front, seem in zip((stock, ours), seems, strict=True):
        seem.cells.append(_run(front, timing.cell.setup)[0])
    for turn in range(1 + later):
        for which in (0, 1) if turn % 2 else (1, 0):
            shown, seconds = _run((stock, ours)[which], timing.cell.code)
            seems[which].cells.append(shown)
            (timing.stock_s, timing.ours_s)[which].append(seconds)
        record = ours.last() or {}
        timing.ahead.append(record.get("committed_ahead", 0))
        if turn in {0, later}:
            timing.explained.append(ours.evaluate(_LAST))
    ends = compare.differences(_end_of(stock), _end_of(ours))
    timing.differences = [*seen.differences(*seems), *map(str, ends)]


def _run(front: Front, code: str) -> tuple[seen.Seen, float]:
    begin_s = time.perf_counter()
    shown = front.run(code, limit_s=LIMIT_S)
    seconds = time.perf_counter() - begin_s
    if shown.error is not None:
        raise SystemExit(f"a cell failed under {front.kernel}: {shown.error}\n{code}")
    return shown, seconds


def _end_of(front: Front) -> compare.Observation:
    """Return what the names hold after the last run, and the state of the process."""
    end = json.loads(front.evaluate(PROBE.format(detail=[])))
    names = {name: (digest, text) for name, (digest, text) in end["names"].items()}
    del end["ambient"]["cwd"]  # each kernel has a folder of its own
    return compare.Observation(front.kernel, (), tuple(end["order"]), names, end["ambient"])


def _peer(front: Front, code: str, workers: int) -> list[float]:
    """Return the seconds of the first and two later runs; the pool of the library stays up."""
    _run(front, f"JOBS = {workers}\n")
    return [_run(front, code)[1] for _ in range(3)]
