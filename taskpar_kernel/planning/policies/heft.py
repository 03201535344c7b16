"""HEFT: heterogeneous earliest finish time, with insertion, and with home as a place of its own.

Theory of operation. Tasks are taken by falling upward rank: how long everything that waits for them
still takes, transfers included. Each goes to the place where it ends first; a gap between two tasks
already placed there is used if it is long enough (insertion).

Home adds four rules. (1) What runs at home starts only when all before it in program order is
finished and gathered. Ranks know that each task is before every later one that must run at home,
so those before it are placed before it, and its start is exact. (2) A task that may travel can be
placed at home only if all before it are placed, for the same reason. (3) Places are compared by
when the outcome is *at home*, since every outcome has to get there. (4) Rule 2 leaves home idle
where ranks and program order disagree; so the tasks are also taken in program order, which offers
each of them to home, and the better of the two plans is returned (the first, if they are equal): on
random cells and one worker 1.24 instead of 1.66 times the lower bound. A graph without home has
none of these rules, and this is HEFT as published.

Source: Topcuoglu, Hariri, Wu 2002, "Performance-effective and low-complexity task scheduling for
heterogeneous computing", DOI 10.1109/71.993206, section 4.1.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING

from taskpar_kernel.model.ids import HOME, Place
from taskpar_kernel.planning.graph import Flat, flat_ranks, flatten
from taskpar_kernel.planning.plan import Plan, plan_of
from taskpar_kernel.planning.schedule import Placement

if TYPE_CHECKING:
    from collections.abc import Iterable

    import networkx as nx

    from taskpar_kernel.planning.communication import CommunicationModel

RANK_DIGITS = 9
"""Ranks are equal if they agree to a nanosecond: sums of floats in another order differ by less."""


def heft(graph: nx.DiGraph, places: int, model: CommunicationModel) -> Plan:
    """Return the HEFT plan; O(edges + tasks * (places + gaps))."""
    flat = flatten(graph)
    ranks = [round(rank, RANK_DIGITS) for rank in flat_ranks(flat, places, model)]
    in_order = range(len(ranks))
    orders = [sorted(in_order, key=lambda number: (-ranks[number], number))]
    if flat.home:
        # Home alone can take tasks in program order only.
        orders = [*(orders if places > 1 else []), list(in_order)]
    boards = [_filled(flat, places, model, order) for order in orders]
    best = min(boards, key=lambda board: board.done_s)
    return plan_of(graph, places, model, "heft", best.placements())


def _filled(flat: Flat, places: int, model: CommunicationModel, order: Iterable[int]) -> _Board:
    board = _Board(flat, places, model)
    for number in order:
        board.put(number)
    return board


class _Lane:
    """The free time of one place, as gaps in order; the last one has no end."""

    __slots__ = ("ends_s", "starts_s")

    def __init__(self) -> None:
        self.starts_s = [0.0]
        self.ends_s = [math.inf]

    @property
    def untouched(self) -> bool:
        return self.starts_s == [0.0] and self.ends_s == [math.inf]

    def first_fit_s(self, ready_s: float, duration_s: float) -> float:
        """Return the earliest start, at `ready_s` or later, of a gap that is long enough."""
        starts_s, ends_s = self.starts_s, self.ends_s
        for gap in range(bisect_left(ends_s, ready_s), len(ends_s)):
            start_s = max(starts_s[gap], ready_s)
            if start_s + duration_s <= ends_s[gap]:
                return start_s
        raise AssertionError("the last gap has no end")

    def take(self, start_s: float, end_s: float) -> None:
        """Use the time from `start_s` to `end_s`, which lies in one gap.

        What takes no time divides the gap as well: nothing may be placed around it.
        """
        gap = bisect_left(self.ends_s, end_s)
        gap_start_s, gap_end_s = self.starts_s[gap], self.ends_s[gap]
        rest = [(gap_start_s, start_s), (end_s, gap_end_s)]
        kept = [(one_s, other_s) for one_s, other_s in rest if one_s < other_s]
        self.starts_s[gap : gap + 1] = [one_s for one_s, _ in kept]
        self.ends_s[gap : gap + 1] = [other_s for _, other_s in kept]


class _Board:
    """What has been placed so far. Tasks are positions in program order."""

    def __init__(self, flat: Flat, places: int, model: CommunicationModel) -> None:
        self._flat, self._model = flat, model
        self._lanes = [_Lane() for _ in range(places)]
        self._place = [-1] * len(flat.tasks)
        self._start_s = [0.0] * len(flat.tasks)
        self._end_s = [0.0] * len(flat.tasks)
        self._walked = 0
        """All tasks before this one are placed."""
        self._gathered_s = 0.0
        """When the outcomes of these are all at home."""

    @property
    def done_s(self) -> float:
        """When everything placed so far is done, and at home if there is one."""
        return self._gathered_s if self._flat.home else max(self._end_s, default=0.0)

    def put(self, number: int) -> None:
        """Place one task where its outcome is to be had first; ties by place."""
        home = self._flat.home
        if home and self._flat.tasks[number].home:
            assert self._walked == number, "ranks place what is before a home task before it"
            place, start_s, end_s = self._at_home(number)
        else:
            gather_s = self._model.transfer_s(self._flat.tasks[number].size_bytes) if home else 0.0
            place, start_s, end_s = min(
                self._options(number),
                key=lambda option: option[2] + (gather_s if option[0] != HOME else 0.0),
            )
        self._place[number], self._start_s[number], self._end_s[number] = place, start_s, end_s
        self._lanes[place].take(start_s, end_s)
        if home:
            self._walk()

    def placements(self) -> list[Placement]:
        return [
            Placement(task.id, Place(place), start_s, end_s)
            for task, place, start_s, end_s in zip(
                self._flat.tasks, self._place, self._start_s, self._end_s, strict=True
            )
        ]

    def _at_home(self, number: int) -> tuple[int, float, float]:
        start_s = self._gathered_s
        return HOME, start_s, start_s + self._flat.tasks[number].cost_at_s(HOME)

    def _options(self, number: int) -> list[tuple[int, float, float]]:
        """Return (place, start, end) for each place that may run the task, by place."""
        flat, task, options = self._flat, self._flat.tasks[number], []
        if flat.home and self._walked == number:
            options.append(self._at_home(number))
        dispatch_s = self._model.dispatch_s if flat.home else 0.0
        seen_untouched = False
        ready_s = self._ready_s(number)
        for place in range(1 if flat.home else 0, len(self._lanes)):
            lane = self._lanes[place]
            if not task.place_costs_s and lane.untouched:
                if seen_untouched:
                    continue  # as good as the one before
                seen_untouched = True
            duration_s = task.cost_at_s(place) + dispatch_s
            start_s = lane.first_fit_s(ready_s[place], duration_s)
            options.append((place, start_s, start_s + duration_s))
        return options

    def _ready_s(self, number: int) -> list[float]:
        """Return, for each place, when all that the task reads can be there."""
        input_bytes = self._flat.input_bytes[number]
        here_s = (
            self._model.transfer_s(input_bytes) if self._flat.home and input_bytes >= 0 else 0.0
        )
        near_s: dict[int, float] = {}
        far_s: dict[int, float] = {}
        for before, size_bytes in self._flat.before[number]:
            place, end_s = self._place[before], self._end_s[before]
            near_s[place] = max(near_s.get(place, 0.0), end_s)
            far_s[place] = max(far_s.get(place, 0.0), end_s + self._model.transfer_s(size_bytes))
        ready_s = [max(here_s, *far_s.values(), 0.0)] * len(self._lanes)
        for place, local_s in near_s.items():
            others_s = (arrival_s for other, arrival_s in far_s.items() if other != place)
            ready_s[place] = max(here_s, local_s, *others_s)
        return ready_s

    def _walk(self) -> None:
        """Go on along the cell as far as everything is placed."""
        while self._walked < len(self._place) and self._place[self._walked] >= 0:
            done_s = self._end_s[self._walked]
            if self._place[self._walked] != HOME:
                done_s += self._model.transfer_s(self._flat.tasks[self._walked].size_bytes)
            self._gathered_s = max(self._gathered_s, done_s)
            self._walked += 1
