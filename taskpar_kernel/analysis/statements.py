"""Execute statements abstractly: one function for each kind of node.

A statement comes in; bindings go to the walk's frames, effects to its ledger. The rule: what may
run zero times binds nothing surely; what steers the flow around the statement stays at home.
"""

from __future__ import annotations

import ast
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Final

from taskpar_kernel.analysis import classes, functions, hooks
from taskpar_kernel.analysis.ledger import Change, text_of
from taskpar_kernel.analysis.names import (
    Frame,
    FrameKind,
    FunctionNode,
    bindings_of,
    bound_by_alias,
)
from taskpar_kernel.analysis.operators import operate, operate_in_place
from taskpar_kernel.analysis.patterns import match_pattern
from taskpar_kernel.analysis.resolve import library_name
from taskpar_kernel.analysis.summaries import Arguments, followable
from taskpar_kernel.analysis.targets import assign, iterate, store_item
from taskpar_kernel.analysis.values import LIST_LIKE, Family, Value, family
from taskpar_kernel.model.effects import Blocker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taskpar_kernel.analysis.walk import Executor, Walk


def _expression(walk: Walk, node: ast.Expr) -> None:
    walk.discarded = node.value
    value = walk.value(node.value)
    if value.lazy and walk.at_top:
        walk.ledger.block(Blocker.HANDLE, node, value.lazy)


def _assignment(walk: Walk, node: ast.Assign) -> None:
    value = walk.value(node.value)
    for target in node.targets:
        assign(walk, target, value)


def _annotated(walk: Walk, node: ast.AnnAssign) -> None:
    if node.value is not None:
        assign(walk, node.target, walk.value(node.value))
    elif not isinstance(node.target, ast.Name):
        walk.value(node.target)
    if walk.frame.kind is not FrameKind.FUNCTION:
        walk.value(node.annotation)


def _augmented(walk: Walk, node: ast.AugAssign) -> None:
    target = node.target
    if isinstance(target, ast.Name):
        old = walk.load(target.id)
        value = walk.value(node.value)
        new = _in_place(walk, node, old, value)
        walk.store(target.id, new, node)
        return
    base = walk.value(target.value)
    if isinstance(target, ast.Subscript):
        walk.value(target.slice)
        known = family(base.kind)
        if known > Family.LIBRARY:
            walk.ledger.unclear()
    old = walk.value(target)
    value = walk.value(node.value)
    if family(old.kind) is not Family.SCALAR:
        walk.ledger.change(old, node, Change.DEEP)
    assign(walk, target, operate_in_place(walk, node, old, value))


def _in_place(walk: Walk, node: ast.AugAssign, old: Value, value: Value) -> Value:
    """Do `old += value`: immutable objects are replaced, others may change."""
    known = family(old.kind)
    if known is Family.SCALAR or old.kind in {tuple, frozenset}:
        return operate(walk, node, node.op, old, value)
    if old.kind in LIST_LIKE:
        if family(value.kind) > Family.PLAIN and not value.lazy:
            walk.ledger.unclear()
        else:
            walk.ledger.spend(0.0 if value.small else None)
            hooks.meet(walk, hooks.NUMBERS, value, *((old,) if old.kind is not list else ()))
        walk.ledger.change(old, node, Change.SHALLOW)
        return old.holding(value.reach)
    walk.ledger.spend(None)
    walk.ledger.change(old, node, Change.SHALLOW)
    if known is Family.PLAIN and family(value.kind) <= Family.PLAIN:
        hooks.meet(walk, hooks.NUMBERS, old, value)
        return old
    if known is Family.UNKNOWN and old.direct:  # list-like: rechecked; anything else counts as any
        if family(value.kind) > Family.PLAIN and not value.lazy:
            walk.ledger.doubt()
        hooks.meet(walk, hooks.NUMBERS, value)
        return old
    result = operate_in_place(walk, node, old, value)
    return result.joined(old)


def _delete(walk: Walk, node: ast.Delete) -> None:
    for target in node.targets:
        _delete_target(walk, target)


def _delete_target(walk: Walk, target: ast.expr) -> None:
    if isinstance(target, ast.Name):
        walk.unbind(target.id)
    elif isinstance(target, (ast.Tuple, ast.List)):
        for part in target.elts:
            _delete_target(walk, part)
    elif isinstance(target, ast.Subscript):
        store_item(walk, target, None)
    elif isinstance(target, ast.Attribute):
        assign(walk, target, Value())


def _import(walk: Walk, node: ast.Import) -> None:
    walk.ledger.block(Blocker.IMPORT, node)
    walk.ledger.spend(None)
    for alias in node.names:
        whole = alias.name if alias.asname else alias.name.partition(".")[0]
        walk.store(bound_by_alias(alias), _module(whole), node)


def _module(dotted: str) -> Value:
    live = sys.modules.get(dotted)
    if live is None:
        return Value(ModuleType, dotted=dotted)
    return Value(ModuleType, obj=live, dotted=dotted)


