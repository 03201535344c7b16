"""Libraries that a notebook has patched: statements come in, the names of packages go out.

`json.dumps = mine` or `Counter.top = top` changes a library in the home process only. The rule:
from the cell on in which such a store stands (also in a function, which may run at any time), a
cell that can reach the package runs serially. Nothing of the notebook's objects is run.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from taskpar_kernel.analysis.sources import global_names
from taskpar_kernel.analysis.trees import may_hold, walk

_MOST = 10_000
"""So many members of containers are looked at; a cell that can reach more is taken to use all."""


def patched_packages(
    nodes: Sequence[ast.stmt], namespace: Mapping[str, Any], text: str = ""
) -> frozenset[str]:
    """Return the top-level packages that have an attribute stored or deleted; O(nodes).

    `text`: the source of `nodes`, if it is known.
    """
    if not may_hold(text, ".", "setattr", "delattr"):
        return frozenset()
    parts = list(walk(*nodes))
    stored = list(_stored_on(parts))
    if not stored:
        return frozenset()
    imported = dict(_imported(parts))
    found = (_package_of(base, namespace, imported) for base in stored)
    return frozenset(package for package in found if package)


def use_of(
    nodes: Sequence[ast.stmt], namespace: Mapping[str, Any], packages: frozenset[str]
) -> str:
    """Return which patched package the cell can reach, or ''.

    Functions and classes of the notebook are followed, and so is what containers hold.
    """
    if not packages:
        return ""
    if "builtins" in packages:  # everything reads them
        return "builtins"
    parts = list(walk(*nodes))
    for _, origin in _imported(parts):
        if origin.partition(".")[0] in packages:
            return origin.partition(".")[0]
    names = {part.id for part in parts if isinstance(part, ast.Name)}
    return _reached([namespace[n] for n in names if n in namespace], namespace, packages)


def _stored_on(parts: Iterable[ast.AST]) -> Iterator[ast.expr]:
    for part in parts:
        if isinstance(part, ast.Attribute) and not isinstance(part.ctx, ast.Load):
            yield part.value
        elif (
            isinstance(part, ast.Call)
            and isinstance(part.func, ast.Name)
            and part.func.id in {"setattr", "delattr"}
            and part.args
        ):
            yield part.args[0]


def _imported(parts: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield (name, dotted origin) for what the cell itself imports."""
    for part in parts:
        if isinstance(part, ast.Import):
            for alias in part.names:
                name = alias.asname or alias.name.partition(".")[0]
                yield name, alias.name if alias.asname else name
        elif isinstance(part, ast.ImportFrom) and part.module and not part.level:
            for alias in part.names:
                yield alias.asname or alias.name, f"{part.module}.{alias.name}"


def _package_of(
    base: ast.expr, namespace: Mapping[str, Any], imported: Mapping[str, str]
) -> str | None:
    """Return the package of the module or library class that `base` is, or None."""
    path: list[str] = []
    while isinstance(base, ast.Attribute):
        path.append(base.attr)
        base = base.value
    if not isinstance(base, ast.Name):
        return None
    if base.id in imported:
        origin = imported[base.id].split(".")
        value, path = sys.modules.get(origin[0]), [*path, *reversed(origin[1:])]
        if value is None:  # not loaded yet: it may be a module or a class
            return origin[0]
    elif base.id in namespace:
        value = namespace[base.id]
    else:
        return None
    for name in reversed(path):
        if not isinstance(value, ModuleType | type):
            return None
        value = inspect.getattr_static(value, name, None)
    return _library_of(value) if isinstance(value, ModuleType | type) else None


def _library_of(value: object) -> str:
    """Return the package a module, class or object belongs to; '' for one of the notebook."""
    if isinstance(value, ModuleType):
        name: object = value.__name__
    elif isinstance(value, type):
        name = type.__getattribute__(value, "__module__")
    elif isinstance(value, FunctionType | BuiltinFunctionType):
        name = value.__module__
    else:
        name = type.__getattribute__(type(value), "__module__")
    package = str(name).partition(".")[0]
    return "" if package == "__main__" else package


def _reached(values: list[object], namespace: Mapping[str, Any], packages: frozenset[str]) -> str:
    seen: set[int] = set()
    while values:
        value = values.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        package = _library_of(value)
        if package in packages or len(seen) > _MOST:
            return package if package in packages else min(packages)
        values.extend(_parts(value, namespace))
    return ""


def _parts(  # noqa: PLR0911 - one case for each kind
    value: object, namespace: Mapping[str, Any]
) -> Iterable[object]:
    if isinstance(value, FunctionType):
        names = global_names(value.__code__) if value.__globals__ is namespace else ()
        cells = [c.cell_contents for c in value.__closure__ or () if not _is_empty(c)]
        return [*(namespace[n] for n in names if n in namespace), *cells]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, type):
        return [*vars(value).values(), *value.__bases__] if not _library_of(value) else ()
    if isinstance(value, staticmethod | classmethod):
        return [value.__func__]
    if isinstance(value, property):
        return [value.fget, value.fset, value.fdel]
    if type(value) is dict:
        return [*value.keys(), *value.values()]
    if type(value) in (list, tuple, set, frozenset):
        return list(value)  # type: ignore[call-overload, no-any-return]
    if not _library_of(value):
        try:
            own = object.__getattribute__(value, "__dict__")
        except AttributeError:  # it has slots only
            own = {}
        return [type(value), *own.values()]
    return ()


def _is_empty(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - it raises if the cell is empty
    except ValueError:
        return True
    return False
