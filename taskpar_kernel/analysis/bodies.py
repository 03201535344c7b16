"""Walk the body of one function.

A function's node and what is known of its arguments come in, a `Summary` goes out. The rule: each
parameter, captured variable and default argument is a root of its own, so that a change of it is
found again at the call.
"""

from __future__ import annotations

import ast
from types import FunctionType, NoneType
from typing import TYPE_CHECKING

from taskpar_kernel.analysis.names import Frame, FrameKind, bindings_of, parameters_of
from taskpar_kernel.analysis.summaries import Signature, Summary
from taskpar_kernel.analysis.values import MISSING, Roots, Value
from taskpar_kernel.analysis.walk import is_code

if TYPE_CHECKING:
    from taskpar_kernel.analysis.sources import Node
    from taskpar_kernel.analysis.values import Kind
    from taskpar_kernel.analysis.walk import Walk


def walk_body(
    walk: Walk, node: Node, call: Signature, defaults: dict[str, Value] | None = None
) -> Summary:
    """Walk the body of a function in a frame below the walk's own, on the walk's ledger."""
    session = walk.session
    session.serial += 1
    serial = session.serial
    parameters = parameters_of(node.args)
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
        name="lambda" if isinstance(node, ast.Lambda) else node.name,
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


def cells_frame(function: FunctionType, outer: Frame) -> Frame:
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


def live_defaults(function: FunctionType) -> dict[str, Value]:
    """Describe the default arguments of a live function by its parameters."""
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
