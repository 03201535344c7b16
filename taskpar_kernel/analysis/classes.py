"""Classes of the notebook: construct, find methods, tell what mentioning one needs.

A live class or the node of a `class` statement comes in; the methods that can be followed go out.
The rule: members are taken as they are stored, so that no descriptor runs.
"""

from __future__ import annotations

import ast
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Final

from taskpar_kernel.analysis import functions
from taskpar_kernel.analysis.names import FunctionNode
from taskpar_kernel.analysis.resolve import library_name, own, static_member
from taskpar_kernel.analysis.summaries import Arguments, Followable, followable
from taskpar_kernel.analysis.values import (
    MISSING,
    NO_ROOTS,
    Family,
    Kind,
    Roots,
    Value,
    family,
    is_immutable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskpar_kernel.analysis.walk import Walk

_LOOKUPS: Final = ("__getattr__", "__getattribute__")
_TRANSPARENT: Final = frozenset({
    "dataclasses.dataclass", "functools.total_ordering", "enum.unique", "typing.final",
    "typing.runtime_checkable",
})  # fmt: skip
"""Class decorators that give back the class they were given."""
_EMPTY: Final = (list, dict, set, tuple, frozenset, str, int, float)
_CONSTRUCTORS: Final = ("__new__", "__init__", "__post_init__")


def class_of(value: Value) -> type | ast.ClassDef | None:
    """Give the notebook class a value is, if it is one."""
    if isinstance(value.function, ast.ClassDef):
        return value.function
    obj = value.obj
    if isinstance(obj, type) and family(obj) is Family.NOTEBOOK:
        return obj
    return None


def method_of(walk: Walk, kind: Kind, name: str) -> object | None:
    """Find a notebook function among the members of a class: plain, static or class method."""
    if kind is None or family(kind) is not Family.NOTEBOOK:
        return None
    member = _member(walk, kind, name)
    inner = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
    return None if function_in(inner) is None else member


def function_in(member: object) -> Followable | None:
    """Give the notebook function behind a class member."""
    if isinstance(member, (staticmethod, classmethod)):
        member = member.__func__
    if isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return member if is_plain_method(member) or _decorated(member, "property") else None
    return followable(Value(obj=member))


def _member(walk: Walk, kind: type | ast.ClassDef, name: str) -> object:
    if isinstance(kind, type):
        return static_member(kind, name)
    for node in kind.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            return node
    for base in kind.bases:
        cls = class_of(walk.load(base.id)) if isinstance(base, ast.Name) else None
        if cls is not None and cls is not kind:
            member = _member(walk, cls, name)
            if member is not MISSING:
                return member
    return MISSING


def only_stores(walk: Walk, node: ast.ClassDef, name: str) -> bool:
    """Whether an attribute of instances of a class of this cell is one that just is there."""
    if has_member(node, name) and _member(walk, node, name) is MISSING:
        return False
    hooked = any(_member(walk, node, hook) is not MISSING for hook in _LOOKUPS)
    return not hooked and all(_is_stored(each, name) for each in node.body)


def only_stores_into(walk: Walk, kind: Kind, name: str) -> bool:
    """Whether storing an attribute of an instance of a notebook class runs none of its code."""
    if isinstance(kind, ast.ClassDef):
        return only_stores(walk, kind, name)
    member = MISSING if kind is None else static_member(kind, name)
    return not hasattr(type(member), "__set__") or isinstance(member, MemberDescriptorType)


def _is_stored(node: ast.stmt, name: str) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return node.name != name or is_plain_method(node)
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        return node.value is None or not isinstance(node.value, (ast.Call, ast.Name, ast.Attribute))
    return isinstance(node, (ast.Pass, ast.Expr))


def is_plain_method(node: FunctionNode) -> bool:
    """Whether the decorators of a method leave it what its text says."""
    known = {"staticmethod", "classmethod", "abstractmethod", "override", "final", "overload"}
    return all(
        (each.id if isinstance(each, ast.Name) else getattr(each, "attr", "")) in known
        for each in node.decorator_list
    )


def is_derived(cls: type | ast.ClassDef) -> bool:
    """Whether the class has bases besides `object`, whose code may call methods it overrides."""
    bases: Sequence[object] = cls.bases if isinstance(cls, ast.ClassDef) else cls.__bases__
    return any(base is not object for base in bases)


def has_member(kind: Kind, name: str) -> bool:
    """Whether a notebook class gets a special method from elsewhere: a library, a decorator.

    What every object has is none: it runs no code of the notebook.
    """
    if kind is None or family(kind) is not Family.NOTEBOOK:
        return False
    if isinstance(kind, ast.ClassDef):
        quiet = all(isinstance(base, ast.Name) and base.id == "object" for base in kind.bases)
        return bool(not quiet or kind.decorator_list or kind.keywords)
    member = static_member(kind, name)
    return member is not MISSING and member is not vars(object).get(name)


def property_of(walk: Walk, kind: Kind, name: str) -> Followable | None:
    """Find the getter of a property of a notebook class."""
    if kind is None or family(kind) is not Family.NOTEBOOK:
        return None
    member = _member(walk, kind, name)
    if isinstance(member, property):
        return followable(Value(obj=member.fget))
    if type(member).__name__ == "cached_property":
        return followable(Value(obj=own(member, "func")))
    if isinstance(member, ast.FunctionDef) and _decorated(member, "property"):
        return member
    return None


def _decorated(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> bool:
    return any(
        (isinstance(each, ast.Name) and each.id == name)
        or (isinstance(each, ast.Attribute) and each.attr == name)
        for each in node.decorator_list
    )


def is_class_method(owner: Value, name: str) -> bool:
    """Whether `owner.name`, found on a class, gets the class as its first argument."""
    if isinstance(owner.obj, type):
        return isinstance(static_member(owner.obj, name), classmethod)
    return False


def call_method(
    walk: Walk, node: ast.AST, method: object, owner: Value, arguments: Arguments
) -> Value:
    """Follow a method found by `method_of`, called on the instance `owner`."""
    function = function_in(method)
    if function is None:
        walk.ledger.unclear()
        return Value()
    static = isinstance(method, staticmethod) or (
        isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef))
        and _decorated(method, "staticmethod")
    )
    first = [] if static else [owner]
    bound = Arguments([*first, *arguments.positional], arguments.keywords, arguments.spread)
    return functions.follow(walk, function, bound, node, fresh=owner.fresh and not owner.held)


