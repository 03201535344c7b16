"""The law of the journal: whatever is done to files, taking it back leaves what was before."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskpar_kernel.worker import journal as journal_module
from taskpar_kernel.worker.journal import Journal, Refused
from taskpar_kernel.worker.touches import TOUCHES
from taskpar_kernel.worker.undo import discard, take_back

NAMES = ["a", "b", "d", "d/x", "d/e", "l", "m"]


def _put(path: str, mode: str) -> None:
    with open(path, mode) as file:
        file.write(f"{mode} text")


def _crop(path: str) -> None:
    with open(path, "r+") as file:
        file.truncate(1)


EFFECTS: dict[str, tuple[str, Callable[[str, str], tuple[Any, ...]], Callable[[str, str], None]]]
EFFECTS = {
    "write": ("open", lambda a, b: (a, "w", 0), lambda a, b: _put(a, "w")),
    "append": ("open", lambda a, b: (a, "a", 0), lambda a, b: _put(a, "a")),
    "crop": ("open", lambda a, b: (a, "r+", 0), lambda a, b: _crop(a)),
    "remove": ("os.remove", lambda a, b: (a, -1), lambda a, b: os.remove(a)),
    "mkdir": ("os.mkdir", lambda a, b: (a, 0o777, -1), lambda a, b: os.mkdir(a)),
    "rmdir": ("os.rmdir", lambda a, b: (a, -1), lambda a, b: os.rmdir(a)),
    "rename": ("os.rename", lambda a, b: (a, b, -1, -1), os.rename),
    "link": ("os.link", lambda a, b: (a, b, -1, -1), os.link),
    "symlink": ("os.symlink", lambda a, b: (a, b, -1), os.symlink),
    "chmod": ("os.chmod", lambda a, b: (a, 0o700, -1), lambda a, b: os.chmod(a, 0o700)),
    "utime": ("os.utime", lambda a, b: (a, (1, 2), None, -1), lambda a, b: os.utime(a, (1, 2))),
    "truncate": ("os.truncate", lambda a, b: (a, 2), lambda a, b: os.truncate(a, 2)),
}


def tree(folder: str) -> list[tuple[Any, ...]]:
    """What the folder holds: names, modes, links, times and contents, and which names are one."""
    found = []
    for base, folders, files in os.walk(folder):
        for name in (*folders, *files, "."):
            path = os.path.join(base, name)
            status = os.lstat(path)
            kept = os.readlink(path) if os.path.islink(path) else None
            if os.path.isfile(path) and kept is None:
                kept = Path(path).read_text()
            times = None if os.path.islink(path) else status.st_mtime_ns
            shape = (status.st_mode, status.st_nlink, times, kept)
            found.append((os.path.relpath(path, folder), *shape))
    return sorted(found)


def fill(folder: str) -> None:
    os.mkdir(f"{folder}/d")
    _put(f"{folder}/a", "w")
    _put(f"{folder}/d/x", "w")
    os.chmod(f"{folder}/a", 0o640)
    os.utime(f"{folder}/a", (1000, 2000))
    os.symlink("a", f"{folder}/l")
    os.utime(f"{folder}/d", (3000, 4000))
    os.utime(folder, (5000, 6000))


def do(folder: str, journal: Journal, effect: str, first: str, second: str) -> None:
    event, arguments, act = EFFECTS[effect]
    a, b = f"{folder}/{first}", f"{folder}/{second}"
    try:
        journal.save(TOUCHES[event](arguments(a, b)))
    except Refused:
        return
    with suppress(OSError):
        act(a, b)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(EFFECTS)), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        max_size=9,
    )
)
def test_taken_back_is_as_before(steps: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as base:
        folder = f"{base}/files"
        os.mkdir(folder)
        fill(folder)
        before = tree(folder)
        journal = Journal(f"{base}/journal")
        for step in steps:
            do(folder, journal, *step)
        assert take_back(journal.folder) == []
        assert tree(folder) == before
        assert take_back(journal.folder) == []
        assert tree(folder) == before
        assert not os.path.exists(journal.folder)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    path = str(tmp_path / "files")
    os.mkdir(path)
    fill(path)
    return path


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_that_was_entered_but_did_not_happen(
    effect: str, folder: str, tmp_path: Path
) -> None:
    before = tree(folder)
    for first in NAMES:
        for second in NAMES:
            journal = Journal(str(tmp_path / "journal"))
            event, arguments, _ = EFFECTS[effect]
            with suppress(Refused):
                journal.save(TOUCHES[event](arguments(f"{folder}/{first}", f"{folder}/{second}")))
            assert take_back(journal.folder) == []
            assert tree(folder) == before


def test_a_torn_last_entry_is_not_an_effect(folder: str, tmp_path: Path) -> None:
    before = tree(folder)
    journal = Journal(str(tmp_path / "journal"))
    do(folder, journal, "append", "a", "a")
    entries = Path(journal.folder, "entries")
    whole = entries.read_bytes()
    entries.write_bytes(
        whole + json.dumps({"kind": "absent", "path": f"{folder}/d/x"})[:-4].encode()
    )
    assert take_back(journal.folder) == []
    assert tree(folder) == before


def test_discarded_is_final(folder: str, tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "journal"))
    do(folder, journal, "remove", "a", "a")
    after = tree(folder)
    discard(journal.folder)
    assert take_back(journal.folder) == []
    assert tree(folder) == after


def test_no_links_between_file_systems(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    before = tree(folder)
    journal = Journal(str(tmp_path / "journal"))
    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "link", refuse)
        do(folder, journal, "remove", "a", "a")
        do(folder, journal, "rename", "d/x", "a")
    assert take_back(journal.folder) == []
    assert tree(folder) == before


def test_files_that_are_too_large_together(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "LIMIT_BYTES", 10)
    journal = Journal(str(tmp_path / "journal"), 10)
    journal.save(TOUCHES["open"]((f"{folder}/a", "w", 0)))
    assert journal.refusal(TOUCHES["open"]((f"{folder}/d/x", "w", 0)))
    assert not journal.refusal(TOUCHES["open"]((f"{folder}/a", "w", 0)))
    assert not journal.refusal(TOUCHES["os.remove"]((f"{folder}/none", -1)))
    discard(journal.folder)


def test_a_file_left_open_writes_nowhere_once_silenced(folder: str, tmp_path: Path) -> None:
    before = tree(folder)
    journal = Journal(str(tmp_path / "journal"))
    journal.save(TOUCHES["open"]((f"{folder}/a", "a", 0)))
    left = open(f"{folder}/a", "a")  # noqa: SIM115 - it is left open on purpose
    left.write("more")
    assert journal.left_open() == [left.fileno()]
    journal.silence()
    assert take_back(journal.folder) == []
    left.close()
    shutil.rmtree(journal.folder, ignore_errors=True)
    assert tree(folder) == before
