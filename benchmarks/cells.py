"""Time cells under python3 and under taskpar in one run, interleaved; medians are compared.

Six questions, each with its limit: do independent sleeps overlap, does a diamond of large arrays
gain, does a cell with nothing to gain cost anything, does the line under a long cell, does the
kernel start as fast, and how much memory does the idle pool hold. A table is printed,
`out/cells.json` is written; exit code 1 if a limit is missed.

    python benchmarks/cells.py [--quick] [--only PART,PART,…]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psutil
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

OUT = Path("out")
LIMIT_S = 120
POOL_READY = "len(get_ipython().door.session.pool.ready)"

SLEEPS_SETUP = "import time\ndef work(seconds):\n    time.sleep(seconds)\n    return seconds\n"
SLEEPS = {
    "four sleeps, straight": "a = work(1)\nb = work(1)\nc = work(1)\nd = work(1)\n",
    "four sleeps, in a loop": (
        "results = []\nfor seconds in [1, 1, 1, 1]:\n"
        "    slept = work(seconds)\n    results.append(slept)\n"
    ),
}
DIAMOND_SETUP = """
import numpy as np
def make(seed):
    return np.random.default_rng(seed).random(5_000_000)
def bend(x, turns):
    for _ in range(turns):
        x = np.sin(x) + 0.5
    return x
def join(x, y):
    return float((x * y).sum())
"""
DIAMOND = "a = make(1)\nb = bend(a, 14)\nc = bend(a, 13)\nd = join(b, c)\n"
OVERHEAD_SETUP = "def step(x):\n    return x + 1\nvalues = list(range(1000))\nx = total = 0\n"
OVERHEAD = {
    "100 trivial statements": "".join(f"x{i} = {i} + 1\n" for i in range(100)),
    "100 trivial calls": "".join(f"y{i} = step({i})\n" for i in range(100)),
    "a chain of 100": "x = 0\n" + "x = step(x)\n" * 100,
    "a loop of 1,000": "total = 0\nfor v in values:\n    total += step(v)\n",
    "a loop of 1,000,000": "total = 0\nfor i in range(1_000_000):\n    total += i\n",
    "one expression": "total\n",
}
LINE_S = (
    "sum(__import__('time').clock_gettime(__import__('time').pthread_getcpuclockid(t.ident))"
    " for t in __import__('threading').enumerate() if t.name.endswith('line'))"
)
LONG = "total = 0\nfor i in range(25_000_000):\n    total += i\n"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of the table, under both kernels, in `unit`; `limit` is what ours is judged by."""

    name: str
    unit: str
    stock: float | None
    ours: float
    judged: float
    limit: float | None
    samples: int

    @property
    def kept(self) -> bool:
        """Whether the limit is kept, if there is one."""
        return self.limit is None or self.judged <= self.limit


class Kernel:
    """One running kernel and a client that waits for each cell."""

    def __init__(self, name: str, workers: int = 2, **environ: str):
        settings = {"TASKPAR_WORKERS": str(workers), "TASKPAR_HISTORY": "0"}
        self.manager = KernelManager(kernel_name=name, transport_encryption="auto")
        begin_s = time.perf_counter()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.manager.start_kernel(env=os.environ | settings | environ, **quiet)
        self.client: BlockingKernelClient = self.manager.blocking_client()
        self.client.start_channels()
        self.run("1")
        self.start_s = time.perf_counter() - begin_s
        self.ours = name == "taskpar"

    def run(self, code: str) -> float:
        """Run a cell; return the seconds until its reply."""
        begin_s = time.perf_counter()
        reply = self._reply(self.client.execute(code))
        seconds = time.perf_counter() - begin_s
        if reply["status"] != "ok":
            raise SystemExit(
                f"a benchmark cell failed: {reply['ename']}: {reply['evalue']}\n{code}"
            )
        return seconds

    def wait_workers(self, number: int) -> None:
        """Wait until the pool is up, so that its start is not in the figures."""
        end_s = time.monotonic() + LIMIT_S
        while self.ours and time.monotonic() < end_s:
            answer = self.evaluate(POOL_READY)
            if answer and int(answer) >= number:
                return
            time.sleep(0.05)
        if self.ours:
            raise SystemExit(f"the pool of {number} workers was not up after {LIMIT_S} s")

    def evaluate(self, expression: str) -> str:
        """Return how an expression's value shows in the kernel, or "" if it raises there."""
        sent = self.client.execute("", silent=True, user_expressions={"x": expression})
        answer = self._reply(sent)["user_expressions"]["x"]
        return answer["data"]["text/plain"] if answer["status"] == "ok" else ""

    def _reply(self, sent: str) -> dict:
        while True:
            reply = self.client.get_shell_msg(timeout=LIMIT_S)
            if reply["parent_header"].get("msg_id") == sent:
                self._drain()
                return reply["content"]

    def _drain(self) -> None:
        while self.client.iopub_channel.msg_ready():
            self.client.get_iopub_msg(timeout=LIMIT_S)

    def close(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=False)


@contextmanager
def both(workers: int) -> Iterator[tuple[Kernel, Kernel]]:
    """Run python3 and taskpar side by side, idle but for the one that is measured."""
    stock, ours = Kernel("python3"), Kernel("taskpar", workers)
    try:
        ours.wait_workers(workers)
        yield stock, ours
    finally:
        stock.close()
        ours.close()


