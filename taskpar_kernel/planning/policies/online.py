"""On-line list scheduling: whoever is free takes the first ready task; costs are not known ahead.

Theory of operation. A clock goes from event to event: a task ends, an outcome arrives at home. At
each, home goes on along the cell: it passes what is gathered, and runs the statement it has come to
itself if nobody has begun it. Then each free worker takes, of the tasks whose predecessors have
ended, the one with the longest chain of statements behind it; ties by program order. Costs decide
only when things end, never what is chosen, as when they are not known.

Source: Graham 1969, "Bounds on multiprocessing timing anomalies", DOI 10.1137/0117039 (list
scheduling); levels as priorities: Adam, Chandy, Dickson 1974, DOI 10.1145/361604.361619.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from taskpar_kernel.model.ids import HOME, Place
from taskpar_kernel.planning.communication import CommunicationModel
from taskpar_kernel.planning.graph import Flat, flat_ranks, flatten
from taskpar_kernel.planning.plan import Plan, plan_of
from taskpar_kernel.planning.schedule import Placement

if TYPE_CHECKING:
    import networkx as nx

FREE_OF_CHARGE = CommunicationModel(latency_s=0.0, bytes_per_s=math.inf, dispatch_s=0.0)


def online(graph: nx.DiGraph, places: int, model: CommunicationModel) -> Plan:
    """Return the plan that on-line scheduling would arrive at; O((tasks + edges) log tasks)."""
    clock = online_clock(flatten(graph), places, model)
    return plan_of(graph, places, model, "online", clock.placements())


def online_clock(flat: Flat, places: int, model: CommunicationModel) -> Clock:
    """Return the tasks of a flattened graph as they go when scheduled on-line."""
    equal = replace(
        flat, tasks=[replace(task, cost_s=1.0, place_costs_s=()) for task in flat.tasks]
    )
    clock = Clock(flat, flat_ranks(equal, places, FREE_OF_CHARGE), places, model)
    clock.run()
    return clock


class Clock:
    """What has begun and ended by now. Tasks are positions in program order."""

    def __init__(
        self, flat: Flat, levels: list[float], places: int, model: CommunicationModel
    ) -> None:
        count = len(flat.tasks)
        self.place = [-1] * count
        self.start_s = [0.0] * count
        self.end_s = [0.0] * count
        self._flat, self._levels, self._model = flat, levels, model
        self._free_s = [0.0] * places
        self._waits_for = [len(before) for before in flat.before]
        self._ready: list[tuple[float, int]] = []
        self._events: list[tuple[float, int]] = [(0.0, -1)]
        """(time, task that ends then); -1 only wakes home."""
        self._cursor = 0
        self._home_goes_first = flat.home

    @property
    def done_s(self) -> float:
        """When everything is done, and at home if there is one."""
        if self._flat.home:
            return max((self._at_home_s(number) for number in range(len(self.place))), default=0.0)
        return max(self.end_s, default=0.0)

    def placements(self) -> list[Placement]:
        """Return where and when each task ran, in program order."""
        return [
            Placement(task.id, Place(place), start_s, end_s)
            for task, place, start_s, end_s in zip(
                self._flat.tasks, self.place, self.start_s, self.end_s, strict=True
            )
        ]

    def run(self) -> None:
        """Go from event to event until everything has ended."""
        for number, waits_for in enumerate(self._waits_for):
            if not waits_for:
                self._make_ready(number)
        while self._events:
            now_s = self._events[0][0]
            while self._events and self._events[0][0] <= now_s:
                self._end(heapq.heappop(self._events)[1])
            if self._flat.home:
                self._walk_home(now_s)
            self._feed_workers(now_s)

    def _make_ready(self, number: int) -> None:
        if not (self._flat.home and self._flat.tasks[number].home):
            heapq.heappush(self._ready, (-self._levels[number], number))

    def _end(self, number: int) -> None:
        if number < 0:
            return
        for later, _ in self._flat.after[number]:
            self._waits_for[later] -= 1
            if not self._waits_for[later]:
                self._make_ready(later)

    def _walk_home(self, now_s: float) -> None:
        while self._cursor < len(self.place):
            number = self._cursor
            if self.place[number] < 0:
                if self._free_s[HOME] > now_s:
                    return
                self._begin(number, HOME, now_s)
            if self._at_home_s(number) > now_s:
                return
            self._cursor += 1

    def _feed_workers(self, now_s: float) -> None:
        for place in range(1 if self._flat.home else 0, len(self._free_s)):
            if self._free_s[place] > now_s:
                continue
            while self._ready and self.place[self._ready[0][1]] >= 0:
                heapq.heappop(self._ready)  # home has run it
            if not self._ready:
                return
            number = heapq.heappop(self._ready)[1]
            self._begin(number, place, max(now_s, self._arrival_s(number, place)))

    def _begin(self, number: int, place: int, start_s: float) -> None:
        task = self._flat.tasks[number]
        dispatch_s = self._model.dispatch_s if self._flat.home and place != HOME else 0.0
        self.place[number], self.start_s[number] = place, start_s
        self.end_s[number] = start_s + task.cost_at_s(place) + dispatch_s
        self._free_s[place] = self.end_s[number]
        heapq.heappush(self._events, (self.end_s[number], number))
        if self._flat.home and place != HOME:
            heapq.heappush(self._events, (self._at_home_s(number), -1))

    def _at_home_s(self, number: int) -> float:
        if self.place[number] == HOME:
            return self.end_s[number]
        return self.end_s[number] + self._model.transfer_s(self._flat.tasks[number].size_bytes)

    def _arrival_s(self, number: int, place: int) -> float:
        """Return when all that a task reads is at `place`."""
        input_bytes = self._flat.input_bytes[number]
        ready_s = (
            self._model.transfer_s(input_bytes) if self._flat.home and input_bytes >= 0 else 0.0
        )
        for before, size_bytes in self._flat.before[number]:
            far_s = 0.0 if self.place[before] == place else self._model.transfer_s(size_bytes)
            ready_s = max(ready_s, self.end_s[before] + far_s)
        return ready_s
