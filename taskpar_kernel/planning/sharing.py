"""A plan and a number of cores come in; the plan as it will go on so few cores goes out.

Theory of operation. Policies place as if every place had a core of its own. Home and its workers
are often one more than there are cores (while home only waits, that is right), and then work that
is planned side by side is slowed down. So the plan is carried out on a clock: each place does its
tasks in the planned order, each as soon as what it waits for is there, and tasks that run at the
same time share the cores evenly, as an operating system shares them out. What only waits (`busy` is
0) needs none, and is not slowed down. Where and in which order
things run is left as it was; only times change, and with them the makespan.

The rule: where cores are enough, times stay as they are planned, or become earlier.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from taskpar_kernel.model.ids import HOME, Place
from taskpar_kernel.planning.graph import Flat, flatten
from taskpar_kernel.planning.plan import Plan, plan_of
from taskpar_kernel.planning.schedule import Placement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskpar_kernel.planning.communication import CommunicationModel

DONE_S = 1e-12
"""Work of which less than this is left is done; sums of floats differ by less."""


def on_cores(plan: Plan, cores: int) -> Plan:
    """Return `plan` with the times it has on `cores` cores; O(edges + tasks * places)."""
    if cores >= plan.places or not plan.is_parallel:
        return plan
    flat = flatten(plan.graph)
    clock = _Clock(flat, plan.placements, plan.places, plan.model, cores)
    return plan_of(plan.graph, plan.places, plan.model, plan.policy, clock.placements())


def done_on_cores_s(
    flat: Flat,
    placements: Sequence[Placement],
    places: int,
    model: CommunicationModel,
    cores: int,
) -> float:
    """Return when what is placed like this is done on `cores` cores, and at home if there is one.

    `placements`: in program order.
    """
    return _Clock(flat, placements, places, model, cores).done_s


class _Clock:
    """What runs, and how much of it is left. Tasks are positions in program order."""

    def __init__(
        self,
        flat: Flat,
        placements: Sequence[Placement],
        places: int,
        model: CommunicationModel,
        cores: int,
    ) -> None:
        self._flat, self._model, self._cores = flat, model, cores
        self._place = [placement.place for placement in placements]
        self._start_s = [0.0] * len(self._place)
        self._end_s = [math.inf] * len(self._place)
        self._waits_for = [len(before) for before in self._flat.before]
        self._ready_s = [self._inputs_s(number) for number in range(len(self._place))]
        """When what has been made of what a task reads is at its place."""
        self._queues: list[list[int]] = [[] for _ in range(places)]
        """For each place, what it has not begun, the next one last."""
        for number in sorted(
            range(len(self._place)), key=lambda one: placements[one].moment, reverse=True
        ):
            self._queues[self._place[number]].append(number)
        if self._flat.home:
            self._queues[HOME].sort(reverse=True)
        self._left_s: dict[int, float] = {}
        """What runs now, and the seconds it would still take alone."""
        self._walked = 0
        self._gathered_s = 0.0
        self._run()

    @property
    def done_s(self) -> float:
        return self._gathered_s if self._flat.home else max(self._end_s, default=0.0)

    def _run(self) -> None:
        now_s = 0.0
        while now_s < math.inf:
            wake_s = self._begin(now_s)
            slower = self._slower()
            lasts_s = {number: left_s * slower[number] for number, left_s in self._left_s.items()}
            least_s = min(lasts_s.values(), default=math.inf)
            # What ends next ends exactly: a difference of times could leave a rest for ever.
            passed_s = least_s if now_s + least_s <= wake_s else wake_s - now_s
            now_s = min(now_s + least_s, wake_s)
            for number, last_s in lasts_s.items():
                if last_s - passed_s > DONE_S:
                    self._left_s[number] = (last_s - passed_s) / slower[number]
                else:
                    del self._left_s[number]
                    self._end(number, now_s)
            if self._flat.home:
                self._walk(now_s)

    def placements(self) -> list[Placement]:
        return [
            Placement(task.id, Place(place), start_s, end_s)
            for task, place, start_s, end_s in zip(
                self._flat.tasks, self._place, self._start_s, self._end_s, strict=True
            )
        ]

    def _begin(self, now_s: float) -> float:
        """Begin what can, and return when the next one can that waits for nothing but time."""
        wake_s = math.inf
        busy = {self._place[number] for number in self._left_s}
        for place, queue in enumerate(self._queues):
            if not queue or place in busy:
                continue
            number = queue[-1]
            ready_s = self._can_begin_s(number)
            if ready_s > now_s:
                wake_s = min(wake_s, ready_s)
                continue
            queue.pop()
            self._start_s[number] = now_s
            overhead_s = self._model.dispatch_s if self._flat.home and place != HOME else 0.0
            self._left_s[number] = self._flat.tasks[number].cost_at_s(place) + overhead_s
        return wake_s

    def _can_begin_s(self, number: int) -> float:
        """Return when a task can begin; infinite as long as something has yet to end."""
        if self._flat.home and self._place[number] == HOME:
            return self._gathered_s if self._walked == number else math.inf
        return math.inf if self._waits_for[number] else self._ready_s[number]

    def _slower(self) -> dict[int, float]:
        """Return how many times as long as alone each takes that runs now; only computing does."""
        busy = {number: self._flat.tasks[number].busy for number in self._left_s}
        share = max(1.0, sum(busy.values()) / self._cores)
        return {number: 1.0 + one * (share - 1.0) for number, one in busy.items()}

    def _walk(self, now_s: float) -> None:
        """Go on along the cell as far as everything has ended."""
        while self._walked < len(self._end_s) and self._end_s[self._walked] <= now_s:
            end_s = self._end_s[self._walked]
            if self._place[self._walked] != HOME:
                end_s += self._model.transfer_s(self._flat.tasks[self._walked].size_bytes)
            self._gathered_s = max(self._gathered_s, end_s)
            self._walked += 1

    def _end(self, number: int, now_s: float) -> None:
        self._end_s[number] = now_s
        for later, size_bytes in self._flat.after[number]:
            self._waits_for[later] -= 1
            near = self._place[later] == self._place[number]
            at_s = now_s + (0.0 if near else self._model.transfer_s(size_bytes))
            self._ready_s[later] = max(self._ready_s[later], at_s)

    def _inputs_s(self, number: int) -> float:
        input_bytes = self._flat.input_bytes[number]
        if not self._flat.home or input_bytes < 0:
            return 0.0
        return self._model.transfer_s(input_bytes)
