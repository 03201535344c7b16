"""A statement that changes files is cut short: the disk holds what the serial run leaves there."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskpar_kernel.testing.fronts import Front
from taskpar_kernel.testing.seen import Seen

LIMIT_S = 20.0
SETUP = """
import os, sys, time
exits = [os._exit]
def names():
    return list(getattr(sys, 'mod' + 'ules'))  # only home may ask that, where it is seen
def put(path, text, mode="w"):
    with open(path, mode) as f:
        f.write(text)
    return path
def nap(s):
    time.sleep(s)
    return s
def dies(path):
    put(path, "+", "a")
    die = lambda: exits[0](9) if 'taskpar_kernel.worker.service' in names() else path
    return die()  # nothing in a lambda runs elsewhere than the lambda
def slow(path, s):
    with open(path, "a") as f:
        f.write("part")
        f.flush()
        time.sleep(s)
        f.write("rest")
    return path
def stubborn(path, s):
    put(path, "part", "a")
    for _ in range(s):
        try:
            time.sleep(1)
        except KeyboardInterrupt:
            pass
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gate") / "cwd"


@pytest.fixture(scope="module")
def kernel(folder: Path) -> Iterator[Front]:
    with Front("taskpar", folder, TASKPAR_WORKERS="2", TASKPAR_EAGER="1") as front:
        yield front


@pytest.fixture
def front(kernel: Front, folder: Path) -> Front:
    for path in folder.iterdir():
        path.unlink()
    kernel.reset()
    assert kernel.manager is not None
    assert kernel.run(SETUP).status == "ok"
    wait(lambda: len(workers(kernel)) == 2)
    return kernel


def wait(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end_s
        threading.Event().wait(0.02)


def workers(front: Front) -> dict[int, int]:
    found = front.evaluate(
        "[(m.number, m.pid) for m in get_ipython().door.session.pool.describe()"
        " if m.state == 'ready']"
    )
    return dict(found)


def journals(front: Front) -> list[str]:
    pool = front.evaluate("get_ipython().door.session.pool.folder")
    return [p.name for p in Path(pool).glob("journal-*")]


def ahead(front: Front) -> int:
    record = front.last()
    return 0 if record is None else record["committed_ahead"]


def interrupted(front: Front, code: str, when: Callable[[], bool]) -> Seen:
    assert front.manager is not None
    identity = front.send(code)
    wait(when)
    front.manager.interrupt_kernel()
    begin_s = time.monotonic()
    seen = front.collect(identity, limit_s=LIMIT_S)
    assert time.monotonic() - begin_s < 1.5
    assert seen.error is not None, seen
    assert seen.error[0] == "KeyboardInterrupt"
    return seen


def test_a_worker_that_dies_behind_the_gate(front: Front, folder: Path) -> None:
    (folder / "old").write_text("old")
    seen = front.run("a = dies('old')\nb = dies('new')\nc = put('third', 'x')")
    assert seen.status == "ok", seen
    assert (folder / "old").read_text() == "old+"
    assert (folder / "new").read_text() == "+"
    assert (folder / "third").read_text() == "x"
    assert seen.text("stderr").count("was run again at home") >= 1
    assert journals(front) == []


def test_a_worker_that_is_killed_while_it_writes(front: Front, folder: Path) -> None:
    (folder / "a").write_text("old")
    pids = workers(front).values()
    identity = front.send("x = 1\na = slow('a', 1.0)\nb = put('b', 'b')")
    wait(lambda: "part" in (folder / "a").read_text())
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    seen = front.collect(identity, limit_s=LIMIT_S)
    assert seen.status == "ok", seen
    assert (folder / "a").read_text() == "oldpartrest"
    assert (folder / "b").read_text() == "b"
    assert journals(front) == []


def test_interrupt_while_something_waits_at_the_gate(front: Front, folder: Path) -> None:
    begin_s = time.monotonic()
    interrupted(
        front, "x = 1\na = nap(20)\nb = put('b', 'b')", lambda: time.monotonic() > begin_s + 1
    )
    assert list(folder.iterdir()) == []
    assert front.run("a = put('c', 'c'); b = put('d', 'd')").status == "ok"
    assert sorted(p.name for p in folder.iterdir()) == ["c", "d"]


@pytest.mark.parametrize("call", ["slow('a', 20)", "stubborn('a', 20)"])
def test_interrupt_while_it_writes(front: Front, folder: Path, call: str) -> None:
    (folder / "a").write_text("old")
    seen = interrupted(
        front, f"x = 1\na = {call}\nb = put('b', 'b')", lambda: "part" in (folder / "a").read_text()
    )
    assert any("a = " in line for line in seen.error[2]) if seen.error else False
    assert (folder / "a").read_text() == "old"
    assert [p.name for p in folder.iterdir()] == ["a"]
    assert journals(front) == []
    wait(lambda: len(workers(front)) == 2)
    assert front.run("a = put('c', 'c'); b = put('d', 'd')").status == "ok"


def test_an_outcome_that_is_taken_leaves_no_journal(front: Front, folder: Path) -> None:
    assert front.run("for i in range(4):\n    put('a', str(i), 'a')").status == "ok"
    assert ahead(front) >= 1  # home runs what has not begun while another stands at the gate
    assert (folder / "a").read_text() == "0123"
    assert journals(front) == []


def test_what_comes_before_is_not_kept_from_a_worker_by_what_waits(
    front: Front, folder: Path
) -> None:
    """Many values to and fro, and writes in between: whatever order things come in, it ends."""
    code = """
xs = [nap(0.001 * (i % 3)) for i in range(3)]
for i in range(12):
    y = nap(0.002 * (i % 4))
    p = put(f"f{i}", str(y))
    z = [y, p, i]
    q = put("log", f"{z[2]} ", "a")
"""
    for _ in range(3):
        (folder / "log").unlink(missing_ok=True)
        seen = front.run(code, limit_s=LIMIT_S)
        assert seen.status == "ok", seen
        assert (folder / "log").read_text() == "".join(f"{i} " for i in range(12))
