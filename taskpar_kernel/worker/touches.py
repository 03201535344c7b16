"""Which files an audit event is about: its name and arguments come in, `Touch`es go out.

The rule: paths are absolute, and resolved as far as the effect follows links; an event that is not
listed here is not about ordinary files, and cannot be taken back.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT, GONE, NEW, MOVED, META = "content", "gone", "new", "moved", "meta"
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
"""Flags with any of which `os.open` may change a file, or make one."""
_readlink = os.readlink


@dataclass(frozen=True, slots=True)
class Touch:
    """One effect on `path`: its content, it is gone, new, moved to `target`, or mode and times."""

    kind: str
    path: str
    target: str = ""


def _open(arguments: tuple[Any, ...]) -> tuple[Touch, ...]:
    return (Touch(CONTENT, _followed(arguments[0])),)


def _remove(arguments: tuple[Any, ...]) -> tuple[Touch, ...]:
    return (Touch(GONE, _named(arguments[0], arguments[1])),)


def _mkdir(arguments: tuple[Any, ...]) -> tuple[Touch, ...]:
    return (Touch(NEW, _named(arguments[0], arguments[2])),)


def _rename(arguments: tuple[Any, ...]) -> tuple[Touch, ...]:
    source, target, source_folder, target_folder = arguments
    return (Touch(MOVED, _named(source, source_folder), _named(target, target_folder)),)


def _link(arguments: tuple[Any, ...]) -> tuple[Touch, ...]:
    return (Touch(NEW, _named(arguments[1], arguments[3])),)


def _symlink(arguments: tuple[Any, ...]) -> tuple[Touch, ...]:
    return (Touch(NEW, _named(arguments[1], arguments[2])),)


def _truncate(arguments: tuple[Any, ...]) -> tuple[Touch, ...]:
    return (Touch(CONTENT, _followed(arguments[0])),)


def _chmod(arguments: tuple[Any, ...]) -> tuple[Touch, ...]:
    return (Touch(META, _followed(arguments[0], arguments[2])),)


def _utime(arguments: tuple[Any, ...]) -> tuple[Touch, ...]:
    return (Touch(META, _followed(arguments[0], arguments[3])),)


def _nothing(_: tuple[Any, ...]) -> tuple[Touch, ...]:
    return ()


TOUCHES: dict[str, Callable[[tuple[Any, ...]], tuple[Touch, ...]]] = {
    "open": _open,
    "os.remove": _remove,
    "os.rmdir": _remove,
    "os.mkdir": _mkdir,
    "os.rename": _rename,
    "os.link": _link,
    "os.symlink": _symlink,
    "os.truncate": _truncate,
    "os.chmod": _chmod,
    "os.utime": _utime,
    # these only announce what follows with events of its own
    "shutil.copyfile": _nothing,
    "shutil.copymode": _nothing,
    "shutil.copystat": _nothing,
    "shutil.copytree": _nothing,
    "shutil.move": _nothing,
    "shutil.rmtree": _nothing,
    "tempfile.mkstemp": _nothing,
    "tempfile.mkdtemp": _nothing,
}


def opens_for_writing(arguments: tuple[Any, ...]) -> bool:
    """Whether an event `open` with these arguments is about to change a file, or make one."""
    _, mode, flags = arguments
    return (isinstance(mode, str) and bool(set(mode) & set("wax+"))) or (
        isinstance(flags, int) and bool(flags & WRITES)
    )


def _named(path: Any, folder: int = -1) -> str:
    """Return the name itself, with the folders before it resolved."""
    whole = _absolute(path, folder)
    before, name = os.path.split(whole)
    return os.path.join(os.path.realpath(before), name)


def _followed(path: Any, folder: int = -1) -> str:
    return os.path.realpath(_absolute(path, folder))


def _absolute(path: Any, folder: int) -> str:
    if isinstance(path, int):
        return _of_descriptor(path)
    name = os.fsdecode(path).rstrip("/") or "/"
    if folder != -1 and not os.path.isabs(name):
        return os.path.join(_of_descriptor(folder), name)
    return os.path.abspath(name)


def _of_descriptor(number: int) -> str:
    return _readlink(f"/proc/self/fd/{number}")
