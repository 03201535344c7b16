"""Values come in, the packages that code can reach by them go out; none of the user's code is run.

A statement reaches what its names are bound to: what those objects hold, the globals of the
notebook's functions and methods among them, and what these import. The rule: too much costs time,
too little costs the promise; so who would have to go far is told that everything is reached.
"""

from __future__ import annotations

import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import islice
from typing import Any

_MOST_ITEMS = 1000
_MOST_MET = 300
"""After so many values it is taken that code can reach everything."""


def packages_behind(values: Iterable[object], namespace: Mapping[str, Any]) -> set[str] | None:
    """Return the names of packages, and other names, that lead on from these values.

    `namespace` holds the globals of the notebook's functions. None: it would take long to tell.
    """
    found: set[str] = set()
    queue, met = list(values), dict[int, object]()
    while queue:
        value = queue.pop()
        if id(value) in met:
            continue
        met[id(value)] = value
        if len(met) > _MOST_MET:
            return None
        found.add(_top(value))
        queue += _leads_to(value)
        for code in _codes_of(value):
            names = _names_in(code)
            found.update(name.partition(".")[0] for name in names)  # it may import them
            queue += [namespace[name] for name in names if name in namespace]
    return found


def top_of(kind: type) -> str:
    """Return the outermost package that a class says it comes from, asking no metaclass."""
    module = type.__getattribute__(kind, "__module__")
    return module.partition(".")[0] if type(module) is str else ""


def attributes_of(value: object) -> dict[str, Any] | None:
    """Return an object's own attributes, without its class having a say; None: it has none."""
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return attributes if type(attributes) is dict else None


def _top(value: object) -> str:
    """Return the package by which a value was made, or that it is; runs no code of the user's."""
    kind = type(value)
    if issubclass(kind, types.ModuleType):
        name = value.__dict__.get("__name__")
    elif kind in (types.FunctionType, types.BuiltinFunctionType):
        name = value.__module__
    elif isinstance(value, type):
        return top_of(value)
    else:
        return top_of(kind)
    return name.partition(".")[0] if type(name) is str else ""


def _leads_to(value: Any) -> Iterable[object]:
    """Return what a method, a partial call, a container or an object of the notebook is about.

    Of several things of one kind, one.
    """
    kind = type(value)
    items: Iterable[object] = ()
    if kind is types.MethodType:
        return value.__self__, value.__func__
    if kind is partial:
        return value.func, *value.args, *value.keywords.values()
    if kind is types.FunctionType and value.__module__ == "__main__":
        cells = (c.cell_contents for c in value.__closure__ or () if _is_filled(c))
        return *cells, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()
    if kind in (list, tuple, set, frozenset, deque):
        items = value
    elif kind in (dict, OrderedDict, defaultdict):
        items = dict.values(value)
    elif top_of(kind) == "__main__":
        items = (attributes_of(value) or {}).values()
    return {type(item): item for item in islice(items, _MOST_ITEMS)}.values()


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _codes_of(value: object) -> Iterator[types.CodeType]:
    """Yield the code of a notebook's function, or of the methods of a notebook's class."""
    if isinstance(value, types.FunctionType):
        if value.__module__ == "__main__":
            yield value.__code__
        return
    kind = value if isinstance(value, type) else type(value)
    for base in type.mro(kind):
        if top_of(base) == "__main__":
            for member in tuple(vars(base).values()):
                function = getattr(member, "__func__", member)
                if isinstance(function, types.FunctionType):
                    yield function.__code__


@lru_cache(1024)
def _names_in(code: types.CodeType) -> frozenset[str]:
    inner = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return frozenset(code.co_names).union(*map(_names_in, inner))


__all__ = ["attributes_of", "packages_behind", "top_of"]
