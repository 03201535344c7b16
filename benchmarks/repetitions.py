"""Run the five-line script from start to finish again and again; count what did not work.

Each repetition has a fresh pool of two workers, while a process of an earlier pool is alive and its
owner killed. `python benchmarks/repetitions.py --count 1000` exits with 1 if any repetition failed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from typing import TYPE_CHECKING

from taskpar_kernel.pool.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

STALE = """
import sys
sys.path.insert(0, sys.argv[1])
from taskpar_kernel.pool.pool import Pool
pool = Pool(2)
pool.run(1, "x = y = xy = 'stale'").result(60)
print("up", flush=True)
sys.stdin.readline()
"""


def five_lines(pool: Pool) -> object:
    """The first line feeds the rest; x on worker 1, y on worker 2, y travels 2 → 1."""
    pool.run(1, "datadir = 'data'")
    pool.send("datadir", 1, 2)
    pool.run(1, "x = datadir + '/x.csv'")
    pool.run(2, "y = datadir + '/y.csv'")
    pool.send("y", 2, 1)
    pool.run(1, "xy = x + y")
    shown = pool.run(1, "print(xy)").result(30).stdout
    assert shown == "data/x.csvdata/y.csv\n", shown
    logs = pool.log(1), pool.log(2)
    direct = "receive y from worker 2" in logs[0] and "send y to worker 1" in logs[1]
    assert direct, "\n".join(logs)
    return True


def needed_by_two(pool: Pool) -> object:
    """One variable goes to two workers."""
    pool.run(1, "v = list(range(1000))")
    pool.send("v", 1, (1, 2))
    pool.run(1, "a = sum(v)")
    pool.run(2, "b = len(v)")
    pool.send("a", 1, 2)
    pool.run(2, "c = a + b")
    return pool.gather(2, "c", limit_s=30) == {"c": 500_500}


def to_and_fro(pool: Pool) -> object:
    """A variable changes hands many times."""
    pool.run(1, "n = 0")
    for _ in range(5):
        pool.run(1, "n += 1")
        pool.send("n", 1, 2)
        pool.run(2, "n += 1")
        pool.send("n", 2, 1)
    return pool.gather(1, "n", limit_s=30) == {"n": 10}


def sender_exits(pool: Pool) -> object:
    """What was sent arrives also if the sender ends right away."""
    pool.run(2, "y = bytes(3_000_000)")
    pool.send("y", 2, 1)
    pool.run(2, "exit()")
    pool.run(1, "n = len(y)")
    return pool.gather(1, "n", limit_s=30) == {"n": 3_000_000}


SCRIPTS: tuple[Callable[[Pool], object], ...] = (
    five_lines,
    needed_by_two,
    to_and_fro,
    sender_exits,
)


def repeat(script: Callable[[Pool], object]) -> tuple[str, float]:
    """Return what went wrong ('' if nothing) and the seconds from start to finish."""
    start_s = time.perf_counter()
    try:
        with Pool(2) as pool:
            try:
                wrong = "" if script(pool) else "the result is wrong"
            except Exception as error:  # noqa: BLE001 - with what explains it
                states = "\n".join(map(str, pool.describe()))
                wrong = f"{type(error).__name__}: {error}\n{states}\n{pool.log(1)}\n{pool.log(2)}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
        wrong = f"{type(error).__name__}: {error}"
    return wrong, time.perf_counter() - start_s


def start_stale_pool() -> subprocess.Popen[str]:
    """Return the owner of another pool, which is up."""
    root = str(Path(__file__).resolve().parents[1])
    owner = subprocess.Popen(
        [sys.executable, "-c", STALE, root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    owner.stdout.readline()
    return owner


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="repetitions in all")
    count = parser.parse_args().count
    stale = start_stale_pool()
    times: list[float] = []
    failures = 0
    try:
        for number in range(count):
            if number % 50 == 25:  # one that was killed in the middle of its work, and a new one
                stale.kill()
                stale.communicate()
                stale = start_stale_pool()
            script = SCRIPTS[number % len(SCRIPTS)]
            wrong, seconds = repeat(script)
            times.append(seconds)
            if wrong:
                failures += 1
                print(f"{number + 1}: {script.__name__}: {wrong}", flush=True)
            if (number + 1) % 50 == 0 or number + 1 == count:
                print(
                    f"{number + 1}/{count}: {failures} failed, median "
                    f"{statistics.median(times):.3f} s, longest {max(times):.3f} s",
                    flush=True,
                )
    finally:
        stale.kill()
        stale.communicate()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
