"""What one session learns, the next one knows; whatever state the file is in."""

from __future__ import annotations

import ast
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from taskpar_kernel.analysis.decompose import decompose
from taskpar_kernel.engine.costs import Costs
from taskpar_kernel.engine.memory.file import CostFile
from taskpar_kernel.engine.memory.keeper import Memory
from taskpar_kernel.engine.memory.records import Learned, Times, from_line, merged, to_line
from taskpar_kernel.engine.overtaking import Overtaking
from taskpar_kernel.engine.stream import Instance
from taskpar_kernel.errors import WireError
from taskpar_kernel.model.steps import Unit

BEFORE = """
from random import Random
def secret_function(values):
    return Random(1).choices(values)
secret_input = ["secret text"]
"""
CELL = "secret_name = secret_function(secret_input)"


class Front:
    """One session: memory, costs, and the step of its cell."""

    def __init__(self, folder: Path, *, kept: bool = True, size: int = 10) -> None:
        self.kept = kept
        self.memory = Memory(lambda: folder, lambda: self.kept)
        if kept:
            self.memory.open()
        self.costs = Costs(self.memory.recall, self.memory.tag)
        self.overtaking = Overtaking(costs=self.costs)
        self.begin(size)

    def begin(self, size: int = 10) -> None:
        namespace: dict[str, Any] = {"__name__": "__main__"}
        exec(BEFORE, namespace)
        namespace["secret_input"] *= size
        tops = decompose(ast.parse(CELL).body, namespace)
        (step,) = tops[0].steps
        assert isinstance(step, Unit)
        self.step = step
        self.costs.begin_cell(self.memory.identities(tops, namespace))

    def end(self) -> None:
        self.memory.save(self.costs.take_unsaved)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "taskpar"


# What is kept ------------------------------------------------------------------------------------


def test_the_next_session_knows_what_this_one_observed(folder: Path) -> None:
    one = Front(folder)
    assert one.costs.known(one.step) is None
    one.costs.observe(one.step, 0.5, 1.5)
    one.costs.observe_away(one.step, 0.625)
    one.costs.observe_taking(one.step, 0.001)
    one.costs.observe_changes(one.step, frozenset({"secret_input"}))
    one.costs.forbid_chunks(one.step)
    one.costs.observe_branch(one.step, reached=True)
    one.end()
    other = Front(folder)
    assert other.costs.known(other.step) == 0.5
    assert other.costs.most(other.step) == 0.625
    assert other.costs.threads(other.step) == 1.5
    assert other.costs.changes(other.step) >= {"secret_input"}
    assert not other.costs.may_chunk(other.step)
    assert other.costs.is_likely(other.step)


def test_no_name_text_or_value_is_in_any_file(folder: Path) -> None:
    front = Front(folder)
    front.costs.observe(front.step, 0.5)
    front.costs.observe_changes(front.step, frozenset({"secret_input"}))
    front.end()
    files = [path for path in folder.iterdir() if path.stat().st_size]
    assert {path.name for path in files} == {"costs", "costs.key"}
    for path in files:
        assert b"secret" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


def test_seconds_count_at_their_scale(folder: Path) -> None:
    front = Front(folder)
    front.costs.observe(front.step, 0.001)
    front.end()
    larger = Front(folder, size=1000)
    assert larger.costs.known(larger.step) is None, "what was cheap may be dear now"
    larger.costs.observe(larger.step, 0.3)
    larger.end()
    other = Front(folder)
    assert other.costs.known(other.step) == 0.001
    other.begin(1000)
    assert other.costs.known(other.step) == 0.3
    other.begin(100_000)
    assert other.costs.known(other.step) == 0.3, "what was dear is taken to be dear"


def test_what_was_in_vain_is_tried_once_and_not_twice(folder: Path) -> None:
    front = Front(folder)
    front.costs.observe_squash(front.step)
    assert not front.costs.in_vain(front.step)
    front.costs.observe_squash(front.step)
    assert front.costs.in_vain(front.step)
    front.end()
    other = Front(folder)
    assert not other.costs.in_vain(other.step)
    other.costs.observe_squash(other.step)
    assert other.costs.in_vain(other.step)
    other.begin()
    other.costs.observe_away(other.step, 0.1)
    other.begin()
    other.costs.observe_squash(other.step)
    assert not other.costs.in_vain(other.step)


