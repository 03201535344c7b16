"""Generators that run code when they are closed: a cell comes in, whether it may hold one goes out.

A generator that waits at a `yield` inside `try` or `with` is like an object with `__del__`: when
the last name of it goes, its `finally` runs. One that is used up where it is made (`for` without
`break`, `list(…)`, `yield from`) never waits. The rule: functions are judged by their text; one
that gives such a generator away counts like the generator function itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import FunctionType, GeneratorType
from typing import Any, Final

from taskpar_kernel.analysis.resolve import own
from taskpar_kernel.analysis.sources import Node, node_of
from taskpar_kernel.analysis.trees import walk

_GUARDS: Final = (ast.Try, ast.TryStar, ast.With, ast.AsyncWith)
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_CONSUMERS: Final = frozenset("list tuple set frozenset dict sorted sum min max any all".split())  # noqa: SIM905
_MANAGERS: Final = frozenset({"contextmanager", "asynccontextmanager", "fixture"})
_MEMBERS: Final = 1000


def holds_waiting(nodes: Sequence[ast.stmt], namespace: Mapping[str, Any]) -> str:
    """Return what in the cell or the namespace may be such a generator, or ''; O(nodes + names)."""
    for name, value in namespace.items():
        if any(_waits(each) for each in _members(value)):
            return f"`{name}`"
    functions = dict(_functions(nodes, namespace))
    giving = {name for name, node in functions.items() if _cleans_up(node)}
    growing = bool(giving)
    while growing:
        more = {name for name, node in functions.items() if name not in giving
                and any(_given_away([node], giving))}  # fmt: skip
        giving |= more
        growing = bool(more)
    return next(_given_away(nodes, giving), "") if giving else ""


def _waits(value: object) -> bool:
    if type(value) is not GeneratorType or not value.gi_suspended:
        return False
    node = node_of(value.gi_code)
    return node is None or _cleans_up(node)


def _members(value: Any) -> Iterable[object]:
    kind = type(value)
    if kind.__module__ == "__main__" and not isinstance(value, type):
        value = own(value, "__dict__")
        kind = type(value)
    if kind is dict:
        value, kind = value.values(), list
    if kind in {list, tuple, set} and len(value) <= _MEMBERS:
        return list(value)
    return (value,)


def _functions(
    nodes: Sequence[ast.stmt], namespace: Mapping[str, Any]
) -> Iterator[tuple[str, Node]]:
    """Give the functions and methods of the notebook, those of the cell last."""
    for value in tuple(namespace.values()):
        if isinstance(value, type) and value.__module__ == "__main__":
            members: Iterable[object] = tuple(vars(value).values())
        else:
            members = (value,)
        for member in members:
            function = getattr(member, "__func__", None) if type(member) in _BOUND else member
            if isinstance(function, FunctionType) and function.__module__ == "__main__":
                node = node_of(function.__code__)
                if node is not None:
                    yield function.__name__, node
    for statement in nodes:
        for part in walk(statement):
            if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield part.name, part


_BOUND: Final = (staticmethod, classmethod)


def _cleans_up(node: Node) -> bool:
    """Whether the function's own `yield` stands where something runs after it."""
    if isinstance(node, ast.Lambda) or any(map(_is_manager, node.decorator_list)):
        return False
    return any(
        isinstance(inner, (ast.Yield, ast.YieldFrom))
        for part in _same_scope(node)
        if isinstance(part, _GUARDS)
        for inner in _same_scope(part)
    )


def _is_manager(decorator: ast.expr) -> bool:
    head = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = head.id if isinstance(head, ast.Name) else getattr(head, "attr", "")
    return name in _MANAGERS


def _same_scope(node: ast.AST) -> Iterator[ast.AST]:
    stack: list[ast.AST] = list(ast.iter_child_nodes(node))
    while stack:
        part = stack.pop()
        yield part
        if not isinstance(part, _SCOPES):
            stack.extend(ast.iter_child_nodes(part))


def _given_away(nodes: Iterable[ast.AST], names: set[str]) -> Iterator[str]:
    """Give the calls of such functions whose generator is not used up on the spot."""
    parts = list(walk(*nodes))
    used_up = {id(call) for part in parts for call in _used_up(part)}
    for part in parts:
        if isinstance(part, ast.Call) and id(part) not in used_up:
            head = part.func
            name = head.id if isinstance(head, ast.Name) else getattr(head, "attr", "")
            if name in names:
                yield f"`{name}(…)`"


def _used_up(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.For) and not any(isinstance(n, ast.Break) for n in walk(node)):
        return [node.iter]
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp)):
        return [generator.iter for generator in node.generators]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.args[:1] if node.func.id in _CONSUMERS else []
    return [node.value] if isinstance(node, (ast.YieldFrom, ast.Starred)) else []
