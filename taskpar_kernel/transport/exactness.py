"""What would not arrive exactly as it is: objects come in, a refusal or nothing goes out.

The rule: refusing costs time, a copy that differs costs the promise. An object is refused if its
pickling is known to lose something a program can see: what it shares, its position, its traceback,
or whatever a hand-written `__getstate__` leaves out.
"""

from __future__ import annotations

import copyreg
import dataclasses
import enum
import functools
import io
import sys
import types
import weakref
from abc import ABCMeta
from collections import OrderedDict
from typing import Any

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.transport.states import attributes_of, fill_attributes, is_ordinary

_ORDERED: OrderedDict[int, int] = OrderedDict()
_VIEWS: tuple[type, ...] = (
    memoryview,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
    type(_ORDERED.keys()),
    type(_ORDERED.values()),
    type(_ORDERED.items()),
    weakref.WeakSet,
    weakref.WeakKeyDictionary,
    weakref.WeakValueDictionary,
)
"""They share state with an object that a copy would leave behind."""

_METACLASSES = (type, ABCMeta, enum.EnumMeta)
_HAND_WRITTEN = (
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__setstate__",
    "__getnewargs__",
    "__getnewargs_ex__",
)
_TRUSTED = frozenset({"numpy", "pandas", "scipy", "sklearn"})
"""Libraries whose pickling drops nothing but what they can compute again."""

_SENTINELS = {
    id(value): name
    for name, value in vars(dataclasses).items()
    if name in {"MISSING", "KW_ONLY"} and not isinstance(value, type)
}


def refuse_inexact(obj: Any, kind: type) -> None:
    """Raise `NotPortable` if a copy of `obj`, an instance of `kind`, would be told from it."""
    if kind in _VIEWS:
        raise NotPortable(f"a {kind.__qualname__} is bound to another object")
    if kind is types.MappingProxyType and obj:
        raise NotPortable("a mappingproxy is bound to another object")
    if hasattr(kind, "__next__") and kind.__module__ in {"builtins", "itertools"}:
        raise NotPortable(f"a {kind.__qualname__} is an iterator, which has a position")
    if isinstance(obj, io.IOBase):
        raise NotPortable(f"a {kind.__qualname__} is an open handle")
    if isinstance(obj, BaseException) and _has_history(obj):
        raise NotPortable(f"a {kind.__qualname__} that was raised would lose its traceback")
    if kind is functools._lru_cache_wrapper and obj.__module__ == "__main__":
        raise NotPortable(f"{obj.__name__!r} has a cache")
    if hasattr(kind, "__del__"):
        raise NotPortable(f"a {kind.__qualname__} has a __del__ method")


def _has_history(error: BaseException) -> bool:
    return bool(error.__traceback__ or error.__cause__ or error.__context__)


def refuse_inexact_class(cls: type) -> None:
    """Raise `NotPortable` if making the notebook's class `cls` anew would run the user's code."""
    if type(cls) not in _METACLASSES:
        raise NotPortable(f"the class {cls.__qualname__!r} has a metaclass of its own")
    for base in cls.__mro__[1:]:
        if "__init_subclass__" in vars(base) and base.__module__ == "__main__":
            raise NotPortable(f"the class {base.__qualname__!r} hears of each new subclass")
    slots = vars(cls).get("__slots__", ())
    if not isinstance(slots, str | tuple | list):
        raise NotPortable(f"the class {cls.__qualname__!r} has unusual __slots__")


def _plain_reduction(obj: Any, kind: type, tables: Any) -> Any:
    """Reduce an ordinary object to its class and its attributes, or return None.

    The attributes travel in a tuple: pickled as the dict they are in, that dict would seem to be an
    object of its own, with a state of its own to be written home.
    """
    if kind in tables or kind in copyreg.dispatch_table or not is_ordinary(kind):
        return None
    own, slots = attributes_of(obj)
    return _new_object, (kind,), (tuple(own), tuple(slots)), None, None, _set_attributes


def _new_object(kind: type) -> Any:
    return object.__new__(kind)


def _set_attributes(obj: Any, state: tuple[Any, Any]) -> None:
    own, slots = state
    fill_attributes(obj, own, dict(slots))


def exact_reduction(obj: Any, kind: type, tables: Any) -> Any:
    """Return the reduction of an object with hand-written pickling, or None if it has none.

    `tables`: kinds that are pickled in another way.

    Raises:
        NotPortable: the pickling was written in the notebook, or drops attributes.
    """
    name = _SENTINELS.get(id(obj))
    if name is not None:
        return name
    written = [f for m in _HAND_WRITTEN if type(f := getattr(kind, m, None)) is types.FunctionType]
    if not written:
        return _plain_reduction(obj, kind, tables)
    ours = sys.modules["__main__"].__dict__
    if any(function.__globals__ is ours for function in written):
        raise NotPortable(f"a {kind.__qualname__} has hand-written pickling")
    trusted = kind.__module__.partition(".")[0] in _TRUSTED
    if trusted or kind in tables or kind in copyreg.dispatch_table or not hasattr(obj, "__dict__"):
        return None
    reduction = obj.__reduce_ex__(5)
    state = reduction[2] if isinstance(reduction, tuple) and len(reduction) > 2 else None
    if isinstance(state, tuple) and len(state) == 2:
        state = state[0]
    if isinstance(state, dict) and vars(obj).keys() - state.keys():
        lost = sorted(map(str, vars(obj).keys() - state.keys()))
        raise NotPortable(f"the pickling of a {kind.__qualname__} leaves out {lost[0]!r}")
    return reduction
