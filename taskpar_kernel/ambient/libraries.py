"""What libraries are set to: the places where they keep settings come in, those changed go out.

`lib.set_defaults(scale=10)` changes a dict of the library's, in home's process only, and what the
library computes from then on depends on it. The rule: what home changed is carried to each worker
before it runs anything later, and an attempt that changes such a place is no outcome.

A place is a name of a module or of a class in it that holds plain data: a number, a text, a list,
dict or set of such, or an object of the library's own with nothing but such in it. What a place
held when its library was imported is its first state. Libraries whose settings are known by name
(the other providers) are left out, and so are caches and counters, by their names. Only the
libraries that a statement can reach are looked at again after it: that takes about a microsecond
for each place.
"""

from __future__ import annotations

import re
import sys
import threading
import types
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from taskpar_kernel.ambient.data import CONTAINERS, SCALARS, OfObject, as_bytes, from_bytes
from taskpar_kernel.ambient.reach import attributes_of, packages_behind, top_of
from taskpar_kernel.errors import NotPortable

Place = tuple[str, str, str]
"""A module, a class in it or "", and a name there."""
State = tuple[tuple[Place, bytes | None], ...]
"""Places that are not in their first state, in order, and what they hold; None: it is no data."""
Owner = types.ModuleType | type

_KNOWN = frozenset(
    {
        *("numpy", "pandas", "scipy", "sklearn", "matplotlib", "mpl_toolkits", "pyarrow", "torch"),
        *("IPython", "ipykernel", "jupyter_client", "jupyter_core", "traitlets", "zmq", "tornado"),
        *("taskpar_kernel", "comm", "debugpy", "psutil", "cloudpickle", "xxhash", "pygments"),
        *("prompt_toolkit", "jedi", "parso", "stack_data", "asttokens", "executing", "pure_eval"),
        *("decorator", "dateutil", "six", "pytz", "packaging", "matplotlib_inline", "pip"),
        *("setuptools", "pkg_resources", "importlib_metadata", "typing_extensions", "tqdm"),
        *("ipywidgets", "nest_asyncio", "pexpect", "ptyprocess", "wcwidth", "platformdirs"),
    }
)
_NO_SETTING = re.compile(
    r"cache|memo|registry|count|counter|seen|warned|lock|(^|_)(id|ids|next|num|seq|serial)($|_)|Id$"
)
_READING = re.compile(r"(^|_)(time|start|started|elapsed|last)($|_)")
"""A floating-point number of such a name is what a clock said."""
_NO_DATA = frozenset(
    {
        *(type, types.FunctionType, types.ModuleType, types.BuiltinFunctionType, property),
        *(classmethod, staticmethod, types.MethodDescriptorType, types.WrapperDescriptorType),
        *(types.GetSetDescriptorType, types.MemberDescriptorType, types.GenericAlias),
    }
)
_MOST_ITEMS = 1000
_MOST_BYTES = 20_000
"""A larger place is a table, and no setting."""
_IMMUTABLE = 1 << 8
"""`Py_TPFLAGS_IMMUTABLETYPE`: its attributes cannot be set."""
_MISSING = object()


