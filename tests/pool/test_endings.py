"""What is given up comes to an end: signals again and again, then another process."""

from __future__ import annotations

from collections.abc import Callable

from taskpar_kernel.model.ids import Place, Ticket
from taskpar_kernel.pool.endings import HELD_LIMIT_S, Endings

ONE, TWO = Place(1), Place(2)
A, B = Ticket(1), Ticket(2)


class Clock:
    """Time that passes when asked, and what was done in it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.done: list[tuple[str, Place]] = []
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self.endings = Endings(
            lambda place: self.done.append(("interrupt", place)),
            lambda place: self.done.append(("replace", place)),
            self._later,
        )

    def _later(self, after_s: float, call: Callable[[], None]) -> None:
        self._calls.append((self.now_s + after_s, len(self._calls), call))

    def go_on(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while due := [c for c in self._calls if c[0] <= end_s]:
            first = min(due, key=lambda c: c[:2])
            self._calls.remove(first)
            self.now_s = first[0]
            first[2]()
        self.now_s = end_s


def test_what_runs_is_interrupted_until_it_ends():
    clock = Clock()
    clock.endings.began(ONE, A)
    clock.endings.give_up(ONE, [A])
    assert clock.done == [("interrupt", ONE)]
    clock.go_on(1.0)
    several = len(clock.done)
    assert several > 3
    clock.endings.ended(ONE, A)
    clock.go_on(100.0)
    assert len(clock.done) == several


def test_what_has_not_begun_is_interrupted_when_it_begins():
    clock = Clock()
    clock.endings.give_up(ONE, [A, B])
    clock.go_on(1.0)
    assert clock.done == []
    clock.endings.began(ONE, A)
    assert clock.done == [("interrupt", ONE)]


def test_what_runs_behind_it_is_left_alone():
    clock = Clock()
    clock.endings.began(ONE, A)
    clock.endings.give_up(ONE, [A])
    clock.endings.ended(ONE, A)
    clock.endings.began(ONE, B)
    clock.endings.began(TWO, A)
    clock.go_on(100.0)
    assert clock.done == [("interrupt", ONE)]


def test_what_waits_at_the_gate_is_not_interrupted_at_once():
    clock = Clock()
    clock.endings.began(ONE, A)
    clock.endings.came_to_gate(ONE, A)
    clock.endings.give_up(ONE, [A])
    assert clock.done == []
    clock.go_on(0.06)
    assert clock.done == [("interrupt", ONE)]


def test_a_worker_that_does_not_let_go_is_replaced():
    clock = Clock()
    clock.endings.began(ONE, A)
    clock.endings.give_up(ONE, [A])
    clock.go_on(HELD_LIMIT_S + 2)
    assert clock.done[-1] == ("replace", ONE)
    clock.endings.lost(ONE)
    count = len(clock.done)
    clock.endings.began(ONE, B)
    clock.go_on(100.0)
    assert len(clock.done) == count
