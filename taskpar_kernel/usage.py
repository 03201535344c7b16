"""How many cores a stretch of work uses, whether or not it gets them.

CPU seconds of the process and of the thread that works come in, a number of cores goes out. Beside
other processes everything takes longer, and a BLAS call on two threads may use a single core's time
by the clock on the wall; but its own thread then gets half of that. The rule: what is measured is
how much the others work for each second in which that thread does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from taskpar_kernel.settings import usable_cores

SHORTEST_S = 0.005
"""Over a shorter time than this nothing is told."""
_LEAST_SHARE = 0.4
"""A thread that works less than this part of the time has others work for it, or waits."""


class Usage:
    """Measures the work of the thread on which it is made; any thread may begin it, or ask."""

    def __init__(self) -> None:
        self._own_s = _clock_of_this_thread()
        self._began = (0.0, 0.0, 0.0)

    def begin(self, ours_s: float = 0.0) -> None:
        """A stretch of work begins; `ours_s`: CPU seconds so far of threads that do not count."""
        self._began = (time.process_time() - ours_s, self._own_s(), time.monotonic())

    def own_s(self) -> float:
        """Return the CPU seconds of the thread itself since then."""
        return self._own_s() - self._began[1]

    def cores(self, ours_s: float = 0.0) -> float | None:
        """Return how many cores it uses, or None if it has not gone on for long enough."""
        cpu_s, _, wall_s = self._began
        passed_s = time.monotonic() - wall_s
        if passed_s < SHORTEST_S:
            return None
        works_s = max(self.own_s(), _LEAST_SHARE * passed_s)
        return min((time.process_time() - ours_s - cpu_s) / works_s, usable_cores())


def _clock_of_this_thread() -> Callable[[], float]:
    """Return what gives the CPU seconds of this thread, in every thread."""
    try:
        clock = time.pthread_getcpuclockid(threading.get_ident())
    except (AttributeError, OSError):  # macOS, Windows: only the thread itself can tell
        return time.thread_time
    return lambda: time.clock_gettime(clock)
