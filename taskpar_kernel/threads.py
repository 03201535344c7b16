"""Threads of our own beside the user's code: they are nobody else's business, a debugger's neither.

The rule: each is started here. A debugger that stops a cell stops all threads it knows, and the one
that serves the workers must go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


def start_thread(target: Callable[[], object], name: str) -> threading.Thread:
    """Start a daemon thread that a debugger neither shows nor stops."""
    thread = threading.Thread(target=target, name=f"taskpar {name}", daemon=True)
    thread.pydev_do_not_trace = True  # type: ignore[attr-defined] # as ipykernel marks its own
    thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]
    thread.start()
    return thread
