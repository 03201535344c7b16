"""SIGINT reaches user code and nothing else.

Signals come in, `KeyboardInterrupt` comes out while user code runs. The rule: our own handler stays
installed all the time, so that child processes inherit the default action (an ignored signal would
stay ignored in them), and raises only between `arm` and `disarm`.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

T = TypeVar("T")


class Guard:
    """Runs user code so that an interrupt ends it, wherever the signal strikes.

    `otherwise` is called when the signal comes while no user code runs.
    """

    def __init__(self, otherwise: Callable[[], None]):
        self._armed = False
        self._held = self._struck = False
        self._otherwise = otherwise

    def install(self) -> None:
        """Take over SIGINT; in the main thread."""
        signal.signal(signal.SIGINT, self._strike)

    def call(self, code: Callable[[], T], interrupted: Callable[[], T]) -> T:
        """Return `code()`, or `interrupted()` if a KeyboardInterrupt ended it.

        The signal may strike before the first and after the last line of `code`: both orders end in
        `interrupted`. While `interrupted` runs nothing more can strike.
        """
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
        if struck:
            raise KeyboardInterrupt

    def _strike(self, _signal: int, _frame: FrameType | None) -> None:
        if self._held:
            self._struck = True
        elif self._armed:
            raise KeyboardInterrupt
        self._otherwise()
