"""What a call does: find out what is called, then enter its effects.

A call node comes in; effects go to the walk's ledger and the result's value goes out. The order of
trust: a body that can be followed, the tables, the conventions of names, nothing.
"""

from __future__ import annotations

import ast
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Final

from taskpar_kernel.analysis import classes, functions, library, special
from taskpar_kernel.analysis.ledger import Change
from taskpar_kernel.analysis.resolve import attribute, own
from taskpar_kernel.analysis.summaries import Arguments, Signature, followable
from taskpar_kernel.analysis.targets import iterate
from taskpar_kernel.analysis.values import MISSING, Family, Value, family, is_library
from taskpar_kernel.model.effects import Blocker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskpar_kernel.analysis.walk import Walk


def call(walk: Walk, node: ast.Call) -> Value:
    """Evaluate a call."""
    callee = _callee(walk, node.func)
    arguments = _arguments(walk, node)
    return invoke(walk, node, callee, arguments)


def _callee(walk: Walk, node: ast.expr) -> Value:
    if isinstance(node, ast.Name):
        return walk.load(node.id)
    if isinstance(node, ast.Attribute):
        base = node.value
        owner = walk.load(base.id) if isinstance(base, ast.Name) else walk.value(base)
        return attribute(owner, node.attr)
    return walk.value(node)


def _arguments(walk: Walk, node: ast.Call) -> Arguments:
    arguments = Arguments()
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            value = walk.value(argument.value)
            iterate(walk, value, argument)
            arguments.spread.append(value)
        else:
            arguments.positional.append(walk.value(argument))
    for word in node.keywords:
        value = walk.value(word.value)
        if word.arg is None:
            if family(value.kind) > Family.PLAIN:  # its `keys` and `__getitem__` are called
                walk.ledger.doubt()
            arguments.spread.append(value)
        else:
            arguments.keywords[word.arg] = value
    return arguments


def invoke(walk: Walk, node: ast.Call, callee: Value, arguments: Arguments) -> Value:
    """Enter the effects of calling `callee`."""
    special_result = special.treat(walk, node, callee, arguments)
    if special_result is not None:
        return special_result
    _callbacks(walk, node, callee, arguments)
    followed = _follow(walk, node, callee, arguments)
    if followed is not None:
        return followed
    _refer_classes(walk, arguments)
    if callee.obj is not MISSING or callee.dotted is not None:
        if _is_users(callee):
            walk.ledger.unclear()
            walk.ledger.block(Blocker.UNKNOWN, node, _dotted(callee))
            return Value()
        result = library.call_function(walk, node, callee, arguments)
        if result is not None:
            return result
    if callee.owner is not None:
        return library.call_method(walk, node, callee, arguments)
    return _unknown(walk, node, callee, arguments)


def _follow(walk: Walk, node: ast.Call, callee: Value, arguments: Arguments) -> Value | None:
    """Follow the callee if it is code of the notebook."""
    owner = callee.owner
    if owner is not None and not isinstance(owner.obj, (type, ModuleType)):
        method = classes.method_of(walk, owner.kind, callee.attr)
        if method is not None:
            return classes.call_method(walk, node, method, owner, arguments)
    function = followable(callee)
    if function is not None:
        if owner is not None and classes.is_class_method(owner, callee.attr):
            arguments = Arguments(
                [owner, *arguments.positional], arguments.keywords, arguments.spread
            )
        return functions.follow(walk, function, arguments, node)
    cls = classes.class_of(callee)
    if cls is not None:
        return classes.construct(walk, node, cls, arguments)
    if family(callee.kind) is Family.NOTEBOOK:
        method = classes.method_of(walk, callee.kind, "__call__")
        if method is not None:
            return classes.call_method(walk, node, method, callee, arguments)
    return None


def _callbacks(walk: Walk, node: ast.Call, callee: Value, arguments: Arguments) -> None:
    """Count the functions given as arguments as called, with any of the other arguments."""
    given = arguments.all()
    for value in _callables(given):
        function = followable(value)
        cls = classes.class_of(value)
        if function is not None or cls is not None:
            others = [other for other in given if other is not value]
            if callee.owner is not None:
                others.append(callee.owner)
            if function is not None:
                summary = functions.summarise(walk, function, Signature())
                functions.merge(walk, summary, Arguments(spread=others), node)
            elif cls is not None and not _only_asks(callee):
                _made_by_library(walk, node, cls, others)
        elif isinstance(value.obj, FunctionType) and _is_users(value):
            walk.ledger.unclear()
        elif value.owner is not None and value.attr:
            _bound_callback(walk, node, value, arguments)


def _callables(given: Iterable[Value]) -> list[Value]:
    """Give the arguments that may be called, and those that displays among them hold."""
    found: list[Value] = []
    for value in given:
        if value.function is not None or value.owner is not None or isinstance(value.obj, _CALLED):
            found.append(value)
        elif value.items is not None:
            found.extend(_callables(value.items))
    return found


_CALLED: Final = (FunctionType, type)


def _only_asks(callee: Value) -> bool:
    return callee.dotted in {"builtins.isinstance", "builtins.issubclass", "builtins.super"}


def _made_by_library(
    walk: Walk, node: ast.Call, cls: type | ast.ClassDef, others: list[Value]
) -> None:
    """Count a class given as an argument as called, and the methods it overrides too."""
    classes.construct(walk, node, cls, Arguments(spread=others))
    if classes.is_derived(cls):
        walk.ledger.doubt()


def _bound_callback(walk: Walk, node: ast.Call, value: Value, arguments: Arguments) -> None:
    """Count a bound method given as an argument (`map(rows.append, xs)`) as called."""
    owner = value.owner
    assert owner is not None
    method = classes.method_of(walk, owner.kind, value.attr)
    if method is not None:
        classes.call_method(walk, node, method, owner, Arguments(spread=arguments.all()))
    elif library.changes_receiver(owner, value.attr):
        walk.ledger.change(owner, node, Change.DEEP)


def _refer_classes(walk: Walk, arguments: Arguments) -> None:
    """Count the methods of notebook classes given to code that is not followed as needed."""
    for value in arguments.all():
        if family(value.kind) is Family.NOTEBOOK:
            classes.refer(walk, value.kind)
        cls = classes.class_of(value)
        if cls is not None:
            classes.refer(walk, cls)


def _unknown(walk: Walk, node: ast.Call, callee: Value, arguments: Arguments) -> Value:
    """Call what is not known: any notebook function it may be counts."""
    for root in callee.reach:
        if isinstance(root, str):
            for function in functions.functions_in(walk, root):
                functions.follow(walk, function, arguments, node)
    walk.ledger.unclear()
    return Value()


def _is_users(callee: Value) -> bool:
    module = own(callee.obj, "__module__")
    if callee.obj is MISSING or not isinstance(module, str):
        return False
    return module != "__main__" and not is_library(module)


def _dotted(callee: Value) -> str:
    name = own(callee.obj, "__qualname__") or callee.attr or "?"
    return callee.dotted or f"{own(callee.obj, '__module__')}.{name}"
