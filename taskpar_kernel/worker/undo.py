"""Take back what an attempt did to files: its journal's folder comes in, nothing is left of it.

Each entry of the journal (see `journal`) finds out by itself whether its effect has happened. The
rule: the effects are final once the folder is gone; whoever takes them back is alone at it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskpar_kernel.model.ids import Ticket
    from taskpar_kernel.model.messages import PathsTouched

ENTRIES = "entries"
"""The file of a journal that holds its entries, one a line."""

# taken now: while an attempt runs, `os` has functions that remember what they were asked
_lstat = os.lstat


def journal_of(pool_folder: str, ticket: Ticket) -> str:
    """Return the folder of an attempt's journal."""
    return os.path.join(pool_folder, f"journal-{ticket}")


def touched_by(folder: str) -> PathsTouched:
    """Return the paths in a journal."""
    found = []
    for entry in _entries(folder):
        found.append((entry["path"], entry["kind"] != "times" and entry.get("linked", True)))
        if "target" in entry and entry["kind"] == "moved":
            found.append((entry["target"], True))
    return tuple(found)


def discard(folder: str) -> None:
    """The effects are final."""
    shutil.rmtree(folder, ignore_errors=True)


def take_back(folder: str) -> list[str]:
    """Put everything back as it was, and discard the journal; return what could not be done.

    Nobody may be at work on these files any more. Done twice, it does nothing the second time.
    """
    problems = []
    for entry in reversed(_entries(folder)):
        try:
            _BACK[entry["kind"]](folder, **entry)
        except OSError as error:
            problems.append(f"{entry['path']}: {error.strerror or error}")
    discard(folder)
    return problems


def _entries(folder: str) -> list[dict[str, Any]]:
    """Return the entries in order; of a torn last one the effect has not happened."""
    found = []
    try:
        with open(os.path.join(folder, ENTRIES), encoding="ascii") as file:
            for line in file:
                found.append(json.loads(line))  # noqa: PERF401 - what is before a torn line counts
    except (OSError, ValueError):
        pass
    return found


def _absent(_folder: str, *, path: str, **_: Any) -> None:
    now = status_of(path)
    if now is None:
        return
    if stat.S_ISDIR(now.st_mode):
        os.rmdir(path)
    else:
        os.unlink(path)


def _file(folder: str, *, path: str, copy: str, linked: bool, **meta: Any) -> None:
    saved = os.path.join(folder, copy)
    now = status_of(path)
    if now is not None and now.st_ino == meta["inode"]:
        if not linked:
            _rewrite(path, saved)
    else:
        if now is not None:
            os.unlink(path)
        (os.link if linked else shutil.copyfile)(saved, path)
    _restore_meta(folder, path=path, **meta)


def _rewrite(path: str, saved: str) -> None:
    """Write the old content into the same file: it may have other names."""
    os.chmod(path, 0o600)
    with open(saved, "rb") as source, open(path, "r+b") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.truncate()


def _link(_folder: str, *, path: str, target: str, **_: Any) -> None:
    if status_of(path) is None:
        os.symlink(target, path)


def _made_folder(folder: str, *, path: str, **meta: Any) -> None:
    if status_of(path) is None:
        os.mkdir(path)
    _restore_meta(folder, path=path, **meta)


def _moved(_folder: str, *, path: str, target: str, inode: int, **_: Any) -> None:
    now = status_of(target)
    if now is not None and now.st_ino == inode and status_of(path) is None:
        os.rename(target, path)


def _restore_meta(_folder: str, *, path: str, mode: int, times: list[int], **_: Any) -> None:
    now = status_of(path)
    if now is None or stat.S_ISLNK(now.st_mode):
        return
    if now.st_mode != mode:
        os.chmod(path, stat.S_IMODE(mode))
    os.utime(path, ns=(times[0], times[1]))


_BACK: dict[str, Any] = {
    "absent": _absent,
    "file": _file,
    "link": _link,
    "folder": _made_folder,
    "moved": _moved,
    "meta": _restore_meta,
    "times": _restore_meta,
}


def status_of(path: str) -> os.stat_result | None:
    """Return what is at `path` itself, or None where there is nothing."""
    try:
        return _lstat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
