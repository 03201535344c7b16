"""Which statements had better not overtake what may write files: squashes come in, advice goes out.

A statement that read a file too early costs a wasted attempt each time. So after a squash of this
kind the next instances of its step stay behind possible writers: two at first, twice as many and
two after each further squash, at most `_MOST`; an outcome that is taken ends that. Attempts that
were out together when one was squashed count as one. A step that is in this state when a session
ends begins the next one so.

The rule: this is about time only; what was read is checked in any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskpar_kernel.engine.costs import Costs
from taskpar_kernel.model.refusal import Refusal

if TYPE_CHECKING:
    from taskpar_kernel.engine.stream import Instance
    from taskpar_kernel.model.steps import HomeStep, Unit

_MOST = 64
HELD_BACK = Refusal(
    "files-early", "it read a file too early before, and what comes before it may write files"
)


@dataclass(slots=True)
class _Debt:
    next: int = 2
    left: int = 0
    since_s: float = 0.0


@dataclass(slots=True)
class Overtaking:
    """Remembers of each step how often it read files too early; `costs` knows which is which."""

    now_s: Callable[[], float] = time.monotonic
    costs: Costs = field(default_factory=Costs)
    _debts: dict[str, _Debt] = field(default_factory=dict)

    def squashed(self, step: Unit | HomeStep, issued_s: float) -> None:
        """An attempt, sent out at `issued_s`, had looked at files that changed afterwards."""
        debt = self._debts.setdefault(self.costs.code(step), _Debt())
        if issued_s > debt.since_s:
            debt.left, debt.next = debt.next, min(_MOST, 2 * debt.next + 2)
            debt.since_s = self.now_s()
            self.costs.observe_debt(step, debt.left)

    def took(self, step: Unit | HomeStep) -> None:
        """The outcome of an attempt was taken."""
        if self._debt_of(step) is not None:
            del self._debts[self.costs.code(step)]
            self.costs.observe_debt(step, 0)

    def holds_back(self, instance: Instance) -> bool:
        """Whether an instance behind a possible writer stays there; it is counted once."""
        if instance.refused == HELD_BACK:
            return True
        debt = self._debt_of(instance.step)
        if debt is None or debt.left <= 0:
            return False
        debt.left -= 1
        instance.refused = HELD_BACK
        return True

    def _debt_of(self, step: Unit | HomeStep) -> _Debt | None:
        """Return the debt of a step, or None; what an earlier session left is taken over."""
        debt = self._debts.get(self.costs.code(step))
        left = self.costs.debt(step) if debt is None else 0
        if left:
            debt = self._debts[self.costs.code(step)] = _Debt(min(_MOST, 2 * left + 2), left)
        return debt
