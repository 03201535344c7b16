"""A value of 2 GB, as an array and as bytes, is read and changed as in plain ipykernel."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from taskpar_kernel.testing.fronts import Front

NEEDED_BYTES = 12 << 30
LIMIT_S = 240.0
CELLS = (
    """
import numpy as np
def look(x): return float(x[::4096].sum())
def change(x):
    x[5] = 7
    return x[5]
array = np.ones(2**28)
""",
    """
a = look(array)
b = change(array)
c = look(array)
""",
    "print(a, b, c, array[5], array.nbytes >> 30)",
    """
del array
def length(t): return len(t), t[-1]
text = bytes(2**31)
""",
    "d = length(text)",
    "print(d, len(text))",
)
SHOWN = ["65536.0 7.0 65536.0 7.0 2\n", "(2147483648, 0) 2147483648\n"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("eager", ["", "1"], ids=["normal", "eager"])
def test_a_value_of_2_gb(eager: str, tmp_path: Path) -> None:
    if psutil.virtual_memory().available < NEEDED_BYTES:
        pytest.skip(f"needs {NEEDED_BYTES >> 30} GB of free memory")
    with Front("taskpar", tmp_path / "cwd", TASKPAR_WORKERS="2", TASKPAR_EAGER=eager) as front:
        front.wait_for_workers()
        # bytes that a worker makes travel inside the message: right, and slow
        cells = CELLS[:3] if eager else CELLS
        seen = [front.run(cell, limit_s=LIMIT_S) for cell in cells]
    assert [s.status for s in seen] == ["ok"] * len(cells), seen
    assert [s.text() for s in seen if s.text()] == SHOWN[: len(cells) // 3]


MAKE = """
import numpy as np
def make(n): return np.full(131072, float(n))
def ends(array): return array[0] + array[-1]
"""
USE = """
kept = []
for i in range(8):
    one = make(i)
    kept.append(one)
other = make(3)
other[:] = 5
total = ends(other) + sum(ends(array) for array in kept)
del kept, one, other
"""
FILES = (
    "(lambda files, shell: [f.name for f in files.files_in(shell.door.session.pool.segments)"
    " if f.nbytes and (FREE or not f.is_free)])"
    "(__import__('taskpar_kernel.transport.files', fromlist=['files']), get_ipython())"
)
MAPS = "sum('/dev/shm/taskpar-' in line for line in open('/proc/self/maps'))"


def test_no_cell_leaves_shared_memory_behind(tmp_path: Path) -> None:
    """Neither what came home, nor what one worker made for the other."""
    with Front("taskpar", tmp_path / "cwd", TASKPAR_WORKERS="2", TASKPAR_EAGER="1") as front:
        front.wait_for_workers()
        front.run(MAKE)
        front.run("one = make(1)\ntotal = ends(one)\ndel one")
        assert front.evaluate(MAPS) == 0, "what the cell deleted is held on to"
        for _ in range(6):
            front.run(USE)
            assert front.evaluate("float(total)") == 66.0
            assert front.evaluate(FILES.replace("FREE", "False")) == []
        free = front.evaluate(FILES.replace("FREE", "True"))
        transfers = front.evaluate("len(__import__('taskpar_kernel').last_run().transfers)")
    assert transfers > 0
    assert free


LOOP = """
import psutil
from taskpar_kernel.transport import files

def make(n): return np.full(1 << 20, float(n))
def held():
    door = get_ipython().door
    kept = [f.nbytes for f in files.files_in(door.session.pool.segments) if not f.is_free]
    bundles = door.session._cell.dispatch.ledger.bundles.values()
    return sum(kept) >> 20, sum(not b.is_past for b in bundles)
total = 0
"""
STEP = """
one = make({i})
other = one * 2 + make({i})
total += float(other[0])
"""
PASSING = "".join(STEP.format(i=i) for i in range(80)) + "files, bundles = held()"
MEMORY = (
    "[p.memory_full_info().rss - p.memory_full_info().shared >> 20 for p in PROCESSES]".replace(
        "PROCESSES", "[psutil.Process(), *psutil.Process().children(recursive=True)]"
    )
)


def test_a_cell_holds_no_value_that_it_has_passed(tmp_path: Path) -> None:
    """80 times 24 MB are made; before the cell is over most of it is gone, everywhere."""
    with Front("taskpar", tmp_path / "cwd", TASKPAR_WORKERS="2", TASKPAR_EAGER="1") as front:
        front.wait_for_workers()
        front.run(MAKE + LOOP)
        before = front.evaluate(MEMORY)
        front.run(PASSING)
        ahead = front.evaluate("__import__('taskpar_kernel').last_run().committed_ahead")
        assert front.evaluate("total") == 9480.0
        files, bundles = front.evaluate("[files, bundles]")
        after = front.evaluate(MEMORY)
    assert ahead >= 200
    assert bundles < 40
    assert files < 200
    assert max(now - then for now, then in zip(after, before, strict=True)) < 200
