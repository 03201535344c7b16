"""What an attempt does to files is written down before it happens, so that it can be taken back.

Theory of operation. Each attempt that has passed the gate has a folder of its own inside the
pool's private one. Before an effect, what it will change is saved there: an entry (a line of JSON)
that tells how to put it back, after the copy or hard link that the entry names. So whoever finds
the folder can put everything back: the worker after a failure, or home when the worker is gone or
its outcome cannot be taken. That the folder is there means that the effects are not final; commit
removes it.

    effect                      before it                    taken back by
    write to, truncate a file   its content is copied        writing it into the same file
    make a file, folder, link   nothing is there             removing it
    remove a file               a hard link, else a copy     the link, else the copy, in its place
    remove an empty folder      its mode                     making it
    rename                      as for what it replaces      renaming it back
    chmod, utime                mode and times               setting them

The rules: entries are taken back in reverse order, and each finds out by itself whether its effect
has happened, for the process may have ended, or the effect failed, just after the entry was made.
What cannot be saved, or not within `LIMIT_BYTES`, is refused before it happens.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from taskpar_kernel.worker.touches import CONTENT, GONE, META, MOVED, NEW, Touch
from taskpar_kernel.worker.undo import ENTRIES, status_of

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT_BYTES = 64 * 1024 * 1024
_OUTSIDE = ("/proc/", "/sys/", "/dev/")
_DESCRIPTORS = "/proc/self/fd"

# taken now: while an attempt runs, `os` has functions that remember what they were asked
_readlink = os.readlink


class Refused(Exception):
    """An effect that could not be taken back."""


@dataclass(slots=True)
class Journal:
    """The journal of one attempt, in `folder`. It does not know what is allowed when."""

    folder: str
    _left_bytes: int = LIMIT_BYTES
    _copies: int = 0
    _saved: set[str] = field(default_factory=set)
    """Files whose content, and folders whose times, were saved since anything was moved."""
    _open_before: dict[int, str] = field(default_factory=dict)
    begun: bool = False

    def refusal(self, touches: Iterable[Touch]) -> str:
        """Return why one of these could not be taken back, or an empty string."""
        if not os.path.isdir(_DESCRIPTORS) or not self.folder:
            return "files cannot be put back here"
        try:
            for touch in touches:
                self._check(touch)
        except (OSError, Refused) as why:
            return str(why)
        return ""

    def save(self, touches: Iterable[Touch]) -> None:
        """Save what these will change.

        Raises:
            Refused: one of them could not be taken back.
        """
        try:
            if not self.begun:
                os.mkdir(self.folder, 0o700)
                self._open_before = _descriptors()
                self.begun = True
            for touch in touches:
                self._check(touch)
                self._save(touch)
        except OSError as error:
            raise Refused(str(error)) from None

    def left_open(self) -> list[int]:
        """Return the files that were opened for writing since the first effect and still are."""
        if not self.begun:
            return []
        found = []
        for number, target in _descriptors().items():
            if self._open_before.get(number) != target and _is_written(number):
                found.append(number)
        return found

    def silence(self) -> None:
        """Make what is still to be written to files that were left open go nowhere."""
        left = self.left_open()
        if left:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for number in left:
                with suppress(OSError):
                    os.dup2(nowhere, number, inheritable=False)
            os.close(nowhere)

    # Before ------------------------------------------------------------------------------------

    def _check(self, touch: Touch) -> None:
        for path in filter(None, (touch.path, touch.target)):
            if path.startswith(_OUTSIDE):
                raise Refused("not an ordinary file")
        now = status_of(touch.path)
        if touch.kind == MOVED:
            there = status_of(touch.target)
            if there is not None and stat.S_ISDIR(there.st_mode):
                raise Refused("it replaces a folder")
            self._check_copy(touch.target, there)
        elif touch.kind in (CONTENT, GONE):
            self._check_copy(touch.path, now)
        elif touch.kind == META and now is not None and now.st_uid != os.geteuid():
            raise Refused("it belongs to someone else")

    def _check_copy(self, path: str, now: os.stat_result | None) -> None:
        if now is None or stat.S_ISDIR(now.st_mode) or stat.S_ISLNK(now.st_mode):
            return
        if not stat.S_ISREG(now.st_mode):
            raise Refused("not an ordinary file")
        if path not in self._saved and now.st_size > self._left_bytes:
            raise Refused(f"more than {LIMIT_BYTES >> 20} MB to put back")

    def _save(self, touch: Touch) -> None:
        now = status_of(touch.path)
        if touch.kind == META:
            self._save_meta(touch.path, now)
        elif touch.kind == MOVED:
            self._save_move(touch.path, touch.target, now)
        elif touch.kind == NEW or now is None:
            if now is None:
                self._save_times_around(touch.path)
                self._enter("absent", touch.path)
                if touch.kind == CONTENT:  # it is a new file, and removed whatever it holds then
                    self._saved.add(touch.path)
        elif touch.kind == CONTENT:
            self._save_content(touch.path, now)
        else:
            self._save_gone(touch.path, now)

    def _save_meta(self, path: str, now: os.stat_result | None) -> None:
        if now is not None:
            self._enter("meta", path, **_meta(now))

    def _save_times_around(self, path: str) -> None:
        folder = os.path.dirname(path)
        if folder not in self._saved and (now := status_of(folder)) is not None:
            self._saved.add(folder)
            self._enter("times", folder, **_meta(now))

    def _save_content(self, path: str, now: os.stat_result) -> None:
        if not stat.S_ISREG(now.st_mode) or path in self._saved:
            return
        self._enter("file", path, copy=self._copied(path, now), linked=False, **_meta(now))
        self._saved.add(path)

    def _save_gone(self, path: str, now: os.stat_result) -> None:
        self._save_times_around(path)
        self._saved.discard(path)
        if stat.S_ISDIR(now.st_mode):
            self._enter("folder", path, **_meta(now))
        elif stat.S_ISLNK(now.st_mode):
            self._enter("link", path, target=_readlink(path))
        else:
            name, linked = self._linked(path, now)
            self._enter("file", path, copy=name, linked=linked, **_meta(now))

    def _save_move(self, path: str, target: str, now: os.stat_result | None) -> None:
        if now is None:
            return
        there = status_of(target)
        self._save_times_around(path)
        if there is None:
            self._save_times_around(target)
        elif there.st_ino != now.st_ino:
            self._save_gone(target, there)
        self._saved.clear()
        self._enter("moved", path, target=target, inode=now.st_ino)

    def _linked(self, path: str, now: os.stat_result) -> tuple[str, bool]:
        """Keep the file itself under another name, or a copy where that cannot be."""
        name = self._next_name()
        if now.st_nlink == 1:
            try:
                os.link(path, os.path.join(self.folder, name))
            except OSError:
                pass  # another file system, or one without links
            else:
                return name, True
        return self._copied(path, now), False

    def _copied(self, path: str, now: os.stat_result) -> str:
        name = self._next_name()
        self._left_bytes -= now.st_size
        shutil.copyfile(path, os.path.join(self.folder, name))
        return name

    def _next_name(self) -> str:
        self._copies += 1
        return f"copy-{self._copies}"

    def _enter(self, kind: str, path: str, **more: Any) -> None:
        line = json.dumps({"kind": kind, "path": path, **more}) + "\n"
        with open(os.path.join(self.folder, ENTRIES), "ab") as file:
            file.write(line.encode())


def _meta(now: os.stat_result) -> dict[str, Any]:
    times = [now.st_atime_ns, now.st_mtime_ns]
    return {"mode": now.st_mode, "times": times, "inode": now.st_ino}


def _descriptors() -> dict[int, str]:
    """Return what each descriptor of this process is open on."""
    found = {}
    for name in os.listdir(_DESCRIPTORS):
        with suppress(OSError):
            found[int(name)] = _readlink(f"{_DESCRIPTORS}/{name}")
    return found


def _is_written(number: int) -> bool:
    with suppress(OSError):
        if stat.S_ISREG(os.fstat(number).st_mode):
            return fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    return False
