"""What a cell begins by importing, all workers have soon after home, and are as good as before."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from taskpar_kernel.testing.fronts import Front

HOWEVER_QUICK = "from taskpar_kernel.pool import io_loop\nio_loop.WORTH_S = 0.0"
IMPORTS = "import scipy.signal, scipy.interpolate"
WORK = """
def work(seed):
    taps = scipy.signal.firwin(301 + 2 * seed, 0.3)
    made = [scipy.signal.lfilter(taps, 1.0, [float(seed)] * 20_000) for _ in range(20)]
    return float(sum(each.sum() for each in made))
"""
CELL = "found = [work(seed) for seed in range(12)]"
INCARNATIONS = "(lambda pool: [pool.incarnation(w) for w in pool.places])(S.pool)".replace(
    "S", "get_ipython().door.session"
)


@pytest.mark.skipif(sys.platform != "linux", reason="a zygote needs Linux")
def test_workers_are_forked_with_what_a_cell_imports(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    results = []
    for kernel in ("python3", "taskpar"):
        with Front(kernel, tmp_path / kernel, TASKPAR_WORKERS="2") as front:
            if kernel == "taskpar":
                front.wait_for_workers()
                assert front.evaluate(INCARNATIONS) == [1, 1]
                front.run(HOWEVER_QUICK)
                front.wait_for_workers()
            assert front.run(IMPORTS).status == "ok"
            if kernel == "taskpar":
                front.wait_for_workers()
                assert front.evaluate(INCARNATIONS) == [2, 2]
            assert front.run(WORK).status == "ok"
            seen = front.run(CELL)
            assert seen.status == "ok"
            results.append(front.evaluate("found"))
    assert results[0] == results[1]
