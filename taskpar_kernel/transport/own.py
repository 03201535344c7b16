"""The objects that a process keeps as its own: ids come in, the names by which others find theirs.

A sentinel, a registry, the hidden generator behind `random.random`: an object that is a value of a
module, of a class in it or of a function's defaults is one for each process, and code asks for it
by identity. The rule: it travels as a reference (module and path), in both directions, and what it
holds must be the same at both ends. What cannot be replaced so, a plain list or dict, is refused.

Modules are gone through once each, classes and functions of a package once such a thing is met: an
entry that no longer holds is found out by looking there. What a module took in since then is found
if it is the module in which the object's class was defined (`Own.fresh`).
"""

from __future__ import annotations

import enum
import logging
import re
import sys
import threading
import types
import typing
import weakref
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.transport.states import package_of

Place = tuple[str | int, ...]
"""The name of a module, then a name in it, then names and positions in what was found."""

_GENERATORS = (
    ("random", "_inst"),
    ("secrets", "_sysrand"),
    ("numpy.random.mtrand", "_rand"),
    ("numpy.random.mtrand", "_rand", "_bit_generator"),
    ("torch._C", "default_generator"),
)
"""Hidden generators: what they hold is watched as ambient state, and differs while work goes on."""

_NO_OBJECTS = (
    type,
    types.FunctionType,
    types.ModuleType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    types.ClassMethodDescriptorType,
    types.GenericAlias,
    types.UnionType,
    property,
    classmethod,
    staticmethod,
    enum.Enum,
    re.Pattern,
    logging.Logger,
    typing.TypeVar,
    typing.ParamSpec,
    str,
    bytes,
    int,
    float,
    complex,
    tuple,
    frozenset,
    type(None),
    type(...),
    type(NotImplemented),
)
"""They are found by name anyway, or have no identity, or are never a value of their own."""

_BY_VALUE = frozenset({"numpy", "pandas"})
"""Libraries whose objects travel by value, wherever they are kept."""

_METHODS = (types.BuiltinMethodType, types.MethodType)
_DULL_MODULES = frozenset({"typing", "typing_extensions", "_frozen_importlib", "abc", "_abc"})


def _is_module(value: object) -> bool:
    """Whether it is one; libraries of cffi only say so, and have no weak references."""
    return issubclass(type(value), types.ModuleType)


class Own:
    """Finds the places of objects; one for the process, filled as modules appear."""

    def __init__(self) -> None:
        self.places: dict[int, Place] = {}
        """Id → place; whoever finds an id here asks `place_of`, because entries grow old."""
        self._modules: dict[str, weakref.ref[types.ModuleType]] = {}
        self._shallow: dict[str, dict[str, None]] = {}
        """Package → its modules whose classes and functions were not gone through, in order."""
        self._dull: dict[type, bool] = {}
        self._count = 0
        self._last: Callable[[], Any] = _nothing
        self._updating = threading.Lock()

    def update(self) -> None:
        """Take in the modules that were loaded since; O(modules) if there are any.

        The first time takes some 40 ms: any thread may have it done before it is needed.
        """
        with self._updating:
            self._update()

    def _update(self) -> None:
        last = next(reversed(sys.modules.values()))
        if len(sys.modules) == self._count and self._last() is last:
            return
        self._count = len(sys.modules)
        self._last = weakref.ref(last) if _is_module(last) else _nothing
        for name, module in tuple(sys.modules.items()):
            if not _is_module(module):
                continue
            if self._modules.get(name, _nothing)() is not module:
                self._modules[name] = weakref.ref(module)
                top = name.partition(".")[0]
                if top not in _NOT_LIBRARIES:
                    self._shallow.setdefault(top, {})[name] = None
                    self._enter(_values_of(module), (name,))
        for place in _GENERATORS:
            found = _look(place)
            if found is not _MISSING:
                self.places[id(found)] = place

    def refuse_values(self, objects: Mapping[int, object]) -> None:
        """Raise `NotPortable` if one of the objects is kept by a module and travels by value.

        `objects`: id → object.
        """
        for identity in self.places.keys() & objects.keys():
            place = self.place_of(objects[identity])
            if place is not None and travels_by_value(type(objects[identity])):
                raise NotPortable(f"{dotted(place)} would become another object")

    def place_of(self, obj: object) -> Place | None:
        """Return where the object is to be found in every process, or None."""
        place = self.places.get(id(obj))
        return place if place is not None and _look(place) is obj else None

    def fresh(self, kind: type) -> None:
        """Take in what the module and the class of `kind` hold now of that kind."""
        package = package_of(kind)
        if kind is object:
            self.deepen("")
        elif package in _LARGE:
            if package not in _BY_VALUE:
                self._deepen_module(kind.__module__)
        elif package not in _NOT_LIBRARIES:
            self.deepen(package)
            module = self._modules.get(kind.__module__, _nothing)()
            for name, value in tuple(vars(module).items()) if module is not None else ():
                if type(value) is kind and (kind.__module__, name) != self.places.get(id(value)):
                    self.places[id(value)] = (kind.__module__, name)

    def deepen(self, package: str) -> None:
        """Take in the classes and functions of a package's modules; of all, if it has no name."""
        with self._updating:
            packages = (package,) if package else tuple(self._shallow)
            names = [name for top in packages for name in self._shallow.pop(top, ())]
        for name in names:
            self._deepen_one(name)

    def _deepen_module(self, name: str) -> None:
        shallow = self._shallow.get(name.partition(".")[0], {})
        with self._updating:
            is_new = name in shallow
            shallow.pop(name, None)
        if is_new:
            self._deepen_one(name)

    def _deepen_one(self, name: str) -> None:
        module = self._modules[name]()
        for key, value in _values_of(module) if module is not None else ():
            if getattr(value, "__module__", None) != name:
                continue
            if isinstance(value, type):
                self._enter_class(value, (name, key))
            elif isinstance(value, types.FunctionType):
                self._enter_defaults(value, (name, key))

    def _enter_class(self, cls: type, place: Place) -> None:
        items = tuple(vars(cls).items())
        self._enter(items, place)
        for name, value in items:
            if isinstance(value, types.FunctionType):
                self._enter_defaults(value, (*place, name))

    def _enter_defaults(self, function: types.FunctionType, place: Place) -> None:
        if function.__defaults__:
            self._enter(enumerate(function.__defaults__), (*place, "__defaults__"))
        if function.__kwdefaults__:
            self._enter(tuple(function.__kwdefaults__.items()), (*place, "__kwdefaults__"))

    def _enter(self, items: Any, place: Place) -> None:
        for name, value in items:
            kind = type(value)
            dull = self._dull.get(kind)
            if dull is None:
                dull = self._dull[kind] = _is_dull(kind)
            if not dull and (kind not in _METHODS or _is_bound(value)):
                self.places.setdefault(id(value), (*place, name))


