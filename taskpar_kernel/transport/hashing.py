"""Classes whose hashes the user's code computes come in; what is keyed by their objects is refused.

A dict or set is rebuilt by asking each key for its hash, and equal ones whether they are. That is
code of the user's, which would run once more in the process that receives it, and leave what it
does there. The rule: it runs where and as often as it does serially.
"""

from __future__ import annotations

import sys
import types
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.transport.states import package_of

_GENERATED = ("<string>", "<attrs generated")
"""Where the code of methods comes from that a decorator wrote: they look at the fields, no more."""
_asked: weakref.WeakSet[type] = weakref.WeakSet()


def note_hashing(kind: type) -> None:
    """Take down a class of the user's, if hashing its objects runs code of his."""
    base = next(base for base in kind.__mro__ if "__hash__" in vars(base))
    method = vars(base)["__hash__"]
    if not isinstance(method, types.FunctionType) or _is_library(base):
        return
    if not method.__code__.co_filename.startswith(_GENERATED):
        _asked.add(kind)


def _is_library(cls: type) -> bool:
    package = package_of(cls)
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return package in sys.stdlib_module_names or "-packages" in file


def refuse_keys(objects: Iterable[object]) -> None:
    """Refuse dicts and sets with such keys; O(keys), once there is such a class.

    Raises:
        NotPortable: one of `objects` is one.
    """
    if not _asked:
        return
    for obj in objects:
        if isinstance(obj, dict | set | frozenset):
            for key in _parts(obj):
                _refuse(key, obj)


def _refuse(key: object, whole: object) -> None:
    kind = type(key)
    if kind in _asked:
        raise NotPortable(
            f"a {type(whole).__qualname__} has a {kind.__qualname__} as its key, whose hash is "
            f"computed by code of the notebook"
        )
    if isinstance(key, tuple | frozenset):
        for part in _parts(key):
            _refuse(part, whole)


def _parts(whole: Any) -> Iterator[object]:
    """Go through a container without asking a subclass of the user's."""
    builtin = next(k for k in (dict, set, frozenset, tuple) if isinstance(whole, k))
    return builtin.__iter__(whole)


__all__ = ["note_hashing", "refuse_keys"]
