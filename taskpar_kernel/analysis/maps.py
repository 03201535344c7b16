"""Calls that apply one function to each item of an iterable come in, loops go out.

    list(map(f, xs))     is taken for   list(f(item) for item in xs)
    max(xs, key=f)                      the same, for what `max` compares

The rule: only where a builtin uses the result up at once, so that nobody can tell when the function
is called for which item, and where the function is a name, an attribute of one, or a `lambda`.
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taskpar_kernel.analysis.shapes import is_consumer, joins_text

if TYPE_CHECKING:
    from taskpar_kernel.model.effects import Scope

ITEM: Final = "__taskpar_item__"
"""Stands for the item that the function is called with."""
_APPLY: Final = (map, filter)
_COMPARE: Final = (max, min, sorted)
_PAIR: Final = (zip, enumerate)


@dataclass(frozen=True, slots=True)
class Applied:
    """A function applied to each item: `place` is the call that does it."""

    place: ast.Call
    function: ast.expr
    iterable: ast.expr

    def loop(self) -> ast.GeneratorExp:
        """Return the loop that the place stands for."""
        item = ast.copy_location(ast.Name(ITEM, ast.Load()), self.function)
        call = ast.copy_location(ast.Call(self.function, [item], []), self.function)
        target = ast.copy_location(ast.Name(ITEM, ast.Store()), self.iterable)
        clause = ast.comprehension(target, self.iterable, [], 0)
        return ast.copy_location(ast.GeneratorExp(call, [clause]), self.place)


def applied_in(node: ast.expr, scope: Scope) -> Applied | None:
    """Return the function that evaluating `node` applies to each item of something, if it does."""
    if not isinstance(node, ast.Call) or not node.args:
        return None
    if _builtin(node.func, scope) in _COMPARE:
        return _compared(node)
    if not (joins_text(node) or is_consumer(_builtin(node.func, scope))):
        return None
    first = node.args[0]
    inner = [first]
    if isinstance(first, ast.Call) and _builtin(first.func, scope) in _PAIR:
        inner = first.args
    found = (_mapped(each, scope) for each in inner)
    return next((each for each in found if each is not None), None)


def _mapped(node: ast.expr, scope: Scope) -> Applied | None:
    if not isinstance(node, ast.Call) or len(node.args) != 2 or node.keywords:
        return None
    function, iterable = node.args
    if _builtin(node.func, scope) not in _APPLY or isinstance(iterable, ast.Starred):
        return None
    return Applied(node, function, iterable) if _is_plain(function) else None


def _compared(node: ast.Call) -> Applied | None:
    if len(node.args) != 1 or not node.keywords or node.keywords[0].arg != "key":
        return None
    (iterable,), function = node.args, node.keywords[0].value
    if isinstance(iterable, ast.Starred) or not _is_plain(function):
        return None
    return Applied(node, function, iterable)


def _is_plain(function: ast.expr) -> bool:
    """Whether it makes no difference how often the expression is evaluated."""
    if isinstance(function, ast.Attribute):
        return isinstance(function.value, ast.Name)
    return isinstance(function, ast.Name | ast.Lambda)


def _builtin(node: ast.expr, scope: Scope) -> object:
    """Return the builtin that a name surely stands for."""
    if not isinstance(node, ast.Name) or node.id in scope.opaque or node.id in scope.definitions:
        return None
    found = vars(builtins).get(node.id)
    return found if scope.objects.get(node.id, found) is found else None


__all__ = ["ITEM", "Applied", "applied_in"]
