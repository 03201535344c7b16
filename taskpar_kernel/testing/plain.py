"""Plain Python objects come in, a head line and their children go out; no library is known here.

The rule: what code can notice is told (order of a dict, position of an iterator), what is chance is
not (addresses, caches, file names of cells).
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import functools
import hashlib
import io
import itertools
import pathlib
import re
import types
import uuid
import weakref
from typing import Any

Child = tuple[str, Any]
"""A step from the parent ("[3]", ".name") and the object it leads to."""
Description = tuple[str, list[Child]]
"""What is said of an object itself, and what it reaches, in order."""

PLAIN_TEXT = (int, str, bool, type(None), type(Ellipsis), type(NotImplemented), bytes)
FLAT = frozenset({int, str, bool, type(None), bytes, float})
VALUES = (
    *(dt.date, dt.time, dt.timedelta, dt.tzinfo),
    *(decimal.Decimal, fractions.Fraction, pathlib.PurePath, uuid.UUID, re.Pattern, enum.Enum),
    *(range, slice, complex, float),
)
"""Immutable types: equal values are not told apart by identity."""
_CACHES = frozenset({"_cache", "_cacher", "_item_cache", "__weakref__", "__dict__"})
CLASS_SKIP = _CACHES | {"__module__", "__doc__", "__firstlineno__", "__static_attributes__"}
_LONGEST_TEXT = 60
_HEAP_TYPE = 1 << 9


def container(value: Any) -> Description | None:  # noqa: PLR0911 - one case for each kind
    """Describe a container of the standard library, or return None."""
    if isinstance(value, list | tuple):
        if len(value) > 100 and set(map(type, value)) <= FLAT:
            return f"{len(value)} {hash_of(repr(list(value)).encode('utf-8', 'surrogatepass'))}", []
        return str(len(value)), [(f"[{i}]", item) for i, item in enumerate(value)]
    if isinstance(value, dict):
        children: list[Child] = []
        for i, (key, item) in enumerate(value.items()):
            named = type(key) in FLAT
            if not named:
                children.append((f"<key {i}>", key))
            children.append((f"[{short(key) if named else i}]", item))
        extra = getattr(value, "default_factory", None)
        if extra is not None:
            children.append((".default_factory", extra))
        return str(len(value)), children
    if isinstance(value, bytearray):
        return f"{len(value)} {hash_of(bytes(value))}", []
    if isinstance(value, memoryview):
        return f"{value.format} {value.shape} {hash_of(value.tobytes())}", []
    if type(value).__module__ == "collections" and type(value).__name__ == "deque":
        return f"{value.maxlen}", [(f"[{i}]", item) for i, item in enumerate(value)]
    return None


def machinery(value: Any) -> Description | None:  # noqa: C901, PLR0911, PLR0912 - one case for each kind
    """Describe a method, cell, generator, file, exception or the like, or return None."""
    if isinstance(value, types.MethodType):
        return value.__name__, [(".__self__", value.__self__), (".__func__", value.__func__)]
    if isinstance(value, types.BuiltinFunctionType):
        owner = value.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            return f"{value.__module__}.{value.__qualname__}", []
        return value.__qualname__, [(".__self__", owner)]
    if isinstance(value, types.CellType):
        try:
            return "cell", [(".cell_contents", value.cell_contents)]
        except ValueError:
            return "empty cell", []
    if isinstance(value, staticmethod | classmethod):
        return "", [(".__func__", value.__func__)]
    if isinstance(value, property):
        return "", [(".fget", value.fget), (".fset", value.fset), (".fdel", value.fdel)]
    if isinstance(value, functools.partial):
        parts: list[Child] = [(".func", value.func), (".args", value.args)]
        return "", [*parts, (".keywords", value.keywords)]
    if isinstance(value, types.GeneratorType):
        frame = value.gi_frame
        if frame is None:
            return f"{value.__qualname__} ended", []
        return f"{value.__qualname__} at {frame.f_lasti}", [(".<locals>", dict(frame.f_locals))]
    if isinstance(value, io.IOBase | io.TextIOBase):
        name = getattr(value, "name", None)
        if isinstance(value, io.StringIO | io.BytesIO) and not value.closed:
            return f"at {value.tell()}", [(".getvalue()", value.getvalue())]
        place = value.tell() if not value.closed and value.seekable() else None
        return f"{short(name)} {getattr(value, 'mode', None)} {value.closed} at {place}", []
    if isinstance(value, BaseException):
        cause: Child = (".__cause__", value.__cause__)
        return "", [(".args", value.args), *attributes(value), cause]
    if isinstance(value, weakref.ref):
        return "weak", [(".()", value())]
    if isinstance(value, itertools.count):
        return repr(value), []
    return None


def reduced(value: Any) -> Description:
    """Tell an object of compiled code by what it would pickle."""
    try:
        parts = value.__reduce_ex__(4)
    except Exception as error:  # noqa: BLE001 - whatever it raises, its content is out of reach
        return f"opaque ({type(error).__name__})", []
    if isinstance(parts, str):
        return parts, []
    maker, arguments, state, items, pairs = (tuple(parts) + (None,) * 3)[:5]
    children: list[Child] = [(".<args>", arguments)]
    if state is not None:
        children.append((".<state>", state))
    if items is not None:
        children.append((".<items>", list(items)))
    if pairs is not None:
        children.append((".<pairs>", dict(pairs)))
    return getattr(maker, "__qualname__", ""), children


def code(code: types.CodeType) -> Description:
    """Tell code by what it does and where in its cell it stands, not by the file's name."""
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    head = f"{code.co_name} line {code.co_firstlineno} {shape} {names} {hash_of(code.co_code)}"
    return head, [(".co_consts", code.co_consts)]


