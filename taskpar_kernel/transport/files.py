"""Files of shared memory: a size comes in, a file that nobody else uses goes out.

A file that nobody will ask for any more is set free under another name; maps that exist stay valid.
Who needs a file next takes a free one over, because memory that is there already, and mapped, is
written three times as fast as new memory. The rule: nobody else maps what is taken over. Every
consumer's map holds a shared lock (flock(2)) on its file, which the system takes back with the last
copy of the map's descriptor; who takes a file over needs the whole lock.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import time
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_FREE = "free-"
"""How the names of files begin that nobody will ask for."""
FREE_S = 60.0
"""A file that was free for so long is removed."""
_TRIES = 16
"""So many free files are tried, at 20 microseconds each; those last that were found mapped."""
_LARGER = 2
"""A free file may be so many times as large as what is needed."""
_POPULATED = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)


class File(NamedTuple):
    """What a look at the folder tells of a file."""

    name: str
    inode: int
    nbytes: int
    named_s: float
    """When it came to its name, in seconds since the epoch."""

    @property
    def is_free(self) -> bool:
        """Whether nobody will ask for it."""
        return self.name.startswith(_FREE)


class Written:
    """A file to be written, in a folder of segments; it is nobody's until it is closed."""

    def __init__(self, path: str, fd: int, room: mmap.mmap | None = None):
        self.path = path
        self._fd = fd
        self._room = room

    def write(self, view: memoryview, offset: int) -> None:
        """Write bytes at `offset`."""
        if self._room is not None:
            with memoryview(self._room) as room:
                room[offset : offset + view.nbytes] = view
            return
        done = 0
        while done < view.nbytes:
            done += os.pwrite(self._fd, view[done:], offset + done)

    def close(self) -> None:
        """Let others map it."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)  # the map that is kept has a copy of the descriptor
        os.close(self._fd)


class Files:
    """The files that one process writes in `folder`.

    With those of other processes they hold at most `most_bytes`.
    """

    def __init__(self, folder: str, most_bytes: float = math.inf):
        self.folder = folder
        self._most_bytes = most_bytes
        self._rooms: dict[int, mmap.mmap] = {}
        """Inode → a map to write to, of files that were taken over here before."""
        self._mapped_s: dict[int, float] = {}
        """Inode → when somebody was found to map it, of files that are free."""

    def open(self, name: str, nbytes: int) -> Written:
        """Return a file called `name` with room for `nbytes`: a free one, or a new one.

        Raises:
            OSError: there is no room.
        """
        found = files_in(self.folder)
        self._keep_rooms({file.inode for file in found})
        fitting = [f for f in found if f.is_free and nbytes <= f.nbytes <= _LARGER * nbytes]
        for file in sorted(fitting, key=self._worth)[:_TRIES]:
            written = self._taken_over(file, f"{self.folder}/{name}", nbytes)
            if written is not None:
                return written
        excess = sum(file.nbytes for file in found) + nbytes - self._most_bytes
        for file in found:
            if file.is_free and excess > 0:
                _remove(self.folder, file)
                self._rooms.pop(file.inode, None)
                excess -= file.nbytes
        if excess > 0:
            raise OSError(f"shared memory may hold {self._most_bytes:.0f} bytes")
        return _new(f"{self.folder}/{name}", nbytes)

    def _worth(self, file: File) -> tuple[float, bool, int]:
        """Return where a free file comes in the order in which they are tried."""
        return self._mapped_s.get(file.inode, 0.0), file.inode not in self._rooms, file.nbytes

    def sweep(self, older_s: float) -> bool:
        """Remove what was free for `older_s` seconds; return whether more may have to go later."""
        sweep_free(self.folder, older_s)
        try:
            found = files_in(self.folder)
        except FileNotFoundError:  # the pool was closed, and took all with it
            found = []
        self._keep_rooms({file.inode for file in found})
        return bool(self._rooms) or any(file.is_free for file in found)

    def _keep_rooms(self, inodes: Container[int]) -> None:
        """Let go of the memory of files that were removed; any thread may do so."""
        for inode in tuple(self._rooms):
            if inode not in inodes:
                self._rooms.pop(inode, None)
        for inode in tuple(self._mapped_s):
            if inode not in inodes:
                self._mapped_s.pop(inode, None)

    def _taken_over(self, file: File, path: str, nbytes: int) -> Written | None:
        """Return the free file, which is called `path` now; None if it is not free after all.

        The two orders in which another process can map it: before, then the lock is not to be had;
        or after, then it finds that the file has another name (`map_private`).
        """
        free = f"{self.folder}/{file.name}"
        try:
            os.rename(free, path)  # noqa: PTH104 - hot
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            os.rename(path, free)  # noqa: PTH104 - hot
            self._mapped_s[file.inode] = time.monotonic()
            return None
        try:
            os.ftruncate(fd, nbytes)
            room = self._rooms.get(file.inode)
            if room is None or len(room) < nbytes:
                room = self._rooms[file.inode] = mmap.mmap(fd, nbytes, flags=_POPULATED)
        except OSError:
            os.close(fd)
            Path(path).unlink(missing_ok=True)
            raise
        return Written(path, fd, room)


def set_free(path: str) -> None:
    """Tell that nobody will ask for this file any more; maps of it stay valid."""
    file = Path(path)
    with suppress(FileNotFoundError):
        file.rename(file.with_name(_FREE + file.name))


def set_all_free(folder: str) -> None:
    """Tell that nobody will ask for any file of the folder any more, whoever wrote it."""
    with suppress(FileNotFoundError):  # the pool was closed, and took all with it
        for file in files_in(folder):
            if not file.is_free and file.nbytes:  # but for the folder's lock
                set_free(f"{folder}/{file.name}")


def sweep_free(folder: str, older_s: float = FREE_S) -> None:
    """Remove the files that have been free for `older_s` seconds."""
    since_s = time.time() - older_s
    with suppress(FileNotFoundError):  # the pool was closed, and took all with it
        for file in files_in(folder):
            if file.is_free and file.named_s <= since_s:
                _remove(folder, file)


def files_in(folder: str) -> list[File]:
    """Return what is in a folder of segments."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                found.append(File(entry.name, status.st_ino, status.st_size, status.st_ctime))
    return found


def map_private(path: str) -> mmap.mmap:
    """Map a file so that one's own writes are seen by nobody; as long as it lives, the file is.

    Raises:
        OSError: it is gone.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)  # kept by the map, which has a copy of the descriptor
        if os.stat(path).st_ino != os.fstat(fd).st_ino:  # noqa: PTH116 - hot
            raise FileNotFoundError(f"{path} was given to another value")
        return mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
    finally:
        os.close(fd)


def _new(path: str, nbytes: int) -> Written:
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # if it is set free before it is written, it is not yet free
        os.posix_fallocate(fd, 0, nbytes)
    except OSError:
        os.close(fd)
        Path(path).unlink(missing_ok=True)
        raise
    return Written(path, fd)


def _remove(folder: str, file: File) -> None:
    Path(folder, file.name).unlink(missing_ok=True)
