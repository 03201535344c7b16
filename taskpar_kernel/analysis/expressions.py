"""Evaluate expressions abstractly: one function for each kind of node.

A node comes in, its `Value` goes out, effects go to the walk's ledger. The rule: evaluation order
is Python's, so that a name bound by a walrus is known to what comes after it.
"""

from __future__ import annotations

import ast
import sys
from types import BuiltinFunctionType, FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Final

from taskpar_kernel.analysis import classes, functions, hooks
from taskpar_kernel.analysis.ledger import Change
from taskpar_kernel.analysis.names import Comprehension, Frame, FrameKind, target_names
from taskpar_kernel.analysis.operators import (
    binary,
    boolean,
    compare,
    conditional,
    dunder,
    nothing,
    truth,
    unary,
)
from taskpar_kernel.analysis.resolve import attribute, element, static_member
from taskpar_kernel.analysis.summaries import Arguments, followable
from taskpar_kernel.analysis.tables import exact_entry, method_entry
from taskpar_kernel.analysis.targets import assign, iterate
from taskpar_kernel.analysis.values import (
    MISSING,
    NO_ROOTS,
    UNKNOWN,
    Family,
    Plain,
    Roots,
    Value,
    family,
    is_immutable,
    is_small,
)
from taskpar_kernel.model.effects import Blocker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taskpar_kernel.analysis.walk import Evaluator, Walk

_STRING: Final = Value(str, small=True)
_SLICE: Final = Value(slice, small=True)


def _constant(_walk: Walk, node: ast.Constant) -> Value:
    return Value(type(node.value), obj=node.value, small=True)


def _name(walk: Walk, node: ast.Name) -> Value:
    value = walk.load(node.id)
    if value.obj is sys.modules:
        walk.ledger.block(Blocker.PROCESS, node)
    if value.function is not None or value.obj is not MISSING:
        function = followable(value)
        if function is not None:
            functions.refer(walk, function)
    return value


def _attribute(walk: Walk, node: ast.Attribute) -> Value:
    base = walk.value(node.value)
    getter = classes.property_of(walk, base.kind, node.attr)
    if getter is not None:
        return functions.follow(walk, getter, Arguments([base]), node)
    known = family(base.kind)
    if base.dotted is None and known > Family.LIBRARY and not _only_stored(walk, base, node.attr):
        walk.ledger.doubt()
    elif classes.class_of(base) is not None:
        hooks.meet(walk, hooks.ATTRIBUTES, Value())
    if known is Family.PLAIN and isinstance(base.kind, type):
        entry = method_entry(base.kind, node.attr)
        if entry is not None and entry.blocker is Blocker.DRAWING:
            walk.ledger.block(entry.blocker, node)
    value = attribute(base, node.attr)
    if isinstance(value.obj, type):
        return value
    if value.dotted is not None and not callable(value.obj):
        entry = exact_entry(value.dotted)
        if entry is not None and entry.blocker is Blocker.PROCESS:
            walk.ledger.block(entry.blocker, node)
    function = followable(value)
    if function is not None:
        functions.refer(walk, function)
    return value


def _only_stored(walk: Walk, base: Value, name: str) -> bool:
    """Whether loading an attribute of an instance of a notebook class runs none of its code."""
    kind = base.kind
    if isinstance(base.obj, type) or isinstance(base.function, ast.ClassDef):
        return True
    if isinstance(kind, ast.ClassDef):
        return classes.only_stores(walk, kind, name)
    if kind is None:
        return False
    member = static_member(kind, name)
    plain = member is MISSING or type(member) in _METHODS or not hasattr(type(member), "__get__")
    return (
        plain
        and static_member(kind, "__getattr__") is MISSING
        and static_member(kind, "__getattribute__") is object.__getattribute__
    )


_METHODS: Final = frozenset({FunctionType, staticmethod, classmethod, BuiltinFunctionType})


