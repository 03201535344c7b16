"""What would not arrive exactly as it is: objects come in, a refusal or nothing goes out.

The rule: refusing costs time, a copy that differs costs the promise. An object is refused if its
pickling is known to lose something a program can see: what it shares, its position, its traceback.
How the others travel is decided in `ways`.
"""

from __future__ import annotations

import enum
import functools
import io
import types
import weakref
from abc import ABCMeta
from collections import OrderedDict
from typing import Any

from taskpar_kernel.errors import NotPortable

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


def refuse_inexact_kind(kind: type) -> None:
    """Raise `NotPortable` if a copy of any instance of `kind` would be told from it."""
    if kind in _VIEWS:
        raise NotPortable(f"a {kind.__qualname__} is bound to another object")
    if hasattr(kind, "__next__") and kind.__module__ in {"builtins", "itertools"}:
        raise NotPortable(f"a {kind.__qualname__} is an iterator, which has a position")
    if issubclass(kind, io.IOBase):
        raise NotPortable(f"a {kind.__qualname__} is an open handle")
    if hasattr(kind, "__del__"):
        raise NotPortable(f"a {kind.__qualname__} has a __del__ method")


def is_delicate(kind: type) -> bool:
    """Whether `refuse_inexact` must look at each instance of `kind`."""
    special = (types.MappingProxyType, functools._lru_cache_wrapper)
    return kind in special or issubclass(kind, BaseException)


def refuse_inexact(obj: Any, kind: type) -> None:
    """Raise `NotPortable` if a copy of `obj`, an instance of a delicate kind, would be told."""
    if kind is types.MappingProxyType and obj:
        raise NotPortable("a mappingproxy is bound to another object")
    if isinstance(obj, BaseException) and _has_history(obj):
        raise NotPortable(f"a {kind.__qualname__} that was raised would lose its traceback")
    if kind is functools._lru_cache_wrapper and obj.__module__ == "__main__":
        raise NotPortable(f"{obj.__name__!r} has a cache")


def _has_history(error: BaseException) -> bool:
    suppressed = error.__suppress_context__
    return bool(error.__traceback__ or error.__cause__ or error.__context__ or suppressed)


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
