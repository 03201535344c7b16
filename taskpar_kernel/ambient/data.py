"""Plain data as bytes, and back: what a setting of a library holds, to be compared and carried.

The rule: equal bytes mean equal data of the same types; what is no plain data has no bytes.
"""

from __future__ import annotations

import marshal
import sys
import types
from collections import OrderedDict, defaultdict
from importlib import import_module
from typing import Any

from taskpar_kernel.ambient.reach import attributes_of
from taskpar_kernel.errors import NotPortable

CONTAINERS = (dict, list, set, OrderedDict, defaultdict)
SCALARS = (int, float, complex, str, bytes, bool, type(None), tuple)
_UNMARSHALLED = 2
"""The version of marshal's format in which what refers to an object tells nothing of how often."""
_CODED = "coded"
_DEEPEST = 6


class OfObject:
    """Stands before the attributes of an object, in place of its class."""


def as_bytes(value: Any) -> bytes | None:
    """Return what a value holds, of an object the attributes; None: it is no plain data."""
    if type(value) not in SCALARS and type(value) not in CONTAINERS:
        return _coded((OfObject, attributes_of(value) or {}))
    try:
        return marshal.dumps(value, _UNMARSHALLED)
    except (ValueError, TypeError):
        return _coded(value)


def from_bytes(held: bytes) -> Any:
    """Return what a place is to hold.

    Raises:
        NotPortable: it names what is not here.
    """
    value = marshal.loads(held)  # noqa: S302 - of this process, or of home
    if type(value) is not tuple or value[:1] != (_CODED,):
        return value
    try:
        return _decoded(value[1])
    except (AttributeError, ImportError, TypeError) as error:
        raise NotPortable(f"a setting of a library cannot be rebuilt: {error}") from error


def _coded(value: Any) -> bytes | None:
    """Return the code of data that holds NumPy's numbers, functions and classes, too."""
    try:
        return marshal.dumps((_CODED, _encoded(value, 0)), _UNMARSHALLED)
    except (ValueError, TypeError):
        return None


def _encoded(value: Any, depth: int) -> tuple[str, Any]:
    """Return a tag, and data that marshal knows.

    Raises:
        ValueError: there is something else in it.
    """
    kind = type(value)
    if kind in SCALARS and kind is not tuple:
        return "", value
    if depth > _DEEPEST:
        raise ValueError("too deep")
    if kind in (dict, OrderedDict, defaultdict):
        pairs = [(_encoded(k, depth + 1), _encoded(v, depth + 1)) for k, v in value.items()]
        return "dict", pairs
    if kind in (list, tuple, set, frozenset):
        return kind.__name__, [_encoded(item, depth + 1) for item in value]
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return "name", (value.__module__, value.__qualname__)
    if kind.__module__ == "numpy" and hasattr(value, "item") and not getattr(value, "shape", None):
        return "number", (kind.__name__, value.item())
    raise ValueError(f"a {kind.__qualname__} is no data")


def _decoded(code: tuple[str, Any]) -> Any:
    tag, held = code
    if tag == "":
        return held
    if tag == "dict":
        return {_decoded(k): _decoded(v) for k, v in held}
    if tag == "name":
        found: Any = sys.modules[held[0]] if held[0] in sys.modules else import_module(held[0])
        for name in held[1].split("."):
            found = getattr(found, name)
        return found
    if tag == "number":
        return getattr(import_module("numpy"), held[0])(held[1])
    return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[tag](
        map(_decoded, held)
    )


__all__ = ["CONTAINERS", "SCALARS", "OfObject", "as_bytes", "from_bytes"]
