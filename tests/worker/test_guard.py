"""An interrupt ends user code wherever it strikes, and only there."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from taskpar_kernel.worker.guard import Guard


@pytest.fixture
def missed() -> list[str]:
    return []


@pytest.fixture
def ignored(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Python would print as ignored."""
    found: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: found.append(args.exc_type))
    return found


@pytest.fixture
def guard(missed: list[str], ignored: list[Any]) -> Iterator[Guard]:
    before, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    guard = Guard(lambda: missed.append("missed"))
    guard.install()
    yield guard
    signal.signal(signal.SIGINT, before)
    sys.unraisablehook = hook


def strike() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def go_on(limit_s: float = 10.0) -> str:
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        pass
    return "went on"


class Finalized:
    def __init__(self, action: Any):
        self._action = action

    def __del__(self) -> None:
        self._action()


def test_a_strike_ends_the_code(guard: Guard, missed: list[str]) -> None:
    def code() -> str:
        strike()
        return go_on()

    assert guard.call(code, lambda: "interrupted") == "interrupted"
    strike()
    assert missed == ["missed"]


def test_a_strike_that_is_not_meant_for_it_leaves_it_alone(guard: Guard) -> None:
    asked = []

    def meant() -> bool:
        strike()  # one more, while the first is asked about
        asked.append(1)
        return False

    guard = Guard(lambda: None, meant)
    guard.install()  # undone with the fixture's

    def code() -> str:
        strike()
        with guard.hold():
            strike()
        return "went on"

    assert guard.call(code, lambda: "interrupted") == "went on"
    assert len(asked) == 2


def test_a_strike_in_a_finalizer_is_not_shown_and_strikes_again(
    guard: Guard, ignored: list[Any]
) -> None:
    def code() -> str:
        Finalized(strike)
        return go_on()

    assert guard.call(code, lambda: "interrupted") == "interrupted"
    assert ignored == []


def test_what_user_code_raises_in_a_finalizer_is_shown(guard: Guard, ignored: list[Any]) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    def code() -> str:
        Finalized(fail)
        return "went on"

    assert guard.call(code, lambda: "interrupted") == "went on"
    assert ignored == [KeyboardInterrupt]