def construct(walk: Walk, node: ast.AST, cls: type | ast.ClassDef, arguments: Arguments) -> Value:
    """Make an instance: follow its constructors."""
    held: Roots = NO_ROOTS
    for value in arguments.all():
        if not is_immutable(value):
            held |= value.reach
    instance = Value(cls, fresh=True)
    for name in _CONSTRUCTORS:
        member = _member(walk, cls, name)
        function = function_in(member)
        if function is None or _is_generated(cls, function):
            if function is None and _is_foreign(member):
                walk.ledger.unclear()
            continue
        given = Arguments() if name == "__post_init__" else arguments
        bound = Arguments([instance, *given.positional], given.keywords, given.spread)
        functions.follow(walk, function, bound, node, fresh=True)
    if _is_made_otherwise(walk, cls):
        walk.ledger.unclear()
    return Value(cls, held=held, fresh=True)


def _is_made_otherwise(walk: Walk, cls: type | ast.ClassDef) -> bool:
    """Whether more than the constructors is called: of a metaclass, a decorator, a factory."""
    if isinstance(cls, type):
        users = type(cls) is not type and family(type(cls)) is Family.NOTEBOOK
        return users or _has_factories(cls)
    bases = [walk.value(base) for base in cls.bases]
    known = all(isinstance(base.obj, type) or class_of(base) is not None for base in bases)
    foreign = any(_is_made_otherwise(walk, inner) for inner in map(class_of, bases)
                  if inner is not None and inner is not cls)  # fmt: skip
    calls = (each.value for each in cls.body if isinstance(each, ast.AnnAssign))
    odd = cls.keywords or any(isinstance(each, ast.Call) for each in calls)
    replaced = any(_replaces(walk, each) for each in cls.decorator_list)
    return bool(odd or foreign or not known or replaced)


def _has_factories(cls: type) -> bool:
    """Whether the constructor that `dataclass` wrote calls functions for its default values."""
    fields = static_member(cls, "__dataclass_fields__")
    if type(fields) is not dict:
        return False
    factories = (own(field, "default_factory") for field in fields.values())
    return any(callable(each) and not any(each is kind for kind in _EMPTY) for each in factories)


def _replaces(walk: Walk, decorator: ast.expr) -> bool:
    """Whether a class decorator may give something else than the class it was given."""
    head = decorator.func if isinstance(decorator, ast.Call) else decorator
    return library_name(walk.value(head)) not in _TRANSPARENT


def _is_generated(cls: type | ast.ClassDef, function: Followable) -> bool:
    """Whether the function is one that `dataclass` or `NamedTuple` wrote: it only stores."""
    if isinstance(cls, ast.ClassDef):
        return False
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename.startswith("<string>")


def _is_foreign(member: object) -> bool:
    """Whether a constructor inherited from a library is unlike those of builtin types."""
    if member is MISSING:
        return False
    module = own(member, "__module__")
    return isinstance(module, str) and module not in {"builtins", "__main__"}


def refer(walk: Walk, kind: Kind) -> None:
    """Enter what an instance or class given to a library needs: the names its methods read."""
    if isinstance(kind, ast.ClassDef):
        members: list[object] = list(kind.body)
    elif isinstance(kind, type):
        members = [each for cls in kind.__mro__ if family(cls) is Family.NOTEBOOK
                   for each in vars(cls).values()]  # fmt: skip
    else:
        return
    for member in members:
        function = function_in(member)
        if function is not None and not _is_generated(kind, function):
            functions.refer(walk, function)
