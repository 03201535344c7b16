"""Follow functions of the notebook: what calling one does, found by walking its body.

A function (live, or defined earlier in the cell) and the types of its arguments come in; a `Summary`
goes out and is entered in the caller's ledger. The rules: a body is walked once for each combination
of argument types and kept as long as the global names it used mean the same; a call of a body that
is being walked already takes the summary found so far, and the body is walked once more.
"""

from __future__ import annotations

import ast
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice
from types import CodeType, FunctionType, NoneType
from typing import Final, NamedTuple

from taskpar_kernel.analysis.ledger import Change, Ledger
from taskpar_kernel.analysis.names import (
    Frame,
    FrameKind,
    FunctionNode,
    bindings_of,
    parameters_of,
)
from taskpar_kernel.analysis.resolve import peek
from taskpar_kernel.analysis.sources import Node, global_names, node_of
from taskpar_kernel.analysis.values import (
    MISSING,
    Kind,
    Root,
    Roots,
    Value,
    is_immutable,
    is_plain,
)
from taskpar_kernel.analysis.walk import Uses, Walk, is_code, still_means, token_of
from taskpar_kernel.model.effects import Blocker

_LIMIT: Final = 2048  # summaries kept
_DEPTH: Final = 40  # bodies inside bodies, against the recursion limit


@dataclass(slots=True)
class Summary:
    """What calling a function does, in terms of its parameters and global names."""

    name: str
    parameters: tuple[str, ...] = ()
    star: str = ""
    extra: str = ""
    all_change: bool = False
    serial: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    lazy: str = ""
    result: Kind = None
    fresh: bool = False
    uses: Uses = field(default_factory=dict)


@dataclass(slots=True)
class Arguments:
    """The arguments of a call; `spread` are those given by `*` and `**`."""

    positional: list[Value] = field(default_factory=list)
    keywords: dict[str, Value] = field(default_factory=dict)
    spread: list[Value] = field(default_factory=list)

    def all(self) -> list[Value]:
        """Give every argument."""
        return [*self.positional, *self.keywords.values(), *self.spread]


class Signature(NamedTuple):
    """What is known of a call's arguments: types by position, whether there are no others, and
    whether the first is an object just made (in a constructor)."""

    kinds: tuple[Kind, ...] = ()
    complete: bool = False
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Closure:
    """A function made inside the statement; its body was walked where it was made."""

    summary: Summary


Followable = Closure | FunctionType | FunctionNode
_kept: OrderedDict[tuple[int, Signature], tuple[object, Summary]] = OrderedDict()


def followable(value: Value) -> Followable | None:
    """Give the notebook function a value surely is."""
    function = value.function
    if isinstance(function, (Closure, ast.FunctionDef, ast.AsyncFunctionDef)):
        return function
    obj = value.obj
    if isinstance(obj, FunctionType) and obj.__module__ == "__main__":
        return obj
    return None


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
    key = (id(function if captured else body), call)
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
        return walk_body(walk.fork(outer, uses={}), function, call)
    if function.__globals__.get("__name__") != "__main__":  # the wrapper of a library's decorator
        wrapped = vars(function).get("__wrapped__")
        inner = followable(Value(obj=wrapped))
        return _unfollowed(walk, function) if inner is None else summarise(walk, inner, call)
    node = node_of(function.__code__)
    if node is None:
        return _unfollowed(walk, function)
    if function.__closure__:
        outer = _cells(function, outer)
    return walk_body(walk.fork(outer, uses={}), node, call, _live_defaults(function))


def _cells(function: FunctionType, outer: Frame) -> Frame:
    """Make the frame of what a live function captured."""
    env: dict[str, Value] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            obj = cell.cell_contents
        except ValueError:  # not bound yet
            continue
        root = frozenset({("cell", 0, name)})
        env[name] = (
            Value(type(obj), obj=obj, same=root, direct=True)
            if is_code(obj)
            else Value(type(obj), same=root, direct=True)
        )
    return Frame(FrameKind.FUNCTION, outer, frozenset(function.__code__.co_freevars), env=env)


