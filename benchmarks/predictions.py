"""Compare what plans predict with what happened: a notebook's later runs in one kernel.

The notebook is run several times in one taskpar kernel; from the second run on its costs are known,
and cells are planned. For each cell that was, planned and actual seconds are printed, and at the
end the median of what the prediction was off by. Run it on a quiet machine: a plan knows nothing of
who else wants the cores.

    python benchmarks/predictions.py [--notebook notebooks/flights.ipynb] [--runs 3]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from taskpar_kernel.testing.observe import KernelRun

if TYPE_CHECKING:
    from taskpar_kernel.testing.compare import CellResult


def planned_s(record: dict[str, Any]) -> float | None:
    """Return when the plan that was followed ends; None: there was none."""
    return max((one["end_s"] for one in record.get("planned", ())), default=None)


async def measure(notebook: Path, runs: int) -> None:
    offs: list[float] = []

    def show(run: int, cell: CellResult, record: dict[str, Any]) -> None:
        predicted_s = planned_s(record)
        if run == 1 or predicted_s is None:
            return
        actual_s = record["wall_s"]
        off = predicted_s / actual_s - 1
        offs.append(abs(off))
        squashed = f", {record['squashed']} run again" if record["squashed"] else ""
        print(
            f"run {run}, cell {cell.index:>2}: planned {predicted_s:7.3f} s, "
            f"took {actual_s:7.3f} s, {off:+.0%}{squashed}",
            flush=True,
        )

    read = nbformat.read(notebook, as_version=4)
    async with KernelRun(read, "taskpar", folder=str(notebook.resolve().parent)) as kernel:
        await kernel.wait_for_workers()
        for run in range(1, runs + 1):
            await kernel.observe(lambda cell, record, run=run: show(run, cell, record))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    if offs:
        print(
            f"{len(offs)} planned cells, median off by {statistics.median(offs):.0%}; load {load}"
        )
    else:
        print(f"no cell was planned; load {load}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notebook", type=Path, default=Path("notebooks/flights.ipynb"))
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    asyncio.run(measure(options.notebook, options.runs))


if __name__ == "__main__":
    main()
