"""The numbers that libraries keep for themselves: modules come in, those that have moved go out.

`_next_id` of a module, `_count` of a class, an `itertools.count`: a library names what it makes by
them, so the second object made in the process differs from the first. The rule: an attempt that
moved one is no outcome, because home's has not moved; home makes the object itself. Modules are
gone through once each, while nothing else is to be done, because that takes a tenth of a second.
"""

from __future__ import annotations

import ast
import itertools
import sys
import types
from collections.abc import Callable, Iterator
from operator import is_, itemgetter
from typing import Any

Owner = types.ModuleType | type
_NUMBERS = (int, float, itertools.count)
Numbers = tuple[list[tuple[object, ...]], list[str]]


class Kept:
    """Knows where installed libraries keep numbers; one for the process."""

    def __init__(self) -> None:
        self._modules: dict[str, types.ModuleType] = {}
        self._groups: list[tuple[Owner, tuple[str, ...], Callable[[Any], Any]]] = []
        """Owner, its numbers' names, and what gives all of them at once."""
        self._counters: list[tuple[Owner, str]] = []
        self._count = 0
        self._last = ""

    def update(self) -> None:
        """Take in the modules that were loaded since; O(modules) if there are any."""
        last = next(reversed(sys.modules))
        if len(sys.modules) == self._count and last == self._last:
            return
        self._count, self._last = len(sys.modules), last
        for name, module in tuple(sys.modules.items()):
            if self._modules.get(name) is not module and isinstance(module, types.ModuleType):
                self._modules[name] = module
                if _is_library(module):
                    self._take_in(module)

    def _take_in(self, module: types.ModuleType) -> None:
        for owner, names in _places_in(module):
            held = vars(owner)
            counters = [name for name in names if type(held[name]) is itertools.count]
            numbers = tuple(name for name in names if name not in counters)
            self._counters += [(owner, name) for name in counters]
            if numbers:
                # one more, so that it is a tuple also for one
                self._groups.append((owner, numbers, itemgetter(*numbers, numbers[0])))

    def values(self) -> Numbers:
        """Return what is kept now, in the order in which the places were found; O(places).

        A counter is told from another by how it shows itself.
        """
        try:
            numbers = [get(vars(owner)) for owner, _, get in self._groups]
        except KeyError:  # one is gone
            numbers = [tuple(map(vars(owner).get, names)) for owner, names, _ in self._groups]
        return numbers, [repr(vars(owner).get(name)) for owner, name in self._counters]

    def moved(self, before: Numbers) -> list[str]:
        """Return the dotted names of those that are not as they were `before`."""
        return [_dotted(owner, name) for owner, name, _ in self._moved(before)]

    def put_back(self, before: Numbers) -> None:
        """Give each that has moved the value it had `before`."""
        for owner, name, old in self._moved(before):
            setattr(owner, name, old)

    def _moved(self, before: Numbers) -> Iterator[tuple[Owner, str, object]]:
        """Yield those that have moved, with the value each had."""
        now = self.values()
        for (owner, names, _), old, new in zip(self._groups, before[0], now[0], strict=False):
            if not all(map(is_, old, new)):
                for name, one, other in zip(names, old, new, strict=False):
                    if not _same(one, other):
                        yield owner, name, one
        for (owner, name), was, shown in zip(self._counters, before[1], now[1], strict=False):
            if was != shown:
                yield owner, name, _counter(was)


def _is_library(module: types.ModuleType) -> bool:
    file = module.__dict__.get("__file__")
    name = module.__name__
    return type(file) is str and "-packages" in file and not name.startswith("taskpar_kernel")


def _places_in(module: types.ModuleType) -> Iterator[tuple[Owner, list[str]]]:
    """Yield the module and its classes, with the names of the numbers they keep."""
    owners: list[Owner] = [module, *_classes_of(module)]
    for owner in owners:
        held = tuple(vars(owner).items())
        yield owner, [name for name, value in held if _may_move(name, value)]


def _classes_of(module: types.ModuleType) -> list[type]:
    """Return the classes that the module defines, but for those that nobody can change."""
    kinds = [v for v in vars(module).values() if isinstance(v, type)]
    own = (k for k in kinds if type.__getattribute__(k, "__module__") == module.__name__)
    return [kind for kind in own if not kind.__flags__ & _IMMUTABLE]


_IMMUTABLE = 1 << 8
"""`Py_TPFLAGS_IMMUTABLETYPE`: its attributes cannot be set."""


def _may_move(name: object, value: object) -> bool:
    """Whether it is a number, and by its name neither a constant nor the interpreter's."""
    if type(value) not in _NUMBERS or type(name) is not str:
        return False
    return not (name.isupper() or (name.startswith("__") and name.endswith("__")))


def _counter(shown: str) -> Any:
    numbers = ast.literal_eval(shown.removeprefix("count"))
    return itertools.count(*(numbers if type(numbers) is tuple else (numbers,)))


def _same(old: object, new: object) -> bool:
    """Whether it is the same number, of the same type."""
    return old is new or (type(old) is type(new) and repr(old) == repr(new))


def _dotted(owner: Owner, name: str) -> str:
    if isinstance(owner, types.ModuleType):
        return f"{owner.__name__}.{name}"
    return f"{owner.__module__}.{owner.__qualname__}.{name}"


KEPT = Kept()
"""The one of this process."""
