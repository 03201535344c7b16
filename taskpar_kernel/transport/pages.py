"""Large buffers come in, watches over their memory go out, which know whether it was written to.

Reading 800 MB to see that they are the same takes 25 ms; asking the system which pages were written
to takes less than one. The rule: `intact` is said only on positive proof, every page of it; whoever
gets no watch, or the answer False, compares or sends again.

How home's own memory is watched (Documentation/admin-guide/mm/{userfaultfd,pagemap}.rst): its pages
are write-protected; the kernel itself lifts that at the first write to each
(`UFFD_FEATURE_WP_ASYNC`, Linux 6.7), so that nobody waits and no thread is needed; `PAGEMAP_SCAN`
tells which are protected still. Pages that are dropped, moved or mapped anew are not. The same call
protects anew, in one step, the pages that were written to, and tells which these were: who watched
them already is told, for the trace of that write is gone. The first write to a page takes 0.7 µs
more. A device that writes to memory by itself goes past this: where a
library for such is loaded, nothing is watched; nor are files and memory shared between processes.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import struct
import sys
import weakref
from collections.abc import Iterable, Iterator
from typing import Protocol

from taskpar_kernel.transport.arrays import Span, span_of_buffer
from taskpar_kernel.transport.segments import write_mark

SMALLEST_BYTES = 16 << 20
"""Smaller buffers are hashed: 0.5 ms."""

_PAGE = mmap.PAGESIZE
_SYSCALL = {"x86_64": 323, "aarch64": 282}
_USER_MODE_ONLY = 1
_API = 0xAA
_WRITE_PROTECT, _UNPOPULATED, _ASYNC = 1 << 1, 1 << 13, 1 << 15
_WRITTEN, _FILE, _PRESENT, _SWAPPED = 1 << 1, 1 << 2, 1 << 3, 1 << 4
_PROTECT, _ONLY_REGISTERED = 1 << 0, 1 << 1
_RUNS = 512
"""How many runs of pages one call tells of."""
_DEVICES = ("cupy", "jax", "numba.cuda", "pycuda", "pyopencl", "tensorflow", "torch")


class Watch(Protocol):
    """Knows whether memory was written to."""

    span: Span
    """The addresses [start, end) that are watched."""

    def intact(self) -> bool:
        """Whether it is proved that nobody wrote to it since the watch began."""


def watches_over(buffers: Iterable[memoryview]) -> tuple[Watch, ...]:
    """Return watches over the whole pages of those buffers that can be watched; from now on.

    Each large buffer is asked for once, in order; those that share pages are not watched.
    """
    large = [b for b in buffers if b.nbytes >= SMALLEST_BYTES]
    if not large or any(name in sys.modules for name in _DEVICES) or not _System.is_there():
        return ()
    found: list[Watch] = []
    end = 0
    for low, high in sorted(filter(None, map(_whole_pages, large))):
        if low >= end and (watch := _ProtectedPages.over((low, high))) is not None:
            found.append(watch)
            end = high
    return tuple(found)


def _whole_pages(buffer: memoryview) -> Span | None:
    span = span_of_buffer(buffer)
    return span and (-(-span[0] // _PAGE) * _PAGE, span[1] // _PAGE * _PAGE)


class MappedPages:
    """Watches a private map of a segment: the system copies each page that is written to."""

    def __init__(self, private: mmap.mmap):
        start = ctypes.addressof(ctypes.c_char.from_buffer(private))
        self.span = start, start + len(private)
        self._private = private
        self._mark = write_mark(private)

    def intact(self) -> bool:
        """Whether no page was copied since, and no copied one written to."""
        return write_mark(self._private) == self._mark


class _ProtectedPages:
    """Watches private memory of this process by protecting its pages."""

    def __init__(self, span: Span):
        self.span = span
        self._written = False

    @classmethod
    def over(cls, span: Span) -> _ProtectedPages | None:
        """Begin to watch; None where the system, or this memory, does not allow it."""
        system = _System.get()
        try:
            # Files, and what is not there yet and may be one, show writes in another way.
            if system.scan(span, _PRESENT | _SWAPPED, _FILE) != [span]:
                return None
            for written in system.protect(span):
                for other in _watching():
                    other._written |= _overlap(written, other.span)
        except OSError:
            return None
        watch = cls(span)
        _references[id(watch)] = weakref.ref(watch)
        return watch

    def intact(self) -> bool:
        """Whether each page is there and protected still."""
        if self._written:
            return False
        try:
            # Pages that hold something or are swapped out, and are protected: all of them.
            found = _System.get().scan(self.span, _PRESENT | _SWAPPED, _WRITTEN | _FILE)
        except OSError:
            return False
        return found == [self.span]

    def __del__(self) -> None:
        # Who watches the same memory by now goes on: two bundles may hold one array.
        _references.pop(id(self), None)
        if sys.is_finalizing() or not _System.at_hand():
            return
        if not any(_overlap(self.span, other.span) for other in _watching()):
            _System.get().unprotect(self.span)


def _overlap(a: Span, b: Span) -> bool:
    return a[0] < b[1] and b[0] < a[1]


_references: dict[int, weakref.ref[_ProtectedPages]] = {}


def _watching() -> list[_ProtectedPages]:
    """Return the watches there are; on any thread."""
    found = [reference() for reference in tuple(_references.values())]
    return [watch for watch in found if watch is not None]


class _System:
    """The process's descriptors: one for protecting pages, one for asking about them."""

    _one: _System | None = None
    _works: bool | None = None

    def __init__(self) -> None:
        number = _SYSCALL.get(platform.machine()) if sys.platform == "linux" else None
        if number is None:
            raise OSError("this system does not tell which pages were written to")
        self._process = os.getpid()
        self._fault = ctypes.CDLL(None).syscall(number, os.O_CLOEXEC | _USER_MODE_ONLY)
        if self._fault < 0:
            raise OSError("userfaultfd is not allowed")
        features = _UNPOPULATED | _ASYNC
        fcntl.ioctl(self._fault, _request(3, _API, 0x3F, 24), struct.pack("QQQ", _API, features, 0))
        self._pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)

    @classmethod
    def get(cls) -> _System:
        """Return the one of this process.

        Raises:
            OSError: there is none.
        """
        if cls._one is None or cls._one._process != os.getpid():
            cls._one = cls()  # a forked child's own: the parent's tells of the parent's memory
        return cls._one

    @classmethod
    def at_hand(cls) -> bool:
        """Whether this process has one already."""
        return cls._one is not None and cls._one._process == os.getpid()

    @classmethod
    def is_there(cls) -> bool:
        """Whether the system does all of this: tried once, on a few pages."""
        if cls._works is None:
            try:
                cls._works = _is_seen()
            except OSError:
                cls._works = False
        return cls._works

    def protect(self, span: Span) -> Iterator[Span]:
        """Protect these pages, until somebody writes to them; give those that were not protected.

        Nothing that is written meanwhile is lost: it is told of, or the page is not protected.
        """
        register = struct.pack("QQQQ", span[0], span[1] - span[0], _WRITE_PROTECT, 0)
        fcntl.ioctl(self._fault, _request(3, _API, 0x00, 32), bytearray(register))
        low, high = span
        while low < high:
            runs, low = self._scan((low, high), (_WRITTEN, 0), _PROTECT | _ONLY_REGISTERED, _RUNS)
            yield from runs

    def unprotect(self, span: Span) -> None:
        """Let go of these pages, if they are still there."""
        pages = struct.pack("QQ", span[0], span[1] - span[0])
        try:
            fcntl.ioctl(self._fault, _request(2, _API, 0x01, 16), bytearray(pages))
        except OSError:
            return

    def scan(self, span: Span, any_of: int, none_of: int) -> list[Span]:
        """Return the first run of pages in `span` that are of these categories, if there is one."""
        runs, _ = self._scan(span, (any_of, none_of), 0, 1)
        return runs

    def _scan(
        self, span: Span, categories: tuple[int, int], flags: int, most: int
    ) -> tuple[list[Span], int]:
        """Return up to `most` runs of pages of these categories, and how far the search came."""
        any_of, none_of = categories
        found = (ctypes.c_uint64 * (3 * most))()
        request = bytearray(
            struct.pack(
                "12Q",
                *(96, flags, *span, 0, ctypes.addressof(found), most, 0),
                *(none_of, none_of, any_of, 0),
            )
        )
        count = fcntl.ioctl(self._pagemap, _request(3, ord("f"), 16, 96), request)
        (came,) = struct.unpack_from("Q", request, 32)
        return [(int(found[3 * n]), int(found[3 * n + 1])) for n in range(count)], int(came)


def _request(direction: int, kind: int, number: int, size: int) -> int:
    """Return the number of an ioctl (asm-generic/ioctl.h)."""
    return direction << 30 | size << 16 | kind << 8 | number


def _is_seen() -> bool:
    """Whether one write is seen, and nothing else, on pages that are there for this."""
    with mmap.mmap(-1, 4 * _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory[:] = b"x" * len(memory)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        watch = _ProtectedPages.over((start, start + len(memory)))
        if watch is None or not watch.intact():
            return False
        memory[2 * _PAGE] = 0
        return not watch.intact()