_MISSING = object()

NAMED: dict[int, object] = {}
"""Objects that travelled as references and hold nothing of their own: they need no number."""

_LARGE = frozenset({"numpy", "pandas", "pyarrow", "scipy", "sklearn"})
"""Large libraries: which of their classes keeps an object is looked up module by module."""

_NOT_LIBRARIES = frozenset({"__main__", "__mp_main__", "taskpar_kernel", "builtins"})


def _nothing() -> None:
    return None


def _values_of(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    for name, value in tuple(vars(module).items()):
        if type(name) is str and not (name.startswith("__") and name.endswith("__")):
            yield name, value


def _is_dull(kind: type) -> bool:
    if package_of(kind) in _BY_VALUE:
        return kind.__name__ not in {"ndarray", "DataFrame", "Series"}
    by_name = kind.__module__ in _DULL_MODULES or "cython_function" in kind.__name__
    return by_name or issubclass(kind, _NO_OBJECTS)


def travels_by_value(kind: type) -> bool:
    """Whether objects of this kind are copied, although a module keeps them."""
    return kind in (list, dict, set, bytearray) or package_of(kind) in _BY_VALUE


def _is_bound(method: Any) -> bool:
    return not isinstance(method.__self__, types.ModuleType | type | None)


def _look(place: Place) -> Any:
    """Return what is at a place in this process, without running code of a library."""
    module, *path = place
    found: Any = sys.modules.get(str(module))
    for step in path:
        if isinstance(found, types.ModuleType | type):
            found = vars(found).get(str(step), _MISSING)
        elif isinstance(found, dict):
            found = found.get(step, _MISSING)
        elif isinstance(step, int):
            found = found[step] if isinstance(found, tuple) and step < len(found) else _MISSING
        else:
            found = getattr(found, step, _MISSING)
    return _MISSING if found is None else found


def is_hidden_generator(place: Place) -> bool:
    """Whether the place is that of a generator behind functions of its module."""
    return place in _GENERATORS


def find_own(place: Place) -> Any:
    """Return this process's own object at a place.

    Raises:
        NotPortable: there is none.
    """
    import_module(str(place[0]))
    found = _look(place)
    if found is _MISSING:
        raise NotPortable(f"{dotted(place)} is not here")
    return found


def dotted(place: Place) -> str:
    """Return a place as one would write it."""
    return ".".join(map(str, place))


OWN = Own()
"""The one of this process."""