def _import_from(walk: Walk, node: ast.ImportFrom) -> None:
    walk.ledger.block(Blocker.IMPORT, node)
    walk.ledger.spend(None)
    source = _module(node.module or "")
    for alias in node.names:
        if alias.name == "*":
            walk.ledger.unclear()
            for name in _public(source.obj):
                walk.store(name, _member(source.obj, f"{node.module}.{name}", name), node)
        else:
            value = _member(source.obj, f"{node.module}.{alias.name}", alias.name)
            walk.store(bound_by_alias(alias), value, node)


def _member(module: object, dotted: str, name: str) -> Value:
    found = vars(module).get(name) if isinstance(module, ModuleType) else None
    return Value(dotted=dotted) if found is None else Value(type(found), obj=found, dotted=dotted)


def _public(module: object) -> list[str]:
    """Give what a star import of a module binds, as far as it is loaded already."""
    if not isinstance(module, ModuleType):
        return []
    named = vars(module).get("__all__")
    if isinstance(named, (list, tuple)):
        return [name for name in named if isinstance(name, str)]
    return [name for name in vars(module) if not name.startswith("_")]


def _function(walk: Walk, node: FunctionNode) -> None:
    for decorator in node.decorator_list:
        _decorate(walk, decorator, Value(FunctionType, function=node))
    args = node.args
    for default in (*args.defaults, *args.kw_defaults):
        if default is not None:
            walk.value(default)
    for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg):
        if arg is not None and arg.annotation is not None:
            walk.value(arg.annotation)
    if node.returns is not None:
        walk.value(node.returns)
    walk.store(node.name, Value(FunctionType, function=node), node)
    if walk.at_top:
        walk.ledger.block(Blocker.DEFINITION, node, f"def {node.name}")
    elif walk.in_function:
        walk.store(node.name, functions.close(walk, node), node)


def _class(walk: Walk, node: ast.ClassDef) -> None:
    bases = [walk.value(base) for base in node.bases]
    for word in node.keywords:
        walk.value(word.value)
    if walk.at_top:
        walk.ledger.block(Blocker.DEFINITION, node, f"class {node.name}")
    bindings = bindings_of(node.body)
    outer = walk.frame
    uses, walk.frame = walk.uses, Frame(
        FrameKind.CLASS, outer, bindings.local, bindings.declared_global
    )  # fmt: skip
    try:
        walk.run(node.body)
    finally:
        walk.frame, walk.uses = outer, uses
    made = Value(type, function=node)
    if node.keywords or not (all(map(_is_quiet_base, bases)) and all(map(_is_quiet, node.body))):
        walk.ledger.doubt()
    for base in bases:
        hook = classes.method_of(walk, classes.class_of(base), "__init_subclass__")
        if hook is not None:
            classes.call_method(walk, node, hook, made, Arguments())
    for decorator in node.decorator_list:
        _decorate(walk, decorator, made)
    walk.store(node.name, made, node)


def _decorate(walk: Walk, decorator: ast.expr, made: Value) -> None:
    """Call a decorator with the function or class that was just made.

    One that a library names (`property`, `functools.wraps(f)`, `dataclass`) only wraps it.
    """
    value = walk.value(decorator)
    function = followable(value)
    if function is not None:
        functions.follow(walk, function, Arguments([made]), decorator)
        return
    named = walk.value(decorator.func) if isinstance(decorator, ast.Call) else value
    if not library_name(named):
        walk.ledger.doubt()


def _is_quiet_base(base: Value) -> bool:
    """Whether deriving from the class runs no code of the notebook."""
    return type(base.obj) is type and family(base.obj) <= Family.LIBRARY


