"""What was seen of statements and cells comes in, estimates for the next run go out; in memory."""

from __future__ import annotations

from collections import deque
from math import inf

from taskpar_kernel.model.steps import HomeStep, Unit

_LAST = 8
"""Of so many observations the least counts: what disturbs a run (a first call, another process,
the look-ahead thread) only ever makes it longer."""
_ENOUGH = 2
_SLOWER = 1.8
_SEVERAL = 1.2
_DEAR = 0.5
_SURE = 2
"""So many times in a row the other branch was taken before another is predicted."""
_MOST_CELLS = 10_000


class Costs:
    """Seconds and cores per run of a statement, and what it was seen to change, by its text.

    Whole cells are remembered too: one that is short is not worth a closer look the next time.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {}
        self._away: dict[str, deque[float]] = {}
        self._cores: dict[str, deque[float]] = {}
        self._alone: dict[str, float] = {}
        """Seconds of the fastest run at home: others were disturbed by something."""
        self._changes: dict[str, frozenset[str]] = {}
        self._cells: dict[int, float] = {}
        self._taking: dict[str, deque[float]] = {}
        self._single: set[str] = set()
        self._apart: set[str] = set()
        self._squashes: dict[str, int] = {}
        self._branches: dict[str, int] = {}

    def observe(self, step: Unit | HomeStep, seconds: float, threads: float | None = None) -> None:
        """Remember that one run of `step` took `seconds`, and how many cores it used meanwhile."""
        self._seconds.setdefault(step.key, deque(maxlen=_LAST)).append(seconds)
        self._alone[step.key] = min(seconds, self._alone.get(step.key, inf))
        self._observe_cores(step, threads)

    def observe_away(
        self, step: Unit | HomeStep, seconds: float, threads: float | None = None
    ) -> None:
        """Remember that one run of `step` took `seconds` on a worker, and was taken."""
        self._squashes.pop(step.key, None)
        self._away.setdefault(step.key, deque(maxlen=_LAST)).append(seconds)
        self._observe_cores(step, threads)

    def _observe_cores(self, step: Unit | HomeStep, cores: float | None) -> None:
        if cores is not None:
            self._cores.setdefault(step.key, deque(maxlen=_LAST)).append(cores)

    def known(self, step: Unit | HomeStep) -> float | None:
        """Return the observed seconds of one run, or None."""
        return min(self._observed(step), default=None)

    def _observed(self, step: Unit | HomeStep) -> list[float]:
        """Return the last observations; of a block, what its parts add up to is one."""
        observed = [*self._seconds.get(step.key, ()), *self._away.get(step.key, ())]
        if isinstance(step, Unit) and step.members:
            parts = [self.known(unit) for unit in step.members]
            known = [seconds for seconds in parts if seconds is not None]
            if len(known) == len(parts):
                observed.append(sum(known))
        return observed

    def most(self, step: Unit | HomeStep) -> float | None:
        """Return the most of the last observations, or what the tables tell, or None.

        Runs of one statement may differ: what was dear lately is worth sending out.
        """
        return max(self._observed(step), default=step.effects.cost_s)

    def pays(self, step: Unit | HomeStep) -> bool:
        """Whether it is not seen to be in vain to run `step` on workers.

        It is where taking an outcome costs home half of what running it does, and where a statement
        that uses several cores takes much longer on workers side by side.
        """
        here_s, away = self._usual_here(step), self._away.get(step.key, ())
        taking = self._taking.get(step.key, ())
        if here_s is None:
            return True
        if len(taking) >= _ENOUGH and min(taking) > _DEAR * here_s:
            return False
        if taking and min(taking) > here_s:
            return False
        cores, alone_s = self.threads(step), self._alone.get(step.key)
        if cores is None or alone_s is None or len(away) < _ENOUGH:
            return True
        return cores < _SEVERAL or min(tuple(away)[-_ENOUGH:]) < _SLOWER * alone_s

    def _usual_here(self, step: Unit | HomeStep) -> float | None:
        """Return what the last runs at home took, the median, or None."""
        seconds = self._seconds.get(step.key)
        if seconds or not isinstance(step, Unit) or not step.members:
            return sorted(seconds)[len(seconds) // 2] if seconds else None
        parts = [self._usual_here(unit) for unit in step.members]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    def observe_taking(self, step: Unit | HomeStep, seconds: float) -> None:
        """Remember how long home was busy with judging and taking an outcome of `step`."""
        self._taking.setdefault(step.key, deque(maxlen=_LAST)).append(seconds)

    def estimate(self, step: Unit | HomeStep) -> float | None:
        """Return the seconds one run takes: observed, else what the tables tell, else None."""
        known = self.known(step)
        return step.effects.cost_s if known is None else known

    def threads(self, step: Unit | HomeStep) -> float | None:
        """Return the fewest cores that one of the last runs was seen to use, or None.

        Where runs differ (models of several kinds in one loop) one that could go out is not held
        back because another one uses all cores.
        """
        if isinstance(step, Unit) and step.members:
            cores = [n for unit in step.members if (n := self.threads(unit)) is not None]
            return max(cores, default=None)
        return min(self._cores.get(step.key, ()), default=None)

    def observe_changes(self, step: Unit | HomeStep, names: frozenset[str]) -> None:
        """Remember that `step` changed, in place, what these names are bound to."""
        if names:
            self._changes[step.key] = self._changes.get(step.key, frozenset()) | names

    def changes(self, step: Unit | HomeStep) -> frozenset[str]:
        """Return the names whose objects `step` changes: predicted, or seen before."""
        return step.effects.changes | self._changes.get(step.key, frozenset())

    def observe_squash(self, step: Unit | HomeStep) -> None:
        """Remember that an outcome of `step` could not be taken."""
        self._squashes[step.key] = self._squashes.get(step.key, 0) + 1

    def in_vain(self, step: Unit | HomeStep) -> bool:
        """Whether the last runs of `step` on workers were all in vain."""
        return self._squashes.get(step.key, 0) >= _ENOUGH

    def observe_branch(self, step: Unit | HomeStep, *, reached: bool) -> None:
        """Remember whether home came to a step whose place in a branch was uncertain."""
        seen = self._branches.get(step.key, 0) + (1 if reached else -1)
        self._branches[step.key] = max(-_SURE, min(_SURE, seen))

    def is_likely(self, step: Unit | HomeStep) -> bool:
        """Whether home came to a step in a branch more often than not, lately."""
        return self._branches.get(step.key, 0) > 0

    def begin_cell(self) -> None:
        """Give every statement another chance."""
        self._squashes.clear()

    def forbid_chunks(self, step: Unit | HomeStep) -> None:
        """Remember that several runs of `step` cannot go out together."""
        self._single.add(step.key)

    def observe_failure(self, step: Unit | HomeStep, *, chunk: bool) -> None:
        """Remember that an attempt failed: its runs, or a block's units, go out one by one."""
        if chunk:
            self.forbid_chunks(step)
        elif isinstance(step, Unit) and step.members:
            self._apart.add(step.key)

    def is_apart(self, step: Unit) -> bool:
        """Whether a block is better run as the units it consists of."""
        return step.key in self._apart or self.in_vain(step)

    def may_chunk(self, step: Unit | HomeStep) -> bool:
        """Whether several runs of `step` may go out together, as far as is known."""
        return step.key not in self._single

    def observe_cell(self, text: str, wall_s: float) -> None:
        """Remember how long a whole cell took."""
        if len(self._cells) >= _MOST_CELLS:
            self._cells.clear()
        self._cells[hash(text)] = wall_s

    def cell_s(self, text: str) -> float | None:
        """Return how long a cell of this text took the last time, or None."""
        return self._cells.get(hash(text))
