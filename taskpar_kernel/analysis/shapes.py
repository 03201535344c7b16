"""What a statement or expression looks like: syntax comes in, plain answers go out.

The rule: nothing is evaluated and no name is looked up; these are questions about the text alone.
"""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from taskpar_kernel.analysis.trees import walk

if TYPE_CHECKING:
    from taskpar_kernel.model.effects import Scope
    from taskpar_kernel.model.steps import Comprehension

VALUE: Final = "__taskpar_value__"
"""Stands for a value that is taken from elsewhere."""
COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp)
_CONSUMERS: Final = frozenset({sum, max, min, any, all, list, tuple, set, frozenset, dict, sorted})
"""Builtins that use up the iterable they are given, and cannot tell a generator from a chain."""


def has_handlers(node: ast.stmt) -> bool:
    """Whether the statement's own text may catch an interrupt, or clean up after one.

    Such code runs where the interrupt arrives, which is at home.
    """
    kinds = (ast.Try, ast.TryStar, ast.With)
    compound = isinstance(node, (ast.For, ast.While, ast.If, ast.Match, *kinds))
    return compound and any(isinstance(n, kinds) for n in walk(node))


def keeps_home(node: ast.stmt) -> bool:
    """Whether the statement stores into something shared or prints: its own part stays home."""
    if isinstance(node, ast.Assign):
        return not all(map(_binds_names, node.targets))
    if isinstance(node, ast.AugAssign | ast.AnnAssign):
        return True
    if isinstance(node, ast.Delete | ast.Pass | ast.Assert):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        if isinstance(function, ast.Name):
            return function.id in {"print", "display"}
        return isinstance(function, ast.Attribute) and function.attr in _ACCUMULATE
    return isinstance(node, ast.If)


_ACCUMULATE = frozenset(
    "append extend insert add update setdefault appendleft extendleft push put write "  # noqa: SIM905
    "discard remove pop popitem clear reverse".split()
)


def _binds_names(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return all(map(_binds_names, target.elts))
    return isinstance(target, ast.Name) or (
        isinstance(target, ast.Starred) and _binds_names(target.value)
    )


def arguments(node: ast.stmt) -> list[ast.expr | None]:
    """Return the expressions a home statement always evaluates, in evaluation order."""
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Call) and keeps_home(node):
            return list(evaluated(node.value))
        return [node.value]
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return):
        return [node.value]
    if isinstance(node, ast.If | ast.Assert):
        return [node.test]
    return []


