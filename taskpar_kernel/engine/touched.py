"""What happens to files while a cell runs: audit events come in, which paths and when goes out.

An attempt tells how each file looked just before it read it. A file that came and went since then
looks as before, and the attempt may have read what was in it meanwhile. So home remembers what its
own statements, and the attempts it let pass, did to files, and when.

The rule: what is noted has not happened yet, or not to the end; a path noted for nothing costs one
attempt, a path forgotten costs the promise. Changes by compiled code and by other processes are
not seen here: they are found by how the file looks.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from taskpar_kernel.worker.seen import is_kind
from taskpar_kernel.worker.touches import CONTENT, NEW, TOUCHES, opens_for_writing

if TYPE_CHECKING:
    from taskpar_kernel.model.messages import FileState


class FilesTouched:
    """The files touched during one cell. It does not know who has read them."""

    def __init__(self) -> None:
        self._touched_s: dict[str, float] = {}
        """Resolved path → when it was last touched, in monotonic seconds."""
        self._moved_s: dict[str, float] = {}
        """The same for what came, went or became something else."""
        self._inside_s: dict[str, float] = {}
        """Folder → when something in it last did so."""

    def clear(self) -> None:
        """Forget everything: nobody is left who could have read it."""
        self._touched_s.clear()
        self._moved_s.clear()
        self._inside_s.clear()

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note what an audit event is about to do."""
        for touch in TOUCHES[event](arguments):
            comes = touch.kind in (CONTENT, NEW)
            self.note(touch.path, moves=not comes or not os.path.lexists(touch.path))
            if touch.target:
                self.note(touch.target, moves=True)

    def note(self, path: str, *, moves: bool) -> None:
        """Note a touch of `path`; `moves`: it may come, go or become something else by it."""
        now_s = self._touched_s[path] = time.monotonic()
        if moves:
            self._moved_s[path] = self._inside_s[os.path.dirname(path)] = now_s

    def since(self, path: str, looked: FileState, begin_s: float) -> bool:
        """Whether what was `looked` at may have been something else at a time after `begin_s`."""
        if not self._touched_s:
            return False
        resolved = os.path.realpath(path)
        folder, name = os.path.split(path)
        names = {resolved, os.path.join(os.path.realpath(folder), name)}
        above = {parent for name in names for parent in _above(name)}
        times_s = [self._moved_s.get(name, -1.0) for name in names | above]
        if not is_kind(looked):
            times_s += [self._touched_s.get(name, -1.0) for name in names]
            times_s.append(self._inside_s.get(resolved, -1.0))
        return max(times_s) >= begin_s


def _above(path: str) -> Iterable[str]:
    """Yield the folders that `path` is in."""
    parent = os.path.dirname(path)
    while parent != path:
        yield parent
        path, parent = parent, os.path.dirname(parent)


_watching: list[Callable[[str, tuple[Any, ...]], None]] = []
"""Who is told now: at most one, for one cell runs at a time in a process."""


def watch(touched: FilesTouched | None) -> None:
    """Tell `touched`, and nobody else, what this process does to files from now on."""
    _install()
    _watching[:] = [touched.audit] if touched is not None else []


@cache
def _install() -> None:
    """Add the hook: there is no way to remove one."""
    sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching or event not in TOUCHES:
        return
    if event == "open" and not opens_for_writing(arguments):
        return
    for tell in _watching:
        with suppress(OSError, ValueError, TypeError):  # it can be no path: the call will say so
            tell(event, arguments)
