"""Processes that own a pool, and whether processes live."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil

LIMIT_S = 15.0
ROOT = Path(__file__).parents[2]


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
from functools import partial
import psutil
from taskpar_kernel.pool import pool as own
own.WorkerPool = partial(own.WorkerPool, forks={forks})
pool = own.Pool(2)
pool.wait_ready(20)
for code in sys.argv[1:]:
    pool.run(1, code)
if len(sys.argv) > 1:
    pool.gather(2, "__name__")
print(json.dumps(dict(
    pids=[w.pid for w in pool.describe()],
    children=[p.pid for p in psutil.Process().children(recursive=True)],
    folders=[pool._link.folder, pool._link.segments],
)), flush=True)
sys.stdin.readline()
"""

    def __init__(self, *codes: str, forks: bool = True):
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM.format(forks=forks), *codes],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        self.workers: list[int] = told["pids"]
        self.children: list[int] = told["children"]
        """The workers and, if it forks, the zygote."""
        self.folders = [Path(f) for f in told["folders"]]

    def end_cleanly(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