def _is_quiet(node: ast.stmt) -> bool:
    """Whether a class with this in its body calls nothing more for it (`__set_name__`)."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        return node.value is None or isinstance(node.value, ast.Constant)
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Pass, ast.Expr))


def _if(walk: Walk, node: ast.If) -> None:
    _test(walk, node.test)
    walk.branches(lambda: walk.run(node.body), lambda: walk.run(node.orelse))


def _test(walk: Walk, node: ast.expr) -> None:
    value = walk.value(node)
    if family(value.kind) > Family.LIBRARY:
        walk.ledger.doubt()


def _for(walk: Walk, node: ast.For | ast.AsyncFor) -> None:
    if isinstance(node, ast.AsyncFor) and walk.at_top:
        walk.ledger.block(Blocker.AWAIT, node, "async for")
    source = walk.value(node.iter)
    first = iterate(walk, source, node.iter)
    if not (source.small and source.items is not None and len(source.items) <= 10):
        walk.ledger.spend(None)

    def body() -> None:
        assign(walk, node.target, first)
        walk.run(node.body)

    walk.loop(body)
    walk.run(node.orelse)


def _while(walk: Walk, node: ast.While) -> None:
    walk.ledger.spend(None)

    def body() -> None:
        _test(walk, node.test)
        walk.run(node.body)

    walk.loop(body)
    walk.run(node.orelse)


def _with(walk: Walk, node: ast.With | ast.AsyncWith) -> None:
    if isinstance(node, ast.AsyncWith) and walk.at_top:
        walk.ledger.block(Blocker.AWAIT, node, "async with")
    for item in node.items:
        entered = _entered(walk, item, walk.value(item.context_expr))
        if item.optional_vars is not None:
            assign(walk, item.optional_vars, entered)
    walk.branches(lambda: walk.run(node.body), lambda: None)


def _entered(walk: Walk, item: ast.withitem, manager: Value) -> Value:
    """Enter a context manager; the value bound by `as` is the manager, or unknown."""
    node = item.context_expr
    if manager.lazy:  # an open file, or a generator made into a context manager
        return Value(manager.kind, held=manager.held, fresh=manager.fresh)
    if family(manager.kind) is Family.NOTEBOOK:
        result = manager
        for name, count in (("__enter__", 0), ("__exit__", 3)):
            method = classes.method_of(walk, manager.kind, name)
            if method is not None:
                given = Arguments([Value(type(None))] * count)
                found = classes.call_method(walk, node, method, manager, given)
                result = result.joined(found) if name == "__enter__" else result
        return Value(result.kind, same=manager.reach, fresh=manager.fresh)
    if family(manager.kind) > Family.PLAIN and not _is_harmless(manager):
        walk.ledger.unclear()
        walk.ledger.change(manager, node, Change.OWN)
    return Value(manager.kind, same=manager.reach, held=manager.held, fresh=manager.fresh)


def _is_harmless(manager: Value) -> bool:
    return getattr(manager.kind, "__module__", "") == "contextlib"


def _try(walk: Walk, node: ast.Try) -> None:
    walk.guarded += 1
    before = set(walk.frame.module().sure)
    walk.branches(lambda: walk.run(node.body), lambda: None)
    walk.guarded -= 1
    arms: list[Callable[[], None]] = [lambda: walk.run(node.orelse)]
    arms.extend(_handler_arm(walk, handler) for handler in node.handlers)
    walk.branches(*arms)
    walk.frame.module().sure |= before
    walk.run(node.finalbody)


def _handler_arm(walk: Walk, handler: ast.ExceptHandler) -> Callable[[], None]:
    def run() -> None:
        if handler.type is not None:
            walk.value(handler.type)
        if handler.name:
            walk.store(handler.name, Value(fresh=True), handler)
        walk.run(handler.body)
        if handler.name:
            walk.unbind(handler.name)

    return run


def _match(walk: Walk, node: ast.Match) -> None:
    subject = walk.value(node.subject)
    arms = [_case_arm(walk, case, subject) for case in node.cases]
    walk.branches(*arms, lambda: None)


def _case_arm(walk: Walk, case: ast.match_case, subject: Value) -> Callable[[], None]:
    def run() -> None:
        match_pattern(walk, case.pattern, subject)
        if case.guard is not None:
            _test(walk, case.guard)
        walk.run(case.body)

    return run


def _return(walk: Walk, node: ast.Return) -> None:
    if walk.at_top:
        walk.ledger.block(Blocker.CONTROL, node)
    value = Value(type(None)) if node.value is None else walk.value(node.value)
    walk.returned = value if walk.returned is None else walk.returned.joined(value)


def _raise(walk: Walk, node: ast.Raise) -> None:
    for part in (node.exc, node.cause):
        if part is not None:
            walk.value(part)
    if walk.at_top and not walk.guarded and not walk.loops:
        walk.ledger.block(Blocker.CONTROL, node)


def _assert(walk: Walk, node: ast.Assert) -> None:
    _test(walk, node.test)
    if node.msg is not None:
        walk.value(node.msg)


def _jump(walk: Walk, node: ast.Break | ast.Continue) -> None:
    if walk.at_top and not walk.loops:
        walk.ledger.block(Blocker.CONTROL, node)


def _pass(walk: Walk, node: ast.stmt) -> None:
    """Do nothing: `pass`, `global` and `nonlocal` act on the frame alone."""


def _type_alias(walk: Walk, node: ast.stmt) -> None:
    name: ast.Name = vars(node)["name"]
    walk.store(name.id, Value(fresh=True), node)
    walk.ledger.block(Blocker.DEFINITION, node, text_of(node))


_TABLE: dict[type, Executor] = {
    ast.Expr: _expression,
    ast.Assign: _assignment,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Delete: _delete,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.ClassDef: _class,
    ast.If: _if,
    ast.For: _for,
    ast.AsyncFor: _for,
    ast.While: _while,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.Try: _try,
    ast.TryStar: _try,
    ast.Match: _match,
    ast.Return: _return,
    ast.Raise: _raise,
    ast.Assert: _assert,
    ast.Break: _jump,
    ast.Continue: _jump,
    ast.Pass: _pass,
    ast.Global: _pass,
    ast.Nonlocal: _pass,
}
if hasattr(ast, "TypeAlias"):
    _TABLE[ast.TypeAlias] = _type_alias
STATEMENTS: Final[Mapping[type, Executor]] = _TABLE
