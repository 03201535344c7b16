"""For tests and benchmarks inside a kernel: wait until the workers are up, and idle."""

from __future__ import annotations

import time
from typing import Any

from IPython.core.getipython import get_ipython


def wait_for_workers(limit_s: float = 30.0) -> int:
    """Return how many workers are up and have imported what home has; all, or it raises.

    Raises:
        PoolError: they were not up after `limit_s`.
        TimeoutError: some still imported then.
    """
    shell: Any = get_ipython()
    session = shell.door.session
    session.start()
    end_s = time.monotonic() + limit_s
    ready: int = session.pool.wait_ready(limit_s)
    while session.are_importing():
        if time.monotonic() > end_s:
            raise TimeoutError(f"workers still import after {limit_s:g} s")
        time.sleep(0.01)
    return ready
