"""A live function of the notebook and its rewritten `def` come in, its twin goes out.

The twin runs with the same globals, closure, defaults and name, from the same lines of the same
file: tracebacks, recursion and `return` are those of the original. Only its loops have hooks. The
original is never touched: whoever pickles it, compiles it or looks at its code finds what the user
wrote. The rule: where the twin would not fit exactly (other free variables, a mangled name), there
is none.
"""

from __future__ import annotations

import ast
import copy
from types import CodeType, FunctionType

_FUTURES = 0x0FF0000  # CO_FUTURE_* as of CPython 3.11 to 3.13
_LASTING = 0x20 | 0x80 | 0x100 | 0x200  # generator, coroutine, iterable coroutine, async generator


def may_have_twin(code: CodeType) -> bool:
    """Whether a function with this code runs from its call to its end, with names as they read."""
    names = {*code.co_names, *code.co_varnames}
    mangled = any(n.startswith("_") and "__" in n[1:] and not n.endswith("__") for n in names)
    return not code.co_flags & _LASTING and not mangled and not names & _FRAME_READERS


_FRAME_READERS = frozenset({"locals", "vars", "exec", "eval", "dir", "_getframe", "currentframe"})


def twin_of(
    function: FunctionType, body: list[ast.stmt], node: ast.FunctionDef
) -> FunctionType | None:
    """Return a twin of `function` with `body` in place of that of its `def`, which is `node`."""
    code = _compiled(function.__code__, body, node)
    if code is None or code.co_freevars != function.__code__.co_freevars:
        return None
    twin = FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    twin.__qualname__, twin.__module__ = function.__qualname__, function.__module__
    twin.__dict__.update(function.__dict__)
    return twin


def _compiled(old: CodeType, body: list[ast.stmt], node: ast.FunctionDef) -> CodeType | None:
    definition = copy.copy(node)
    definition.body, definition.decorator_list, definition.returns = body, [], None
    definition.args = _without_annotations(node.args)
    outer = ast.FunctionDef(
        name="outer",
        args=ast.arguments(
            posonlyargs=[],
            args=[ast.arg(name) for name in old.co_freevars],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        ),
        # a function that calls itself finds itself where it did before
        body=[*([] if node.name in old.co_freevars else [ast.Global([node.name])]), definition],
        decorator_list=[],
    )
    if hasattr(node, "type_params"):
        outer.type_params = []  # type: ignore[attr-defined]
    module = ast.fix_missing_locations(ast.Module([ast.copy_location(outer, node)], []))
    flags = old.co_flags & _FUTURES
    try:
        made = compile(module, old.co_filename, "exec", flags=flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    code = _inner(_inner(made, "outer"), node.name)
    if code is None or code.co_varnames[: old.co_argcount] != old.co_varnames[: old.co_argcount]:
        return None
    code = _renamed(code, code.co_qualname, old.co_qualname)
    return code.replace(co_firstlineno=old.co_firstlineno)


def _renamed(code: CodeType, prefix: str, name: str) -> CodeType:
    """Return the code with what is defined in it, called by the names tracebacks know."""
    constants = tuple(
        _renamed(c, prefix, name) if isinstance(c, CodeType) else c for c in code.co_consts
    )
    qualname = name + code.co_qualname.removeprefix(prefix)
    return code.replace(co_consts=constants, co_qualname=qualname)


def _without_annotations(arguments: ast.arguments) -> ast.arguments:
    """Return the parameters alone: what is evaluated at definition was evaluated already."""
    new = copy.deepcopy(arguments)
    every = [*new.posonlyargs, *new.args, *new.kwonlyargs, new.vararg, new.kwarg]
    for argument in every:
        if argument is not None:
            argument.annotation = None
    new.defaults = [ast.Constant(None) for _ in new.defaults]
    new.kw_defaults = [None if d is None else ast.Constant(None) for d in new.kw_defaults]
    return new


def _inner(code: CodeType | None, name: str) -> CodeType | None:
    if code is None:
        return None
    inner = [c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name]
    return inner[0] if len(inner) == 1 else None
