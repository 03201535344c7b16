"""SIGINT reaches user code and nothing else.

Signals come in, `KeyboardInterrupt` comes out while user code runs. The rule: our own handler stays
installed all the time, so that child processes inherit the default action (an ignored signal would
stay ignored in them), and raises only between `arm` and `disarm`.

An import is not interrupted: a C extension whose first import was cut short can never be imported
again by the same process. The interrupt strikes when the import is over.

Python swallows what is raised in a finalizer or a callback of a weak reference, and prints it as
ignored. Where the interrupt ends so, nothing is printed, and it strikes again a moment later.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from _thread import start_new_thread
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

T = TypeVar("T")
_AGAIN_S = 0.002
"""After so long an interrupt that was swallowed strikes again."""


class Guard:
    """Runs user code so that an interrupt ends it, wherever the signal strikes.

    `otherwise` is called when the signal comes while no user code runs. `meant` tells whether a
    signal is for what runs now: one that was sent to end something else may come late.
    """

    def __init__(self, otherwise: Callable[[], None], meant: Callable[[], bool] = lambda: True):
        self._armed = False
        self._held = self._struck = False
        self._calls = 0
        self._hook = sys.unraisablehook
        self._otherwise = otherwise
        self._meant = meant

    def install(self) -> None:
        """Take over SIGINT, and exceptions that nobody can catch; in the main thread."""
        signal.signal(signal.SIGINT, self._strike)
        self._hook = sys.unraisablehook
        sys.unraisablehook = self._unraisable

    def call(self, code: Callable[[], T], interrupted: Callable[[], T]) -> T:
        """Return `code()`, or `interrupted()` if a KeyboardInterrupt ended it.

        The signal may strike before the first and after the last line of `code`: both orders end in
        `interrupted`. While `interrupted` runs nothing more can strike.
        """
        self._calls += 1
        try:
            self._armed = True
            result = code()
            self._armed = False
        except KeyboardInterrupt:
            self._armed = False
            return interrupted()
        finally:
            self._armed = False
        return result

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Inside user code's time, do something of ours: a signal takes effect at its end.

        A message that was taken from a queue must not be lost half-way.
        """
        self._held = True
        try:
            yield
        finally:
            self._held = False
            struck, self._struck = self._struck, False
        if struck and self._is_meant():
            raise _interrupt()

    def _strike(self, _signal: int, frame: FrameType | None) -> None:
        if self._held:
            self._struck = True
        elif self._armed and _is_importing(frame):
            start_new_thread(self._strike_again, (self._calls,))
        elif self._armed and self._is_meant():
            raise _interrupt()
        self._otherwise()

    def _is_meant(self) -> bool:
        """Ask, with further signals kept until the answer is there."""
        self._held = True
        try:
            return self._meant()
        finally:
            self._held = self._struck = False

    def _unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Strike again if it is our interrupt that was swallowed; say nothing of it."""
        if not getattr(unraisable.exc_value, "of_guard", False):
            self._hook(unraisable)
        elif self._armed:
            start_new_thread(self._strike_again, (self._calls,))

    def _strike_again(self, call: int) -> None:
        time.sleep(_AGAIN_S)
        if self._armed and self._calls == call:
            os.kill(os.getpid(), signal.SIGINT)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether an import is under way in this stack."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _interrupt() -> KeyboardInterrupt:
    """Return an interrupt that can be told from one that user code raises."""
    interrupt = KeyboardInterrupt()
    interrupt.of_guard = True  # type: ignore[attr-defined]
    return interrupt
