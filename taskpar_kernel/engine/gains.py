"""What an outcome cost beside the work in it comes in, advice whether such steps pay goes out.

To run a statement ahead, home packs its inputs and unpacks its outcome, and a worker compares what
it held before with what it holds afterwards. All of that is CPU time, also where the statement only
waits; it is shared by the cores, as is the work, but home's part is home's alone. Outcomes were a
loss if the longer of these two was longer than the work. The rule: the last outcomes count together
(some runs of a statement are cheap, and the dear ones pay for them), and this is about time only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskpar_kernel.model.steps import HomeStep, Unit

_ENOUGH, _ENOUGH_FIRSTS = 2, 3
_LAST = 32
_AGAIN_CELLS = 4
"""After so many cells what did not pay is tried once more: the machine may have been busy then. If
it does not pay again, it is tried after twice as many, and so on."""
_MOST_DOUBLED = 6
_DEARER = 4.0
"""What takes so many times what handing it over does is not refused for others that do not."""
_WORTH = 0.9
"""What is gained must be more than the difference."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of one outcome: `work_s` by the clock, the others of CPU time."""

    work_s: float
    worked_s: float
    """What the statement itself used, of all cores."""
    home_s: float
    worker_s: float
    """What its worker spent on it beside."""

    def cost_s(self, cores: int) -> float:
        """Return how long all of it takes on so many cores, home's part on one."""
        return max(self.home_s, (self.worked_s + self.home_s + self.worker_s) / cores)


@dataclass(slots=True)
class Gains:
    """Remembers what the last outcomes of each step cost, by its text; in memory."""

    cores: int
    _spent: dict[str, deque[Spent]] = field(default_factory=dict)
    _firsts: dict[str, deque[Spent]] = field(default_factory=dict)
    """The same of outcomes that were the first of their workers in a cell."""
    _cells: int = 0
    _refused: dict[str, int] = field(default_factory=dict)
    """Step → the cell in which it is to be tried again."""
    _doubled: dict[str, int] = field(default_factory=dict)
    """Step → how often in a row it was found not to pay."""

    def begin_cell(self) -> None:
        """Another cell begins: steps that have waited long enough get another chance."""
        self._cells += 1
        for key, cell in tuple(self._refused.items()):
            if self._cells >= cell:
                del self._refused[key]
                for known in (self._spent, self._firsts):
                    if key in known:
                        known[key] = deque((known[key][-1],), _LAST)  # one more loss will do

    def observe(self, step: Unit | HomeStep, spent: Spent, *, first: bool = False) -> None:
        """Remember one outcome that was taken.

        `first`: of its worker in this cell, which was sent with it what later ones find there. It
        counts as long as there are no later ones.
        """
        if first and step.key in self._spent:
            return
        last = (self._firsts if first else self._spent).setdefault(step.key, deque(maxlen=_LAST))
        last.append(spent)
        cost_s = sum(each.cost_s(self.cores) for each in last)
        enough = _ENOUGH_FIRSTS if first and step.key not in self._doubled else _ENOUGH
        if len(last) < enough or cost_s <= _WORTH * sum(each.work_s for each in last):
            self._refused.pop(step.key, None)
            if not first:
                self._doubled.pop(step.key, None)
        elif step.key not in self._refused:
            doubled = self._doubled.get(step.key, 0)
            self._doubled[step.key] = min(_MOST_DOUBLED, doubled + 1)
            self._refused[step.key] = self._cells + _AGAIN_CELLS * 2**doubled

    def pays(self, step: Unit | HomeStep, mean_s: float | None = None) -> bool:
        """Whether it is not seen to be in vain to run `step` ahead.

        `mean_s`: how long its runs take, those at home with them; the cheap ones may have been
        those that were taken.
        """
        if step.key not in self._refused:
            return True
        last = self._spent.get(step.key) or self._firsts[step.key]
        beside_s = sum(each.home_s + each.worker_s for each in last) / len(last)
        return mean_s is not None and mean_s > _DEARER * beside_s
