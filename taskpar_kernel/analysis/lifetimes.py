"""Say whether a cell can tell when an object ends: its statements come in, a reason or '' goes out.

A worker's outcome, and what was sent out, hold objects until the end of the cell. A program sees
that through weak references, `__del__` and generators that clean up only. The rule: where one of
them is about, the cell runs serially. No code of the notebook's objects is run.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from taskpar_kernel.analysis.closing import holds_waiting
from taskpar_kernel.analysis.hooks import closes
from taskpar_kernel.analysis.trees import may_hold, walk

_WEAK = frozenset({"weakref", "_weakref", "_weakrefset"})


def watches_lifetimes(
    nodes: Sequence[ast.stmt], namespace: Mapping[str, Any], text: str = ""
) -> str:
    """Return why the cell may notice how long objects live, or ''; O(nodes + names).

    `text`: the source of `nodes`, if it is known.
    """
    for node in nodes if may_hold(text, "weakref", "__del__") else ():
        for part in walk(node):
            if _imports_weak(part) or (isinstance(part, ast.Name) and part.id in _WEAK):
                return f"line {node.lineno}: weak references show how long objects live"
            if isinstance(part, ast.FunctionDef) and part.name == "__del__":
                return f"line {node.lineno}: a `__del__` shows how long objects live"
    for name, value in namespace.items():
        kind = value if isinstance(value, type) else type(value)
        module = getattr(value, "__name__", "") if type(value) is _Module else _module_of(kind)
        if module in _WEAK:
            return f"`{name}` has to do with weak references, which show how long objects live"
        if module == "__main__" and any("__del__" in vars(base) for base in type.mro(kind)):
            return f"`{name}` has a `__del__`, which shows how long objects live"
    waiting = holds_waiting(nodes, namespace) if closes() else ""
    return (
        f"{waiting} cleans up when it is let go of, which shows how long it lives"
        if waiting
        else ""
    )


_Module = type(ast)


def _module_of(kind: type) -> object:
    return type.__getattribute__(kind, "__module__")


def _imports_weak(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module in _WEAK
    return isinstance(node, ast.Import) and any(alias.name in _WEAK for alias in node.names)
