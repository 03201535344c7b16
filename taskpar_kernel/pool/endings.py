"""Attempts that home gives up come to an end: what runs is interrupted until word of its end comes.

One signal is not enough. Python looks for signals between two bytecodes: one that comes right
before a system call begins is seen when that call is over, and user code may swallow what the
signal raises. So it is sent again, after longer and longer pauses. A worker that has ended the
attempt meanwhile ignores it (it asks whether what it runs is what was given up). A long call into
C sees no signal at all: after `HELD_LIMIT_S` the worker is replaced.

The rule: all of this happens on the I/O thread, which is where word of beginning and end comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskpar_kernel.model.ids import Place, Ticket

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
HELD_LIMIT_S = 10.0
"""For so long a worker may go on with what was given up; then it is replaced."""


class Endings:
    """Which attempt runs on each worker, and which of them are given up."""

    def __init__(
        self,
        interrupt: Callable[[Place], None],
        replace: Callable[[Place], None],
        later: Callable[[float, Callable[[], None]], object],
    ):
        self._interrupt = interrupt
        self._replace = replace
        self._later = later
        self._running: dict[Place, Ticket] = {}
        self._given_up: dict[Place, set[Ticket]] = {}
        self._at_gate: dict[Place, Ticket] = {}

    def give_up(self, place: Place, tickets: Iterable[Ticket]) -> None:
        """Note that `place` was told not to start, or not to go on with, these attempts."""
        given_up = self._given_up.setdefault(place, set())
        given_up.update(tickets)
        running = self._running.get(place)
        if running is not None and running in given_up:
            if self._at_gate.get(place) == running:  # there it hears, and needs no signal
                self._again(place, running, 0.0)
            else:
                self._end(place, running, 0.0)

    def began(self, place: Place, ticket: Ticket) -> None:
        """Note that the attempt runs; it was given up while it was on its way, maybe."""
        self._running[place] = ticket
        if ticket in self._given_up.get(place, ()):
            self._end(place, ticket, 0.0)

    def came_to_gate(self, place: Place, ticket: Ticket) -> None:
        """Note that the attempt listens, and may do so for a while."""
        self._at_gate[place] = ticket

    def ended(self, place: Place, ticket: Ticket) -> None:
        """Note that the attempt is over, or never began."""
        self._given_up.get(place, set()).discard(ticket)
        if self._running.get(place) == ticket:
            del self._running[place]

    def lost(self, place: Place) -> None:
        """Forget what was with a process that has ended."""
        self._running.pop(place, None)
        self._at_gate.pop(place, None)
        self._given_up.pop(place, None)

    def _end(self, place: Place, ticket: Ticket, held_s: float) -> None:
        if self._running.get(place) != ticket:
            return
        if held_s > HELD_LIMIT_S:
            self._replace(place)
        else:
            self._interrupt(place)
            self._again(place, ticket, held_s)

    def _again(self, place: Place, ticket: Ticket, held_s: float) -> None:
        pause_s = min(max(FIRST_PAUSE_S, held_s), LONGEST_PAUSE_S)
        self._later(pause_s, lambda: self._end(place, ticket, held_s + pause_s))