def _subscript(walk: Walk, node: ast.Subscript) -> Value:
    base = walk.value(node.value)
    index = walk.value(node.slice)
    known = family(base.kind)
    if known is Family.NOTEBOOK:
        return dunder(walk, node, base, "__getitem__", [index])
    if isinstance(base.kind, type) and known is Family.PLAIN:
        entry = method_entry(base.kind, "__getitem__")
        if entry is not None and "changes" in entry.words:  # a defaultdict inserts
            walk.ledger.change(base, node, Change.OWN)
    elif known > Family.LIBRARY and base.dotted is None:
        walk.ledger.unclear()
    hooks.meet(walk, hooks.KEYS, index)
    if classes.class_of(base) is not None:
        hooks.meet(walk, hooks.SUBSCRIPTS, Value())
    if isinstance(node.slice, ast.Slice):
        walk.ledger.spend(0.0 if is_small(base) else None)
        holder = base.kind in {list, tuple}
        if holder:
            return Value(base.kind, held=base.reach, fresh=True, small=is_small(base))
        kind = base.kind if base.kind in {str, bytes} else Plain if known <= Family.PLAIN else None
        return Value(kind, same=base.reach, fresh=base.fresh, dotted=base.dotted)
    exact = base.kind in {list, tuple, dict, str} or base.dotted is not None
    walk.ledger.spend(0.0 if exact and is_immutable(index) else None)
    return element(base, index.obj)


def _slice(walk: Walk, node: ast.Slice) -> Value:
    for part in (node.lower, node.upper, node.step):
        if part is not None:
            hooks.meet(walk, hooks.KEYS, walk.value(part))
    return _SLICE


def _sequence(walk: Walk, node: ast.List | ast.Tuple | ast.Set) -> Value:
    items: list[Value] | None = []
    held: Roots = NO_ROOTS
    lazy = ""
    for part in node.elts:
        value = walk.value(part)
        if not is_immutable(value):
            held |= value.reach
        if isinstance(part, ast.Starred):
            items = None
        else:
            lazy = lazy or value.lazy
            if items is not None:
                items.append(value)
    kind = _DISPLAYS[type(node)]
    if kind is set:
        hooks.meet(walk, hooks.KEYS, *(items or (UNKNOWN,)))
    return Value(kind, held=held, fresh=True, small=items is not None, lazy=lazy,
                 items=tuple(items) if items is not None and kind is not set else None)  # fmt: skip


_DISPLAYS: Final[Mapping[type, type]] = {ast.List: list, ast.Tuple: tuple, ast.Set: set}


def _dict(walk: Walk, node: ast.Dict) -> Value:
    held: Roots = NO_ROOTS
    lazy = ""
    items: list[Value] = []
    for key, part in zip(node.keys, node.values, strict=True):
        if key is not None:
            items.append(walk.value(key))
            hooks.meet(walk, hooks.KEYS, items[-1])
        items.append(walk.value(part))
        if key is None and family(items[-1].kind) > Family.PLAIN:
            walk.ledger.doubt()
    for value in items:
        lazy = lazy or value.lazy
        held |= _kept(value)
    exact = None not in node.keys
    return Value(dict, held=held, fresh=True, lazy=lazy, small=exact,
                 items=tuple(items) if exact else None)  # fmt: skip


def _kept(value: Value) -> Roots:
    return NO_ROOTS if is_immutable(value) else value.reach


def _starred(walk: Walk, node: ast.Starred) -> Value:
    value = walk.value(node.value)
    if family(value.kind) > Family.PLAIN and not value.lazy:
        walk.ledger.unclear()
    elif not is_small(value):
        walk.ledger.spend(None)
    return Value(list, held=value.reach, fresh=True)


def _joined_string(walk: Walk, node: ast.JoinedStr) -> Value:
    for part in node.values:
        walk.value(part)
    return _STRING


def _formatted(walk: Walk, node: ast.FormattedValue) -> Value:
    value = walk.value(node.value)
    if node.format_spec is not None:
        walk.value(node.format_spec)
    known = family(value.kind)
    if known > Family.PLAIN:
        walk.ledger.unclear()
    elif known is Family.PLAIN:
        hooks.meet(walk, hooks.TEXT, value)
    walk.ledger.spend(0.0 if known is Family.SCALAR or is_small(value) else None)
    return _STRING


