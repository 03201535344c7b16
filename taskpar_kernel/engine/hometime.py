"""What home runs itself comes in, step by step; records and costs go out.

The rule: a step in a plain cell, where nothing is out, costs a microsecond; it is only added up.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from taskpar_kernel.engine.history import History, too_short
from taskpar_kernel.engine.lookahead import WORTH_S
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.model.steps import HomeStep, LoopStep, Step, Unit
from taskpar_kernel.usage import SHORTEST_S, Usage

if TYPE_CHECKING:
    from taskpar_kernel.engine.session import Session


class HomeTime:
    """Home's own steps and their seconds, in one cell run."""

    def __init__(self, session: Session, history: History, steps: dict[UnitId, Step]):
        self._session = session
        self._history = history
        self._steps = steps
        self.since_s = time.monotonic()
        """When home began what it is doing now."""
        self.user_s = 0.0
        """How long home has been running the user's code, between hooks."""
        self._running: tuple[Step, float, Refusal | None, str] | None = None
        self._usage = Usage()
        self._is_metered = False
        self._passing: UnitId | None = None
        self._passed: dict[UnitId, list[float]] = {}

    # Step by step ----------------------------------------------------------------------------

    def arrives(self) -> None:
        """The user's code has come to a hook."""
        self.user_s += time.monotonic() - self.since_s

    def goes_on(self) -> None:
        """The user's code runs again."""
        self.since_s = time.monotonic()

    def begins(self, step: Step, reason: Refusal | None, state: str = "home") -> None:
        """Home runs `step`: `reason` is why it was not taken from a worker."""
        self._running = (step, time.monotonic(), reason, state)
        known_s = self._session.costs.known(step) if isinstance(step, Unit | HomeStep) else None
        self._is_metered = known_s is None or known_s >= SHORTEST_S  # a clock takes 50 µs to read
        if self._is_metered:
            self._usage.begin(self._session.meter.mine_s)

    def ends(self) -> None:
        """What home ran is done."""
        if self._running is None:
            return
        step, start_s, reason, state = self._running
        self._running = None
        end_s = time.monotonic()
        self._history.home(step, start_s, end_s, reason, state)
        if not isinstance(step, LoopStep):
            ours_s = self._session.meter.mine_s
            cores = self._usage.cores(ours_s) if self._is_metered else None
            self._session.costs.observe(step, end_s - start_s, cores)

    # In passing ------------------------------------------------------------------------------

    def passes(self, number: UnitId) -> None:
        """Home is at `number`, and nothing is out: loops of short steps come here."""
        now_s = time.monotonic()
        if self._passing is not None:
            spent_s = now_s - self.since_s
            self.user_s += spent_s
            entry = self._passed.get(self._passing)
            if entry is None:
                self._passed[self._passing] = [1, spent_s, self.since_s]
            else:
                entry[0] += 1
                entry[1] += spent_s
        self._passing = number
        self.since_s = now_s

    def has_passed(self) -> None:
        """Home has left the last step it noted in passing."""
        if self._passing is not None:
            self.passes(self._passing)
            self._passing = None

    def is_caught(self) -> UnitId | None:
        """Return the step home is in the midst of, which is followed from here on like any."""
        number, self._passing = self._passing, None
        if number is not None:
            self._running = (self._steps[number], self.since_s, None, "home")
            self._is_metered = True
            self._usage.begin(self._session.meter.mine_s)
        return number

    def add_up(self) -> None:
        """Record what was noted in passing."""
        for number, (count, total_s, start_s) in self._passed.items():
            step = self._steps[number]
            assert isinstance(step, Unit)
            each_s = total_s / count
            self._session.costs.observe(step, each_s)
            reason = too_short(each_s) if each_s < WORTH_S else None
            self._history.home(step, start_s, start_s + total_s, reason, times=int(count))
        self._passed = {}


__all__ = ["HomeTime"]
