"""What an outcome cost beside the work in it comes in, advice whether such steps pay goes out.

To run a statement ahead, home packs its inputs and unpacks its outcome, and a worker compares what
it held before with what it holds afterwards. All of that is CPU time, also where the statement only
waits; it is shared by the cores, as is the work, but home's part is home's alone. An outcome was a
loss if the longer of these two was longer than the work. The rule: two losses in a row are enough,
and this is about time only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskpar_kernel.model.steps import HomeStep, Unit

_ENOUGH = 2
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

    def is_loss(self, cores: int) -> bool:
        """Whether home would have been sooner done with it alone, on so many cores."""
        shared_s = (self.worked_s + self.home_s + self.worker_s) / cores
        return max(self.home_s, shared_s) > _WORTH * self.work_s


@dataclass(slots=True)
class Gains:
    """Remembers whether the last outcomes of each step were losses, by its text; in memory."""

    cores: int
    _losses: dict[str, deque[bool]] = field(default_factory=dict)

    def observe(self, step: Unit | HomeStep, spent: Spent) -> None:
        """Remember one outcome that was taken."""
        losses = self._losses.setdefault(step.key, deque(maxlen=_ENOUGH))
        losses.append(spent.is_loss(self.cores))

    def pays(self, step: Unit | HomeStep) -> bool:
        """Whether it is not seen to be in vain to run `step` ahead."""
        losses = self._losses.get(step.key, ())
        return len(losses) < _ENOUGH or not all(losses)
