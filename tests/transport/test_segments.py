"""Segments: one copy in, private maps out, and every write to a map is noticed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from taskpar_kernel.model.messages import Segment
from taskpar_kernel.transport import segments as module
from taskpar_kernel.transport.pickling import pack, unpack, unpickle
from taskpar_kernel.transport.segments import SMALLEST_BYTES, Segments, write_mark

LARGE = SMALLEST_BYTES // 8


@pytest.fixture
def segments(tmp_path: Path) -> Iterator[Segments]:
    shared = Path("/dev/shm")
    folder = shared / f"taskpar-test-{os.getpid()}" if shared.is_dir() else tmp_path
    folder.mkdir(exist_ok=True)
    yield Segments(str(folder), "me")
    for file in folder.iterdir():
        file.unlink()
    if folder != tmp_path:
        folder.rmdir()


def test_large_buffers_share_one_file_small_ones_travel_along(segments: Segments) -> None:
    packed = pack([np.arange(LARGE), np.arange(3), np.arange(LARGE) * 2.0], segments)
    large = [b for b in packed.buffers if isinstance(b, Segment)]
    assert len(packed.buffers) == 3
    assert len(large) == 2
    assert len({b.path for b in large}) == 1
    assert all(b.offset % 64 == 0 for b in large)
    first, small, second = unpack(packed, segments)
    assert (first == np.arange(LARGE)).all()
    assert (small == np.arange(3)).all()
    assert (second == np.arange(LARGE) * 2.0).all()


def test_nobody_sees_anothers_writes(segments: Segments) -> None:
    original = np.zeros(LARGE)
    packed = pack(original, segments)
    one, other = unpack(packed, segments), unpack(packed, segments)
    one[:] = 1
    original[:] = 2
    assert not other.any()
    assert not unpack(packed, segments).any()


def test_maps_outlive_their_file(segments: Segments) -> None:
    packed = pack(np.ones(LARGE), segments)
    array = unpack(packed, segments)
    segments.release(packed.buffers)
    segments.release(packed.buffers)
    assert not any(Path(b.path).exists() for b in packed.buffers if isinstance(b, Segment))
    assert array.sum() == LARGE


@pytest.mark.parametrize("call", ["open", "posix_fallocate", "pwrite"])
def test_no_room(call: str, segments: Segments, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(module.os, call, full)
        packed = pack(np.ones(LARGE), segments)
    assert all(isinstance(b, bytes) for b in packed.buffers)
    assert unpack(packed, segments).sum() == LARGE


def test_without_a_folder_everything_is_in_the_message() -> None:
    packed = pack(np.ones(LARGE))
    assert all(isinstance(b, bytes) for b in packed.buffers)


@pytest.fixture(params=["pages", "hash"])
def marked(
    request: pytest.FixtureRequest, segments: Segments, monkeypatch: pytest.MonkeyPatch
) -> tuple[np.ndarray, object, object]:
    """An array on a private map, the map, and its mark: by the system's pages, and by a hash."""
    if request.param == "hash":
        monkeypatch.setattr(module, "_copied_pages", _unknown)
    packed = pack(np.arange(4.0 * LARGE).reshape(4, LARGE), segments)
    array, _, (private,) = unpickle(packed, segments)
    return array, private, write_mark(private)


def _unknown(_private: object) -> tuple[int, ...]:
    raise OSError("no pagemap")


READS = {
    "sum": lambda a: a.sum(),
    "copy": lambda a: a.copy(),
    "view": lambda a: a[1:, ::2],
    "bytes": lambda a: a.tobytes(),
    "sort a copy": np.sort,
}
WRITES = {
    "first": lambda a: a.__setitem__((0, 0), -1.0),
    "last": lambda a: a.__setitem__((-1, -1), -1.0),
    "view": lambda a: a[2:, ::7].__setitem__((0, 3), -1.0),
    "in place": lambda a: np.add(a, 1, out=a),
    "another type's view": lambda a: a.view(np.uint8).__setitem__((3, 5), 77),
    "flat": lambda a: a.flat.__setitem__(9, -1.0),
    "memoryview": lambda a: memoryview(a).cast("B").__setitem__(9, 1),
}


@pytest.mark.parametrize("name", READS)
def test_reading_leaves_no_mark(name: str, marked: tuple[np.ndarray, object, object]) -> None:
    array, private, before = marked
    READS[name](array)
    assert write_mark(private) == before


@pytest.mark.parametrize("name", WRITES)
def test_writing_leaves_a_mark(name: str, marked: tuple[np.ndarray, object, object]) -> None:
    array, private, before = marked
    WRITES[name](array)
    assert write_mark(private) != before
