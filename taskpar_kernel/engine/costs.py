"""What was seen of statements and cells comes in, estimates for the next run go out.

A statement is known by its code and the scale of its inputs (`memory.identity`), or by its text as
long as these are not known. Seconds count at the scale at which they were observed; what was dear
at another scale is taken to be dear, what was cheap there is unknown: to leave at home what is dear
now would cost more than to send out what is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from taskpar_kernel.engine.memory.identity import Identities, Identity
from taskpar_kernel.engine.memory.records import Learned, Times, added
from taskpar_kernel.model.steps import HomeStep, Step, TopLevel, Unit

_ENOUGH = 2
_SLOWER = 1.8
_SEVERAL = 1.2
_DEAR = 0.5
_DEAR_ELSEWHERE_S = 0.02
"""What took so long at another scale is expected to take as long at this one."""
_SURE = 2
"""So many times in a row the other branch was taken before another is predicted."""
_MOST_VAIN = 6
"""What was in vain so often is tried again in one cell of 32."""
_MOST_CELLS = 10_000


def _nothing(_code: str) -> None:
    return None


class Costs:
    """Seconds and cores per run of a statement, and what it was seen to change.

    `recall` gives what earlier sessions learned of a code, `tag` what stands for a name there.
    Whole cells are remembered too: one that is short is not worth a closer look the next time.
    """

    def __init__(
        self,
        recall: Callable[[str], Learned | None] = _nothing,
        tag: Callable[[str], str] = str,
    ) -> None:
        self._recall = recall
        self._tag = tag
        self._learned: dict[str, Learned] = {}
        self._identities: Identities | None = None
        self._known_as: dict[Unit | HomeStep, Identity] = {}
        self._squashes: dict[str, int] = {}
        self._waits: dict[str, int] = {}
        """For so many cells more, what was in vain is not tried again."""
        self._cells: dict[int, float] = {}
        self._unsaved: set[str] = set()

    # What a step is known by -------------------------------------------------------------------

    def begin_cell(self, identities: Identities | None = None) -> None:
        """Give every statement another chance; `identities`: of the steps of this cell."""
        self._squashes.clear()
        self._identities = identities
        self._known_as = {}
        if identities is not None:
            self._meet(identities.of)

    def meet(self, top: TopLevel | None, steps: Iterable[Step]) -> None:
        """Home is about to call a function that has these steps, from `top`."""
        if self._identities is not None and top is not None:
            self._meet(self._identities.inside(top.node, steps))

    def _meet(self, steps: dict[Unit | HomeStep, Identity]) -> None:
        self._known_as |= steps
        for step, identity in steps.items():
            learned = self._learned.get(identity.code)
            if learned is None:
                learned = self._recall(identity.code)
                if learned is None:
                    continue
                self._learned[identity.code] = learned
                if learned.tags:
                    found = {n for n in step.effects.reads if self._tag(n) in learned.tags}
                    learned.changes |= found
            if learned.vain and identity.code not in self._squashes:
                waits = self._waits.get(identity.code, 0)
                self._squashes[identity.code] = _ENOUGH if waits else _ENOUGH - 1
                self._waits[identity.code] = max(0, waits - 1)

    def code(self, step: Unit | HomeStep) -> str:
        """Return what the behaviour of `step` is known by."""
        identity = self._known_as.get(step)
        return step.key if identity is None else identity.code

    def _of(self, step: Unit | HomeStep) -> Learned:
        return self._learned.get(self.code(step), _UNKNOWN)

    def learned(self, step: Unit | HomeStep) -> Learned:
        """Return what was learned of `step`, to be added to."""
        identity = self._known_as.get(step)
        if identity is not None:
            self._unsaved.add(identity.code)
        return self._learned.setdefault(self.code(step), Learned())

    def _times(self, step: Unit | HomeStep) -> Times:
        identity = self._known_as.get(step)
        return self._of(step).at("" if identity is None else identity.scale)

    def _put(self, step: Unit | HomeStep, times: Times) -> None:
        identity = self._known_as.get(step)
        self.learned(step).put("" if identity is None else identity.scale, times)

    # Between sessions --------------------------------------------------------------------------

    def take_unsaved(self) -> dict[str, Learned]:
        """Return what was learned since the last time, by code; any thread may ask."""
        found = {}
        while self._unsaved:
            code = self._unsaved.pop()
            found[code] = self._learned[code]
        return found

    # Seconds -----------------------------------------------------------------------------------

    def observe(self, step: Unit | HomeStep, seconds: float, threads: float | None = None) -> None:
        """Remember that one run of `step` took `seconds`, and how many cores it used meanwhile."""
        times = self._times(step)
        here, cores = added(times.here, seconds), _with(times.cores, threads)
        alone = seconds if times.alone is None else min(seconds, times.alone)
        self._put(step, replace(times, here=here, cores=cores, alone=alone))

    def observe_away(
        self, step: Unit | HomeStep, seconds: float, threads: float | None = None
    ) -> None:
        """Remember that one run of `step` took `seconds` on a worker, and was taken."""
        times = self._times(step)
        away, cores = added(times.away, seconds), _with(times.cores, threads)
        self._put(step, replace(times, away=away, cores=cores))
        self._squashes.pop(self.code(step), None)
        self.learned(step).vain = 0

    def known(self, step: Unit | HomeStep) -> float | None:
        """Return the observed seconds of one run, or None."""
        return min(self._observed(step), default=None)

    def _observed(self, step: Unit | HomeStep) -> list[float]:
        """Return the last observations; of a block, what its parts add up to is one."""
        observed = [*self._times(step).seconds()]
        if isinstance(step, Unit) and step.members:
            parts = [self.known(unit) for unit in step.members]
            known = [seconds for seconds in parts if seconds is not None]
            if len(known) == len(parts):
                observed.append(sum(known))
        return observed or self._observed_elsewhere(step)

    def _observed_elsewhere(self, step: Unit | HomeStep) -> list[float]:
        """Return the observations at the last other scale, if it was dear there."""
        for times in reversed(tuple(self._of(step).times.values())):
            seconds = times.seconds()
            if seconds:
                return [*seconds] if min(seconds) >= _DEAR_ELSEWHERE_S else []
        return []

    def most(self, step: Unit | HomeStep) -> float | None:
        """Return the most of the last observations, or what the tables tell, or None.

        Runs of one statement may differ: what was dear lately is worth sending out.
        """
        return max(self._observed(step), default=step.effects.cost_s)

    def pays(self, step: Unit | HomeStep) -> bool:
        """Whether it is not seen to be in vain to run `step` on workers."""
        return not self.is_dear_to_take(step) and not self.is_slower_away(step)

    def is_dear_to_take(self, step: Unit | HomeStep) -> bool:
        """Whether taking an outcome was seen to cost home half of what running `step` does."""
        mean_s, taking = self.mean(step), self._times(step).taking
        if mean_s is None or not taking:
            return False
        return min(taking) > (_DEAR if len(taking) >= _ENOUGH else 1.0) * mean_s

    def is_slower_away(self, step: Unit | HomeStep) -> bool:
        """Whether `step`, which uses several cores, was seen to take much longer on workers."""
        cores, times = self.threads(step), self._times(step)
        if cores is None or times.alone is None or len(times.away) < _ENOUGH:
            return False
        return cores >= _SEVERAL and min(times.away[-_ENOUGH:]) >= _SLOWER * times.alone

    def mean(self, step: Unit | HomeStep) -> float | None:
        """Return what the last runs took, the mean: dear ones pay for cheap ones; or None."""
        seconds = self._times(step).seconds()
        if seconds or not isinstance(step, Unit) or not step.members:
            return sum(seconds) / len(seconds) if seconds else None
        parts = [self.mean(unit) for unit in step.members]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    def typical(self, step: Unit | HomeStep) -> float | None:
        """Return the mean of the last runs but the longest, else what `estimate` gives.

        Runs of one statement may differ, and what disturbs a run only ever makes it longer.
        """
        seconds = sorted(self._times(step).seconds())
        if len(seconds) > _ENOUGH:
            return sum(seconds[:-1]) / (len(seconds) - 1)
        if seconds or not isinstance(step, Unit) or not step.members:
            return self.estimate(step)
        parts = [self.typical(unit) for unit in step.members]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else self.estimate(step)

    def was_taken(self, step: Unit | HomeStep) -> bool:
        """Whether outcomes of `step` at this scale were taken from workers, and not all in vain."""
        return bool(self._times(step).away) and not self._of(step).vain

    def observe_taking(self, step: Unit | HomeStep, seconds: float) -> None:
        """Remember how long home was busy with judging and taking an outcome of `step`."""
        times = self._times(step)
        self._put(step, replace(times, taking=added(times.taking, seconds)))

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
        return min(self._times(step).cores, default=None)

    # Behaviour ---------------------------------------------------------------------------------

    def observe_changes(self, step: Unit | HomeStep, names: frozenset[str]) -> None:
        """Remember that `step` changed, in place, what these names are bound to."""
        if names:
            self.learned(step).changes |= names

    def changes(self, step: Unit | HomeStep) -> frozenset[str]:
        """Return the names whose objects `step` changes: predicted, or seen before."""
        return step.effects.changes | self._of(step).changes

    def observe_squash(self, step: Unit | HomeStep) -> None:
        """Remember that an outcome of `step` could not be taken."""
        code = self.code(step)
        self._squashes[code] = self._squashes.get(code, 0) + 1
        if self._squashes[code] == _ENOUGH:
            learned = self.learned(step)
            learned.vain = min(_MOST_VAIN, learned.vain + 1)
            self._waits[code] = 2 ** (learned.vain - 1) - 1

    def in_vain(self, step: Unit | HomeStep) -> bool:
        """Whether the last runs of `step` on workers were all in vain.

        What was so in its last cell is tried once more in the next one; if that is in vain too, it
        is tried in every second cell, then in every fourth, and so on.
        """
        return self._squashes.get(self.code(step), 0) >= _ENOUGH

    def observe_branch(self, step: Unit | HomeStep, *, reached: bool) -> None:
        """Remember whether home came to a step whose place in a branch was uncertain."""
        learned = self.learned(step)
        learned.branch = max(-_SURE, min(_SURE, learned.branch + (1 if reached else -1)))

    def is_likely(self, step: Unit | HomeStep) -> bool:
        """Whether home came to a step in a branch more often than not, lately."""
        return self._of(step).branch > 0

    def forbid_chunks(self, step: Unit | HomeStep) -> None:
        """Remember that several runs of `step` cannot go out together."""
        self.learned(step).single = True

    def observe_failure(self, step: Unit | HomeStep, *, chunk: bool) -> None:
        """Remember that an attempt failed: its runs, or a block's units, go out one by one."""
        if chunk:
            self.forbid_chunks(step)
        elif isinstance(step, Unit) and step.members:
            self.learned(step).apart = True

    def is_apart(self, step: Unit) -> bool:
        """Whether a block is better run as the units it consists of."""
        return self._of(step).apart or self.in_vain(step)

    def may_chunk(self, step: Unit | HomeStep) -> bool:
        """Whether several runs of `step` may go out together, as far as is known."""
        return not self._of(step).single

    def observe_debt(self, step: Unit | HomeStep, instances: int) -> None:
        """Remember for how many instances `step` stays behind possible writers (`Overtaking`)."""
        self.learned(step).debt = instances

    def debt(self, step: Unit | HomeStep) -> int:
        """Return for how many instances it was to stay behind them when it was last told."""
        return self._of(step).debt

    # Cells -------------------------------------------------------------------------------------

    def observe_cell(self, text: str, wall_s: float) -> None:
        """Remember how long a whole cell took."""
        if len(self._cells) >= _MOST_CELLS:
            self._cells.clear()
        self._cells[hash(text)] = wall_s

    def cell_s(self, text: str) -> float | None:
        """Return how long a cell of this text took the last time, or None."""
        return self._cells.get(hash(text))


def _with(cores: tuple[float, ...], one: float | None) -> tuple[float, ...]:
    return cores if one is None else added(cores, one)


_UNKNOWN = Learned()
"""Nothing; it is never added to."""
