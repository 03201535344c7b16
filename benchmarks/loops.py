"""Time loops as people write them under python3 and under taskpar, in one run, interleaved.

One line for each cell of `benchmarks/loops/`: serial seconds, how many times as fast the first run
and the later ones are, statements taken from workers, whether all results and outputs are equal.
`--peers` also times the same work written by hand for joblib, and for dask where it is installed.
`out/loops.json` is written; exit code 1 if a result differs.

    python benchmarks/loops.py [--quick] [--only NAME,..] [--workers N] [--peers]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from loops_cells import Cell, cells
from loops_table import HEAD, line, totals
from loops_timing import Timing, measure

OUT = Path("out")
WORKERS = 2
LATER, LATER_QUICK = 6, 2
"""Runs of each cell after the first."""
LIBRARIES = ("joblib", "dask")


def main() -> int:
    """Run the command line."""
    options = _options()
    peers = _installed() if options.peers else []
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    print(" ".join([HEAD, *(f"{p:>11}" for p in peers)]))
    found = []
    for cell in options.cells:
        timing = _measured(cell, options, peers)
        found.append(timing)
        print(line(timing, peers), flush=True)
        for difference in timing.differences:
            print(f"    {difference}")
        if options.explain:
            print("\n".join(f"\n{text}" for text in timing.explained), end="\n\n", flush=True)
        _leave(found, options)  # after each cell: a run that is stopped leaves what it has
    print("\n".join(totals(found, peers)))
    return 1 if any(t.differences for t in found) else 0


def _measured(cell: Cell, options: argparse.Namespace, peers: list[str]) -> Timing:
    later = LATER_QUICK if options.quick else LATER
    return measure(cell, options.workers or cell.workers or WORKERS, later, peers)


def _installed() -> list[str]:
    missing = [library for library in LIBRARIES if find_spec(library) is None]
    if missing:
        print(f"not installed, so not timed: {', '.join(missing)}")
    return [library for library in LIBRARIES if library not in missing]


def _leave(found: list[Timing], options: argparse.Namespace) -> None:
    OUT.mkdir(exist_ok=True)
    record = {
        "cores": os.cpu_count(),
        "quick": options.quick,
        "cells": [t.to_dict() for t in found],
    }
    (OUT / "loops.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--only", default="", metavar="NAME[,..]", help="these cells only")
    parser.add_argument("--workers", type=int, help="2, and 4 for cells that wait")
    parser.add_argument("--peers", action="store_true", help="time joblib and dask too")
    parser.add_argument("--explain", action="store_true", help="show what ran where, and why")
    options = parser.parse_args()
    try:
        options.cells = cells([name for name in options.only.split(",") if name])
    except ValueError as error:
        parser.error(f"--only: {error}")
    return options


if __name__ == "__main__":
    sys.exit(main())
