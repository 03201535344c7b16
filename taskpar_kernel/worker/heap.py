"""Memory that was freed goes back to the system, where the C library would keep it.

glibc serves arrays of some megabytes from its heap once one of that size was freed (mallopt(3),
`M_MMAP_THRESHOLD`), and returns only what lies at its end: a worker that has made and forgotten
a gigabyte would hold half of it for ever.
"""

from __future__ import annotations

import ctypes
import sys

_WORTH_BYTES = 64e6
"""So much must have been freed: to look through the heap takes some milliseconds."""


class Heap:
    """The heap of this process."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._trim = getattr(library, "malloc_trim", None)
        self._freed_bytes = 0

    def freed(self, nbytes: int) -> None:
        """Note that values of `nbytes` were let go of, and give memory back if that is worth it."""
        self._freed_bytes += nbytes
        if self._freed_bytes >= _WORTH_BYTES and self._trim is not None:
            self._freed_bytes = 0
            self._trim(0)


__all__ = ["Heap"]
