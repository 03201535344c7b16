"""Assignment targets and iteration: where values go, and where loop variables come from.

A target node and a value come in; bindings, changes and aliases go to the walk. The rule: storing
into an attribute or item changes the base object, binding a name changes nothing.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from taskpar_kernel.analysis import classes, functions, hooks
from taskpar_kernel.analysis.ledger import Change
from taskpar_kernel.analysis.resolve import element
from taskpar_kernel.analysis.summaries import Arguments
from taskpar_kernel.analysis.tables import Entry, method_entry
from taskpar_kernel.analysis.values import LIST_LIKE, Family, Value, family, is_small
from taskpar_kernel.model.effects import Blocker

if TYPE_CHECKING:
    from taskpar_kernel.analysis.walk import Walk


def assign(walk: Walk, target: ast.expr, value: Value) -> None:
    """Bind or store `value` as `target` says."""
    if isinstance(target, ast.Name):
        walk.store(target.id, value, target)
    elif isinstance(target, (ast.Tuple, ast.List)):
        _unpack(walk, target, value)
    elif isinstance(target, ast.Starred):
        assign(walk, target.value, Value(list, held=value.reach, fresh=True))
    elif isinstance(target, ast.Attribute):
        _store_attribute(walk, target, value)
    elif isinstance(target, ast.Subscript):
        store_item(walk, target, value)


def _unpack(walk: Walk, target: ast.Tuple | ast.List, value: Value) -> None:
    parts = target.elts
    starred = any(isinstance(part, ast.Starred) for part in parts)
    if value.items is not None and len(value.items) == len(parts) and not starred:
        for part, item in zip(parts, value.items, strict=True):
            assign(walk, part, item)
        return
    source = iterate(walk, value, target)
    for position, part in enumerate(parts):
        exact = not starred and not value.lazy
        assign(walk, part, element(value, position) if exact else source)


def _store_attribute(walk: Walk, target: ast.Attribute, value: Value) -> None:
    base = walk.value(target.value)
    ledger = walk.ledger
    _refuse_lazy(walk, base, value, target)
    if isinstance(base.obj, type) or isinstance(base.function, ast.ClassDef):
        users = classes.class_of(base) is not None
        ledger.block(Blocker.DEFINITION if users else Blocker.AMBIENT, target)
        if users:
            ledger.change(base, target, Change.OWN)
        return
    method = classes.method_of(walk, base.kind, "__setattr__")
    if method is not None:
        classes.call_method(walk, target, method, base, Arguments([Value(str), value]))
    elif family(base.kind) is Family.NOTEBOOK and not classes.only_stores_into(
        walk, base.kind, target.attr
    ):
        ledger.doubt()
    ledger.change(base, target, Change.OWN)
    walk.put_into(target.value, value)


def store_item(walk: Walk, target: ast.Subscript, value: Value | None) -> None:
    """Store into (or, without a value, delete from) `base[index]`."""
    base = walk.value(target.value)
    index = walk.value(target.slice)
    if isinstance(target.slice, ast.Slice):
        if value is not None and family(value.kind) > Family.PLAIN and not value.lazy:
            walk.ledger.doubt()
    else:
        hooks.meet(walk, hooks.KEYS, index, *((base,) if family(index.kind) else ()))
    name = "__delitem__" if value is None else "__setitem__"
    if value is not None:
        _refuse_lazy(walk, base, value, target)
    method = classes.method_of(walk, base.kind, name)
    if method is not None:
        given = [Value()] if value is None else [Value(), value]
        classes.call_method(walk, target, method, base, Arguments(given))
    entry = _item_entry(base, name)
    if entry is not None and entry.blocker is not None:
        walk.ledger.block(entry.blocker, target)
    walk.ledger.change(base, target, Change.SHALLOW)
    if base.kind not in LIST_LIKE and base.kind is not None:
        walk.ledger.spend(None)
    if value is not None:
        walk.put_into(target.value, value)


def _item_entry(base: Value, name: str) -> Entry | None:
    return method_entry(base.kind, name) if isinstance(base.kind, type) else None


def _refuse_lazy(walk: Walk, base: Value, value: Value, node: ast.AST) -> None:
    if value.lazy and (base.reach or walk.at_top):
        walk.ledger.block(Blocker.HANDLE, node, value.lazy)


def iterate(walk: Walk, source: Value, node: ast.AST) -> Value:
    """Walk over `source`; give what is known of its elements."""
    known = family(source.kind)
    if source.lazy:
        return Value(same=source.held, fresh=not source.held and source.fresh)
    if known is Family.NOTEBOOK:
        function = classes.function_in(classes.method_of(walk, source.kind, "__iter__"))
        if function is None:
            walk.ledger.unclear()
            return Value(same=source.reach)
        found = functions.follow(walk, function, Arguments([source]), node)
        walk.ledger.spend(None)
        if not found.lazy and family(found.kind) > Family.PLAIN:  # it has a `__next__`
            _step(walk, node, found, source)
        return Value(same=source.reach | found.held)
    if known > Family.PLAIN and source.dotted is None:
        walk.ledger.unclear()
    elif not is_small(source):
        walk.ledger.spend(None)
    return element(source)


def _step(walk: Walk, node: ast.AST, found: Value, source: Value) -> None:
    """Call `__next__` of what an `__iter__` gave, which may be the object itself."""
    method = classes.method_of(walk, found.kind, "__next__")
    if method is None:
        walk.ledger.unclear()
    else:
        stepped = source if found.kind is source.kind else found
        classes.call_method(walk, node, method, stepped, Arguments())