def evaluated(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the operands that evaluating `node` surely evaluates, in order."""
    if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return
    if isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr):
        return
    if isinstance(node, ast.BoolOp):
        yield node.values[0]
        return
    if isinstance(node, ast.IfExp):
        yield node.test
        return
    if isinstance(node, ast.Compare):
        yield node.left
        yield node.comparators[0]
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.keyword):
            yield child.value


def begins_with(node: ast.stmt, first: ast.AST) -> bool:
    """Whether a statement runs no code at all before `first`, an expression in it."""
    if isinstance(node, ast.AugAssign) and not isinstance(node.target, ast.Name):
        return False  # what is stored into is looked up before
    operands = iter(arguments(node))
    while (operand := next((o for o in operands if not _is_at_hand(o)), None)) is not None:
        if operand is first:
            return True
        if isinstance(operand, ast.Dict):
            return False  # keys and values take turns
        operands = evaluated(operand)
    return False


def _is_at_hand(node: ast.expr | None) -> bool:
    return node is None or isinstance(node, ast.Name | ast.Constant | ast.Lambda)


def plain_names(target: ast.expr) -> frozenset[str] | None:
    """Return the names a target binds, or None if it stores into anything else."""
    if isinstance(target, ast.Name):
        return frozenset({target.id})
    if isinstance(target, ast.Tuple | ast.List):
        parts = [plain_names(e) for e in target.elts]
        return None if None in parts else frozenset[str]().union(*(p for p in parts if p))
    return None


def names_in(node: ast.expr) -> frozenset[str]:
    """Return all names in an expression."""
    return frozenset(n.id for n in walk(node) if isinstance(n, ast.Name))


def head_of(node: ast.For) -> ast.For:
    """Return the head of a loop, for display."""
    return ast.For(node.target, node.iter, [ast.Pass()], [], lineno=node.lineno, col_offset=0)


def has_several_calls(node: ast.stmt) -> bool:
    """Whether the statement holds two calls, a comprehension, or a function to sort by."""
    calls = 0
    for part in walk(node):
        if isinstance(part, (*COMPREHENSIONS, ast.GeneratorExp)):
            return True
        if isinstance(part, ast.keyword) and part.arg == "key":
            return True
        calls += isinstance(part, ast.Call)
    return calls > 1


def results(node: Comprehension) -> list[ast.expr]:
    """Return the expressions that a comprehension evaluates for each element."""
    return [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]


def consumed_generator(node: ast.expr, scope: Scope) -> ast.GeneratorExp | None:
    """Return the generator that is the first argument of a call which uses it up, if it is one."""
    if not isinstance(node, ast.Call) or not node.args:
        return None
    first = node.args[0]
    if not isinstance(first, ast.GeneratorExp):
        return None
    if isinstance(node.func, ast.Attribute):
        return first if joins_text(node) else None
    if not isinstance(node.func, ast.Name) or node.func.id in scope.opaque:
        return None
    function = scope.objects.get(node.func.id, vars(builtins).get(node.func.id))
    known = isinstance(function, type) or callable(function)
    return first if known and is_consumer(function) else None


def joins_text(node: ast.Call) -> bool:
    """Whether it is a call of `join` of a text that stands there."""
    if not isinstance(node.func, ast.Attribute) or node.func.attr != "join":
        return False
    text = node.func.value
    return isinstance(text, ast.Constant) and isinstance(text.value, str)


def is_consumer(function: object) -> bool:
    """Whether it is a builtin that uses up the iterable it is given."""
    try:
        return function in _CONSUMERS
    except TypeError:  # not hashable
        return False


def without(
    node: ast.stmt, parts: set[int], instead: Mapping[int, ast.expr] | None = None
) -> ast.stmt:
    """Return a copy of `node` in which the parts with these ids are values from elsewhere.

    Of whole statements nothing is left. `instead` gives what stands for other expressions.
    """
    others = instead or {}

    def copied(old: Any) -> Any:
        if isinstance(old, list):
            return [copied(each) for each in old]
        if not isinstance(old, ast.AST):
            return old
        if id(old) in others:
            return copied(others[id(old)])
        if id(old) in parts and isinstance(old, ast.stmt):
            return ast.copy_location(ast.Pass(), old)
        if id(old) in parts:
            return ast.copy_location(ast.Name(VALUE, ast.Load()), old)
        new = copy.copy(old)
        for name, value in ast.iter_fields(old):
            setattr(new, name, copied(value))
        return new

    result: ast.stmt = copied(node)
    return result


def has_calls(node: ast.stmt) -> bool:
    """Whether any call is written in the statement."""
    return any(isinstance(part, ast.Call) for part in walk(node))


def calls_in(expressions: Iterable[ast.expr | None]) -> Iterator[ast.Call]:
    """Yield the calls that are always evaluated, outermost first."""
    for node in expressions:
        if node is not None:
            if isinstance(node, ast.Call):
                yield node
            yield from calls_in(evaluated(node))


def blocks_of(node: ast.stmt) -> Iterator[ast.stmt]:
    """Yield the statements directly inside a compound statement, of all its branches."""
    for name in ("body", "orelse", "finalbody"):
        yield from getattr(node, name, ())
    for handler in getattr(node, "handlers", ()):
        yield from handler.body


def bound_in(node: ast.AST) -> frozenset[str]:
    """Return the names that are stored to, anywhere in `node`."""
    stored = (ast.Store, ast.Del)
    return frozenset(
        part.id
        for part in walk(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, stored)
    )


def declared_elsewhere(node: ast.FunctionDef) -> frozenset[str]:
    """Return the names that a function declares global or nonlocal."""
    return frozenset(
        name
        for part in walk(node)
        if isinstance(part, ast.Global | ast.Nonlocal)
        for name in part.names
    )


def makes_functions(node: ast.expr) -> bool:
    """Whether evaluating the expression may make a function or generator bound to its scope."""
    kinds = (ast.Lambda, ast.GeneratorExp, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)
    return any(isinstance(part, kinds) for part in walk(node))
