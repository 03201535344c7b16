"""Abstract values: what is known of an expression's result without computing it.

A `Value` says which live object or type the result is, if that is known, and from which names it
may be reached. The rule: a field that is empty means "nothing known", never "surely not".
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections import deque
from enum import IntEnum
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import (
    BuiltinFunctionType,
    EllipsisType,
    FunctionType,
    MethodType,
    ModuleType,
    NoneType,
    NotImplementedType,
)
from typing import Any, Final

Root = str | tuple[str, int, str]
"""Where an object is reached from: a global name, or (sort, serial, name) for a parameter, a
closure's cell or a default argument of a function being followed."""

Roots = frozenset[Root]
NO_ROOTS: Final[Roots] = frozenset()


class Missing:
    """The type of `MISSING`: no live object is known."""


MISSING: Final = Missing()


class Scalar:
    """Stands for some immutable type whose operators are harmless."""


class Plain:
    """Stands for some builtin, numpy, pandas or scipy type: its operators are harmless."""


Kind = type | ast.ClassDef | None


class Family(IntEnum):
    """How much may happen when an operator or method of a value's type runs."""

    SCALAR = 0  # immutable, operators harmless
    PLAIN = 1  # builtin containers, numpy, pandas, scipy: operators harmless
    LIBRARY = 2  # an installed library's type
    NOTEBOOK = 3  # a class of the notebook: its code can be followed
    UNKNOWN = 4


class Value:
    """The result of an expression, as far as it is known; never changed once built.

    `same` are the roots whose object this may be (or be a view or a part of), `held` those it may
    merely hold. `direct` says that it is the very object each root in `same` is bound to. `fresh`
    says that it was made within the statement. `dotted` is the path of something that belongs to a
    library module. `owner` and `attr` describe an attribute of another value. `lazy` is an iterator
    or an open file that nobody has consumed yet, or another thing that cannot travel as it is.
    `items` are what a display holds, of a dict its keys and values.
    """

    __slots__ = (
        "attr",
        "direct",
        "dotted",
        "fresh",
        "function",
        "held",
        "items",
        "kind",
        "lazy",
        "obj",
        "owner",
        "same",
        "small",
    )

    def __init__(  # noqa: PLR0913 - a plain record on the hottest path
        self,
        kind: Kind = None,
        *,
        obj: object = MISSING,
        same: Roots = NO_ROOTS,
        held: Roots = NO_ROOTS,
        direct: bool = False,
        fresh: bool = False,
        dotted: str | None = None,
        owner: Value | None = None,
        attr: str = "",
        function: object = None,
        lazy: str = "",
        items: tuple[Value, ...] | None = None,
        small: bool = False,
    ) -> None:
        self.kind = kind
        self.obj = obj
        self.same = same
        self.held = held
        self.direct = direct
        self.fresh = fresh
        self.dotted = dotted
        self.owner = owner
        self.attr = attr
        self.function = function
        self.lazy = lazy
        self.items = items
        self.small = small

    @property
    def reach(self) -> Roots:
        """All roots through which this value, or what it holds, may be reached."""
        return self.same | self.held if self.held else self.same

    def bound_to(self, name: str) -> Value:
        """Give this value as seen through the global `name` after an assignment."""
        value = self.replaced(same=self.same | {name})
        value.direct = self.direct or not self.same
        return value

    def holding(self, roots: Roots) -> Value:
        """Give this value after something reached from `roots` was put into it."""
        return self if roots <= self.held else self.replaced(held=self.held | roots)

    def replaced(self, *, same: Roots | None = None, held: Roots | None = None) -> Value:
        """Copy with other roots."""
        copy = Value.__new__(Value)
        for slot in Value.__slots__:
            setattr(copy, slot, getattr(self, slot))
        if same is not None:
            copy.same = same
        if held is not None:
            copy.held = held
        return copy

    def joined(self, other: Value) -> Value:
        """Give what is known when the value is either this one or `other`."""
        if self is other:
            return self
        return Value(
            _common(self.kind, other.kind),
            obj=self.obj if self.obj is other.obj else MISSING,
            same=self.same | other.same,
            held=self.held | other.held,
            direct=self.direct and other.direct and self.same == other.same,
            fresh=self.fresh and other.fresh,
            dotted=self.dotted if self.dotted == other.dotted else None,
            function=self.function if self.function is other.function else None,
            lazy=self.lazy or other.lazy,
            small=self.small and other.small,
        )

    def agrees(self, other: Value) -> bool:
        """Whether both say the same, so that joining them again would teach nothing."""
        return self is other or (
            self.kind is other.kind
            and self.same == other.same
            and self.held == other.held
            and self.fresh == other.fresh
            and self.function is other.function
            and self.dotted == other.dotted
        )


