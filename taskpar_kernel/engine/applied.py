"""Functions that a builtin calls for each item (`map`, `max(…, key=…)`): how home calls them.

Theory of operation. What is handed to the builtin in place of the function is callable, but its
`__call__` is a property: for each call it says which function it is this time. It is the user's,
called by the builtin as ever, with no frame of ours in a traceback; or one that gives the outcome
which was just taken. The item comes first: the builtin gets it from an iterator that notes it, and
calls the function with it next. `sorted` takes all items before; for it they are walked once more.

The rule: the function is called for the same items in the same order as without us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

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

__all__ = ["Applied"]
