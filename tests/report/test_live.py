"""The line under a running cell: when it is shown, what it says, how it ends. No kernel."""

from __future__ import annotations

import ast
import threading
from dataclasses import replace

import pytest
from html_rules import Checked

from taskpar_kernel.model.run import Glance
from taskpar_kernel.report import live
from taskpar_kernel.report.live import (
    LiveLine,
    NativeLook,
    names_cell,
    progress_html,
    progress_text,
)

LAB = {"metadata": {"cellId": "c1"}}
GLANCE = Glance(4, 9, 2, 3, 2, 2, 60.0)
LIMIT_S = 10.0


class Look:
    """A cell that gets on: it is at another statement whenever one looks."""

    def __init__(self) -> None:
        self.at = 0

    def __call__(self) -> Glance:
        self.at += 1
        return replace(GLANCE, at=self.at)


class FakeChannel:
    """Keeps what is sent, and lets a test wait for it."""

    def __init__(self, parent: object):
        self.sent: list[tuple[str, str, dict[str, str]]] = []
        self.news = threading.Condition()
        self.flushed = 0
        self._parent = parent

    def parent(self) -> object:
        return self._parent

    def flush(self) -> None:
        self.flushed += 1

    def show(self, parent: object, display: str, bundle: dict[str, str]) -> None:
        self._note("show", display, bundle)

    def update(self, parent: object, display: str, bundle: dict[str, str]) -> None:
        self._note("update", display, bundle)

    def _note(self, kind: str, display: str, bundle: dict[str, str]) -> None:
        with self.news:
            self.sent.append((kind, display, bundle))
            self.news.notify_all()

    def wait_for(self, number: int) -> None:
        with self.news:
            assert self.news.wait_for(lambda: len(self.sent) >= number, LIMIT_S)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "AFTER_S", 0.02)
    monkeypatch.setattr(live, "EVERY_S", 0.01)


def watched(mode: str, parent: object, updates: int) -> FakeChannel:
    channel = FakeChannel(parent)
    line = LiveLine(channel, mode)  # type: ignore[arg-type]
    with line.watching(Look()):
        if updates:
            channel.wait_for(updates)
    return channel


def test_it_is_one_display_updated_in_place_and_taken_away() -> None:
    channel = watched("auto", LAB, 3)
    kinds = [kind for kind, _, _ in channel.sent]
    assert kinds[0] == "show"
    assert set(kinds[1:]) == {"update"}
    assert len({display for _, display, _ in channel.sent}) == 1
    assert channel.sent[-1][2] == {}
    assert channel.sent[-2][2] != {}
    assert channel.flushed == 1


def test_what_has_not_changed_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "progress_text", lambda glance, elapsed_s: "the same")
    channel = FakeChannel(LAB)
    looked = threading.Semaphore(0)

    def look() -> Glance:
        looked.release()
        return GLANCE

    with LiveLine(channel, "auto").watching(look):  # type: ignore[arg-type]
        assert all(looked.acquire(timeout=LIMIT_S) for _ in range(5))
    assert [kind for kind, _, _ in channel.sent] == ["show", "update"]
    assert channel.sent[-1][2] == {}


def test_it_stays_if_asked() -> None:
    assert watched("stay", None, 2).sent[-1][2] != {}


@pytest.mark.parametrize(
    ("mode", "parent"), [("off", LAB), ("auto", None), ("auto", {}), ("auto", {"metadata": {}})]
)
def test_recorders_and_the_unwilling_get_none(mode: str, parent: object) -> None:
    channel = FakeChannel(parent)
    line = LiveLine(channel, mode)  # type: ignore[arg-type]
    with line.watching(Look()):
        pass
    assert line._thread is None
    assert channel.sent == []


def test_a_short_cell_shows_nothing_and_the_next_one_has_its_own_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "AFTER_S", 0.2)
    channel = FakeChannel(LAB)
    line = LiveLine(channel, "auto")  # type: ignore[arg-type]
    for _ in range(50):
        with line.watching(Look()):
            pass
    assert channel.sent == []
    with line.watching(Look()):
        channel.wait_for(1)
    with line.watching(Look()):
        channel.wait_for(3)
    assert len({display for _, display, _ in channel.sent}) == 2


