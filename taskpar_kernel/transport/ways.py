"""How objects travel: an object comes in, its reduction or a refusal goes out.

The way is decided by the object's kind, once for each message (`Kinds`):

- *ordinary*: class and attributes; neither constructor nor hand-written pickling is asked.
- *built on*: a subclass of a builtin: what it holds as that builtin, and its attributes.
- *raisable*: an exception: its `args` and attributes, without its `__init__`.
- *trusted*: as its library pickles it, which is known to drop nothing.
- *checked*: as a trusted class pickles this subclass, if that is seen to hold every attribute.

The rule: what cannot be seen to arrive exactly is refused. Pickling is written by hand because
there is something to leave out, or to be made again by a constructor that does what it likes; and
asking it may change the object. So that of unknown libraries is not asked at all.
"""

from __future__ import annotations

import copyreg
import enum
import sys
import types
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.transport.exactness import is_delicate, refuse_inexact, refuse_inexact_kind
from taskpar_kernel.transport.hashing import note_hashing
from taskpar_kernel.transport.states import (
    attributes_of,
    fill_attributes,
    has_slots,
    is_ordinary,
    package_of,
)

_HAND_WRITTEN = (
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__setstate__",
    "__getnewargs__",
    "__getnewargs_ex__",
)
_TRUSTED = frozenset(
    {"dateutil", "numpy", "pandas", "polars", "pyarrow", "pytz", "scipy", "sklearn"}
).union(sys.stdlib_module_names)
"""Libraries whose pickling drops nothing but what they can compute again."""

_ASKED = frozenset({"statsmodels"})
"""Libraries whose pickling leaves things out, but changes nothing: it is asked, and compared."""

_PLAIN = frozenset(
    {
        "attr._make",
        "collections",
        "dataclasses",
        "networkx.classes.coreviews",
        "networkx.classes.reportviews",
        "numpy.polynomial._polybase",
        "sklearn.utils._bunch",
    }
)
"""Modules whose pickling methods need not be asked: class and attributes are all there is.

They name every attribute, or leave one out for the sake of old files, or copy what is shared.
"""

_COMPILED = "__reduce_cython__"
"""The method that Cython writes: it holds every member, or refuses."""

_CONTENT: dict[type, Callable[[Any], Any]] = {
    dict: lambda value: tuple(dict.items(value)),
    list: lambda value: tuple(list.__iter__(value)),
    tuple: lambda value: tuple.__getitem__(value, slice(None)),
    str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    int: int.__pos__,
    float: float.__pos__,
    complex: complex.__pos__,
}
"""What an instance of a subclass holds as a builtin, whatever methods the subclass overrides."""

_FILL: dict[type, Callable[[Any, Any], None]] = {dict: dict.update, list: list.extend}
"""Builtins that are filled after they are made, because what they hold may lead back to them."""

_NOTHING = object()

Way = Callable[[Any, type], Any]
_KNOWN: dict[type, Way | None] = {}
"""The ways of trusted libraries' kinds: nobody changes their pickling while a program runs."""


class Kinds:
    """The kinds of one message's objects, and how each travels.

    `tables`: kinds that are pickled in another way.
    """

    def __init__(self, tables: Mapping[type, Any]):
        self._tables = tables
        self._delicate: dict[int, bool] = {}
        self._ways: dict[int, Way | None] = {}

    def refuse(self, obj: Any, kind: type) -> None:
        """Raise `NotPortable` if `obj` is bound to what a copy would leave behind."""
        delicate = self._delicate.get(id(kind))
        if delicate is None:
            refuse_inexact_kind(kind)
            delicate = self._delicate[id(kind)] = is_delicate(kind)
        if delicate:
            refuse_inexact(obj, kind)

    def reduction(self, obj: Any, kind: type) -> Any:
        """Return the reduction of `obj`, or None where its own pickling is exact.

        Raises:
            NotPortable: its pickling was written in the notebook, or drops something.
        """
        if id(kind) not in self._ways:
            self._ways[id(kind)] = self._way_of(kind)
        way = self._ways[id(kind)]
        if way is None:
            return None
        if weakref.getweakrefcount(obj):
            raise NotPortable(f"a {kind.__qualname__} is known to others by weak references")
        return way(obj, kind)

    def _way_of(self, kind: type) -> Way | None:
        if not _is_trusted(kind):
            note_hashing(kind)
            return _way_of(kind, self._tables)
        if kind not in _KNOWN:
            _KNOWN[kind] = _way_of(kind, self._tables)
        return _KNOWN[kind]


