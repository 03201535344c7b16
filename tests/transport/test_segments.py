"""Segments: one copy in, private maps out, and every write to a map is noticed."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from taskpar_kernel.model.messages import Packed, Segment
from taskpar_kernel.transport import files as module
from taskpar_kernel.transport import segments as marks
from taskpar_kernel.transport.files import files_in, sweep_free
from taskpar_kernel.transport.pickling import pack, pickle_value, unpack, unpickle
from taskpar_kernel.transport.segments import SMALLEST_BYTES, Segments, Sweeping, write_mark

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
    segments.release(packed.paths)
    segments.release(packed.paths)
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
        monkeypatch.setattr(marks, "_copied_pages", _unknown)
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


# Free files -----------------------------------------------------------------------------------


def _files(segments: Segments) -> dict[str, int]:
    """Return the inode of each file of the folder by name."""
    return {file.name: file.inode for file in files_in(_folder(segments))}


def _folder(segments: Segments) -> str:
    assert segments._files is not None
    return segments._files.folder


def _path(packed: Packed) -> str:
    (path,) = packed.paths
    return path


def test_a_free_file_is_taken_over(segments: Segments) -> None:
    first = pack(np.ones(LARGE), segments)
    before = _files(segments)
    segments.release(first.paths)
    second = pack(np.full(LARGE, 2.0), segments)
    assert set(_files(segments).values()) == set(before.values())
    assert first.paths.isdisjoint(second.paths)
    assert (unpack(second, segments) == 2.0).all()


def test_a_file_that_is_mapped_is_not(segments: Segments) -> None:
    """Neither while the array lives, nor while only a view of it does; then it is."""
    first = pack(np.ones(LARGE), segments)
    array = unpack(first, segments)
    segments.release(first.paths)
    view = array[5:9]
    for _ in range(2):
        second = pack(np.full(LARGE, 2.0), segments)
        assert (view == 1.0).all()
        segments.release(second.paths)
        array = None
    assert len(_files(segments)) == 2
    del view
    pack(np.full(LARGE, 3.0), segments)
    pack(np.full(LARGE, 3.0), segments)
    assert len(_files(segments)) == 2


def test_many_free_files_that_are_mapped_do_not_hide_one_that_is_not(segments: Segments) -> None:
    packed = [pack(np.ones(LARGE), segments) for _ in range(40)]
    arrays = [unpack(each, segments) for each in packed]
    for each in packed:
        segments.release(each.paths)
    del arrays[7]
    for _ in range(4):
        again = pack(np.full(LARGE, 2.0), segments)
        segments.release(again.paths)
    assert len(_files(segments)) <= 42
    assert all((array == 1.0).all() for array in arrays)


def test_a_map_of_another_process_counts(segments: Segments) -> None:
    first = pack(np.ones(LARGE), segments)
    code = (
        "import mmap, os, sys\n"
        "from taskpar_kernel.transport.files import map_private\n"
        f"private = map_private({_path(first)!r})\n"
        "print('mapped', flush=True)\n"
        "sys.stdin.read()\n"
        "assert private[:8] == bytes.fromhex('000000000000f03f'), private[:8]\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        segments.release(first.paths)
        pack(np.full(LARGE, 2.0), segments)
        assert len(_files(segments)) == 2
        other.stdin.close()
        assert other.wait() == 0
    pack(np.full(LARGE, 3.0), segments)
    assert len(_files(segments)) == 2


def test_who_opens_a_file_that_was_taken_over_meanwhile_is_told(
    segments: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pack(np.ones(LARGE), segments)

    def taken_over_first(fd: int, how: int) -> None:
        monkeypatch.undo()
        segments.release(first.paths)
        pack(np.full(LARGE, 2.0), segments)
        fcntl.flock(fd, how)

    monkeypatch.setattr(module.fcntl, "flock", taken_over_first)
    with pytest.raises(FileNotFoundError):
        unpack(first, segments)


def test_only_files_of_about_that_size_are_taken_over(segments: Segments) -> None:
    segments.release(pack(np.ones(8 * LARGE), segments).paths)
    kept = pack(np.ones(LARGE), segments)
    assert len(_files(segments)) == 2, "a small value does not waste a large file"
    taken = pack(np.ones(5 * LARGE), segments)
    assert len(_files(segments)) == 2
    assert Path(_path(taken)).stat().st_size == 5 * LARGE * 8
    assert (unpack(kept, segments) == 1).all()


def test_the_ceiling_is_kept(segments: Segments) -> None:
    """Free files make room; what has none travels in the message."""
    small = Segments(_folder(segments), "other", most_bytes=3.5 * SMALLEST_BYTES)
    first = pack(np.ones(LARGE), small)
    second = pack(np.ones(2 * LARGE), small)
    third = pack(np.ones(LARGE), small)
    assert [len(p.paths) for p in (first, second, third)] == [1, 1, 0]
    assert unpack(third, small).sum() == LARGE
    small.release(first.paths)
    small.release(second.paths)
    fourth = pack(np.ones(3 * LARGE), small)
    assert len(fourth.paths) == 1
    assert len(_files(segments)) == 1


def test_free_files_are_swept(segments: Segments) -> None:
    packed = pack(np.ones(LARGE), segments)
    kept = pack(np.ones(LARGE), segments)
    segments.release(packed.paths)
    sweep_free(_folder(segments))
    assert len(_files(segments)) == 2
    sweep_free(_folder(segments), 0.0)
    assert list(_files(segments)) == [Path(_path(kept)).name]
    sweep_free("/nowhere")


def test_what_is_free_is_given_back_after_a_while(segments: Segments) -> None:
    """Also the memory of files that another process has removed; then nothing is due any more."""
    calls: list[Callable[[], None]] = []
    sweeping = Sweeping(segments, lambda _seconds, call: calls.append(call))
    for _ in range(2):
        segments.release(pack(np.ones(LARGE), segments).paths)
        sweeping.begin()
    assert len(calls) == 1
    calls.pop()()
    assert len(_files(segments)) == len(calls) == 1
    sweep_free(_folder(segments), 0.0)
    assert segments._files is not None
    assert segments._files._rooms
    calls.pop()()
    assert not segments._files._rooms
    assert calls == []


def test_everything_is_set_free_but_what_is_being_written(
    segments: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes over what is being written, though it has lost its name meanwhile."""
    other = Segments(_folder(segments), "other")
    placed: list[Packed] = []

    def look() -> None:
        other.release_all()
        placed.append(pack(np.full(LARGE, 2.0), other))

    parcel = pickle_value(np.ones(LARGE))
    late = parcel.place(segments, look)
    assert len(_files(segments)) == 2
    assert (unpack(placed[0], segments) == 2.0).all()
    with pytest.raises(FileNotFoundError):
        unpack(late, segments)
    other.release_all()
    assert all(name.startswith("free-") for name in _files(segments))


def test_what_is_opened_needs_its_file_no_more(segments: Segments) -> None:
    packed = segments.opened(placed := pack([np.ones(LARGE), np.arange(3)], segments))
    segments.release(placed.paths)
    assert packed.paths == frozenset()
    large, small = unpack(packed, segments)
    large[0] = small[0] = 7
    assert (large.sum(), small.sum()) == (LARGE + 6, 10)
    with pytest.raises(FileNotFoundError):
        segments.opened(placed)