class Libraries:
    """Knows where libraries keep settings, and which are not as they were; one for the process."""

    def __init__(self) -> None:
        self._modules: dict[str, types.ModuleType] = {}
        self._places: dict[str, dict[Place, Owner]] = {}
        """Package → its places."""
        self._first: dict[Place, bytes] = {}
        self._fixed: dict[Place, object] = {}
        """Place → what cannot change and was there first: it is known by its identity."""
        self._changed: dict[Place, bytes | None] = {}
        self._suspects: set[str] = set()
        self._state: State = ()
        self._count = 0
        self._last = ""
        self._updating = threading.Lock()

    def update(self) -> None:
        """Take in the modules loaded since, as they are now; O(modules) if there are any."""
        with self._updating:
            last = next(reversed(sys.modules))
            if len(sys.modules) == self._count and last == self._last:
                return
            self._count, self._last = len(sys.modules), last
            for name, module in tuple(sys.modules.items()):
                if self._modules.get(name) is not module:
                    self._modules[name] = module
                    if package := _package_of(name, module):
                        self._take_in(package, name, module)

    def _take_in(self, package: str, name: str, module: types.ModuleType) -> None:
        for place, owner in _places_in(name, module):
            held = as_bytes(vars(owner).get(place[2]))
            if held is not None and len(held) <= _MOST_BYTES:
                value = vars(owner)[place[2]]
                if type(value) in SCALARS:
                    self._fixed[place] = value
                self._places.setdefault(package, {})[place] = owner
                self._first[place] = held
                self._changed.pop(place, None)

    # What may have been changed ----------------------------------------------------------------

    def packages(self, values: Iterable[object], namespace: Mapping[str, Any]) -> frozenset[str]:
        """Return the packages that code can reach by these values; `namespace`: its globals.

        All of them, if it would take long to tell.
        """
        if not self._places:
            return frozenset()
        found = packages_behind(values, namespace)
        return self.all() if found is None else frozenset(found & self._places.keys())

    def all(self) -> frozenset[str]:
        """Return all packages that are watched."""
        return frozenset(self._places)

    def suspect(self, packages: Iterable[str]) -> None:
        """Something has run that may have changed these packages."""
        self._suspects.update(packages)

    def state(self) -> State:
        """Return what is not in its first state now."""
        if self._suspects:
            for package in tuple(self._suspects):
                for place in self._places.get(package, ()):
                    now = self._now(place)
                    if now == self._first[place]:
                        self._changed.pop(place, None)
                    else:
                        self._changed[place] = now
            self._suspects.clear()
            self._state = tuple(sorted(self._changed.items(), key=lambda entry: entry[0]))
        return self._state

    # At a worker -------------------------------------------------------------------------------

    def put(self, state: State) -> None:
        """Set all places to what `state` says, the others to their first state.

        Raises:
            NotPortable: one of them cannot be set to what it holds at home.
        """
        wanted = dict(state)
        for place in self._changed.keys() - wanted.keys():
            self._set(place, self._first[place])
            del self._changed[place]
        for place, held in wanted.items():
            if place not in self._first:
                _load(place[0])
                self.update()
            if held is None or place not in self._first:
                raise NotPortable(f"{dotted(place)} was changed at home, to what is no plain data")
            if self._changed.get(place) != held:
                self._changed[place] = held
                self._set(place, held)

    def snapshot(self, packages: Iterable[str]) -> dict[Place, bytes | None]:
        """Return what the places of these packages hold."""
        return {
            place: self._now(place)
            for package in packages
            for place in self._places.get(package, ())
        }

    def moved(self, before: Mapping[Place, bytes | None]) -> list[Place]:
        """Return the places that do not hold what they held `before`."""
        return [place for place, held in before.items() if self._now(place) != held]

    def put_back(self, before: Mapping[Place, bytes | None]) -> None:
        """Let all places hold what they held `before`, as far as that can be."""
        for place in self.moved(before):
            held = before[place]
            if held is not None:
                self._set(place, held)

    def _now(self, place: Place) -> bytes | None:
        owner = self._owner(place)
        first = self._fixed.get(place, _MISSING)
        if first is not _MISSING and vars(owner).get(place[2], self) is first:
            return self._first[place]
        return as_bytes(vars(owner).get(place[2]))

    def _owner(self, place: Place) -> Owner:
        return self._places[place[0].partition(".")[0]][place]

    def _set(self, place: Place, held: bytes) -> None:
        owner, name = self._owner(place), place[2]
        old, new = vars(owner).get(name), from_bytes(held)
        if isinstance(new, tuple) and new[:1] == (OfObject,):
            for attribute, value in new[1].items():
                if not _refill(vars(old).get(attribute), value):
                    setattr(old, attribute, value)
        elif not _refill(old, new):
            setattr(owner, name, new)


def dotted(place: Place) -> str:
    """Return how a place is written."""
    return ".".join(filter(None, place))


def _refill(container: Any, new: Any) -> bool:
    """Give a container of the same kind what `new` holds: others may know it."""
    if not isinstance(container, CONTAINERS) or not isinstance(container, type(new)):
        return False
    container.clear()
    if isinstance(container, list):
        container.extend(new)
    else:
        container.update(new)
    return True


def _load(module: str) -> None:
    try:
        import_module(module)
    except Exception as error:  # a module may raise anything
        raise NotPortable(f"the library {module!r} cannot be imported here: {error}") from error


# Places ------------------------------------------------------------------------------------------


def _package_of(name: str, module: types.ModuleType) -> str:
    """Return the package of a library that is watched, or ""; a second name does not count."""
    if not issubclass(type(module), types.ModuleType) or module.__dict__.get("__name__") != name:
        return ""
    file = module.__dict__.get("__file__")
    package = name.partition(".")[0]
    is_watched = type(file) is str and "-packages" in file and package not in _KNOWN
    return package if is_watched else ""


def _places_in(name: str, module: types.ModuleType) -> Iterator[tuple[Place, Owner]]:
    package = name.partition(".")[0]
    for attribute, value in tuple(vars(module).items()):
        if _may_be_setting(attribute, value, package):
            yield (name, "", attribute), module
        elif (
            isinstance(value, type)
            and type.__getattribute__(value, "__module__") == name
            and not value.__flags__ & _IMMUTABLE
        ):
            for inner, held in tuple(vars(value).items()):
                if _may_be_setting(inner, held, package):
                    yield (name, attribute, inner), value


def _may_be_setting(name: object, value: object, package: str) -> bool:
    kind = type(value)
    if kind in _NO_DATA:
        return False
    if kind in SCALARS:
        is_data = True
    elif kind in CONTAINERS:
        is_data = len(value) <= _MOST_ITEMS  # type: ignore[arg-type]
    else:
        is_data = (
            top_of(kind) == package
            and not hasattr(kind, "__get__")  # it belongs to the class, and holds no setting
            and attributes_of(value) is not None
        )
    if kind is float and type(name) is str and _READING.search(name) is not None:
        return False
    return (
        is_data
        and type(name) is str
        and not name.startswith("__")
        and _NO_SETTING.search(name) is None
    )


LIBRARIES = Libraries()
"""The one of this process."""
