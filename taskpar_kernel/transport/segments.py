"""Large buffers go into shared-memory files once, and every consumer maps them privately.

Buffers come in, `Segment` descriptions go out, and back. The rule: a consumer's map is
copy-on-write, so an array arrives writable and nobody sees another's writes.

A segment file has one writer and is written once, before its description is sent. When home says
that nobody will ask for it any more, it is set free, and the next segment may take it over
(`transport/files.py`).
"""

from __future__ import annotations

import itertools
import math
import mmap
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import xxhash

from taskpar_kernel.model.messages import Buffer, Mapped, Packed, Segment
from taskpar_kernel.transport.files import (
    FREE_S,
    Files,
    Written,
    map_private,
    set_all_free,
    set_free,
)

SMALLEST_BYTES = 256 * 1024
"""Below this, a frame inside the message is faster than a file, a map and their faults."""

_ALIGN = 64
_CHUNK_BYTES = 1 << 24
"""Written at a time: about 5 ms."""
_PAGE = mmap.PAGESIZE
_ENTRY_BYTES = 8
_FLAGS_AT = 7 if sys.byteorder == "little" else 0
"""Where the flags of a page stand in its entry of the pagemap: its highest byte."""
_FILE_PAGE, _SWAPPED, _PRESENT = 1 << 5, 1 << 6, 1 << 7
_IS_COPIED = bytes(
    bool((flags & _PRESENT and not flags & _FILE_PAGE) or flags & _SWAPPED) for flags in range(256)
)
"""Flags → whether the page is the process's own copy. A table: 800 MB have 200,000 pages."""


class Segments:
    """The shared segments this process writes and maps; `folder` None: everything in-message.

    With what other processes have in the folder, they hold at most `most_bytes`.
    """

    def __init__(self, folder: str | None, owner: str = "", most_bytes: float = math.inf):
        self._files = Files(folder, most_bytes) if folder else None
        self._owner = owner
        self._numbers = itertools.count(1)

    def put(
        self, buffers: Iterable[memoryview], check: Callable[[], None] | None = None
    ) -> tuple[bytes | Segment, ...]:
        """Copy `buffers` out: small ones to bytes, large ones side by side into one new file.

        `check` is called now and then; what it raises ends the copying, and nothing is left.
        """
        views = list(buffers)
        large = [i for i, view in enumerate(views) if view.nbytes >= SMALLEST_BYTES]
        placed = self._write([views[i] for i in large], check) if large else None
        if placed is None:
            return tuple(bytes(view) for view in views)
        where = dict(zip(large, placed, strict=True))
        return tuple(where.get(i) or bytes(view) for i, view in enumerate(views))

    def _write(
        self, views: list[memoryview], check: Callable[[], None] | None
    ) -> list[Segment] | None:
        offsets, end = [], 0
        for view in views:
            start = -(-end // _ALIGN) * _ALIGN
            offsets.append(start)
            end = start + view.nbytes
        if self._files is None:
            return None
        try:
            file = self._files.open(f"{self._owner}-{next(self._numbers)}", end)
        except OSError:  # no room in shared memory: the frames travel inside the message
            return None
        try:
            for view, start in zip(views, offsets, strict=True):
                _write_all(file, view, start, check)
        except OSError:
            Path(file.path).unlink(missing_ok=True)
            return None
        except BaseException:
            Path(file.path).unlink(missing_ok=True)
            raise
        finally:
            file.close()
        return [Segment(file.path, o, v.nbytes) for o, v in zip(offsets, views, strict=True)]

    def take(self, buffers: Iterable[Buffer]) -> tuple[list[Any], list[mmap.mmap]]:
        """Return writable private buffers, and the maps that carry the large ones."""
        maps: dict[str, mmap.mmap] = {}
        taken: list[Any] = []
        for buffer in buffers:
            if isinstance(buffer, Mapped):
                taken.append(buffer.view)
                continue
            if not isinstance(buffer, Segment):
                taken.append(bytearray(buffer))
                continue
            if buffer.path not in maps:
                maps[buffer.path] = map_private(buffer.path)
            view = memoryview(maps[buffer.path])
            taken.append(view[buffer.offset : buffer.offset + buffer.nbytes])
        return taken, list(maps.values())

    def opened(self, packed: Packed) -> Packed:
        """Return the value with its segments mapped: nobody has to keep their files for it.

        Raises:
            OSError: they are gone.
        """
        large = [b for b in packed.buffers if isinstance(b, Segment)]
        mapped = map(Mapped, self.take(large)[0])
        return Packed(
            packed.inband,
            tuple(next(mapped) if isinstance(b, Segment) else b for b in packed.buffers),
        )

    @staticmethod
    def release(paths: Iterable[str]) -> None:
        """Set these files free; existing maps stay valid."""
        for path in set(paths):
            set_free(path)

    def release_all(self) -> None:
        """Set everything free, whoever wrote it: nobody will ask for any of it."""
        if self._files is not None:
            set_all_free(self._files.folder)

    def sweep(self, older_s: float = FREE_S) -> bool:
        """Remove what was free for `older_s` seconds; return whether more may have to go later."""
        return self._files is not None and self._files.sweep(older_s)


class Sweeping:
    """Sees to it that shared memory that nobody uses is given back after a while.

    `later` calls back after so many seconds, in a thread that does not wait for the user's code.
    """

    def __init__(self, segments: Segments, later: Callable[[float, Callable[[], None]], object]):
        self._segments = segments
        self._later = later
        self._is_due = False

    def begin(self) -> None:
        """Something was set free."""
        if not self._is_due:
            self._is_due = True
            self._later(FREE_S + 1, self._sweep)

    def _sweep(self) -> None:
        self._is_due = False
        if self._segments.sweep():
            self.begin()


NO_SEGMENTS = Segments(None)


def _write_all(
    file: Written, view: memoryview, offset: int, check: Callable[[], None] | None
) -> None:
    flat = view.cast("B")
    for done in range(0, flat.nbytes, _CHUNK_BYTES):
        if check is not None:
            check()
        file.write(flat[done : done + _CHUNK_BYTES], offset + done)


def write_mark(private: mmap.mmap) -> object:
    """Return a value that stays the same as long as nothing wrote to this private map.

    From the operating system where it tells (a page that was copied is no file page any more,
    Documentation/admin-guide/mm/pagemap.rst), else from a hash of the contents. A page that is
    copied already can be written to again: such pages are hashed.
    """
    try:
        copied = _copied_pages(private)
    except OSError:
        return xxhash.xxh3_128_digest(private)
    digest = xxhash.xxh3_128()
    with memoryview(private) as view:
        page = copied.find(1)
        while page >= 0:
            end = copied.find(0, page)
            end = len(copied) if end < 0 else end
            digest.update(view[page * _PAGE : end * _PAGE])
            page = copied.find(1, end)
    return copied, digest.digest()


def _copied_pages(private: mmap.mmap) -> bytes:
    """Return one byte for each page of the map, 1 where it was copied; empty if none was."""
    import ctypes  # only consumers of segments need it

    address = ctypes.addressof(ctypes.c_char.from_buffer(private))
    pages = -(-len(private) // _PAGE)
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:  # noqa: PTH123 - hot
        pagemap.seek(address // _PAGE * _ENTRY_BYTES)
        raw = pagemap.read(pages * _ENTRY_BYTES)
    if len(raw) != pages * _ENTRY_BYTES:
        raise OSError("pagemap is incomplete")
    copied = raw[_FLAGS_AT::_ENTRY_BYTES].translate(_IS_COPIED)
    return copied if 1 in copied else b""
