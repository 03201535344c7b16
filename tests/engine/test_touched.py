from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskpar_kernel.engine.touched import FilesTouched, watch
from taskpar_kernel.worker.seen import file_state, kind_state, present_state


@pytest.fixture
def touched() -> Iterator[FilesTouched]:
    touched = FilesTouched()
    watch(touched)
    yield touched
    watch(None)


def _write(path: Path) -> None:
    path.write_text("there")


def _come_and_go(path: Path) -> None:
    _write(path)
    path.unlink()


def _folder_comes_and_goes(path: Path) -> None:
    path.parent.mkdir()
    _write(path)
    shutil.rmtree(path.parent)


def _moved_and_back(path: Path) -> None:
    _write(path.with_name("other"))
    path.with_name("other").rename(path)
    path.rename(path.with_name("other"))


def _by_descriptor(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    folder = os.open(path.parent, os.O_RDONLY)
    os.remove(path.name, dir_fd=folder)
    os.close(folder)


def _by_link(path: Path) -> None:
    path.with_name("link").symlink_to(path)
    path.with_name("link").write_text("there")
    path.unlink()


@pytest.mark.parametrize(
    ("name", "meanwhile"),
    [
        ("f", _come_and_go),
        ("new/f", _folder_comes_and_goes),
        ("f", _moved_and_back),
        ("f", _by_descriptor),
        ("f", _by_link),
    ],
    ids=lambda case: getattr(case, "__name__", case),
)
@pytest.mark.parametrize("look", [kind_state, file_state])
def test_what_came_and_went_looks_as_before_and_is_told(
    touched: FilesTouched,
    tmp_path: Path,
    name: str,
    meanwhile: Callable[[Path], None],
    look: Callable[[str], tuple[int, int, int, int, bytes]],
):
    path = tmp_path / name
    begin_s, before = time.monotonic(), look(str(path))
    meanwhile(path)
    assert present_state(str(path), before) == before
    assert touched.since(str(path), before, begin_s)
    assert not touched.since(str(path), before, time.monotonic())
    assert not touched.since(str(tmp_path / "another"), before, begin_s)


def test_what_is_read_by_another_name(touched: FilesTouched, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    path = str(tmp_path / "link/f")
    begin_s, before = time.monotonic(), kind_state(path)
    _come_and_go(tmp_path / "folder/f")
    assert touched.since(path, before, begin_s)


def test_a_folder_that_was_listed(touched: FilesTouched, tmp_path: Path):
    begin_s, listed = time.monotonic(), file_state(str(tmp_path))
    there = kind_state(str(tmp_path))
    _come_and_go(tmp_path / "f")
    assert touched.since(str(tmp_path), listed, begin_s)
    assert not touched.since(str(tmp_path), there, begin_s)


def test_whether_a_file_is_there_does_not_depend_on_what_is_in_it(
    touched: FilesTouched, tmp_path: Path
):
    path = tmp_path / "log"
    _write(path)
    begin_s, there, content = time.monotonic(), kind_state(str(path)), file_state(str(path))
    with path.open("a") as log:
        log.write("more")
    (tmp_path).mkdir(exist_ok=True)
    assert not touched.since(str(path), there, begin_s)
    assert touched.since(str(path), content, begin_s)


def test_reading_touches_nothing(touched: FilesTouched, tmp_path: Path):
    _write(tmp_path / "f")
    touched.clear()
    (tmp_path / "f").read_text()
    list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="null byte"):
        Path("\0").write_text("nothing")
    assert not touched.since(str(tmp_path / "f"), file_state(str(tmp_path / "f")), 0.0)


def test_only_the_present_cell_is_told(tmp_path: Path):
    earlier, later = FilesTouched(), FilesTouched()
    watch(earlier)
    watch(later)
    _write(tmp_path / "f")
    watch(None)
    _write(tmp_path / "g")
    state = file_state(str(tmp_path / "f"))
    assert not earlier.since(str(tmp_path / "f"), state, 0.0)
    assert later.since(str(tmp_path / "f"), state, 0.0)
    assert not later.since(str(tmp_path / "g"), state, 0.0)