def _walrus(walk: Walk, node: ast.NamedExpr) -> Value:
    value = walk.value(node.value)
    frame = walk.frame
    while walk.frame.kind is FrameKind.COMPREHENSION and walk.frame.parent is not None:
        walk.frame = walk.frame.parent
    assign(walk, node.target, value)
    walk.frame = frame
    return value


def _lambda(walk: Walk, node: ast.Lambda) -> Value:
    for default in (*node.args.defaults, *node.args.kw_defaults):
        if default is not None:
            walk.value(default)
    return functions.close(walk, node)


def _comprehension(walk: Walk, node: Comprehension) -> Value:
    first = walk.value(node.generators[0].iter)
    targets = frozenset(
        name for generator in node.generators for name in target_names(generator.target)
    )
    outer = walk.frame
    walk.frame = Frame(FrameKind.COMPREHENSION, outer, targets)
    found: list[Value] = []
    cost_known = is_small(first) and first.items is not None
    try:
        for position, generator in enumerate(node.generators):
            source = first if position == 0 else walk.value(generator.iter)
            if generator.is_async and walk.at_top:
                walk.ledger.block(Blocker.AWAIT, node)
            assign(walk, generator.target, iterate(walk, source, generator.iter))
        walk.loop(lambda: _rounds(walk, node, found))
    finally:
        walk.frame = outer
    if not cost_known:
        walk.ledger.spend(None)
    held: Roots = NO_ROOTS
    for value in found:
        held |= _kept(value)
    lazy = "a generator expression" if isinstance(node, ast.GeneratorExp) else ""
    return Value(_COMPREHENDED.get(type(node)), held=held, fresh=True, lazy=lazy)


_COMPREHENDED: Final[Mapping[type, type]] = MappingProxyType(
    {ast.ListComp: list, ast.SetComp: set, ast.DictComp: dict}
)


def _rounds(walk: Walk, node: Comprehension, found: list[Value]) -> None:
    """Evaluate filters and elements; both may never run."""

    def body() -> None:
        for generator in node.generators:
            for test in generator.ifs:
                truth(walk, walk.value(test))
        if isinstance(node, ast.DictComp):
            found.append(walk.value(node.key))
            found.append(walk.value(node.value))
        else:
            found.append(walk.value(node.elt))
        if not isinstance(node, (ast.ListComp, ast.GeneratorExp)):
            hooks.meet(walk, hooks.KEYS, *found)

    walk.branches(body, nothing)


def _await(walk: Walk, node: ast.Await) -> Value:
    if walk.at_top:
        walk.ledger.block(Blocker.AWAIT, node)
    value = walk.value(node.value)
    walk.ledger.unclear()
    return Value(same=value.reach)


def _yield(walk: Walk, node: ast.Yield | ast.YieldFrom) -> Value:
    if walk.at_top:
        walk.ledger.block(Blocker.CONTROL, node)
    if node.value is not None:
        walk.value(node.value)
    return Value()


_TABLE: dict[type, Evaluator] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.BinOp: binary,
    ast.UnaryOp: unary,
    ast.BoolOp: boolean,
    ast.Compare: compare,
    ast.IfExp: conditional,
    ast.List: _sequence,
    ast.Tuple: _sequence,
    ast.Set: _sequence,
    ast.Dict: _dict,
    ast.Starred: _starred,
    ast.JoinedStr: _joined_string,
    ast.FormattedValue: _formatted,
    ast.NamedExpr: _walrus,
    ast.Lambda: _lambda,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.DictComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.Await: _await,
    ast.Yield: _yield,
    ast.YieldFrom: _yield,
}
for _kind, _evaluator in (("TemplateStr", _joined_string), ("Interpolation", _formatted)):
    if hasattr(ast, _kind):  # from Python 3.14 on
        _TABLE[getattr(ast, _kind)] = _evaluator
EXPRESSIONS: Final[Mapping[type, Evaluator]] = _TABLE
