"""Time large values that travel between workers, beside a copy in memory of the same size.

Each turn copies an array of that many bytes within this process, memory and caches warm, then sends
the value from worker 1 to worker 2 and waits until code there has used it. Medians of milliseconds,
and their ratio with its limit. Then: what it takes of memory to give one array to four workers. A
table is printed, `out/transfers.json` is written; exit code 1 if a limit is missed.

    python benchmarks/transfers.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from taskpar_kernel.pool.pool import Pool

OUT = Path("out")
LIMIT_S = 120.0
MB = 125_000
"""Numbers of eight bytes in a MB."""


@dataclass(frozen=True, slots=True)
class Case:
    """A value: the code that makes `x`, the code that uses it, the bytes to compare with."""

    name: str
    made: str
    used: str
    nbytes: int
    limit: float
    times: int


ARRAYS = "import numpy as np\nx = np.ones({})"
FRAME = "import numpy as np, pandas as pd\nx = pd.DataFrame(np.ones((1_000_000, 10)))"
STRINGS = (
    "import pandas as pd\n"
    "x = pd.Series([f'word {n}' for n in range(1_000_000)], dtype='string[pyarrow]')"
)
CASES = (
    Case("array of 8 MB", ARRAYS.format(8 * MB), "x[0]", 8_000_000, 2.5, 40),
    Case("array of 80 MB", ARRAYS.format(80 * MB), "x[0]", 80_000_000, 1.3, 20),
    Case("array of 800 MB", ARRAYS.format(800 * MB), "x[0]", 800_000_000, 1.3, 9),
    Case("numbers in a frame of 1,000,000 rows", FRAME, "x.iat[0, 0]", 80_000_000, 1.6, 20),
    Case("1,000,000 Arrow strings", STRINGS, "x.iat[0]", 18_888_890, 3.0, 20),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: milliseconds of the copy and of the transfer, or MB."""

    name: str
    unit: str
    copy: float
    ours: float
    limit: float

    @property
    def ratio(self) -> float:
        """How many times the copy ours is."""
        return self.ours / self.copy

    @property
    def kept(self) -> bool:
        """Whether the limit is kept."""
        return self.ratio <= self.limit


def transfers(case: Case, times: int) -> Row:
    """Return the medians of copies and transfers, taken in turns."""
    source = np.ones(case.nbytes // 8)
    target = np.zeros_like(source)
    copies, sends = [], []
    with Pool(2) as pool:
        pool.run(1, case.made).result(LIMIT_S)
        pool.run(2, case.made).result(LIMIT_S)  # its modules, too
        for _ in range(times + 3):
            begin_s = time.perf_counter()
            np.copyto(target, source)
            copies.append(time.perf_counter() - begin_s)
            begin_s = time.perf_counter()
            pool.send("x", 1, 2)
            pool.run(2, f"used = {case.used}").result(LIMIT_S)
            sends.append(time.perf_counter() - begin_s)
    return Row(case.name, "ms", 1e3 * median(copies[3:]), 1e3 * median(sends[3:]), case.limit)


def given_to_four() -> Row:
    """Return by how much the memory of all processes grows when four workers read one array."""
    array = np.ones(400 * MB)
    with Pool(4) as pool:
        pool.wait_ready(LIMIT_S)
        for worker in pool.workers:
            pool.run(worker, "import numpy").result(LIMIT_S)
        before = _resident_mb()
        pool.put(pool.workers, x=array)
        for done in [pool.run(worker, "total = x.sum()") for worker in pool.workers]:
            done.result(LIMIT_S)
        grown = _resident_mb() - before
    return Row("400 MB for four workers", "MB", array.nbytes / 1e6, grown, 1.2)


def _resident_mb() -> float:
    """Return what this process and its workers hold; what they share counts once in all."""
    own = psutil.Process()
    every = [own, *own.children(recursive=True)]
    return sum(process.memory_full_info().pss for process in every) / 1e6


def rows(*, quick: bool) -> Iterator[Row]:
    """Measure everything."""
    for case in CASES:
        if case.made is STRINGS and find_spec("pyarrow") is None:
            print(f"{case.name:38} not measured: pyarrow is not installed")
            continue
        yield transfers(case, 5 if quick else case.times)
    yield given_to_four()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    print(f"{'':38} {'copy':>9} {'ours':>9}     ratio  limit")
    found = []
    for row in rows(quick=options.quick):
        found.append(row)
        figures = f"{row.name:38} {row.copy:9.2f} {row.ours:9.2f} {row.unit}"
        verdict = "yes" if row.kept else "NO"
        print(f"{figures} {row.ratio:7.2f}  {row.limit:5} {verdict}", flush=True)
    OUT.mkdir(exist_ok=True)
    text = json.dumps([asdict(row) for row in found], indent=1)
    (OUT / "transfers.json").write_text(text, encoding="utf-8")
    return 0 if all(row.kept for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
