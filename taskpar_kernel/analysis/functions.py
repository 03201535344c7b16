"""Follow functions of the notebook: what calling one does, found by walking its body.

A function (live, or defined earlier in the cell) and its arguments' types come in; a `Summary` goes
out and is entered in the caller's ledger. The rules: a body is walked once for each combination of
argument types and kept as long as the global names it used mean the same; a call of a body that
is being walked already takes the summary found so far, and the body is walked once more.
"""

from __future__ import annotations

import ast
from collections import OrderedDict
from copy import copy
from dataclasses import replace
from itertools import islice
from types import CodeType, FunctionType
from typing import Final

from taskpar_kernel.analysis import hooks
from taskpar_kernel.analysis.bodies import cells_frame, live_defaults, walk_body
from taskpar_kernel.analysis.ledger import Change, Ledger
from taskpar_kernel.analysis.names import Frame, FrameKind, FunctionNode
from taskpar_kernel.analysis.resolve import library_name, peek
from taskpar_kernel.analysis.sources import Node, global_names, node_of
from taskpar_kernel.analysis.summaries import (
    Arguments,
    Closure,
    Followable,
    Signature,
    Summary,
    followable,
)
from taskpar_kernel.analysis.values import Root, Value, is_immutable
from taskpar_kernel.analysis.walk import Walk, still_means, token_of
from taskpar_kernel.model.effects import Blocker

_LIMIT: Final = 2048  # summaries kept
_DEPTH: Final = 40  # bodies inside bodies, against the recursion limit


_TRANSPARENT: Final = frozenset({
    "builtins.staticmethod", "builtins.classmethod", "builtins.property", "abc.abstractmethod",
    "functools.wraps", "functools.lru_cache", "functools.cache", "functools.cached_property",
    "contextlib.contextmanager", "typing.override", "typing.final", "typing.overload",
})  # fmt: skip
"""Decorators of functions that change nothing of what calling one does, at most how often."""

_kept: OrderedDict[tuple[int, Signature, int], tuple[object, Summary]] = OrderedDict()


def follow(
    walk: Walk, function: Followable, arguments: Arguments, node: ast.AST, *, fresh: bool = False
) -> Value:
    """Enter what the call of `function` does in the walk's ledger; give its result.

    `fresh`: the first argument is an object just made.
    """
    summary = summarise(walk, function, _signature(arguments, fresh=fresh))
    merge(walk, summary, arguments, node)
    return Value(summary.result, lazy=summary.lazy, fresh=summary.fresh)


def refer(walk: Walk, function: Followable) -> None:
    """Enter what a notebook function that is mentioned, not called, needs: the names it reads."""
    _take_reads(walk, summarise(walk, function, Signature()))


def functions_in(walk: Walk, name: str) -> list[Followable]:
    """Give the notebook functions a global name is bound to, or holds in a container."""
    value = walk.outside(name)
    found = [followable(value)]
    if type(value.obj) in {list, tuple}:
        found.extend(followable(Value(obj=item)) for item in peek(value.obj))
    elif type(value.obj) is dict:
        items = list(islice(value.obj.values(), 20))
        found.extend(followable(Value(obj=item)) for item in items)
    return [function for function in found if function is not None]


def summarise(walk: Walk, function: Followable, call: Signature) -> Summary:
    """Find the summary of a function, from the store or by walking its body."""
    if isinstance(function, Closure):
        return function.summary
    body: object = function.__code__ if isinstance(function, FunctionType) else function
    captured = isinstance(function, FunctionType) and function.__closure__ is not None
    key = (id(function if captured else body), call, hooks.count())
    kept = _kept.get(key)
    if kept is not None and (kept[0] is body or kept[0] is function):
        summary = kept[1]
        scope = walk.scope
        if all(still_means(scope, name, token) for name, token in summary.uses.items()):
            _inherit(walk, summary)
            return summary
    summary, settled = _walked(walk, function, body, call)
    if settled:
        _kept[key] = (function if captured else body, summary)
        _kept.move_to_end(key)
        if len(_kept) > _LIMIT:
            _kept.popitem(last=False)
    _inherit(walk, summary)
    return summary


def _inherit(walk: Walk, summary: Summary) -> None:
    """What a summary depends on, the body that uses it depends on."""
    if walk.uses is not None:
        walk.uses.update(summary.uses)


def _walked(
    walk: Walk, function: FunctionType | FunctionNode, body: object, call: Signature
) -> tuple[Summary, bool]:
    """Walk a body, twice if it turns out to call itself; also tell whether the result is final."""
    session = walk.session
    so_far = session.active.get(body)
    if isinstance(so_far, Summary):
        session.hits.add(body)
        return so_far, False
    if session.left <= 0 or len(session.active) >= _DEPTH:
        return _unfollowed(walk, function), False
    session.left -= 1
    session.active[body] = Summary("…")
    try:
        summary = _analysed(walk, function, call)
        if body in session.hits:
            session.active[body] = summary
            summary = _analysed(walk, function, call)
    finally:
        del session.active[body]
        session.hits.discard(body)
    return summary, not session.hits


def _analysed(walk: Walk, function: FunctionType | FunctionNode, call: Signature) -> Summary:
    outer = Frame(FrameKind.MODULE)
    if not isinstance(function, FunctionType):
        inner = walk.fork(outer, uses={})
        plain = all(_is_transparent(inner, each) for each in function.decorator_list)
        summary = walk_body(inner, function, call)
        return summary if plain else _wrapped(summary)
    if function.__globals__.get("__name__") != "__main__":  # the wrapper of a library's decorator
        wrapped = vars(function).get("__wrapped__")
        target = followable(Value(obj=wrapped))
        if target is None:
            return _unfollowed(walk, function)
        summary = summarise(walk, target, call)
        manager = function.__code__.co_qualname.startswith("contextmanager.")
        return summary if manager else _wrapped(summary)
    node = node_of(function.__code__)
    if node is None:
        return _unfollowed(walk, function)
    if function.__closure__:
        outer = cells_frame(function, outer)
    return walk_body(walk.fork(outer, uses={}), node, call, live_defaults(function))


