"""Time the first run of cells in new kernels: with costs learned by an earlier one, and without.

Each turn starts three kernels one after the other (python3, taskpar with `history` off, taskpar
with what its turns before have learned), waits for the workers, and runs each cell once. The work
is waiting, so that the figures bear a busy machine. Printed are medians of milliseconds, and how
many statements workers ran. The costs of this run are kept in a folder of its own.

    python benchmarks/sessions.py [--turns 7] [--workers 4]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from statistics import median

from cells import Kernel

SETUP = """
import time
def work(seconds, after=None):
    time.sleep(seconds)
    return seconds
def warm(seconds):
    time.sleep(seconds)
    return seconds
def inside(numbers):
    found = []
    for number in numbers:
        found.append(work(number))
    return found
"""
WARM = "w = [warm(0.1) for _ in range(16)]\n"
"""Run before the others: the first attempt on a worker takes its own time."""
CELLS = {
    "eight calls of 8 ms": "".join(f"a{k} = work(0.008)\n" for k in range(8)),
    "eight calls of 50 ms": "".join(f"b{k} = work(0.05)\n" for k in range(8)),
    "two chains of four, 20 ms each": "".join(
        f"{c}{k + 1} = work(0.02, {c}{k})\n" if k else f"{c}1 = work(0.02)\n"
        for c in "cd"
        for k in range(4)
    ),
    "loop of 16 × 10 ms": "r = []\nfor k in range(16):\n    e = work(0.01)\n    r.append(e)\n",
    "loop of 16 × 10 ms in a function": "f = inside([0.01] * 16)\n",
}
RECORD = "__import__('taskpar_kernel').last_run().to_json()"
PLANS = "get_ipython().door.session._can_plan.is_set()"


def turn(name: str, workers: int, **environ: str) -> dict[str, tuple[float, int]]:
    """Return for each cell its milliseconds in a new kernel, and how many statements went out."""
    kernel = Kernel(name, workers, **environ)
    try:
        kernel.run(SETUP)
        kernel.wait_workers(workers)
        while kernel.ours and kernel.evaluate(PLANS) != "True":
            pass
        kernel.run(WARM)
        found = {}
        for cell, code in CELLS.items():
            seconds = kernel.run(code)
            out = 0
            if kernel.ours:
                record = json.loads(eval(kernel.evaluate(RECORD)))  # the repr of a string
                out = sum(s["state"] == "committed" for s in record["statements"])
            found[cell] = (1000 * seconds, out)
        return found
    finally:
        kernel.close()


def main() -> None:
    """Run the turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    seen: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        ways = {
            "python3": ("python3", {}),
            "not learned": ("taskpar", {"TASKPAR_HISTORY": "0"}),
            "learned": ("taskpar", {"TASKPAR_HISTORY": "1", "JUPYTER_DATA_DIR": folder}),
        }
        turn("taskpar", options.workers, **ways["learned"][1])
        for _ in range(options.turns):
            for way, (name, environ) in ways.items():
                for cell, figures in turn(name, options.workers, **environ).items():
                    seen[cell, way].append(figures)
    print(f"{'milliseconds, median (on workers)':40}" + "".join(f"{way:>18}" for way in ways))
    for cell in CELLS:
        told = [
            f"{median(ms for ms, _ in seen[cell, way]):.0f}"
            f" ({median(out for _, out in seen[cell, way]):.0f})"
            for way in ways
        ]
        print(f"{cell:40}" + "".join(f"{text:>18}" for text in told))


if __name__ == "__main__":
    main()