UNKNOWN: Final = Value()


def _common(one: Kind, other: Kind) -> Kind:
    """Give the narrowest description that fits both types."""
    if one is other:
        return one
    worse = max(family(one), family(other))
    return Scalar if worse is Family.SCALAR else Plain if worse is Family.PLAIN else None


NUMBERS: Final = frozenset({int, float, complex, bool})
SCALARS: Final[frozenset[type]] = NUMBERS | {
    str, bytes, NoneType, EllipsisType, NotImplementedType, range, slice, Scalar,
}  # fmt: skip
PLAINS: Final[frozenset[type]] = frozenset(
    {list, tuple, dict, set, frozenset, bytearray, memoryview, deque, Plain,
     type({}.keys()), type({}.values()), type({}.items())}
)  # fmt: skip
LIST_LIKE: Final[frozenset[type]] = frozenset({list, dict, set, deque, bytearray})
"""The types `Touch.OBJECTS` is about."""
_SCALAR_MODULES: Final = frozenset(
    {"datetime", "decimal", "fractions", "uuid", "pathlib", "zoneinfo", "enum"}
)
_PLAIN_MODULES: Final = frozenset(
    {"collections", "array", "pandas", "numpy", "scipy", "_io", "io", "re", "json", "itertools"}
)
_PANDAS_SCALARS: Final = frozenset(
    {"Timestamp", "Timedelta", "Period", "Interval", "NaTType", "NAType"}
)
CALLABLES: Final = (FunctionType, BuiltinFunctionType, MethodType, type)


@lru_cache(maxsize=2048)
def family(kind: Kind) -> Family:
    """Say how harmless the operators of `kind` are."""
    if kind is None:
        return Family.UNKNOWN
    if isinstance(kind, ast.ClassDef):
        return Family.NOTEBOOK
    if kind in SCALARS:
        return Family.SCALAR
    if kind in PLAINS:
        return Family.PLAIN
    if any(base.__module__ == "__main__" for base in kind.__mro__):
        return Family.NOTEBOOK
    return _library_family(kind)


def _library_family(kind: type) -> Family:
    root = str(kind.__module__).partition(".")[0]
    if root in _SCALAR_MODULES or (root == "pandas" and kind.__name__ in _PANDAS_SCALARS):
        return Family.SCALAR
    if root == "numpy" and any(base.__name__ in {"generic", "dtype"} for base in kind.__mro__):
        return Family.SCALAR
    if root in _PLAIN_MODULES:
        return Family.PLAIN
    return Family.LIBRARY if is_library(str(kind.__module__)) else Family.UNKNOWN


@lru_cache(maxsize=2048)
def is_library(module: str) -> bool:
    """Whether the module is part of Python or installed, not a file of the user's."""
    if module == "__main__":
        return False
    live = sys.modules.get(module)
    file = getattr(live, "__file__", None) if isinstance(live, ModuleType) else None
    if file is None:
        return True  # builtin, frozen, a namespace package, or not there at all
    path = Path(file)
    if {"site-packages", "dist-packages"} & set(path.parts):
        return True
    paths = sysconfig.get_paths()
    return any(path.is_relative_to(paths[key]) for key in ("stdlib", "platstdlib"))


def is_immutable(value: Value) -> bool:
    """Whether the value is surely of an immutable type and holds nothing that could change."""
    return family(value.kind) is Family.SCALAR


def is_plain(value: Value) -> bool:
    """Whether library code can be given the value without any code of the user's being run."""
    if family(value.kind) <= Family.PLAIN or value.lazy:
        return True
    obj = value.obj
    if obj is MISSING:
        return value.function is not None or value.dotted is not None
    return isinstance(obj, (ModuleType, *CALLABLES))


def is_plain_throughout(value: Value) -> bool:
    """Whether also what a container holds is plain, as far as it is known (20 elements)."""
    if value.items is not None:
        return all(is_plain_throughout(item) for item in value.items)
    obj: Any = value.obj
    kind: Any = type(obj)
    if kind is dict:
        obj, kind = obj.values(), list
    if kind is list or kind is tuple or kind is set:
        kinds: set[Any] = {type(item) for item in islice(obj, 20)}
        return all(family(each) <= Family.LIBRARY for each in kinds)
    return is_plain(value)


def is_small(value: Value) -> bool:
    """Whether walking or copying the value surely takes no time worth counting."""
    if value.small or family(value.kind) is Family.SCALAR:
        return True
    obj = value.obj
    if type(obj) in PLAINS:
        return len(obj) <= 1000  # type: ignore[arg-type]
    return False