def test_what_is_always_in_vain_is_tried_in_fewer_and_fewer_cells(folder: Path) -> None:
    front = Front(folder)
    tried = []
    for cell in range(24):
        if not front.costs.in_vain(front.step):
            tried.append(cell)
            front.costs.observe_squash(front.step)
            front.costs.observe_squash(front.step)
        front.begin()
    assert tried == [0, 1, 3, 7, 15]
    for _ in range(24):
        front.begin()
        if not front.costs.in_vain(front.step):
            break
    front.costs.observe_away(front.step, 0.1)
    front.begin()
    front.costs.observe_squash(front.step)
    assert not front.costs.in_vain(front.step), "one that was taken makes up for all of them"


def test_what_read_a_file_too_early_begins_the_next_session_behind_writers(folder: Path) -> None:
    front = Front(folder)
    front.overtaking.squashed(front.step, 1.0)
    front.end()
    other = Front(folder)
    held = [other.overtaking.holds_back(_instance(other.step)) for _ in range(4)]
    assert held == [True, True, False, False]
    other.overtaking.took(other.step)
    other.end()
    third = Front(folder)
    assert not third.overtaking.holds_back(_instance(third.step))


def _instance(step: Unit) -> Instance:
    return Instance(step, (0,))


def test_switched_off_nothing_is_written_or_read(folder: Path) -> None:
    off = Front(folder, kept=False)
    off.costs.observe(off.step, 0.5)
    assert off.costs.known(off.step) == 0.5, "the session itself learns as ever"
    off.memory.start(off.costs.take_unsaved, lambda: False)
    off.end()
    assert not folder.exists()
    on = Front(folder)
    on.costs.observe(on.step, 0.5)
    on.end()
    content = (folder / "costs").read_bytes()
    off = Front(folder, kept=False)
    assert off.costs.known(off.step) is None
    on.kept = False
    on.costs.observe(on.step, 0.25)
    on.end()
    assert (folder / "costs").read_bytes() == content


def test_until_the_file_is_read_statements_are_known_by_their_text(folder: Path) -> None:
    memory = Memory(lambda: folder, lambda: True)
    assert memory.identities((), {}) is None
    costs = Costs(memory.recall, memory.tag)
    front = Front(folder)
    costs.begin_cell(None)
    costs.observe(front.step, 0.5)
    assert costs.known(front.step) == 0.5
    assert not costs.take_unsaved()


# The file ----------------------------------------------------------------------------------------


def lines(folder: Path, **options: Any) -> dict[bytes, bytes]:
    return CostFile(folder, **options).open()


def mine(theirs: bytes, mine: bytes) -> bytes:
    return theirs + b"+" + mine.partition(b" ")[2]


def put(folder: Path, *tags: bytes, **options: Any) -> None:
    file = CostFile(folder, **options)
    file.open()
    file.merge({tag: tag + b" x" for tag in tags}, mine)


def test_the_oldest_lines_go_first(folder: Path) -> None:
    put(folder, b"a", b"b", b"c")
    put(folder, b"a", b"d", most_lines=3)
    assert list(lines(folder)) == [b"c", b"a", b"d"]


def test_lines_of_several_kernels_are_joined(folder: Path) -> None:
    one, other = CostFile(folder), CostFile(folder)
    one.open()
    other.open()
    one.merge({b"a": b"a 1", b"b": b"b 1"}, mine)
    both = other.merge({b"b": b"b 2", b"c": b"c 2"}, mine)
    assert both == lines(folder) == {b"a": b"a 1", b"b": b"b 1+2", b"c": b"c 2"}


def _newer(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"taskpar-costs 1 ", b"taskpar-costs 9 "))


def _as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "kept").write_text("theirs")


HARM = {
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-5]), "damaged"),
    "changed": (lambda path: path.write_bytes(path.read_bytes()[:-3] + b"?x\n"), "damaged"),
    "empty": (lambda path: path.write_bytes(b""), "not a file of learned costs"),
    "foreign": (lambda path: path.write_bytes(b"\x00\xff" * 999), "not a file of learned costs"),
    "newer": (_newer, "another version"),
    "no file": (_as_folder, "it is no file"),
    "another key": (lambda path: path.with_name("costs.key").unlink(), "another key"),
    "no key": (lambda path: path.with_name("costs.key").write_bytes(b"short"), "another key"),
    "huge": (lambda path: os.truncate(path, 1 << 30), "too large"),
}


