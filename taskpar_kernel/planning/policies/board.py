"""What every policy that plans ahead builds on: the places' free time, and what is placed so far.

A policy says in which order tasks are taken and what makes one place better than another; the board
knows when a task could start at each place, and keeps home's rules. They are two: what runs at home
starts only when all before it in program order is finished and gathered; and so a task can be put
at home only when all before it is placed. A graph without home has no such rules.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Protocol

from taskpar_kernel.model.ids import HOME, Place
from taskpar_kernel.planning.schedule import Placement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskpar_kernel.planning.communication import CommunicationModel
    from taskpar_kernel.planning.graph import Flat


class Key(Protocol):
    """Says how good it is to run a task at `place` from `start_s` to `end_s`: less is better.

    `home_s` is when its outcome is at home; without home: when it ends.
    """

    def __call__(self, place: int, start_s: float, end_s: float, home_s: float, /) -> float: ...  # noqa: D102


def ends_at_home(_place: int, _start_s: float, _end_s: float, home_s: float, /) -> float:
    """Prefer where the outcome is at home first."""
    return home_s


def starts(_place: int, start_s: float, _end_s: float, _home_s: float, /) -> float:
    """Prefer where the task starts first."""
    return start_s


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


class Board:
    """What has been placed so far. Tasks are positions in program order."""

    def __init__(
        self, flat: Flat, places: int, model: CommunicationModel, *, insertion: bool = True
    ) -> None:
        self._flat, self._model = flat, model
        self._insertion = insertion
        """Whether gaps between placed tasks are used."""
        self._lanes = [_Lane() for _ in range(places)]
        self._place = [-1] * len(flat.tasks)
        self._start_s = [0.0] * len(flat.tasks)
        self._end_s = [0.0] * len(flat.tasks)
        self._gathered_s = 0.0
        self.walked = 0
        """All tasks before this one are placed (where there is home)."""

    @property
    def done_s(self) -> float:
        """When everything placed so far is done, and at home if there is one."""
        return self._gathered_s if self._flat.home else max(self._end_s, default=0.0)

    def put(self, number: int, key: Key) -> None:
        """Place one task, all of whose predecessors are placed, where `key` is least.

        Ties by place. A task that must run at home needs all before it to be placed.
        """
        place, start_s, end_s, _ = min(self._options(number), key=lambda option: key(*option))
        self._place[number], self._start_s[number], self._end_s[number] = place, start_s, end_s
        self._lanes[place].take(start_s, end_s)
        if self._flat.home:
            self._walk()

    def placements(self) -> list[Placement]:
        """Return where and when each task runs, in program order."""
        return [
            Placement(task.id, Place(place), start_s, end_s)
            for task, place, start_s, end_s in zip(
                self._flat.tasks, self._place, self._start_s, self._end_s, strict=True
            )
        ]

    def _options(self, number: int) -> list[tuple[int, float, float, float]]:
        """Return what `Key` says of each place that may run the task, by place."""
        flat, task = self._flat, self._flat.tasks[number]
        options: list[tuple[int, float, float, float]] = []
        gather_s = dispatch_s = 0.0
        if flat.home:
            if self.walked == number:
                start_s, end_s = self._gathered_s, self._gathered_s + task.cost_at_s(HOME)
                options.append((HOME, start_s, end_s, end_s))
            if task.home:
                assert options, "what is before a home task is placed before it"
                return options
            gather_s = self._model.transfer_s(task.size_bytes)
            dispatch_s = self._model.dispatch_s
        seen_untouched = False
        ready_s = self._ready_s(number)
        for place in range(1 if flat.home else 0, len(self._lanes)):
            lane = self._lanes[place]
            if not task.place_costs_s and lane.untouched:
                if seen_untouched:
                    continue  # as good as the one before
                seen_untouched = True
            duration_s = task.cost_at_s(place) + dispatch_s
            if self._insertion:
                start_s = lane.first_fit_s(ready_s[place], duration_s)
            else:
                start_s = max(ready_s[place], lane.starts_s[-1])
            end_s = start_s + duration_s
            options.append((place, start_s, end_s, end_s + gather_s))
        return options

    def _ready_s(self, number: int) -> list[float]:
        """Return, for each place, when all that the task reads can be there."""
        input_bytes = self._flat.input_bytes[number]
        here_s = (
            self._model.transfer_s(input_bytes) if self._flat.home and input_bytes >= 0 else 0.0
        )
        near_s: dict[int, float] = {}
        # What comes last from anywhere, where that comes from, what comes last from elsewhere.
        last_s = other_s = here_s
        last_from = -1
        for before, size_bytes in self._flat.before[number]:
            place, end_s = self._place[before], self._end_s[before]
            if end_s > near_s.get(place, -1.0):
                near_s[place] = end_s
            arrival_s = end_s + self._model.transfer_s(size_bytes)
            if arrival_s > last_s:
                if place != last_from:
                    last_from, other_s = place, last_s
                last_s = arrival_s
            elif place != last_from and arrival_s > other_s:
                other_s = arrival_s
        ready_s = [last_s] * len(self._lanes)
        for place, local_s in near_s.items():
            ready_s[place] = max(local_s, other_s if place == last_from else last_s)
        return ready_s

    def _walk(self) -> None:
        """Go on along the cell as far as everything is placed."""
        while self.walked < len(self._place) and self._place[self.walked] >= 0:
            done_s = self._end_s[self.walked]
            if self._place[self.walked] != HOME:
                done_s += self._model.transfer_s(self._flat.tasks[self.walked].size_bytes)
            self._gathered_s = max(self._gathered_s, done_s)
            self.walked += 1


def filled(board: Board, order: Iterable[int], key: Key) -> Board:
    """Place all tasks of `order` on `board`, each where `key` is least, and return the board."""
    for number in order:
        board.put(number, key)
    return board
