"""Code comes in (syntax trees, functions, classes of the notebook), a digest of it goes out.

Of a tree the shape counts, of a function its instructions; comments, layout and line numbers do
not. The rule: no code of the notebook is run, and nothing is asked of a value but the numbers and
texts that are written in the code.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from types import CodeType, FunctionType
from typing import Any

NOTEBOOK = "__main__"
_BYTES = 12
_PLAIN = (int, float, complex, bool, str, bytes, type(None))
_MOST_KEPT = 2048
_NO_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_fields: dict[type, tuple[str, ...]] = {}
_kept: dict[int, tuple[CodeType, bytes]] = {}
"""Digests of the functions asked for; the code is kept too, so that its id names nothing else."""


def digest(parts: Iterable[object], key: bytes = b"") -> bytes:
    """Return one digest of several texts, numbers and digests, in their order."""
    return blake2b(repr(tuple(parts)).encode(), digest_size=_BYTES, key=key).digest()


def shape_of(node: ast.AST, *, rounded: bool = False) -> object:
    """Return what counts of a statement or an expression, to be digested; no position does.

    `rounded`: of the numbers written there only the order of magnitude counts. (To compile it would
    be no faster, and would show the user the compiler's warnings a second time.)
    """
    try:
        return _of_node(node, magnitude if rounded else repr)
    except RecursionError:  # so deep that it is told from others by the rest of its tag alone
        return type(node).__name__


def _of_node(node: Any, shown: Callable[[Any], str]) -> object:
    kind = type(node)
    if kind is ast.Name:
        return node.id
    if kind is ast.Constant:
        return ("=", shown(node.value))
    if kind is list:
        return [_of_node(each, shown) for each in node]
    if not isinstance(node, ast.AST):
        return ("", node)
    fields = _fields.get(kind)
    if fields is None:
        fields = _fields[kind] = tuple(f for f in kind._fields if f not in _NO_FIELDS)
    return (kind.__name__, *[_of_node(getattr(node, field, None), shown) for field in fields])


def code_of_function(function: FunctionType) -> bytes:
    """Return the digest of a live function, default arguments and closure included."""
    code = function.__code__
    known = _kept.get(id(code))
    if known is None:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        known = _kept[id(code)] = (code, digest([_of_code(code, repr)]))
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()]
    cells = [_of_cell(cell) for cell in function.__closure__ or ()]
    if not defaults and not cells:
        return known[1]
    return digest([known[1], *map(_of_value, defaults), *cells])


def module_of(kind: type) -> str:
    """Return the name of a class's module, without asking its metaclass."""
    module = type.__getattribute__(kind, "__module__")
    return module if type(module) is str else ""


def code_of_class(kind: type) -> bytes:
    """Return the digest of a class of the notebook: its methods and those of its bases there."""
    return digest(
        (name, *(code_of_function(function) for function in _functions_in(member)))
        for base in type.__getattribute__(kind, "__mro__")
        if module_of(base) == NOTEBOOK
        for name, member in tuple(type.__getattribute__(base, "__dict__").items())
    )


def _functions_in(member: object) -> Iterator[FunctionType]:
    """Yield the functions that a member of a class consists of."""
    if isinstance(member, staticmethod | classmethod):
        member = member.__func__
    parts = (member.fget, member.fset) if isinstance(member, property) else (member,)
    yield from (part for part in parts if type(part) is FunctionType)


def _of_cell(cell: Any) -> object:
    try:
        value = cell.cell_contents
    except ValueError:  # not bound yet
        return ""
    if type(value) is FunctionType:
        return digest([_of_code(value.__code__, repr)])
    return _of_value(value)


def _of_value(value: object) -> object:
    if type(value) is tuple:
        return tuple(map(_of_value, value))
    return repr(value) if type(value) in _PLAIN else type.__getattribute__(type(value), "__name__")


def _of_code(code: CodeType, shown: Callable[[Any], str]) -> tuple[object, ...]:
    constants = tuple(_of_constant(constant, shown) for constant in code.co_consts)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (code.co_code, constants, names)


def _of_constant(constant: Any, shown: Callable[[Any], str]) -> object:
    if isinstance(constant, CodeType):
        return _of_code(constant, shown)
    if type(constant) is tuple:
        return tuple(_of_constant(part, shown) for part in constant)
    if type(constant) is frozenset:  # it iterates in another order in another process
        return sorted(str(_of_constant(part, shown)) for part in constant)
    return shown(constant)


def magnitude(value: Any) -> str:
    """Return the type of a number and its order of magnitude, or what else a value is."""
    kind = type(value)
    if kind not in (int, float):
        return repr(value)
    if kind is int:
        places = len(str(abs(value))) if abs(value) < 1 << 64 else value.bit_length() // 3
    elif value == 0.0 or not math.isfinite(value):
        return f"float {value}"
    else:
        places = math.floor(math.log10(abs(value)))
    return f"{kind.__name__} {places} {value < 0}"


__all__ = [
    "NOTEBOOK",
    "code_of_class",
    "code_of_function",
    "digest",
    "magnitude",
    "module_of",
]
