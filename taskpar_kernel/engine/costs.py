"""Seconds and changes seen by statement come in, estimates for the next run go out; in memory."""

from __future__ import annotations

from collections import deque

from taskpar_kernel.model.steps import HomeStep, Unit

_LAST = 4
"""Of so many observations the least counts: what disturbs a run (a first call, another process,
the look-ahead thread) only ever makes it longer."""


class Costs:
    """Seconds per run of a statement, and what it was seen to change, learned by its text."""

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {}
        self._changes: dict[str, frozenset[str]] = {}

    def observe(self, step: Unit | HomeStep, seconds: float) -> None:
        """Remember that one run of `step` took `seconds`."""
        self._seconds.setdefault(step.text, deque(maxlen=_LAST)).append(seconds)

    def known(self, step: Unit | HomeStep) -> float | None:
        """Return the observed seconds of one run, or None."""
        observed = self._seconds.get(step.text)
        return min(observed) if observed else None

    def estimate(self, step: Unit | HomeStep) -> float | None:
        """Return the seconds one run takes: observed, else what the tables tell, else None."""
        observed = self._seconds.get(step.text)
        return min(observed) if observed else step.effects.cost_s

    def observe_changes(self, step: Unit | HomeStep, names: frozenset[str]) -> None:
        """Remember that `step` changed, in place, what these names are bound to."""
        if names:
            self._changes[step.text] = self._changes.get(step.text, frozenset()) | names

    def changes(self, step: Unit | HomeStep) -> frozenset[str]:
        """Return the names whose objects `step` changes: predicted, or seen before."""
        return step.effects.changes | self._changes.get(step.text, frozenset())
