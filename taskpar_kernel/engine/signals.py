"""An interrupt may strike at any time; while an outcome is being written home, it waits.

The two orders: the signal comes before the commit began (it is raised before anything changed), or
during it (it is remembered, and raised when the namespace is again a state of the serial run).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Hold back SIGINT inside the block; it takes effect at its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    struck: list[tuple[int, Any]] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: struck.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if struck and callable(previous):
            previous(*struck[-1])
