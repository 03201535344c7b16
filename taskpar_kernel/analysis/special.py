"""Functions whose effect depends on how they are called.

Each takes the walk, the call and its arguments, and gives the result, or None to leave the call to
the tables after all.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from taskpar_kernel.analysis import hooks
from taskpar_kernel.analysis.ledger import Change
from taskpar_kernel.analysis.resolve import attribute, own_dict
from taskpar_kernel.analysis.summaries import Arguments
from taskpar_kernel.analysis.values import MISSING, Family, Value, family, is_plain
from taskpar_kernel.analysis.walk import Walk
from taskpar_kernel.model.effects import Blocker

Special = Callable[[Walk, ast.Call, Arguments], Value | None]


def _print(walk: Walk, node: ast.Call, arguments: Arguments) -> Value | None:
    file = arguments.keywords.get("file")
    if file is not None and file.fresh and _is_file(file):
        walk.ledger.block(Blocker.FILES, node)
        walk.ledger.unclear()
        return Value(type(None))
    if file is not None and file.dotted not in {"sys.stdout", "sys.stderr"}:
        if file.kind is not type(None):
            walk.ledger.block(Blocker.HANDLE, node)
            walk.ledger.change(file, node, Change.DEEP)
            return Value(type(None))
    elif file is not None:
        walk.ledger.prints = True
        walk.ledger.spend(0.0)
        if not all(is_plain(value) for value in arguments.positional):
            walk.ledger.unclear()
        return Value(type(None))
    return None


def _is_file(value: Value) -> bool:
    return isinstance(value.kind, type) and issubclass(value.kind, io.IOBase)


def _open(walk: Walk, node: ast.Call, arguments: Arguments) -> Value | None:
    return _opened(walk, node, arguments, 1)


def _is_path_open(callee: Value) -> bool:
    owner = callee.owner
    if owner is None or callee.attr != "open" or not isinstance(owner.kind, type):
        return False
    return issubclass(owner.kind, Path)


def _opened(walk: Walk, node: ast.Call, arguments: Arguments, position: int) -> Value:
    mode = arguments.keywords.get("mode")
    if mode is None and len(arguments.positional) > position:
        mode = arguments.positional[position]
    text = "r" if mode is None else mode.obj
    walk.ledger.spend(None)
    if not isinstance(text, str) or set(text) & set("wax+"):
        walk.ledger.block(Blocker.FILES, node)
    else:
        walk.ledger.files_read = True
    binary = isinstance(text, str) and "b" in text
    kind = io.BufferedReader if binary else io.TextIOWrapper
    return Value(kind, fresh=True, lazy="open(…)")


def _next(walk: Walk, node: ast.Call, arguments: Arguments) -> Value | None:
    source = arguments.positional[0] if arguments.positional else Value()
    if source.lazy and source.fresh:
        walk.ledger.spend(None)
        return Value(same=source.held)
    walk.ledger.block(Blocker.HANDLE, node)
    walk.ledger.change(source, node, Change.DEEP)
    walk.ledger.unclear()
    return Value(same=source.reach)


def _vars(walk: Walk, node: ast.Call, arguments: Arguments) -> Value | None:
    _dir(walk, node, arguments)
    return own_dict(arguments.positional[0]) if arguments.positional else Value()


def _dir(walk: Walk, node: ast.Call, arguments: Arguments) -> Value | None:
    of_module = bool(arguments.positional and arguments.positional[0].dotted)
    if of_module or (not arguments.all() and not walk.in_function):
        walk.ledger.block(Blocker.NAMESPACE, node)
    walk.ledger.spend(0.0)
    hooks.meet(walk, hooks.ANYTHING, *arguments.all())
    return Value()


def _is_kind(walk: Walk, _node: ast.Call, _arguments: Arguments) -> Value | None:
    hooks.meet(walk, hooks.CLASS_CHECKS, Value())
    return None


def _setattr(walk: Walk, node: ast.Call, arguments: Arguments) -> Value | None:
    target = arguments.positional[0] if arguments.positional else Value()
    if target.kind is None and target.obj is MISSING:
        walk.ledger.block(Blocker.NAMESPACE, node)
    walk.ledger.change(target, node, Change.OWN)
    walk.ledger.spend(0.0)
    return Value(type(None))


def _getattr(walk: Walk, node: ast.Call, arguments: Arguments) -> Value | None:
    if len(arguments.positional) < 2 or not isinstance(node.args[1], ast.Constant):
        return None
    base = arguments.positional[0]
    name = arguments.positional[1].obj
    if not isinstance(name, str):
        return None
    if family(base.kind) > Family.LIBRARY and not base.dotted:
        walk.ledger.unclear()
    hooks.meet(walk, hooks.ATTRIBUTES, Value())
    walk.ledger.spend(0.0)
    return attribute(base, name)


def _sleep(walk: Walk, node: ast.Call, arguments: Arguments) -> Value | None:
    seconds = arguments.positional[0].obj if arguments.positional else MISSING
    known = isinstance(seconds, (int, float)) and isinstance(node.args[0], ast.Constant)
    walk.ledger.spend(float(seconds) if known else None)  # type: ignore[arg-type]
    return Value(type(None))


def _super(walk: Walk, node: ast.Call, arguments: Arguments) -> Value | None:
    """`super()` is the instance, seen as one of its base classes: not followed further."""
    first = walk.frame.env.get("self")
    walk.ledger.spend(0.0)
    if first is None or arguments.all() or node.keywords:
        return Value()
    return Value(same=first.same, held=first.held, fresh=first.fresh)


SPECIAL: Final[Mapping[str, Special]] = {
    "builtins.print": _print,
    "builtins.open": _open,
    "io.open": _open,
    "builtins.next": _next,
    "builtins.vars": _vars,
    "builtins.dir": _dir,
    "builtins.isinstance": _is_kind,
    "builtins.issubclass": _is_kind,
    "builtins.setattr": _setattr,
    "builtins.delattr": _setattr,
    "builtins.getattr": _getattr,
    "builtins.super": _super,
    "time.sleep": _sleep,
}


def treat(walk: Walk, node: ast.Call, callee: Value, arguments: Arguments) -> Value | None:
    """Enter the effects of a call that is special; None if it is not."""
    if callee.dotted is not None:
        special = SPECIAL.get(callee.dotted)
        return None if special is None else special(walk, node, arguments)
    return _opened(walk, node, arguments, 0) if _is_path_open(callee) else None
