"""Loops of a cell come in as home enters them, the place of home in each of them goes out.

Theory of operation. A loop is stepped: it walks `map(stepped, iterable)`, so that home's place is
known and an error of the iterable is raised with no frame of ours. If its steps prove short, or
nothing of them can go out, the rest is handed, same iterator and all, to a native loop.

The rule: a loop sees each item of its iterable once, in order, whoever walks it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from taskpar_kernel.engine.stream import Order
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.steps import LoopStep, Step, Unit

BUSY_S = 0.01
"""Once home has been busy with one statement or loop for this long, unknown ones go out."""
SHORT_S = 0.01
"""Steps shorter than this, of which nothing goes out, are not stepped any longer."""
_CHEAP_STEPS = 32
_CHEAP_S = 0.0003
"""A loop whose first steps take less than this each is handed to a native loop: its hooks cost 1 µs
a step, and nothing of that size is worth sending out one by one."""
_PLAIN_ITERABLES = frozenset({"builtins", "itertools", "numpy", "pandas"})
_NOT_STEPPED = -2


@dataclass(frozen=True, slots=True)
class Progress:
    """What a loop asks, now and then, to see whether stepping it pays."""

    user_s: float
    """How long home has been running the user's code."""
    sent: int
    """How many attempts have gone out so far."""
    waits: bool
    """Whether any of them is still out."""
    looks: bool
    """Whether home looks ahead at all."""


class Walker(Protocol):
    """Who runs the loops."""

    def progress(self) -> Progress:
        """Return how things stand."""

    def goes_on(self) -> None:
        """Look ahead from here on."""

    def hands_over(self) -> None:
        """The step before is over: what follows is a native loop's, and no part of it."""


class Iterations:
    """Where home is in each loop of one cell."""

    def __init__(self, walker: Walker):
        self._walker = walker
        self.steps: dict[UnitId, Step] = {}
        self.blocks: set[UnitId] = set()
        self._around: dict[UnitId, tuple[UnitId, ...]] = {}
        self._index: dict[UnitId, int] = {}
        self._left: dict[UnitId, Any] = {}
        """What loops leave to native ones, which ask for it at once: no other code runs between."""

    def learn(self, steps: Iterable[Step], around: tuple[UnitId, ...] = ()) -> None:
        """Take down steps, and which loops are around each."""
        for step in steps:
            self.steps[step.id] = step
            self._around[step.id] = around
            if isinstance(step, LoopStep):
                self.learn(step.body, (*around, step.id))
            elif isinstance(step, Unit) and step.members:
                self.blocks.add(step.id)
                self.learn(step.members, around)

    def order_of(self, unit: UnitId) -> Order:
        """Return the place of the unit's present instance."""
        around = self._around[unit]
        indexes = ((n, self._index.get(n, _NOT_STEPPED)) for n in around)
        return (*chain.from_iterable(indexes), unit)

    def done(self, loop: UnitId) -> int:
        """Return how many iterations of the loop were begun, at least 1."""
        return max(1, self._index.get(loop, 0) + 1)

    def enter(self, loop: UnitId) -> None:
        """Home comes to the loop."""
        self._index[loop] = -1
        self._left.pop(loop, None)

    def at(self, loop: UnitId, index: int) -> None:
        """Home begins iteration `index`."""
        self._index[loop] = index

    def walk(self, loop: UnitId, iterable: Any) -> tuple[Any, bool]:
        """Return what the loop is to walk, and whether it is stepped."""
        kind = type(iterable)
        if kind.__module__ in _PLAIN_ITERABLES and getattr(kind, "__iter__", None) is not None:
            try:
                inner = iter(iterable)
            except TypeError:  # an array without dimensions: the native loop says so itself
                return self.leave_alone(loop, iterable), False
            return map(_Stepped(self, self._walker, loop, inner), inner), True
        return self.leave_alone(loop, iterable), False

    def leave_alone(self, loop: UnitId, iterable: Any) -> tuple[()]:
        """Leave all of `iterable` to the native loop: its iterations are nobody's prediction."""
        self._left[loop] = iterable
        self._index[loop] = _NOT_STEPPED
        return ()

    def is_stepped(self, loop: UnitId) -> bool:
        """Whether home is in an iteration that has a place in program order."""
        return 0 <= self._index.get(loop, _NOT_STEPPED) < sys.maxsize

    def rest(self, loop: UnitId) -> Iterable[Any]:
        """Return what a stepped loop will have left for the native one."""
        if loop in self._left:
            left: Iterable[Any] = self._left.pop(loop)
            return left
        return chain.from_iterable(self._later(loop))

    def hand_over(self, loop: UnitId, left: Iterator[Any]) -> None:
        """The stepped loop ends here; a native one goes on with what is left."""
        self._left[loop] = left
        self.at(loop, sys.maxsize)  # home is past all of its steps

    def _later(self, loop: UnitId) -> Iterator[Iterator[Any]]:
        """Give what is left once it is asked for: a generator asks before it begins."""
        yield self._left.pop(loop, iter(()))


class _Stepped:
    """Tells which iteration of a loop begins; hands over when that is not worth it.

    StopIteration from here ends the stepped part, and the native loop goes on.
    """

    def __init__(self, iterations: Iterations, walker: Walker, loop: UnitId, inner: Iterator[Any]):
        self._iterations = iterations
        self._walker = walker
        self._loop = loop
        self._inner = inner
        self._index = -1
        self._next_look = 1
        self._looked = (0, walker.progress().user_s, 0)
        self._begin_s = time.monotonic()

    def __call__(self, item: Any) -> Any:
        self._index += 1
        if self._index == self._next_look:
            self._next_look *= 2
            if self._is_in_vain():
                self._walker.hands_over()
                self._iterations.hand_over(self._loop, chain((item,), self._inner))
                raise StopIteration
            spent_s = time.monotonic() - self._begin_s
            if spent_s > BUSY_S and spent_s > _CHEAP_S * self._index:
                self._walker.goes_on()
        self._iterations.at(self._loop, self._index)
        return item

    def _is_in_vain(self) -> bool:
        """Whether the steps since the last look were short, or nothing of them could go out.

        What else took time meanwhile (the hooks themselves, another process) does not count.
        """
        if self._index < _CHEAP_STEPS:
            return False
        begin, begin_s, sent = self._looked
        now = self._walker.progress()
        self._looked = (self._index, now.user_s, now.sent)
        each_s = (now.user_s - begin_s) / (self._index - begin)
        if each_s < _CHEAP_S:
            return not now.waits
        looked_ahead = begin >= _CHEAP_STEPS and now.looks
        return looked_ahead and now.sent == sent and each_s < SHORT_S


__all__ = ["BUSY_S", "SHORT_S", "Iterations", "Progress"]