def _is_transparent(walk: Walk, decorator: ast.expr) -> bool:
    """Whether calling a function decorated so does what its text says; its names are read."""
    head = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(decorator, ast.Call):
        walk.value(decorator)
    return library_name(walk.value(head)) in _TRANSPARENT


def _wrapped(inner: Summary) -> Summary:
    """Assume that a wrapper, besides calling the function, may do anything."""
    ledger = copy(inner.ledger)
    ledger.unclear()
    return replace(inner, all_change=True, ledger=ledger, result=None, fresh=False)


def close(walk: Walk, node: Node) -> Value:
    """Make the value of a `lambda` or inner `def`: its body is walked here, entered when called."""
    with walk.aside():
        inner = walk.fork(walk.frame, uses=walk.uses)
        summary = walk_body(inner, node, Signature())
    _take_reads(walk, summary)
    return Value(FunctionType, function=Closure(summary), fresh=True)


def _unfollowed(walk: Walk, function: object) -> Summary:
    """Assume the worst of a function whose body cannot be walked; only its names are known."""
    ledger = Ledger()
    ledger.unclear()
    summary = Summary(getattr(function, "__name__", "?"), all_change=True, ledger=ledger)
    if isinstance(function, FunctionType):
        seen: set[str] = set()
        _names_reached(walk, function.__code__, seen)
        ledger.reads = seen
        for name in seen:
            summary.uses[name] = token_of(walk.scope, name)
    return summary


def _names_reached(walk: Walk, code: CodeType, seen: set[str]) -> None:
    """Collect the notebook's names a code object may use, through functions it names."""
    scope = walk.scope
    for name in global_names(code) - seen:
        if name in scope.objects or name in scope.definitions or name in scope.opaque:
            seen.add(name)
            function = followable(walk.outside(name))
            if isinstance(function, FunctionType):
                _names_reached(walk, function.__code__, seen)


def merge(walk: Walk, summary: Summary, arguments: Arguments, node: ast.AST) -> None:
    """Enter a called function's effects, with its parameters replaced by the arguments."""
    ledger, done = walk.ledger, summary.ledger
    _take_reads(walk, summary)
    if done.writes:
        walk.forget(done.writes)
    ledger.deletes |= done.deletes
    ledger.draws |= done.draws
    ledger.files_read |= done.files_read
    ledger.files_unseen |= done.files_unseen
    ledger.files_written |= done.files_written
    ledger.prints |= done.prints
    ledger.spend(done.cost_s)
    ledger.touch = max(ledger.touch, done.touch)
    for reason in done.home:
        if reason.blocker is Blocker.FILES:
            continue  # a bare write stays home, a function that also writes waits at the gate
        what = reason.what if walk.uses is not None else f"{reason.what} (in {summary.name})"
        ledger.block(reason.blocker, node, what)
    for root, how in done.changes.items():
        _merge_change(walk, summary, arguments, node, (root, how))
    if summary.all_change:
        for value in arguments.all():
            if not is_immutable(value):
                ledger.change(value, node, Change.DEEP)


def _merge_change(
    walk: Walk, summary: Summary, arguments: Arguments, node: ast.AST, change: tuple[Root, Change]
) -> None:
    root, how = change
    if isinstance(root, str):
        known = walk.frame.module().env.get(root)
        walk.ledger.change_roots((root,) if known is None else known.same | {root}, how)
    elif root[0] != "param":
        where = "a closure's variable" if root[0] == "cell" else "a default argument"
        _change_kept(walk, node, f"{summary.name}: changes {where} `{root[2]}`")
    elif root[1] == summary.serial:
        bound = _bound_to(summary, arguments, root[2])
        for value in bound:
            if not is_immutable(value):
                walk.ledger.change(value, node, how)
        if not bound and root[2] not in {summary.star, summary.extra}:  # it has its default
            _change_kept(walk, node, f"{summary.name}: changes a default argument `{root[2]}`")
    else:
        walk.ledger.change_roots((root,), how)


def _change_kept(walk: Walk, node: ast.AST, what: str) -> None:
    """Enter the change of an object that a function keeps to itself."""
    walk.ledger.block(Blocker.UNKNOWN, node, what)
    walk.ledger.doubt()


def _bound_to(summary: Summary, arguments: Arguments, parameter: str) -> list[Value]:
    """Give the arguments a parameter may be bound to."""
    found = list(arguments.spread)
    if parameter in arguments.keywords:
        found.append(arguments.keywords[parameter])
    if parameter in summary.parameters:
        position = summary.parameters.index(parameter)
        found.extend(arguments.positional[position : position + 1])
    elif parameter == summary.star:
        found.extend(arguments.positional[len(summary.parameters) :])
    elif parameter == summary.extra:
        found.extend(arguments.keywords.values())
    return found


def _take_reads(walk: Walk, summary: Summary) -> None:
    reads = summary.ledger.reads
    if reads:
        walk.ledger.reads |= reads - walk.frame.module().sure


def _signature(arguments: Arguments, *, fresh: bool) -> Signature:
    if arguments.spread:
        return Signature(fresh=fresh)
    kinds = tuple(value.kind for value in arguments.positional[:8])
    return Signature(kinds, complete=not arguments.keywords, fresh=fresh)
