"""The owner of a pool dies, or is not alone; what a pool leaves behind, and who can reach it."""

from __future__ import annotations

import os
import signal
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from pool_fronts import LIMIT_S, Front, alive

from taskpar_kernel.errors import WorkerLost
from taskpar_kernel.pool import folder
from taskpar_kernel.pool.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

HOLD_THE_GIL = "import ctypes; ctypes.PyDLL(None).sleep(30)"
ENDS: dict[str, Callable[[Front], None]] = {
    "clean exit": Front.end_cleanly,
    "SIGTERM": lambda front: front.process.send_signal(signal.SIGTERM),
    "SIGKILL": lambda front: front.process.send_signal(signal.SIGKILL),
}


@pytest.mark.parametrize("forks", [True, False], ids=["forked", "plain"])
@pytest.mark.parametrize("codes", [(), (HOLD_THE_GIL,)], ids=["idle", "in a C call"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_workers_end_with_their_front(front, wait_until, end, codes, forks):
    owner = front(*codes, forks=forks)
    assert len(owner.children) == (3 if forks and sys.platform == "linux" else 2)
    assert all(alive(pid) for pid in owner.children)
    end(owner)
    owner.process.wait(LIMIT_S)
    assert wait_until(lambda: not any(alive(pid) for pid in owner.children)) < 1.0
    folder.sweep()
    assert not any(f.exists() for f in owner.folders)


def test_sweep_leaves_the_living_alone(front):
    living, dead = front(), front()
    dead.process.kill()
    dead.process.wait(LIMIT_S)
    assert set(dead.folders) <= set(folder.sweep())
    assert all(f.is_dir() for f in living.folders)


def test_sweep_respects_a_lock_of_another_pid_namespace(tmp_path: Path, monkeypatch):
    """The owner's pid means nothing here, but its lock does."""
    monkeypatch.setattr(folder, "_base", lambda: tmp_path)
    theirs = folder.Folder()
    theirs.path = tmp_path / f"taskpar-{os.getuid()}-4194300-1-abcdef01"
    theirs.segments = ""
    theirs.create()
    assert theirs.path not in folder.sweep()
    os.close(theirs._locks.pop())
    assert theirs.path in folder.sweep()


def test_new_pool_next_to_a_stale_one(front):
    """Processes of an earlier run are alive and killed: they never answer for the new ones."""
    stale = front("marker = 'stale'")
    with Pool(2) as pool:
        pool.run(1, "x = 1")
        stale.process.kill()
        pool.run(2, "y = 2")
        pool.send("y", 2, 1)
        pool.run(1, "z = x + y; seen = 'marker' in globals()")
        assert pool.gather(1, ("z", "seen"), limit_s=LIMIT_S) == {"z": 3, "seen": False}
        assert {w.pid for w in pool.describe()}.isdisjoint(stale.workers)


def test_only_the_owner_can_reach_a_pool(pool: Pool):
    pool.wait_ready(LIMIT_S)
    pool.run(1, "x = 1")
    pool.send("x", 1, 2).result(LIMIT_S)
    private = Path(pool._link.folder)
    for path in (private, Path(pool._link.segments)):
        assert path.stat().st_mode & 0o777 == 0o700
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in private.iterdir() if p.is_file()}
    assert {name for name in modes if name.endswith(".json")} == {"w1-1.json", "w2-1.json"}
    assert set(modes.values()) == {0o600}
    sockets = [p for p in private.iterdir() if p.is_socket()]
    assert all(len(os.fsencode(p)) <= 107 for p in sockets)
    for process in (psutil.Process(), *(psutil.Process(w.pid) for w in pool.describe())):
        assert not process.net_connections("inet")


def test_workers_are_in_groups_of_their_own_and_silent(pool: Pool):
    pool.wait_ready(LIMIT_S)
    groups = {os.getpgid(w.pid) for w in pool.describe()}
    assert groups == {w.pid for w in pool.describe()}
    code = "import os; print(os.readlink('/proc/self/fd/0'))"
    assert pool.run(1, code).result(LIMIT_S).stdout == "/dev/null\n"


def test_workers_see_what_a_notebook_kernel_sees(pool: Pool, tmp_path: Path):
    code = """
import os, sys
print('' in sys.path, any('worker' in p for p in sys.path), os.getcwd(), 'debugpy' in sys.modules)
"""
    expected = f"True False {Path.cwd()} False\n"
    assert pool.run(1, code).result(LIMIT_S).stdout == expected


def test_workers_inherit_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("PYTHONHASHSEED", "5")
    with Pool(1) as pool:
        code = "import os, sys\nprint(os.environ['OMP_NUM_THREADS'], os.environ['PYTHONHASHSEED'])"
        assert pool.run(1, code).result(LIMIT_S).stdout == "3 5\n"


def test_pool_in_another_folder(tmp_path: Path, monkeypatch):
    """Nothing in the user's folder can shadow what a worker needs to start."""
    for name in ("store", "run", "traitlets", "ipykernel", "zmq"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('the wrong module')")
    monkeypatch.chdir(tmp_path)
    with Pool(1) as pool:
        assert pool.run(1, "print(1)").result(LIMIT_S).stdout == "1\n"


def test_pool_in_a_folder_that_is_gone(tmp_path: Path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with Pool(1) as pool:
        with pytest.raises(WorkerLost, match="the present folder was deleted"):
            pool.run(1, "print(1)").result(LIMIT_S)
        monkeypatch.chdir(tmp_path)
        pool.restart(1)
        assert pool.run(1, "print(1)").result(LIMIT_S).stdout == "1\n"


def test_pool_leaves_no_folder():
    with Pool(1) as pool:
        pool.wait_ready(LIMIT_S)
        folders = [Path(pool._link.folder), Path(pool._link.segments)]
        assert all(f.is_dir() for f in folders)
    assert not any(f.exists() for f in folders)


def test_fork_of_the_front_does_not_close_the_pool(pool: Pool):
    pool.run(1, "x = 1").result(LIMIT_S)
    child = os.fork()
    if child == 0:
        pool.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert pool.gather(1, "x", limit_s=LIMIT_S) == {"x": 1}