@pytest.mark.parametrize("name", HARM)
def test_what_cannot_be_read_is_set_aside_with_one_line(folder: Path, name: str) -> None:
    front = Front(folder)
    front.costs.observe(front.step, 0.5)
    front.end()
    harm, why = HARM[name]
    harm(folder / "costs")
    other = Front(folder)
    notice = other.memory.notice()
    assert why in notice
    assert "\n" not in notice
    assert not other.memory.notice(), "it is told once"
    assert (folder / "costs.aside").exists()
    assert other.costs.known(other.step) is None
    other.costs.observe(other.step, 0.25)
    other.end()
    third = Front(folder)
    assert third.costs.known(third.step) == 0.25
    assert not third.memory.notice()


def test_what_is_in_the_way_once_more_goes_too(folder: Path) -> None:
    for _ in range(2):
        put(folder, b"a")
        _as_folder(folder / "costs")
        assert lines(folder) == {}
    assert sum(path.is_dir() for path in folder.iterdir()) == 2


def test_a_record_that_cannot_be_read_is_forgotten_alone(folder: Path) -> None:
    front = Front(folder)
    front.costs.observe(front.step, 0.5)
    front.end()
    file = CostFile(folder)
    (tag,) = file.open()
    file.merge({tag: tag + b" [1, 2]", b"other": b"other"}, lambda _, mine: mine)
    other = Front(folder)
    assert other.costs.known(other.step) is None
    other.costs.observe(other.step, 0.25)
    other.end()
    third = Front(folder)
    assert third.costs.known(third.step) == 0.25


def test_a_lock_that_is_never_released_does_not_hang(folder: Path) -> None:
    put(folder, b"a")
    with (folder / "costs.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        put(folder, b"b")
    assert list(lines(folder)) == [b"a", b"b"]


def test_a_folder_that_cannot_be_used_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    front = Front(tmp_path / "data" / "taskpar")
    front.costs.observe(front.step, 0.5)
    front.end()
    assert front.costs.known(front.step) == 0.5
    assert (tmp_path / "data").read_text() == "a file"


def test_a_folder_that_goes_away_is_done_without(folder: Path) -> None:
    front = Front(folder)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    front.costs.observe(front.step, 0.5)
    front.end()
    front.end()
    assert front.costs.known(front.step) == 0.5


WRITER = """
import sys
from pathlib import Path
from taskpar_kernel.engine.memory.file import CostFile
name, number = sys.argv[2].encode(), int(sys.argv[3])
file = CostFile(Path(sys.argv[1]))
file.open()
mine = {}
for k in range(number):
    mine[b"%s-%d" % (name, k)] = b"%s-%d x" % (name, k)
    file.merge(mine, lambda theirs, mine: mine, wait_s=60.0)
"""


def test_kernels_that_write_at_once_lose_nothing(folder: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(folder)]
    writers = [subprocess.Popen([*command, name, "30"]) for name in "abcd"]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    found = lines(folder)
    assert {b"%s-%d" % (name, k) for name in (b"a", b"b", b"c", b"d") for k in range(30)} == {
        *found
    }
    assert not list(folder.glob("*.new"))


# Records -----------------------------------------------------------------------------------------


def test_a_record_survives_its_line() -> None:
    times = {"s": Times((0.5, 0.25), (0.125,), (0.001,), (1.5, 2.0), 0.25), "t": Times(away=(2.0,))}
    record = Learned(times, tags=frozenset({"m"}), single=True, apart=True, branch=-2, debt=6)
    assert from_line(to_line(record)) == record


@pytest.mark.parametrize(
    "line", ["", "[]", "{}", '[{"s":[["x"],[],[],[],[]]},[],[0,0,0,0,0]]', "[[],[],[0,0,0,0,0]]",
             '[{"s":[[1],[],[]]},[],[0,0,0,0,0]]',
             '[{"s":[[-1],[],[],[],[]]},[],[0,0,0,0,0]]',
             '[{"s":[[NaN],[],[],[],[]]},[],[0,0,0,0,0]]'],
)  # fmt: skip
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(WireError, match="cannot be read"):
        from_line(line)


def test_of_what_two_have_learned_the_last_counts() -> None:
    theirs = Learned({"a": Times((1.0,)), "b": Times((1.0,))}, tags=frozenset("x"), single=True)
    ours = Learned({"b": Times((2.0,))}, tags=frozenset("y"), branch=1)
    both = merged(theirs, ours)
    assert both.times == {"a": Times((1.0,)), "b": Times((2.0,))}
    assert both.tags == {"x", "y"}
    assert both.single
    assert both.branch == 1


def test_few_scales_are_kept() -> None:
    record = Learned()
    for scale in "abcdea":
        record.put(scale, Times((1.0,)))
    assert list(record.times) == ["c", "d", "e", "a"]