def content_of(obj: Any) -> Any:
    """Return what an object holds, for comparing; None if nothing."""
    kind = type(obj)
    if kind is object:
        return None
    if kind is types.MappingProxyType:
        return dict(obj) or None
    if is_ordinary(kind):
        own, slots = attributes_of(obj)
        if not (own or slots):
            return None
        if not _is_trusted(kind):
            return own, slots
    reduction = Kinds({}).reduction(obj, kind) or obj.__reduce_ex__(5)
    return None if isinstance(reduction, str) else reduction


def travels_by_attributes(kind: type) -> bool:
    """Whether an instance is its class and its `__dict__`, to the pickler and to Python.

    To look at it then runs no code of its class.
    """
    if any("__getattribute__" in vars(base) for base in kind.__mro__[:-1]):
        return False
    found = [vars(base)["__dict__"] for base in kind.__mro__ if "__dict__" in vars(base)]
    if not found or not is_ordinary(kind) or has_slots(kind):
        return False
    if any(type(descriptor) is not types.GetSetDescriptorType for descriptor in found):
        return False
    try:
        return Kinds({})._way_of(kind) is _ordinary
    except NotPortable:
        return False


def _way_of(kind: type, tables: Mapping[type, Any]) -> Way | None:
    owners = [owner for name in _HAND_WRITTEN if (owner := _owner(kind, name)) is not None]
    methods = [getattr(kind, name, None) for name in _HAND_WRITTEN]
    written = [method for method in methods if isinstance(method, types.FunctionType)]
    ours = sys.modules["__main__"].__dict__
    if any(function.__globals__ is ours for function in written):
        raise NotPortable(f"a {kind.__qualname__} has hand-written pickling")
    if kind in tables or kind in copyreg.dispatch_table or issubclass(kind, enum.Enum):
        return None
    if len(written) == len(owners) and all(map(_is_plain, written)):
        for fits, way in _PLAIN_WAYS:
            if fits(kind):
                return way
    if _is_trusted(kind) or not owners:
        return None
    if not all(_holds_all(kind, name) for name in _HAND_WRITTEN):
        raise NotPortable(f"the pickling of a {kind.__qualname__} may leave out something")
    return _checked


def _owner(kind: type, name: str) -> type | None:
    """Return the class that defines how instances of `kind` are pickled, if it is no builtin."""
    for base in kind.__mro__:
        if name in vars(base):
            return None if base is object or base is BaseException or base in _CONTENT else base
    return None


def _is_trusted(kind: type) -> bool:
    package = package_of(kind)
    return package in _TRUSTED or package.startswith("_cython_")  # functions, found by name


def _is_plain(function: types.FunctionType) -> bool:
    return function.__globals__.get("__name__") in _PLAIN


# Kinds whose content is known --------------------------------------------------------------------


def _ordinary(obj: Any, kind: type) -> Any:
    """Return a reduction by class and attributes.

    The attributes travel in a tuple: pickled as the dict they are in, that dict would seem to be an
    object of its own, with a state of its own to be written home.
    """
    own, slots = attributes_of(obj)
    return _new_object, (kind,), (tuple(own), tuple(slots)), None, None, _set_attributes


def _new_object(kind: type) -> Any:
    return object.__new__(kind)


def _set_attributes(obj: Any, state: tuple[Any, Any]) -> None:
    own, slots = state
    fill_attributes(obj, own, dict(slots))


