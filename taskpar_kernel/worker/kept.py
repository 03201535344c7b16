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
from collections.abc import Iterator
from typing import Any

Owner = types.ModuleType | type
_NUMBERS = (int, float, itertools.count)


class Kept:
    """Knows where installed libraries keep numbers; one for the process."""

    def __init__(self) -> None:
        self._modules: dict[str, types.ModuleType] = {}
        self._places: list[tuple[Owner, str]] = []
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
                    self._places.extend(_places_in(module))

    def values(self) -> list[object]:
        """Return what is kept now, in the order in which the places were found; O(places)."""
        return [_plain(vars(owner).get(name)) for owner, name in self._places]

    def moved(self, before: list[object]) -> list[str]:
        """Return the dotted names of those that are not as they were `before`."""
        pairs = zip(self._places, before, strict=False)
        return [_dotted(*p) for p, old in pairs if not _same(old, _plain(vars(p[0]).get(p[1])))]

    def put_back(self, before: list[object]) -> None:
        """Give each that has moved the value it had `before`."""
        for (owner, name), old in zip(self._places, before, strict=False):
            if not _same(old, _plain(vars(owner).get(name))):
                setattr(owner, name, _from_plain(old))


def _is_library(module: types.ModuleType) -> bool:
    file = module.__dict__.get("__file__")
    name = module.__name__
    return type(file) is str and "-packages" in file and not name.startswith("taskpar_kernel")


def _places_in(module: types.ModuleType) -> Iterator[tuple[Owner, str]]:
    for name, value in tuple(vars(module).items()):
        if _may_move(name, value):
            yield module, name
        elif isinstance(value, type) and type.__getattribute__(value, "__module__") == (
            module.__name__
        ):
            for attribute, held in tuple(vars(value).items()):
                if _may_move(attribute, held) and not value.__flags__ & _IMMUTABLE:
                    yield value, attribute


_IMMUTABLE = 1 << 8
"""`Py_TPFLAGS_IMMUTABLETYPE`: its attributes cannot be set."""


def _may_move(name: object, value: object) -> bool:
    """Whether it is a number, and by its name neither a constant nor the interpreter's."""
    if type(value) not in _NUMBERS or type(name) is not str:
        return False
    return not (name.isupper() or (name.startswith("__") and name.endswith("__")))


def _plain(value: Any) -> object:
    """Return what a number is now; a counter is told from another by how it shows itself."""
    return repr(value) if type(value) is itertools.count else value


def _from_plain(value: Any) -> object:
    if type(value) is not str:
        return value
    numbers = ast.literal_eval(value.removeprefix("count"))
    return itertools.count(*(numbers if type(numbers) is tuple else (numbers,)))


def _same(old: object, new: object) -> bool:
    return old is new or (type(old) is type(new) and repr(old) == repr(new))


def _dotted(owner: Owner, name: str) -> str:
    if isinstance(owner, types.ModuleType):
        return f"{owner.__name__}.{name}"
    return f"{owner.__module__}.{owner.__qualname__}.{name}"


KEPT = Kept()
"""The one of this process."""