def attributes(value: Any) -> list[Child]:
    """Return the entries of `__dict__` in order, then the slots."""
    found: list[Child] = []
    state = getattr(value, "__dict__", None)
    if isinstance(state, dict):
        found += [(f".{k}", v) for k, v in state.items() if k not in _CACHES]
    for cls in type(value).__mro__:
        slots = vars(cls).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else tuple(slots):
            if slot in _CACHES:
                continue
            name = f"_{cls.__name__.lstrip('_')}{slot}" if _is_private(slot) else slot
            try:
                found.append((f".{slot}", object.__getattribute__(value, name)))
            except AttributeError:
                continue
    return found


def _is_private(name: str) -> bool:
    return name.startswith("__") and not name.endswith("__")


def is_heap(kind: type) -> bool:
    """Whether a class was written in Python, so that its state is in `__dict__` and slots."""
    return kind.__flags__ & _HEAP_TYPE != 0 and (
        "__dict__" in dir(kind) or any("__slots__" in vars(c) for c in kind.__mro__)
    )


def is_built_on_c(kind: type) -> bool:
    """Whether a class written in Python extends a compiled one, which has state of its own."""
    solid = next(c for c in kind.__mro__ if not is_heap(c))
    return solid is not object


def flat_hash(value: object) -> bool:
    """Whether a value's hash depends on its content alone."""
    if type(value) in FLAT:
        return True
    return isinstance(value, tuple | frozenset) and all(map(flat_hash, value))


def lookup(module: object, qualname: str) -> object:
    """Return what a dotted name leads to from `module`, or None."""
    return functools.reduce(lambda o, n: getattr(o, n, None), qualname.split("."), module)


def type_name(kind: type) -> str:
    """Return the full name of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def short(value: object) -> str:
    """Return the repr, or its beginning with its length and hash."""
    text = repr(value)
    if len(text) <= _LONGEST_TEXT:
        return text
    return f"{text[:_LONGEST_TEXT]}… {len(text)} {hash_of(text.encode('utf-8', 'surrogatepass'))}"


def hash_of(data: Any) -> str:
    """Return the hash of bytes or of a buffer."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def summary(value: Any) -> str:
    """Return the type and the size of a value, for people."""
    kind = type_name(type(value)).removeprefix("builtins.")
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{kind} {shape}"
    if isinstance(value, (*PLAIN_TEXT, float)):
        return f"{kind} {repr(value)[:_LONGEST_TEXT]}"
    try:
        return f"{kind} of {len(value)}"
    except Exception:  # noqa: BLE001 - a summary is for reading; without a length it is shorter
        return kind