def _live_defaults(function: FunctionType) -> dict[str, Value]:
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    given = dict(function.__kwdefaults__ or {})
    values = function.__defaults__ or ()
    given.update(zip(names[len(names) - len(values) :], values, strict=True))
    return {
        name: _default(name, type(obj), obj if is_code(obj) else MISSING)
        for name, obj in given.items()
    }


def _default(name: str, kind: Kind, obj: object = MISSING) -> Value:
    return Value(kind, obj=obj, same=frozenset({("default", 0, name)}), direct=True)


def walk_body(
    walk: Walk, node: Node, call: Signature, defaults: dict[str, Value] | None = None
) -> Summary:
    """Walk the body of a function in a frame below the walk's own; the walk's ledger becomes its."""
    session = walk.session
    session.serial += 1
    serial = session.serial
    parameters = parameters_of(node.args)
    lambda_ = isinstance(node, ast.Lambda)
    body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
    bindings = bindings_of(body, parameters)
    env = _parameter_values(node.args, call, serial, defaults)
    walk.frame = Frame(
        FrameKind.FUNCTION, walk.frame, bindings.local, bindings.declared_global, env
    )
    if isinstance(node, ast.Lambda):
        walk.returned = walk.value(node.body)
    else:
        walk.run(node.body)
    result = walk.returned or Value(NoneType)
    lazy = result.lazy
    if bindings.yields:
        lazy = "a generator"
    elif isinstance(node, ast.AsyncFunctionDef):
        lazy = "a coroutine"
    return Summary(
        name="lambda" if lambda_ else node.name,  # type: ignore[union-attr]
        parameters=tuple(arg.arg for arg in (*node.args.posonlyargs, *node.args.args)),
        star=node.args.vararg.arg if node.args.vararg else "",
        extra=node.args.kwarg.arg if node.args.kwarg else "",
        serial=serial,
        ledger=walk.ledger,
        lazy=lazy,
        result=None if lazy else result.kind,
        fresh=result.fresh and not result.held,
        uses=walk.uses or {},
    )


def _parameter_values(
    args: ast.arguments, call: Signature, serial: int, defaults: dict[str, Value] | None
) -> dict[str, Value]:
    env: dict[str, Value] = {}
    positional = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    for position, name in enumerate(positional):
        root: Roots = frozenset({("param", serial, name)})
        if position < len(call.kinds):
            env[name] = Value(call.kinds[position], same=root, direct=True)
        elif call.complete and defaults is not None and name in defaults:
            env[name] = defaults[name]
        else:
            env[name] = Value(same=root, direct=True)
    for arg in args.kwonlyargs:
        env[arg.arg] = Value(same=frozenset({("param", serial, arg.arg)}), direct=True)
    if call.fresh and positional:
        env[positional[0]] = Value(call.kinds[0] if call.kinds else None, fresh=True)
    for extra, kind in ((args.vararg, tuple), (args.kwarg, dict)):
        if extra is not None:
            held: Roots = frozenset({("param", serial, extra.arg)})
            env[extra.arg] = Value(kind, held=held, fresh=True)
    return env


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
    ledger.files_written |= done.files_written
    ledger.prints |= done.prints
    ledger.spend(done.cost_s)
    ledger.touch = max(ledger.touch, done.touch)
    for reason in done.home:
        what = reason.what if walk.uses is not None else f"{reason.what} (in {summary.name})"
        ledger.block(reason.blocker, node, what)
    for root, how in done.changes.items():
        _merge_change(walk, summary, arguments, node, (root, how))
    if summary.all_change:
        for value in arguments.all():
            if not is_plain(value) or not is_immutable(value):
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
        walk.ledger.block(Blocker.UNKNOWN, node, f"{summary.name}: changes {where} `{root[2]}`")
    elif root[1] == summary.serial:
        for value in _bound_to(summary, arguments, root[2]):
            if not is_immutable(value):
                walk.ledger.change(value, node, how)
    else:
        walk.ledger.change_roots((root,), how)


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
