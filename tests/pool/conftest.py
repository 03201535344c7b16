from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from taskpar_kernel.pool.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT_S = 15.0
ROOT = Path(__file__).parents[2]


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(2) as two:
        yield two


@pytest.fixture
def wait_until() -> Callable[..., float]:
    """Wait for a condition; returns the seconds that took, or fails."""
    pause = threading.Event()

    def wait(condition: Callable[[], object], limit_s: float = LIMIT_S) -> float:
        start_s = time.monotonic()
        while not condition():
            if time.monotonic() - start_s > limit_s:
                pytest.fail(f"waited {limit_s} s in vain")
            pause.wait(0.01)
        return time.monotonic() - start_s

    return wait


def alive(pid: int) -> bool:
    """Whether `pid` runs (a zombie does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


class Front:
    """Another process that owns a pool; it prints one line of JSON when its workers are up."""

    PROGRAM = """
import json, sys, threading
from taskpar_kernel.pool.pool import Pool
pool = Pool(2)
pool.wait_ready(20)
for code in sys.argv[1:]:
    pool.run(1, code)
if len(sys.argv) > 1:
    pool.gather(2, "__name__")
print(json.dumps({
    "pids": [w.pid for w in pool.describe()],
    "folders": [pool._link.folder, pool._link.segments],
}), flush=True)
sys.stdin.readline()
"""

    def __init__(self, *codes: str):
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM, *codes],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        self.workers: list[int] = told["pids"]
        self.folders = [Path(f) for f in told["folders"]]

    def end_cleanly(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def front() -> Iterator[Callable[..., Front]]:
    fronts: list[Front] = []

    def start(*codes: str) -> Front:
        fronts.append(Front(*codes))
        return fronts[-1]

    yield start
    for one in fronts:
        one.close()
