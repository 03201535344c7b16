"""For tests and benchmarks inside a kernel: wait until the workers are up."""

from __future__ import annotations

from typing import Any

from IPython.core.getipython import get_ipython


def wait_for_workers(limit_s: float = 30.0) -> int:
    """Return how many workers are up; all of them, or it raises `PoolError` after `limit_s`."""
    shell: Any = get_ipython()
    session = shell.door.session
    session.start()
    ready: int = session.pool.wait_ready(limit_s)
    return ready
