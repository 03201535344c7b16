"""Functions that a builtin calls for each item (`map`, `max(…, key=…)`): how home calls them.

Theory of operation. What is handed to the builtin in place of the function is callable, but its
`__call__` is a property: for each call it says which function it is this time. It is the user's,
called by the builtin as ever, with no frame of ours in a traceback; or one that gives the outcome
which was just taken. The item comes first: the builtin gets it from an iterator that notes it, and
calls the function with it next. `sorted` takes all items before; for it they are walked once more.

The rule: the function is called for the same items in the same order as without us.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from taskpar_kernel.engine.walking import PLAIN
from taskpar_kernel.model.ids import UnitId

if TYPE_CHECKING:
    from types import FrameType

    from taskpar_kernel.engine.iterations import Iterations

Take = Callable[[Any], tuple[bool, Any]]
"""Takes the outcome for an item, if there is one."""
_END = object()


class Applied:
    """Stands for a function while a builtin applies it."""

    __slots__ = ("_function", "_item", "_items", "_take")

    def __init__(self, function: Any, take: Take, items: Iterator[Any] | None = None):
        self._function = function
        self._take = take
        self._items = items
        """The items to come, where the builtin has taken all of them before."""
        self._item: Any = _END

    def note(self, item: Any) -> Any:
        """Take down which item the function is called with next."""
        self._item = item
        return item

    def __call__(self, item: Any) -> Any:  # stands here for type checkers; see below
        """Call the function, or give the outcome for the item."""
        raise NotImplementedError

    def _present(self) -> Any:
        """Return what is to be called this time."""
        item, self._item = self._item, _END
        if self._items is not None:
            item = next(self._items, _END)
            if item is _END:  # all that follow are the builtin's own
                self._items = iter(())
        if item is _END:
            return self._function
        taken, value = self._take(item)
        return (lambda _: value) if taken else self._function


Applied.__call__ = property(Applied._present)  # type: ignore[method-assign, assignment]


class AppliedHooks(ABC):
    """The hooks that the rewritten code calls around such functions."""

    _iterations: Iterations
    _key: Any = None

    @abstractmethod
    def has(self, number: UnitId, *local: Any) -> bool:
        """Whether the unit's outcome was taken here."""

    @abstractmethod
    def value(self, number: int) -> Any:
        """Return the value of the expression whose outcome was just taken."""

    @abstractmethod
    def rest(self, number: int) -> Iterable[Any]:
        """Return what a stepped loop will have left for the native one."""

    @abstractmethod
    def _walked(self, number: UnitId, iterable: Any, frame: FrameType) -> Any:
        """Return an iterator over `iterable` that knows how far home is; (): all is left."""

    def applied(self, number: int, unit: int, function: Any, iterable: Any) -> tuple[Any, Any]:
        """Return what `map` and `filter` call and walk in place of these."""
        walked = self._walked(UnitId(number), iterable, sys._getframe(1))
        if walked == ():
            return function, self.rest(number)
        applied = Applied(function, partial(self._outcome_for, UnitId(number), unit))
        return applied, chain(map(applied.note, walked), self.rest(number))

    def compared(self, number: int, unit: int, iterable: Any, function: Any, by: Any) -> Any:
        """Return what `max`, `min` and `sorted` walk; `key` says what they call."""
        loop = UnitId(number)
        items = list(iterable) if by is sorted and type(iterable) in PLAIN else iterable
        walked = self._walked(loop, items, sys._getframe(1))
        take = partial(self._outcome_for, loop, unit)
        if walked == () or (by is sorted and items is iterable):
            self._key = function
            return iterable
        if by is sorted:  # it takes all items before it calls anything
            self._key = Applied(function, take, iter(walked))
            return items
        self._key = Applied(function, take)
        return chain(map(self._key.note, walked), self.rest(number))

    def key(self) -> Any:
        """Return what is called for each item of what was just compared."""
        key, self._key = self._key, None
        return key

    def _outcome_for(self, loop: UnitId, unit: int, item: Any) -> tuple[bool, Any]:
        """Take the outcome of an applied function for `item`, if there is one."""
        if not self._iterations.is_stepped(loop) or not self.has(UnitId(unit), item):
            return False, None
        return True, self.value(unit)


__all__ = ["Applied", "AppliedHooks"]
