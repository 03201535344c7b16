"""Observed seconds by statement come in, estimates for the next run go out; in memory only."""

from __future__ import annotations

from taskpar_kernel.model.steps import HomeStep, Unit

_WEIGHT = 0.5
"""Weight of the newest observation: costs drift with the data, and the last run knows best."""


class Costs:
    """Seconds per run of a statement, learned by its text."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def observe(self, step: Unit | HomeStep, seconds: float) -> None:
        """Remember that one run of `step` took `seconds`."""
        old = self._seconds.get(step.text)
        new = seconds if old is None else old + _WEIGHT * (seconds - old)
        self._seconds[step.text] = new

    def known(self, step: Unit | HomeStep) -> float | None:
        """Return the observed seconds of one run, or None."""
        return self._seconds.get(step.text)

    def estimate(self, step: Unit | HomeStep) -> float | None:
        """Return the seconds one run takes: observed, else what the tables tell, else None."""
        observed = self._seconds.get(step.text)
        return step.effects.cost_s if observed is None else observed