def interleaved(
    stock: Kernel, ours: Kernel, code: str, times: int
) -> tuple[list[float], list[float]]:
    """Run a cell in turns; the order within a turn changes."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(times):
        for which in (0, 1) if turn % 2 else (1, 0):
            seconds[which].append((stock, ours)[which].run(code))
    return seconds


def sleeps(times: int) -> Iterator[Row]:
    """Four sleeps of one second on four workers."""
    with both(4) as (stock, ours):
        for kernel in (stock, ours):
            kernel.run(SLEEPS_SETUP)
        for name, code in SLEEPS.items():
            left, right = interleaved(stock, ours, code, times)
            yield Row(f"{name}, first run", "s", left[0], right[0], right[0], 1.15, 1)
            yield Row(name, "s", median(left), median(right), median(right), 1.15, times)


def diamond(times: int) -> Iterator[Row]:
    """a → b, c → d with arrays of 40 MB."""
    with both(2) as (stock, ours):
        for kernel in (stock, ours):
            kernel.run(DIAMOND_SETUP)
        left, right = interleaved(stock, ours, DIAMOND, times)
        yield Row(
            "diamond of 40 MB, first run", "s", left[0], right[0], right[0] / left[0], 1.05, 1
        )
        ratio = median(right) / median(left)
        yield Row("diamond of 40 MB", "s", median(left), median(right), ratio, 1.0, times)


def overhead(times: int) -> Iterator[Row]:
    """Cells with nothing to gain: milliseconds more than under python3."""
    with both(2) as (stock, ours):
        for kernel in (stock, ours):
            kernel.run(OVERHEAD_SETUP)
        for name, code in OVERHEAD.items():
            left, right = interleaved(
                stock, ours, code, times if "1,000,000" not in name else times // 2
            )
            stock_ms, ours_ms = 1000 * median(left), 1000 * median(right)
            yield Row(name, "ms", stock_ms, ours_ms, ours_ms - stock_ms, 2.0, len(left))


def progress(times: int) -> Iterator[Row]:
    """A long cell without and with the line that tells how far it is, in one and the same kernel.

    Two processes differ by more than the line costs, and so do two cells: pairs are compared.
    """
    kernel = Kernel("taskpar")
    try:
        kernel.wait_workers(2)
        without, shown = [], []
        begin_s = 0.0
        for turn in range(-1, times):  # the first pair warms up
            pair = {}
            for mode in ("off", "on") if turn % 2 else ("on", "off"):
                kernel.run(f"%config TaskPar.progress = {mode!r}")
                pair[mode] = kernel.run(LONG)
            if turn < 0:
                begin_s = float(kernel.evaluate(LINE_S))
                continue
            without.append(pair["off"])
            shown.append(pair["on"])
        line_s = float(kernel.evaluate(LINE_S)) - begin_s
        if line_s <= 0:
            raise SystemExit("no line was shown under the cell that was to have one")
        ratio = median(on / off for off, on in zip(without, shown, strict=True))
        left, right = median(without), median(shown)
        yield Row("line under a cell: off, on", "s", left, right, ratio, 1.02, times)
        each_ms = 1000 * line_s / times
        yield Row("processor time of the line, a cell", "ms", None, each_ms, each_ms, 10.0, times)
    finally:
        kernel.close()


def start(times: int) -> Iterator[Row]:
    """Kernel start to the first cell's reply."""
    found: dict[str, list[float]] = {"python3": [], "taskpar": []}
    for turn in range(times):
        for name in sorted(found, reverse=bool(turn % 2)):
            kernel = Kernel(name)
            found[name].append(kernel.start_s)
            kernel.close()
    left, right = median(found["python3"]), median(found["taskpar"])
    yield Row("start to first reply", "s", left, right, right / left, 1.10, times)


def memory(_times: int) -> Iterator[Row]:
    """Memory of the idle pool that nothing else shares (USS), and of the kernels themselves."""
    with both(2) as (stock, ours):
        own = [uss_mb(psutil.Process(k.manager.provisioner.pid)) for k in (stock, ours)]
        yield Row("kernel itself, own memory", "MB", own[0], own[1], own[1], None, 1)
        kernel = psutil.Process(ours.manager.provisioner.pid)
        workers = [uss_mb(process) for process in kernel.children(recursive=True)]
        yield Row(
            f"{len(workers)} processes of the idle pool", "MB", None, sum(workers), 0, None, 1
        )


def uss_mb(process: psutil.Process) -> float:
    """Return what the process holds alone, in MB."""
    return process.memory_full_info().uss / 1e6


def show(row: Row) -> None:
    """Print one line of the table."""
    stock = "" if row.stock is None else f"{row.stock:.3f}"
    limit = "" if row.limit is None else f"{row.judged:.3f} ≤ {row.limit}"
    verdict = "" if row.limit is None else "yes" if row.kept else "NO"
    figures = f"{row.name:34} {stock:>10} {row.ours:10.3f} {row.unit:3}"
    print(f"{figures} {limit:>16} {verdict:4} n={row.samples}", flush=True)


PARTS: dict[str, tuple[Callable[[int], Iterator[Row]], int, int]] = {
    "sleeps": (sleeps, 7, 3),
    "diamond": (diamond, 9, 3),
    "overhead": (overhead, 40, 12),
    "progress": (progress, 15, 3),
    "start": (start, 10, 4),
    "memory": (memory, 1, 1),
}
"""Each part with its number of repetitions, in full and with --quick."""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    options = parser.parse_args()
    parts = options.only.split(",")
    if unknown := [p for p in parts if p not in PARTS]:
        parser.error(f"--only: no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    rows = []
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} at the start")
    print(f"{'':34} {'python3':>10} {'taskpar':>10} {'':3} {'judged':>16}")
    for part in parts:
        measure, times, quick = PARTS[part]
        for row in measure(quick if options.quick else times):
            rows.append(row)
            show(row)
    OUT.mkdir(exist_ok=True)
    record = {"cores": os.cpu_count(), "load": load, "quick": options.quick}
    record["rows"] = [asdict(row) for row in rows]
    (OUT / "cells.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
