"""Inside a kernel under test: objects come in, nested lists that describe them go out.

The rule: no code of the user's objects is run; mutable objects are numbered at the first visit, so
two digests are equal only if the aliases are the same.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import fractions
import hashlib
import random
import re
import sys
import types
import weakref
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.core.interactiveshell import InteractiveShell

_ATOMS = (int, float, complex, str, bytes, bool, type(None), type(...), type(NotImplemented))
_SKIP_DICT = {"__weakref__", "__dict__", "__doc__", "__slotnames__"}
_ITERATORS: tuple[type, ...] = (
    type(iter([])),
    type(iter(())),
    type(iter({})),
    type(iter("")),
    type(iter(range(0))),
    type(iter(set())),
    enumerate,
    zip,
    map,
    filter,
)
_CELL_FILE = re.compile(r"ipykernel_\d+/\d+\.py")
_OPAQUE = {
    "IPython",
    "_io",
    "_sqlite3",
    "_thread",
    "concurrent",
    "contextvars",
    "io",
    "ipykernel",
    "logging",
    "matplotlib",
    "os",
    "queue",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "traitlets",
    "zmq",
}
"""Libraries whose objects hold addresses, numbers of processes or the kernel itself."""
_LARGE_BYTES = 256 * 1024
"""An array of this size that went through a worker lies in a segment, and does not own its data."""


_FIXED = (
    *(tuple, frozenset, decimal.Decimal, fractions.Fraction, range, slice, np.generic),
    *(dt.date, dt.time, dt.timedelta, re.Pattern, Path),
    *(types.ModuleType, types.CodeType, types.BuiltinFunctionType, types.MethodType),
)
"""What cannot change: no program should ask which of two equal ones it has."""


def has_identity(value: object) -> bool:
    """Whether two equal ones are told apart by a change to one of them."""
    return not isinstance(value, _FIXED)


class Digest:
    """One walk over objects. `seen` holds each object, so that no address is used twice."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, object]] = {}
        self._roots: dict[int, tuple[int, object]] = {}
        self._alive: list[object] = []

    def of(self, value: object, depth: int = 0) -> object:  # noqa: PLR0911 - one case for each kind
        """Return what `value` is and reaches; a mutable object's second visit names its first."""
        kind = type(value)
        if kind in _ATOMS:
            return self._atom(value)
        if id(value) in self._seen:
            return ["same as", self._seen[id(value)][0]]
        if kind is tuple:
            self._alive.append(value)
            inner = self._parts(value, kind, depth + 1) if depth <= 400 else ["deep"]
            return ["tuple", *inner]
        if not has_identity(value):
            self._alive.append(value)
            return [kind.__module__, kind.__qualname__, *self._parts(value, kind, depth + 1)]
        number = len(self._seen)
        self._seen[id(value)] = (number, value)
        if depth > 400:
            return ["deep", kind.__name__]
        if isinstance(value, InteractiveShell):
            return [number, "shell"]
        return [number, kind.__module__, kind.__qualname__, *self._parts(value, kind, depth + 1)]

    def _atom(self, value: object) -> object:
        text = _CELL_FILE.sub("CELL.py", repr(value))
        if len(text) > 300:
            text = text[:100] + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        return f"{type(value).__name__} {text}"

    def _parts(self, value: Any, kind: type, depth: int) -> list[object]:  # noqa: C901, PLR0911, PLR0912 - a table
        if kind in (list, tuple):
            return [self.of(v, depth) for v in value]
        if kind is dict or isinstance(value, dict):
            pairs: Any = OrderedDict.items if isinstance(value, OrderedDict) else dict.items
            items = [[self.of(k, depth), self.of(v, depth)] for k, v in pairs(value)]
            return [items, *self._state(value, kind, depth)]
        if isinstance(value, list):
            return [
                [self.of(v, depth) for v in list.__iter__(value)],
                *self._state(value, kind, depth),
            ]
        if isinstance(value, tuple):
            return [[self.of(v, depth) for v in tuple.__iter__(value)]]
        if isinstance(value, set | frozenset):
            members: Any = set.__iter__ if isinstance(value, set) else frozenset.__iter__
            return [[self.of(v, depth) for v in members(value)]]
        if isinstance(value, int | float | str | bytes):
            base: Any = next(t for t in (int, float, str, bytes) if isinstance(value, t))
            return [base.__repr__(value), *self._state(value, kind, depth)]
        if isinstance(value, types.ModuleType):
            return [value.__name__]
        if isinstance(value, types.FunctionType):
            return self._function(value, depth)
        if isinstance(value, type):
            return self._klass(value, depth)
        if isinstance(value, types.MethodType):
            return [self.of(value.__func__, depth), self.of(value.__self__, depth)]
        if isinstance(value, types.GeneratorType):
            frame = value.gi_frame
            if frame is None:
                return ["over"]
            local = {k: self.of(v, depth) for k, v in frame.f_locals.items()}
            return [value.gi_code.co_name, frame.f_lasti, local]
        if isinstance(value, types.BuiltinFunctionType):
            return [value.__qualname__]
        if kind in _ITERATORS:
            return [self.of(p, depth) for p in value.__reduce__()[1:]]
        return self._library(value, kind, depth)

    def _library(self, value: Any, kind: type, depth: int) -> list[object]:  # noqa: C901, PLR0911 - as well
        top = kind.__module__.partition(".")[0]
        if top in _OPAQUE:
            return []
        if top == "numpy":
            return self._numpy(value, depth)
        if top == "pandas":
            return self._pandas(value, depth)
        if top in {"collections", "decimal", "fractions", "datetime", "range", "array", "re"} or (
            kind in (range, slice, bytearray)
        ):
            return (
                [repr(value)]
                if kind is not deque
                else [value.maxlen, [self.of(v, depth) for v in value]]
            )
        if kind is random.Random:
            return [short(value.getstate())]
        if isinstance(value, BaseException):
            return [
                [self.of(a, depth) for a in value.args],
                self.of(value.__cause__, depth),
                self.of(value.__context__, depth),
                value.__suppress_context__,
                *self._state(value, kind, depth),
            ]
        if isinstance(value, property):
            return [self.of(f, depth) for f in (value.fget, value.fset, value.fdel)]
        if isinstance(value, staticmethod | classmethod):
            return [self.of(value.__func__, depth)]
        if kind is weakref.ReferenceType:
            return [self.of(value(), depth)]
        if kind.__name__ == "_lru_cache_wrapper":
            return [list(value.cache_info()), self.of(value.__wrapped__, depth)]
        if kind is types.SimpleNamespace:
            return [self.of(vars(value), depth)]
        return self._state(value, kind, depth)

    def _state(self, value: Any, kind: type, depth: int) -> list[object]:
        found: list[object] = []
        with contextlib.suppress(AttributeError, TypeError):
            items = object.__getattribute__(value, "__dict__")
            found.append({str(k): self.of(v, depth) for k, v in items.items()})
        for base in kind.__mro__:
            slots = base.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                member = base.__dict__.get(name)
                if isinstance(member, types.MemberDescriptorType):
                    try:
                        found.append([name, self.of(member.__get__(value), depth)])
                    except AttributeError:
                        found.append([name])
        return found

    def _function(self, value: types.FunctionType, depth: int) -> list[object]:
        if value.__module__ != "__main__":
            return [value.__qualname__]
        cells = []
        for cell in value.__closure__ or ():
            try:
                cells.append([self._cell(cell), self.of(cell.cell_contents, depth)])
            except ValueError:
                cells.append(["empty"])
        main = sys.modules["__main__"].__dict__
        return [
            value.__name__,
            value.__qualname__,
            value.__module__,
            value.__doc__,
            hashlib.sha256(value.__code__.co_code).hexdigest()[:8],
            value.__code__.co_firstlineno,
            value.__globals__ is main,
            self.of(value.__defaults__, depth),
            self.of(value.__kwdefaults__, depth),
            {k: self.of(v, depth) for k, v in value.__dict__.items()},
            cells,
        ]

    def _cell(self, cell: object) -> int:
        return self._seen.setdefault(id(cell), (len(self._seen), cell))[0]

    def _klass(self, value: type, depth: int) -> list[object]:
        if value.__module__ != "__main__":
            return []
        parts = {
            k: self.of(v, depth)
            for k, v in sorted(type.__getattribute__(value, "__dict__").items())
            if k not in _SKIP_DICT and not k.startswith("_abc")
        }
        return [value.__name__, [self.of(b, depth) for b in value.__bases__], parts]

    def _numpy(self, value: object, depth: int) -> list[object]:

        if isinstance(value, np.ndarray):
            content = (
                [self.of(v, depth) for v in value.ravel().tolist()]
                if value.dtype.hasobject
                else short(np.ndarray.tobytes(value))
            )
            viewed = isinstance(value.base, np.ndarray)
            root = value.base if viewed else value
            kept = type(value) is np.ndarray and 0 < value.nbytes < _LARGE_BYTES
            return [
                str(value.dtype),
                list(value.shape),
                list(value.strides),
                value.flags.c_contiguous,
                value.flags.f_contiguous,
                value.flags.writeable,
                [value.flags.owndata, viewed] if kept else None,
                content,
                self._roots.setdefault(id(root), (len(self._roots), root))[0],
            ]
        if isinstance(value, np.generic):
            return [repr(value)]
        if isinstance(value, np.random.Generator):
            return [self.of(value.bit_generator, depth)]
        if isinstance(value, np.random.BitGenerator):
            return [short(repr(value.state))]
        if isinstance(value, np.random.RandomState):
            return [short(repr(value.get_state()))]
        return self._state(value, type(value), depth) or [repr(value)[:80]]

    def _pandas(self, value: object, depth: int) -> list[object]:

        if isinstance(value, pd.DataFrame):
            columns = [self.of(value.iloc[:, i].tolist(), depth) for i in range(value.shape[1])]
            return [
                list(value.shape),
                [str(d) for d in value.dtypes],
                short(repr(list(value.columns))),
                type(value.columns).__name__,
                str(value.columns.dtype),
                self._pandas(value.index, depth),
                columns,
                self.of(value.attrs, depth),
            ]
        if isinstance(value, pd.Series):
            return [
                str(value.dtype),
                repr(value.name),
                self._pandas(value.index, depth),
                [self.of(v, depth) for v in value.tolist()],
            ]
        if isinstance(value, pd.Index):
            return [
                type(value).__name__,
                str(value.dtype),
                repr(list(value.names)),
                short(repr(value.tolist())),
            ]
        return [short(repr(value))]


def short(value: object) -> str:
    """Return a digest of bytes or of a value's text."""
    content = value if isinstance(value, bytes) else repr(value).encode("utf-8", "replace")
    return hashlib.sha256(content).hexdigest()[:16]
