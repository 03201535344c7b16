"""What an attempt must leave as it found it: the process comes in before and after, changes go out.

The rule: an attempt has no effect on its worker, because the statements that follow there may stand
before it in the end, or instead of it. What cannot be sent home as part of an outcome (options,
threads, attributes of modules, signal handlers) makes the attempt fail, and is put back.
"""

from __future__ import annotations

import _thread
import builtins
import gc
import os
import signal
import sys
import threading
import types
import warnings
from collections.abc import Iterable
from contextlib import suppress
from importlib.machinery import ModuleSpec
from itertools import islice
from operator import is_
from typing import Any

from taskpar_kernel.ambient import providers as ambient
from taskpar_kernel.ambient.libraries import LIBRARIES, dotted
from taskpar_kernel.worker.kept import KEPT

_ALWAYS = (builtins, sys, os, warnings)
_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGHUP")
    if hasattr(signal, name)
)
_MISSING = object()


class Watch:
    """The process as it was before an attempt."""

    def __init__(
        self,
        modules: Iterable[types.ModuleType],
        packages: Iterable[str] = (),
        earlier: Watch | None = None,
    ):
        """`packages`: the libraries that the attempt can reach.

        `earlier`: that of an attempt which changed nothing, if none of anybody's code has run
        since. What has changed all the same would be taken for the doing of this one.
        """
        self._modules = {id(m): (m, dict(vars(m))) for m in (*_ALWAYS, *modules)}
        self._threads = _threads()
        self._interpreter = _interpreter()
        self._signals = _handlers()
        KEPT.update()
        self._kept = KEPT.values()  # unpickling its input may have moved some
        self._settings = LIBRARIES.snapshot(packages)
        self._count = len(sys.modules)
        if earlier is not None and earlier._after is not None and earlier._count == self._count:
            self._ambient = earlier._after
        else:
            self._ambient = ambient.fingerprint()
        self._after: dict[str, object] | None = None

    def changes(self) -> list[str]:
        """Return, in plain words, what is not as it was."""
        now = self._after = ambient.fingerprint()
        found = ambient.differences(self._ambient, now)
        found += [
            f"the module {module.__name__}"
            for module, before in self._modules.values()
            if any(_altered(vars(module), before))
        ]
        if self._interpreter != _interpreter():
            found.append("the interpreter's settings")
        if self._signals != _handlers():
            found.append("a signal handler")
        found += [f"{name}, which its library keeps" for name in KEPT.moved(self._kept)]
        found += [f"the library's {dotted(p)}" for p in LIBRARIES.moved(self._settings)]
        return found

    def left_threads(self) -> bool:
        """Whether more threads run than before."""
        return any(now > then for now, then in zip(_threads(), self._threads, strict=True))

    def is_own(self) -> bool:
        """Whether a generator or a number has moved: what is made of it, home would make otherwise.

        Any thread may ask.
        """
        now = ambient.generators()
        return any(self._ambient[name] != mark for name, mark in now.items()) or bool(
            KEPT.moved(self._kept)
        )

    def loaded(self) -> tuple[str, ...]:
        """Return the modules that were imported since, in that order: those found by their names.

        What others make and register under some name has no such specification.
        """
        names = tuple(islice(sys.modules, self._count, None))
        return tuple(name for name in names if _is_found_by(name))

    def put_back(self) -> None:
        """Undo what can be undone; ambient state is restored before the next attempt."""
        for module, before in self._modules.values():
            for name in tuple(_altered(vars(module), before)):
                if name in before:
                    vars(module)[name] = before[name]
                else:
                    del vars(module)[name]
        KEPT.put_back(self._kept)
        LIBRARIES.put_back(self._settings)
        collecting, interval, trace, profile = self._interpreter
        (gc.enable if collecting else gc.disable)()
        sys.setswitchinterval(interval)
        sys.settrace(trace)
        sys.setprofile(profile)
        for number, handler in self._signals.items():
            if signal.getsignal(number) is not handler:
                with suppress(TypeError, ValueError, OSError):
                    signal.signal(number, handler)


def _altered(now: dict[str, Any], before: dict[str, Any]) -> Iterable[str]:
    """Yield the names whose values differ; a submodule that was imported is no change."""
    same = len(now) == len(before) and all(map(is_, now.values(), before.values()))
    if same and all(map(is_, now, before)):
        return  # as nearly always, and told in a tenth of the time
    for name, value in before.items():
        if now.get(name, _MISSING) is not value:
            yield name
    if len(now) > len(before):
        for name in now.keys() - before.keys():
            new = now[name]
            if not (isinstance(new, types.ModuleType) or _is_bookkeeping(name)):
                yield name


def _is_found_by(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    is_found = isinstance(spec, ModuleSpec) and spec.name == name and spec.loader is not None
    return is_found and not name.startswith("taskpar_kernel.")


def _is_bookkeeping(name: str) -> bool:
    return name == "__warningregistry__" or name.startswith("last_")


def _threads() -> tuple[int, int]:
    return threading.active_count(), _thread._count()


def _interpreter() -> tuple[Any, ...]:
    return gc.isenabled(), sys.getswitchinterval(), sys.gettrace(), sys.getprofile()


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in _SIGNALS}
