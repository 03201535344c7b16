"""Two threads take turns with the engine's state: home, which must not wait, and the look-ahead.

The rule: home comes first. What the look-ahead does under the lock is short, but for pickling what
it sends; that is given up (`Hurried`) as soon as home asks for its turn.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from taskpar_kernel.errors import Hurried


class Turn:
    """The engine's lock. Reentrant for home; the look-ahead asks `must_stop` while it works."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._home_waits = False
        self._ahead = False

    def __enter__(self) -> None:
        """Take home's turn (events and settings count as home's)."""
        if not self._lock.acquire(blocking=False):
            self._home_waits = True
            self._lock.acquire()
            self._home_waits = False

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @contextmanager
    def ahead(self) -> Iterator[None]:
        """Take the look-ahead thread's turn."""
        with self._lock:
            self._ahead = True
            try:
                yield
            finally:
                self._ahead = False

    def check(self) -> None:
        """Raise Hurried if this is the look-ahead's turn and home waits for its own."""
        if self._ahead and self._home_waits:
            raise Hurried
