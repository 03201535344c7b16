"""Classes of the notebook: construct, find methods, tell what mentioning one needs.

A live class or the node of a `class` statement comes in; the methods that can be followed go out.
The rule: members are taken as they are stored, so that no descriptor runs.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from taskpar_kernel.analysis import functions
from taskpar_kernel.analysis.resolve import own, static_member
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
    from taskpar_kernel.analysis.walk import Walk

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
        return member
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
    if isinstance(cls, type) and type(cls) is not type and family(type(cls)) is Family.NOTEBOOK:
        walk.ledger.unclear()
    return Value(cls, held=held, fresh=True)


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
