"""How busy workers and cores are, and how long an input has been waited for: who may go out now.

Attempts that are out come in, room for more goes out. Two rules: a statement that uses several
cores by itself (BLAS, OpenMP) is not run beside others that would take them from it; and an input
is sent for a statement of unknown cost only once home has been busy, since it was first wanted, for
twice the time that sending takes ("rent before you buy": at worst a third of the time is lost).
Source of the second: Karlin et al., Competitive snoopy caching, Algorithmica 3 (1988),
doi:10.1007/BF01762111.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from taskpar_kernel.model.ids import Place

if TYPE_CHECKING:
    from taskpar_kernel.engine.attempts import AttemptRecord

SEVERAL = 1.4
"""Cores used at a time, on average, from which a statement counts as using several."""
_SLACK = 0.5
_ROOM = 2
"""Attempts a worker may have at a time while costs are unknown: one runs, one waits."""
_ROOM_EAGER = 64
_ROOM_S = 0.06
"""Known work, in seconds, with which a worker may be given more. What takes longer is not lined up
behind another: who is free first takes it."""
_FED_S = 0.03
"""A worker with so much known work, and one attempt that waits, needs nothing more yet."""
_MORE = 0.5
"""What takes longer than expected will take so much longer still, of what it has taken."""
_AT_ONCE_S = 0.002
"""What is pickled in less than this is sent as soon as it is wanted."""
_RENT = 2.0


@dataclass(slots=True)
class Loads:
    """What each worker has before it, as of the beginning of one scan."""

    workers: Iterable[Place]
    eager: bool
    cores: int
    home_threads: float = 1.0
    """How many cores home's present statement uses."""
    now_s: float = field(default_factory=time.monotonic)
    places: dict[Place, tuple[int, float]] = field(init=False)
    """Number and seconds of the attempts that each worker has."""
    _threads: float = field(init=False)

    def __post_init__(self) -> None:
        self.places = dict.fromkeys(sorted(self.workers), (0, 0.0))
        self._threads = self.home_threads if self.home_threads > SEVERAL else 0.0

    def add(self, attempt: AttemptRecord, cost_s: float, threads: float) -> None:
        """Count an attempt that is out."""
        if attempt.worker not in self.places:
            return
        number, seconds = self.places[attempt.worker]
        if attempt.started_s is not None:
            ran_s = self.now_s - attempt.started_s
            cost_s = cost_s - ran_s if ran_s < cost_s else _MORE * ran_s
        self.places[attempt.worker] = (number + 1, seconds + cost_s)
        self._threads += threads

    def ends_s(self, worker: Place) -> float:
        """Return when the worker will have done what it has, in monotonic seconds."""
        return self.now_s + self.places[worker][1]

    def has_room(self, worker: Place, *, known: bool) -> bool:
        """Whether the worker may be given one more attempt (`known`: its cost is)."""
        number, seconds = self.places[worker]
        if self.eager:
            return number < _ROOM_EAGER
        if known:
            return number == 0 or seconds < _ROOM_S
        return number < _ROOM

    @property
    def are_full(self) -> bool:
        """Whether every worker has enough to do for now: who looks for more looks in vain."""
        if self.eager:
            return False
        return all(n >= _ROOM and seconds > _FED_S for n, seconds in self.places.values())

    def has_cores(self, threads: float | None) -> bool:
        """Whether there are cores left for a statement that uses so many (None: not known)."""
        if threads is None:
            threads = self.home_threads
        return self.eager or threads <= SEVERAL or self._threads + threads <= self.cores + _SLACK


class Patience:
    """Remembers since when each input has been wanted by statements that could run ahead."""

    def __init__(self) -> None:
        self._wanted: dict[int, tuple[object, float, float]] = {}

    def ends(self, inputs: Iterable[Any], pack_s: float, now_s: float) -> bool:
        """Whether these inputs, which take `pack_s` seconds to pickle, were wanted long enough."""
        if pack_s < _AT_ONCE_S:
            return True
        since_s, factor = now_s, _RENT
        for value in inputs:
            _, first_s, times = self._wanted.setdefault(id(value), (value, now_s, _RENT))
            since_s, factor = min(since_s, first_s), max(factor, times)
        return now_s - since_s >= factor * pack_s

    def hurried(self, inputs: Iterable[Any]) -> None:
        """Pickling these was given up because home came first: be twice as patient with them."""
        now_s = time.monotonic()
        for value in inputs:
            _, _, factor = self._wanted.get(id(value), (value, now_s, _RENT))
            self._wanted[id(value)] = (value, now_s, 2 * factor)


class Meter:
    """Measures how many cores a process uses, without those of the thread that asks."""

    def __init__(self) -> None:
        self._cpu_s = self._wall_s = 0.0
        self.mine_s = 0.0
        """CPU seconds of the asking thread."""

    def begin(self) -> None:
        """Forget what was before."""
        self.read()

    def read(self) -> float:
        """Return the average number of cores used since the last call."""
        self.mine_s = time.thread_time()
        cpu_s, wall_s = time.process_time() - self.mine_s, time.monotonic()
        used, passed = cpu_s - self._cpu_s, wall_s - self._wall_s
        self._cpu_s, self._wall_s = cpu_s, wall_s
        return used / passed if passed > 0 else 1.0
