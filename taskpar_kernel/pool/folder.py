"""The private folders of a pool: names come out, folders are made, swept and removed.

Every pool has two: one for connection files, sockets and logs, and one in shared memory for
segments. Both are named `taskpar-<uid>-<owner's pid>-<owner's start time>-<random>`, have mode
0700, and hold a lock file that the owner keeps locked. The rule: a folder is swept only when its
owner is gone by both signs, no such process (the pid may live on, but started at another time) and
no lock: in another container the same folder is seen with other pids.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from taskpar_kernel.errors import PoolError

LOCK = "owner.lock"
_NAME = re.compile(r"taskpar-(?P<uid>\d+)-(?P<pid>\d+)-(?P<birth>\d+)-[0-9a-f]+")
_LONGEST_FILE = "/w512-9999-ipc-99"
_ROOM_BYTES = 103  # of 104 on macOS, 108 on Linux, with the closing zero


def process_birth(pid: int) -> int | None:
    """Return a number that differs between two processes of the same pid; None if there is none."""
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
        return int(line[line.rindex(b")") + 2 :].split()[19])  # start in ticks since boot
    except (OSError, ValueError, IndexError):
        pass
    try:
        return int(psutil.Process(pid).create_time() * 100)
    except psutil.Error:
        return None


class Folder:
    """One pool's folders: `path` for files and sockets, `segments` for shared memory ('' if none).

    Making one costs no system call but a look at the own process; `create` makes the folders.
    """

    def __init__(self) -> None:
        pid, birth = os.getpid(), process_birth(os.getpid()) or 0
        name = f"taskpar-{os.getuid()}-{pid}-{birth}-{secrets.token_hex(4)}"
        self.path = _base() / name
        shared = Path("/dev/shm")  # noqa: S108 - shared memory, in a folder that is only ours
        self.segments = str(shared / name) if os.access(shared, os.W_OK) else ""
        self._locks: list[int] = []

    def create(self) -> None:
        """Make both folders and lock them.

        Raises:
            PoolError: there is no place for them.
        """
        try:
            self._locks.append(_make(self.path))
        except OSError as error:
            raise PoolError(f"the pool's private folder cannot be made: {error}") from error
        try:
            if self.segments:
                self._locks.append(_make(Path(self.segments)))
        except OSError:
            self.segments = ""

    def remove(self) -> None:
        """Remove both folders with everything in them."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.segments:
            shutil.rmtree(self.segments, ignore_errors=True)
        while self._locks:
            os.close(self._locks.pop())


def sweep() -> list[Path]:
    """Remove what pools of this user left behind whose owner is gone; return what was removed."""
    swept = []
    for base in {_base(), Path(tempfile.gettempdir()), Path("/dev/shm")}:  # noqa: S108
        for folder in base.glob(f"taskpar-{os.getuid()}-*"):
            if _is_orphan(folder):
                shutil.rmtree(folder, ignore_errors=True)
                swept.append(folder)
    return swept


def _is_orphan(folder: Path) -> bool:
    """Say whether the folder's owner is gone; one another sweep takes meanwhile is not."""
    match = _NAME.fullmatch(folder.name)
    return match is not None and _is_ours(folder) and not _lives(match) and not _is_locked(folder)


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _lives(match: re.Match[str]) -> bool:
    birth = process_birth(int(match["pid"]))
    return birth is not None and birth == int(match["birth"])


def _is_locked(folder: Path) -> bool:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _make(path: Path) -> int:
    path.mkdir(mode=0o700)
    path.chmod(0o700)
    lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def _base() -> Path:
    """Return the first folder that is ours to write to and short enough for socket paths."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for candidate in (runtime, tempfile.gettempdir(), "/tmp"):  # noqa: S108
        path = Path(candidate)
        room = _ROOM_BYTES - len(os.fsencode(path)) - len(_LONGEST_FILE)
        if candidate and path.is_absolute() and os.access(path, os.W_OK | os.X_OK) and room >= 56:
            return path
    raise PoolError(
        "no folder for the pool's sockets: set TMPDIR to a writable folder with a short path"
    )
