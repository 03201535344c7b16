"""How a file or folder looks: a path comes in, a `FileState` goes out.

An attempt remembers the state of what it reads just before it reads it; home compares with the
state when the statement's turn has come. The rule: equal states mean that the same was read.

A time stamp alone cannot tell two writes within one tick of the file system's clock apart. So what
was changed shortly before it was looked at is compared by content as well; if it is too large for
that, its state is equal to no other. `ctime` is part of the state because programs cannot set it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskpar_kernel.model.messages import FileState

ABSENT: FileState = (-1, -1, -1, -1, b"")
_UNCERTAIN = b"?"
_TICK_NS = 50_000_000
_COARSE_TICK_NS = 2_100_000_000
"""Where time stamps are whole seconds (FAT counts in twos)."""
_LARGEST_BYTES = 4 * 1024 * 1024
_MOST_ENTRIES = 20_000

# taken now: while an attempt runs, `os` has functions that remember what they were asked
_stat, _lstat, _readlink = os.stat, os.lstat, os.readlink


def kind_state(path: str) -> FileState:
    """Return what `path` is, or that there is nothing: all that `os.path.exists` looks at."""
    digest = hashlib.blake2b(digest_size=16)
    _kind(path, digest)
    return (0, 0, 0, 0, b"k:" + digest.digest())


def file_state(path: str, *, entries: bool = False) -> FileState:
    """Return the present state of `path`; `entries`: the states of what a folder holds count."""
    try:
        link = _lstat(path)
        status = _stat(path) if stat.S_ISLNK(link.st_mode) else link
    except (OSError, ValueError):
        return ABSENT
    how = "l" if status is not link else ""
    if stat.S_ISDIR(status.st_mode):
        how += "e" if entries else "n"
    elif _is_fresh(status):
        how += "c"
    return _with(path, status, how)


def is_kind(state: FileState) -> bool:
    """Whether a state tells only what is there, or that there is nothing."""
    return state[4].startswith(b"k:")


def present_state(path: str, then: FileState) -> FileState:
    """Return the state of `path` now, found in the way in which `then` was."""
    if is_kind(then):
        return kind_state(path)
    try:
        return _with(path, _stat(path), then[4].partition(b":")[0].decode())
    except (OSError, ValueError):
        return ABSENT


def _is_fresh(status: os.stat_result) -> bool:
    coarse = status.st_ctime_ns % 1_000_000_000 == 0
    return time.time_ns() - status.st_ctime_ns < (_COARSE_TICK_NS if coarse else _TICK_NS)


def _with(path: str, status: os.stat_result, how: str) -> FileState:
    times = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)
    if not how:
        return (*times, b"")
    if how == "?" or ("c" in how and status.st_size > _LARGEST_BYTES):
        return (*times, _UNCERTAIN + b":" + os.urandom(8))
    digest = hashlib.blake2b(digest_size=16)
    try:
        for one in how:
            _DIGESTS[one](path, digest)
    except OSError:
        digest.update(b"unreadable")
    return (*times, how.encode() + b":" + digest.digest())


def _kind(path: str, digest: hashlib.blake2b) -> None:
    for look in (_stat, _lstat):
        try:
            digest.update(b"%d;" % look(path).st_mode)
        except (OSError, ValueError) as error:
            digest.update(f"{getattr(error, 'errno', 0)};".encode())


def _link(path: str, digest: hashlib.blake2b) -> None:
    digest.update(os.fsencode(_readlink(path)) if os.path.islink(path) else b"")


def _content(path: str, digest: hashlib.blake2b) -> None:
    if os.path.isfile(path):  # a pipe would be waited for
        with open(path, "rb") as file:
            digest.update(file.read(_LARGEST_BYTES + 1))


def _names(path: str, digest: hashlib.blake2b) -> None:
    for name in os.listdir(path):  # the order counts, and is as a program gets it
        digest.update(os.fsencode(name) + b"\0")


def _entries(path: str, digest: hashlib.blake2b) -> None:
    for number, name in enumerate(os.listdir(path)):
        status = _lstat(os.path.join(path, name))
        own = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino)
        digest.update(os.fsencode(name) + repr(own).encode())
        if number > _MOST_ENTRIES:
            digest.update(os.urandom(8))
            return


_DIGESTS = {"l": _link, "c": _content, "n": _names, "e": _entries}
