"""`Timing`s come in, lines for the terminal go out.

The rule: ratios are what counts, of medians; geometric means are taken over the parallel cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean

from loops_timing import Timing

HEAD = f"{'cell':12} {'':10} {'serial s':>8} {'first':>6} {'later':>6} {'ahead':>9} equal"


def line(timing: Timing, peers: Sequence[str] = ()) -> str:
    """Return one cell as a line of the table."""
    ahead = f"{timing.ahead[0]}/{timing.ahead[-1]}"
    equal = "NO" if timing.differences else "yes"
    text = f"{timing.cell.name:12} {_kind(timing):10} {timing.serial_s:8.2f} {timing.first:5.2f}×"
    text += f" {timing.later:5.2f}× {ahead:>9} {equal:5}"
    return " ".join([text, *(f"{_peer(timing, p):>11}" for p in peers)]).rstrip()


def totals(timings: Sequence[Timing], peers: Sequence[str] = ()) -> list[str]:
    """Return the lines below the table: geometric means, and the slowest ratio of all."""
    parallel = [t for t in timings if t.cell.parallel]
    lines = []
    if parallel:
        means = [
            geometric_mean(t.first for t in parallel),
            geometric_mean(t.later for t in parallel),
        ]
        text = f"first run {means[0]:.2f}×, later runs {means[1]:.2f}×"
        lines.append(f"geometric means of the {len(parallel)} parallel cells: {text}")
    lines += [text for p in peers if (text := _peer_mean(parallel, p))]
    ratio, name, run = min(
        (ratio, t.cell.name, run)
        for t in timings
        for ratio, run in ((t.first, "first run"), (t.later, "later runs"))
    )
    lines.append(f"slowest of all: {name}, {run}: {ratio:.2f}×")
    differing = [t.cell.name for t in timings if t.differences]
    lines.append(f"results equal: {'no: ' + ', '.join(differing) if differing else 'yes'}")
    return lines


def _kind(timing: Timing) -> str:
    return "parallel" if timing.cell.parallel else "serial"


def _peer(timing: Timing, library: str) -> str:
    first, later = (timing.peer(library, later=later) for later in (False, True))
    return "-" if first is None or later is None else f"{first:.2f}, {later:.2f}"


def _peer_mean(parallel: Sequence[Timing], library: str) -> str:
    timed = [t for t in parallel if library in t.peers_s]
    if not timed:
        return ""
    first, later = (
        geometric_mean(r for t in timed if (r := t.peer(library, later=when)) is not None)
        for when in (False, True)
    )
    return f"{library}, by hand, {len(timed)} cells: first call {first:.2f}×, later {later:.2f}×"
