"""What one kernel learns, the next one begins with; real kernels, and the file between them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskpar_kernel.testing.fronts import Front

LIMIT_S = 20.0
BEFORE = """
def private_work(n):
    total = 0
    for i in range(400_000):
        total += i * n % 7
    return total
"""
CELL = "".join(f"result_{k} = private_work({k})\n" for k in range(6))


@contextmanager
def session(tmp_path: Path, **environ: str) -> Iterator[Front]:
    """Begin a session whose costs are kept in a folder of the test's own."""
    kept = {"TASKPAR_HISTORY": "1", "JUPYTER_DATA_DIR": str(tmp_path / "data")}
    with Front("taskpar", tmp_path / "cwd", TASKPAR_WORKERS="2", **kept | environ) as front:
        front.run(BEFORE)
        front.wait_for_workers()
        wait_for(lambda: front.evaluate("get_ipython().door.session._can_plan.is_set()"))
        yield front


def costs(tmp_path: Path) -> Path:
    return tmp_path / "data" / "taskpar" / "costs"


def planned(front: Front) -> int:
    """Run the cell and return how many statements of it a plan was made of beforehand."""
    seen = front.run(CELL)
    assert seen.status == "ok"
    record: Any = front.last()
    return len(record["planned"])


def shut_down(front: Front) -> None:
    """End the kernel as a front end does."""
    assert front.manager is not None
    front.manager.shutdown_kernel()


def wait_for(condition: Any) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end_s, "it did not come true in time"
        threading.Event().wait(0.02)


@pytest.mark.parametrize("end", ["shut down", "killed when idle"])
def test_the_second_session_plans_from_the_first(tmp_path: Path, end: str) -> None:
    with session(tmp_path) as front:
        assert not planned(front), "nothing is known yet"
        if end == "shut down":
            shut_down(front)
        else:
            wait_for(costs(tmp_path).exists)
            os.kill(front.evaluate("__import__('os').getpid()"), signal.SIGKILL)
    with session(tmp_path) as front:
        assert planned(front) == 6


def test_a_restarted_kernel_plans_from_its_life_before(tmp_path: Path) -> None:
    with session(tmp_path) as front:
        assert not planned(front)
        shut_down(front)
        front.restart()
        front.run(BEFORE)
        front.wait_for_workers()
        wait_for(lambda: front.evaluate("get_ipython().door.session._can_plan.is_set()"))
        assert planned(front) == 6


def test_nothing_of_the_notebook_can_be_read_in_the_files(tmp_path: Path) -> None:
    with session(tmp_path) as front:
        planned(front)
        value = front.evaluate("result_5")
        shut_down(front)
    for path in costs(tmp_path).parent.iterdir():
        content = path.read_bytes()
        for word in ("private_work", "result_5", "range", str(value)):
            assert word.encode() not in content


def test_switched_off_no_folder_is_made(tmp_path: Path) -> None:
    with session(tmp_path, TASKPAR_HISTORY="0") as front:
        planned(front)
        assert planned(front) == 6, "the session itself learns as ever"
        shut_down(front)
    assert not costs(tmp_path).parent.exists()


def test_a_damaged_file_is_one_line_and_no_harm(tmp_path: Path) -> None:
    costs(tmp_path).parent.mkdir(parents=True)
    costs(tmp_path).write_bytes(b"\x00" * 100)
    kept = {"TASKPAR_HISTORY": "1", "JUPYTER_DATA_DIR": str(tmp_path / "data")}
    with Front("taskpar", tmp_path / "cwd", TASKPAR_WORKERS="2", **kept) as front:
        outputs = front.run(BEFORE).outputs
        front.wait_for_workers()
        wait_for(costs(tmp_path).with_name("costs.aside").exists)
        outputs += [*front.run("x = 1").outputs, *front.run(CELL).outputs]
        shut_down(front)
    told = "".join(str(output) for output in outputs)
    assert told.count("costs are learned anew") == 1
    assert costs(tmp_path).read_bytes().startswith(b"taskpar-costs 1 ")
    assert costs(tmp_path).with_name("costs.aside").read_bytes() == b"\x00" * 100


def test_two_kernels_at_once_keep_what_both_learn(tmp_path: Path) -> None:
    other = CELL.replace("result", "other")
    with session(tmp_path) as one, session(tmp_path) as two:
        assert one.run(CELL).status == two.run(other).status == "ok"
        shut_down(one)
        shut_down(two)
    with session(tmp_path) as front:
        assert planned(front) == 6
        assert front.run(other).status == "ok"
        record: Any = front.last()
        assert len(record["planned"]) == 6