def test_nothing_follows_the_end() -> None:
    for _ in range(30):
        channel = watched("on", None, 1)
        ended = len(channel.sent)
        assert channel.sent[-1][2] == {}
        with channel.news:
            assert not channel.news.wait_for(lambda: len(channel.sent) > ended, 0.02)  # noqa: B023


def test_a_cell_that_raises_takes_its_line_away() -> None:
    channel = FakeChannel(LAB)
    line = LiveLine(channel, "auto")  # type: ignore[arg-type]

    def cell() -> None:
        with line.watching(Look()):
            channel.wait_for(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cell()
    assert channel.sent[-1][2] == {}


def test_a_line_that_cannot_be_shown_costs_nothing() -> None:
    class Broken(FakeChannel):
        def show(self, parent: object, display: str, bundle: dict[str, str]) -> None:
            super().show(parent, display, bundle)
            raise OSError("nobody reads")

    channel = Broken(LAB)
    line = LiveLine(channel, "auto")  # type: ignore[arg-type]
    with line.watching(Look()):
        channel.wait_for(1)
    assert line._thread is not None
    assert line._thread.is_alive()


def test_what_it_says() -> None:
    assert progress_text(GLANCE, 3.2) == (
        "taskpar 3 s · statement 4 of 9 · 2 taken from workers · 3 ahead · 2 of 2 workers busy · "
        "about 57 s left"
    )
    quiet = Glance(1, 2, 0, 0, 0, 2)
    assert progress_text(quiet, 75) == (
        "taskpar 1 min 15 s · statement 1 of 2 · 0 of 2 workers busy"
    )
    assert progress_text(quiet, 7300).startswith("taskpar 2 h 1 min ·")


def test_its_html_survives_and_has_one_height() -> None:
    checked = Checked(progress_html("a < b"))
    assert checked.breaches == []
    assert checked.text.strip() == "a < b"
    assert "height:18px" in progress_html("x")


def test_front_ends_that_name_the_cell() -> None:
    assert names_cell(LAB)
    assert not names_cell({"metadata": {"cellId": ""}})
    assert not names_cell(None)


def looked_at(source: str) -> list[Glance]:
    """What a look at a native cell tells from inside it, wherever the cell calls `look()`."""
    seen: list[Glance] = []
    tree = ast.parse(source)
    look = NativeLook(tree.body, "<the cell>", 2, 60.0)
    asker = threading.Semaphore(0)
    answered = threading.Semaphore(0)

    def ask() -> None:
        while asker.acquire() and len(seen) < source.count("look()"):
            seen.append(look())
            answered.release()

    def from_another_thread() -> None:
        asker.release()
        assert answered.acquire(timeout=LIMIT_S)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        exec(compile(tree, "<the cell>", "exec"), {"look": from_another_thread})
    finally:
        seen += [GLANCE] * source.count("look()")
        asker.release()
        thread.join()
    return [glance for glance in seen if glance is not GLANCE]


def test_a_native_cell_is_at_the_statement_its_frame_is_at() -> None:
    seen = looked_at("look()\nx = 1\nfor i in range(2):\n    x += 1\nlook()\n")
    assert [(glance.at, glance.of) for glance in seen] == [(1, 4), (4, 4)]
    assert seen[0] == Glance(1, 4, 0, 0, 0, 2, 60.0)


def test_inside_its_functions_it_is_at_the_statement_that_called() -> None:
    seen = looked_at("def f():\n    look()\ndef g():\n    f()\n\ng()\nx = 1\n")
    assert [(glance.at, glance.of) for glance in seen] == [(3, 4)]


def test_a_native_cell_that_has_not_begun_is_at_its_first_statement() -> None:
    nodes = ast.parse("x = 1\ny = 2\n").body
    assert NativeLook(nodes, "<the cell>", 2, None)() == Glance(1, 2, 0, 0, 0, 2, None)
