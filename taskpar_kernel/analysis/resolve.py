"""What an attribute or an element of a known value is, found without running the user's code.

Values come in, values go out. The rule: modules are looked into through `vars`, classes through
their method resolution order; no `__getattr__`, property or descriptor is ever triggered.
"""

from __future__ import annotations

import ast
import sys
from collections import OrderedDict, defaultdict, deque
from itertools import islice
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Final

from taskpar_kernel.analysis.values import (
    MISSING,
    Family,
    Kind,
    Plain,
    Scalar,
    Value,
    family,
    is_library,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIGURES: Final = frozenset({"shape", "size", "ndim", "dtype", "nbytes", "itemsize", "empty"})
_CONTAINERS: Final = frozenset(
    {list, tuple, dict, set, frozenset, deque, OrderedDict, defaultdict, Plain}
)
_PEEK = 20  # elements looked at to tell what a container holds


def own_dict(base: Value) -> Value:
    """Describe `base.__dict__`: of an instance, it is a part of it that cannot travel alone."""
    own = "" if isinstance(base.obj, type) else "an instance's own dict"
    return Value(dict, same=base.reach, lazy=own)


def attribute(base: Value, name: str) -> Value:
    """Describe `base.name`."""
    obj = base.obj
    if name == "__dict__" and base.dotted is None:
        return own_dict(base)
    if isinstance(obj, ModuleType):
        return _member(obj, name)
    if obj is MISSING and base.dotted is not None:
        return Value(dotted=f"{base.dotted}.{name}")
    if isinstance(obj, type):
        return _class_attribute(base, obj, name)
    return _instance_attribute(base, name)


def _member(module: ModuleType, name: str) -> Value:
    dotted = f"{module.__name__}.{name}"
    obj = vars(module).get(name, MISSING)
    if obj is MISSING:
        obj = sys.modules.get(dotted, MISSING)
    if obj is MISSING:
        return Value(dotted=dotted)
    if isinstance(obj, ModuleType):
        dotted = obj.__name__
    return Value(type(obj), obj=obj, dotted=dotted)


def _class_attribute(base: Value, cls: type, name: str) -> Value:
    member = static_member(cls, name)
    if isinstance(member, (staticmethod, classmethod)):
        member = member.__func__
    dotted = None if base.dotted is None else f"{base.dotted}.{name}"
    kind = None if member is MISSING else type(member)
    return Value(kind, obj=member, same=base.reach, dotted=dotted, owner=base, attr=name)


def _instance_attribute(base: Value, name: str) -> Value:
    known = family(base.kind)
    dotted = None if base.dotted is None else f"{base.dotted}.{name}"
    if known is Family.SCALAR:
        return Value(Scalar, owner=base, attr=name)
    if known is Family.PLAIN:
        if name in _FIGURES:
            return Value(tuple if name == "shape" else Scalar, small=True, owner=base, attr=name)
        return Value(Plain, same=base.reach, dotted=dotted, owner=base, attr=name, fresh=base.fresh)
    obj = _stored(base, name)
    kind: Kind = None if obj is MISSING else type(obj)
    return Value(kind, obj=obj, same=base.reach, dotted=dotted, owner=base, attr=name)


def _stored(base: Value, name: str) -> object:
    """Find what an instance stores under `name`, unless its class has a say in it."""
    obj = base.obj
    if obj is MISSING or base.kind is None or isinstance(base.kind, ast.ClassDef):
        return MISSING
    if static_member(base.kind, name) is not MISSING or has_hook(base.kind):
        return MISSING
    try:
        stored = object.__getattribute__(obj, "__dict__")
    except AttributeError:
        return MISSING
    return stored.get(name, MISSING) if type(stored) is dict else MISSING


def has_hook(kind: type) -> bool:
    """Whether attribute access on instances runs code of the class."""
    return (
        static_member(kind, "__getattr__") is not MISSING
        or static_member(kind, "__getattribute__") is not object.__getattribute__
    )


def static_member(kind: type, name: str) -> object:
    """Find a member of a class or its bases as it is stored, or `MISSING`."""
    for base in kind.__mro__:
        found = vars(base).get(name, MISSING)
        if found is not MISSING:
            return found
    return MISSING


def element(base: Value, index: object = MISSING) -> Value:
    """Describe an element of `base`: the one at `index` if that is known, else any of them."""
    if family(base.kind) is Family.SCALAR:
        return Value(base.kind if base.kind in {str, bytes} else Scalar, small=True)
    if base.items is not None and base.kind is not dict:
        if isinstance(index, int) and -len(base.items) <= index < len(base.items):
            return base.items[index]
        if base.items:
            value = base.items[0]
            for other in base.items[1:]:
                value = value.joined(other)
            return value
    obj = _item(base.obj, index)
    if obj is not MISSING:
        return Value(type(obj), obj=obj, same=base.reach, dotted=base.dotted)
    kind: Kind = _element_kind(base.obj)
    array = family(base.kind) is Family.PLAIN and base.kind not in _CONTAINERS
    if kind is None and array:
        kind = Plain  # arrays, frames and the like give arrays and scalars
    return Value(kind, same=base.reach, dotted=base.dotted, fresh=base.fresh and array)


def _item(obj: object, index: object) -> object:
    if type(index) is int and (type(obj) is list or type(obj) is tuple):
        return obj[index] if -len(obj) <= index < len(obj) else MISSING
    if type(obj) is dict and type(index) in {str, int}:
        return obj.get(index, MISSING)
    return MISSING


def _element_kind(obj: object) -> Kind:
    kinds = {type(item) for item in peek(obj)}
    return kinds.pop() if len(kinds) == 1 else None


def own(obj: object, name: str) -> object:
    """Give what Python itself keeps under a dunder `name`; no hook of the object's class runs."""
    try:
        if isinstance(obj, type):
            return type.__getattribute__(obj, name)
        return object.__getattribute__(obj, name)
    except AttributeError:
        return None


def library_name(value: Value) -> str:
    """Give the dotted name of a function or class of a library; '' for everything else."""
    if value.dotted is not None:
        return value.dotted
    if not isinstance(value.obj, (FunctionType, BuiltinFunctionType, type)):
        return ""
    module, name = own(value.obj, "__module__"), own(value.obj, "__qualname__")
    if not isinstance(module, str) or not is_library(module) or "<locals>" in str(name):
        return ""
    return f"{module}.{name}"


def peek(obj: object, limit: int = _PEEK) -> Iterator[object]:
    """Give the first elements of a container that can be walked without effect (keys of a dict)."""
    if type(obj) in {list, tuple, set, frozenset, dict}:
        yield from islice(obj, limit)  # type: ignore[call-overload]
    elif type(obj) is range and obj:
        yield obj[0]