def _base_of(kind: type) -> type | None:
    """Return the builtin whose subclass `kind` is, if nothing else written in C is behind it."""
    base = next((b for b in kind.__mro__ if b in _CONTENT), None)
    return base if base is not None and is_ordinary(kind, base) else None


def _built_on(obj: Any, kind: type) -> Any:
    base = _base_of(kind)
    assert base is not None
    own, slots = attributes_of(obj)
    content = _CONTENT[base](obj)
    made, filled = ((base, kind), content) if base in _FILL else ((base, kind, content), None)
    return _new_built_on, made, (base, filled, tuple(own), tuple(slots)), None, None, _fill_built_on


def _new_built_on(base: Any, kind: type, *content: Any) -> Any:
    return base.__new__(kind, *content)


def _fill_built_on(obj: Any, state: tuple[Any, Any, Any, Any]) -> None:
    base, content, own, slots = state
    if base in _FILL:
        _FILL[base](obj, content)
    fill_attributes(obj, own, dict(slots))


def _is_raisable(kind: type) -> bool:
    return issubclass(kind, BaseException) and is_ordinary(kind, BaseException)


def _raisable(obj: Any, kind: type) -> Any:
    own, slots = attributes_of(obj)
    state = tuple(own), tuple(slots)
    return _new_exception, (kind, obj.args), state, None, None, _set_attributes


def _new_exception(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    return BaseException.__new__(kind, *args)


_PLAIN_WAYS: tuple[tuple[Callable[[type], object], Way], ...] = (
    (is_ordinary, _ordinary),
    (_base_of, _built_on),
    (_is_raisable, _raisable),
)


# Subclasses of kinds that say themselves how they are pickled -------------------------------------


def _checked(obj: Any, kind: type) -> Any:
    """Return the reduction of `obj` that a trusted class has written for its subclasses.

    Raises:
        NotPortable: it drops what the subclass adds, or calls methods of the subclass.
    """
    reduction = obj.__reduce_ex__(5)
    if not isinstance(reduction, tuple):
        return reduction
    made, arguments, state, *items = (*reduction, None)[:5]
    lost = _left_out(obj, state)
    if lost is not None:
        raise NotPortable(f"the pickling of a {kind.__qualname__} leaves out {lost!r}")
    if is_ordinary(kind):
        plain = made is copyreg.__newobj__ and arguments == (kind,)  # type: ignore[attr-defined]
        return _ordinary(obj, kind) if plain else reduction
    if made is kind and _is_called(kind):
        raise NotPortable(f"a {kind.__qualname__} would be made anew by its class")
    if any(items) and _is_filled(kind):
        raise NotPortable(f"a {kind.__qualname__} would be filled by its own methods")
    return reduction


def _left_out(obj: Any, state: Any) -> str | None:
    """Return an attribute of `obj` that is not in its pickled state as it is."""
    own, slots = attributes_of(obj)
    held: dict[str, Any] = {}
    for part in state if isinstance(state, tuple) else (state,):
        held |= part if isinstance(part, dict) else {}
    for name, value in own:
        if held.get(name, _NOTHING) is not value:
            return str(name)
    kept = set(map(id, held.values()))
    return next((f"slot {n}" for n, value in slots if id(value) not in kept), None)


def _holds_all(kind: type, name: str) -> bool:
    """Whether a method of `kind`, if it has it, is known to drop nothing and to change nothing."""
    owner = _owner(kind, name)
    if owner is None or _is_trusted(owner) or package_of(owner) in _ASKED:
        return True
    return getattr(vars(owner)[name], "__name__", "") in {_COMPILED, "__setstate_cython__"}


def _is_called(kind: type) -> bool:
    """Whether calling the class runs Python code."""
    return any(isinstance(getattr(kind, n), types.FunctionType) for n in ("__init__", "__new__"))


def _is_filled(kind: type) -> bool:
    names = ("append", "extend", "__setitem__")
    return any(isinstance(getattr(kind, n, None), types.FunctionType) for n in names)
