"""The file of learned costs: its lines come in and go out, whatever else happens to it.

    taskpar-costs 1 <tag of the key> <digest of the rest>
    <tag of a statement> <its record>
    …                                                          (oldest first)

Theory of operation. A file is only ever replaced as a whole, so a reader sees one state of it. Who
writes reads it again first and puts its own lines behind the others'; that is done under an
advisory lock, which is asked for during a limited time and then done without: a lost line is only
time. The key beside it is made once, and linked into place, so that of two kernels that start
together both use the same.

The rule: no state of the file, of its folder or of its lock makes more trouble than that costs are
learned anew; what cannot be read as it is gets out of the way under another name.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

import xxhash

from taskpar_kernel.errors import WireError

MAGIC, FORMAT = b"taskpar-costs", 1
MOST_LINES = 5000
"""Statements that are kept; a line has some 200 bytes."""
_MOST_BYTES = 64 * 1024 * 1024
"""What is larger than this was not written by us."""
_KEY_BYTES = 32
_BETWEEN_S = 0.002
"""How long to wait before the lock is asked for again."""
_LEFT_S = 3600.0
"""A temporary file that is older was left by a kernel that was killed."""

Lines = dict[bytes, bytes]
"""Lines as they stand in the file, by the tag at their beginning."""


class CostFile:
    """One user's file of learned costs, in `folder`. It does not know what a record is."""

    def __init__(self, folder: Path, *, most_lines: int = MOST_LINES):
        self._folder = folder
        self.path = folder / "costs"
        self._key_path = folder / "costs.key"
        self._most_lines = most_lines
        self.key = b""
        self.notice = ""
        """One line for the user, if the file had to be set aside."""

    def open(self) -> Lines:
        """Return the lines of the file, the oldest first; the key is known from now on.

        Raises:
            OSError: the folder cannot be used.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.key = self._read_key()
        return self._read()

    def merge(
        self,
        mine: Mapping[bytes, bytes],
        join: Callable[[bytes, bytes], bytes],
        wait_s: float = 0.5,
    ) -> Lines:
        """Put one's own lines into the file, as the latest; return what it holds now.

        While another kernel writes it is waited for, `wait_s` at most.
        `join` makes one line of theirs and mine for the same tag. Takes 1 ms for 1000 lines.

        Raises:
            OSError: the file cannot be written; it is as it was.
        """
        with self._claimed(wait_s):
            lines = self._read()
            for tag, line in mine.items():
                theirs = lines.pop(tag, None)
                lines[tag] = line if theirs in (None, line) else join(theirs, line)
            for tag in tuple(lines)[: -self._most_lines]:
                del lines[tag]
            self._replace(lines)
        return lines

    # The file ----------------------------------------------------------------------------------

    def _read(self) -> Lines:
        try:
            return self._lines_of(self._content())
        except FileNotFoundError:
            return {}
        except WireError as why:
            self._set_aside(str(why))
            return {}

    def _content(self) -> bytes:
        found = self.path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise WireError("it is no file")
        if found.st_size > _MOST_BYTES:
            raise WireError("it is too large")
        return self.path.read_bytes()

    def _lines_of(self, content: bytes) -> Lines:
        """Return the lines of a file.

        Raises:
            WireError: it is not one of ours, or not whole.
        """
        head, _, body = content.partition(b"\n")
        words = head.split(b" ")
        if words[0] != MAGIC or len(words) < 2:
            raise WireError("it is not a file of learned costs")
        if words[1] != b"%d" % FORMAT:
            raise WireError("it was written by another version of taskpar")
        if len(words) != 4 or words[3] != _digest(body):
            raise WireError("it is damaged")
        if words[2] != self._tag_of_key():
            raise WireError("it was written with another key")
        return {line.partition(b" ")[0]: line for line in body.split(b"\n") if line}

    def _set_aside(self, why: str) -> None:
        aside = self.path.with_name("costs.aside")
        try:
            if aside.is_dir() and not aside.is_symlink():
                aside.rename(f"{aside}-{time.time_ns()}")
            self.path.replace(aside)
            done = f"it is now {aside.name} there"
        except OSError as error:
            done = f"it cannot be renamed ({error.strerror})"
        self.notice = (
            f"taskpar: what was learned of costs in {self.path} cannot be used ({why}); {done}, "
            "and costs are learned anew"
        )

    def _replace(self, lines: Lines) -> None:
        body = b"\n".join(lines.values())
        head = b"%s %d %s %s\n" % (MAGIC, FORMAT, self._tag_of_key(), _digest(body))
        self._put(head + body, lambda made: made.replace(self.path))

    def _put(self, content: bytes, place: Callable[[Path], object]) -> None:
        """Write a file that nobody else can read, and let `place` give it its name."""
        self._sweep()
        number, name = tempfile.mkstemp(prefix="costs.", suffix=".new", dir=self._folder)
        made = Path(name)
        try:
            with os.fdopen(number, "wb") as stream:
                stream.write(content)
            place(made)
        finally:
            with suppress(OSError):
                made.unlink()  # it is still there if it was not put in place

    def _sweep(self) -> None:
        for left in self._folder.glob("costs.*.new"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _LEFT_S:
                    left.unlink()

    @contextmanager
    def _claimed(self, wait_s: float) -> Iterator[None]:
        """Hold the lock while the block runs, if it can be had within `wait_s`."""
        number = -1
        with suppress(OSError):
            number = os.open(self._folder / "costs.lock", os.O_RDWR | os.O_CREAT, 0o600)
            end_s = time.monotonic() + wait_s
            while not _is_locked(number) and time.monotonic() < end_s:
                time.sleep(_BETWEEN_S)
        try:
            yield
        finally:
            if number >= 0:
                os.close(number)  # which lets go of the lock

    # The key -----------------------------------------------------------------------------------

    def _read_key(self) -> bytes:
        with suppress(FileNotFoundError):
            key = self._key_path.read_bytes()
            if len(key) == _KEY_BYTES:
                return key
            self._key_path.unlink()
        self._put(os.urandom(_KEY_BYTES), self._place_key)
        return self._key_path.read_bytes()

    def _place_key(self, made: Path) -> None:
        try:
            self._key_path.hardlink_to(made)
        except FileExistsError:
            pass  # another kernel was first: its key it is
        except OSError:  # a file system without links
            made.replace(self._key_path)

    def _tag_of_key(self) -> bytes:
        return blake2b(b"key", key=self.key, digest_size=8).hexdigest().encode()


def _is_locked(number: int) -> bool:
    """Try to lock an open file; where that is not to be had, nobody waits for it."""
    try:
        import fcntl  # not on Windows
    except ImportError:
        return True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _digest(body: bytes) -> bytes:
    return xxhash.xxh3_128_hexdigest(body).encode()


__all__ = ["FORMAT", "MOST_LINES", "CostFile", "Lines"]
