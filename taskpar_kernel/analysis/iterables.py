"""Whether an iterable can be evaluated and walked ahead of its turn without anyone noticing.

An expression comes in, a yes or no goes out. The rule: yes only for exact builtin, numpy and pandas
types and for functions known to build harmless iterators over such; anything else is a no.
"""

from __future__ import annotations

import ast
import builtins
import itertools
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from taskpar_kernel.analysis.trees import walk
from taskpar_kernel.analysis.values import MISSING, SCALARS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taskpar_kernel.model.effects import Scope

_WALKABLE: Final = frozenset({list, tuple, range, str, bytes, dict, set, frozenset})
_INDEXABLE: Final = frozenset({list, tuple, dict, str, bytes, range})
_VIEWS: Final = frozenset({"items", "keys", "values"})
_NUMBERS: Final = frozenset({int, float, bool, complex})
_SEQUENCES: Final = frozenset({list, tuple, str, bytes})
_FUNCTIONS: Final = frozenset({
    range, enumerate, zip, reversed, list, tuple, len, min, max, sum, int, abs, round,
    itertools.product, itertools.combinations, itertools.permutations, itertools.chain,
    itertools.combinations_with_replacement, itertools.islice, itertools.zip_longest,
    itertools.pairwise,
})  # fmt: skip
_ARRAYS: Final = frozenset({("numpy", "ndarray")})
_FRAMES: Final = frozenset({"Index", "RangeIndex", "Series", "DatetimeIndex", "MultiIndex"})


def harmless(node: ast.expr, scope: Scope) -> bool:
    """Whether evaluating `node` ahead of time and walking the result has no effect at all.

    O(nodes); elements of a container that is given to `sorted` are looked at, up to 1,000.
    """
    judge = _JUDGES.get(type(node))
    return judge is not None and judge(node, scope)


_CONDITION: Final = (
    ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Name, ast.Constant, ast.Tuple,
    ast.cmpop, ast.boolop, ast.unaryop, ast.operator, ast.expr_context,
)  # fmt: skip


def plain_condition(node: ast.expr) -> bool:
    """Whether a condition only compares and combines names and constants.

    Evaluating it ahead has no effect if the names are bound to plain scalars, which is looked at
    when that is done (`scalars_only`).
    """
    return all(
        isinstance(part, _CONDITION) and not isinstance(part, ast.Pow | ast.LShift | ast.MatMult)
        for part in walk(node)
    )


def scalars_only(node: ast.expr, values: Mapping[str, object]) -> bool:
    """Whether all names in a plain condition are bound to scalars in `values`."""
    names = {part.id for part in walk(node) if isinstance(part, ast.Name)}
    return all(type(values.get(name, MISSING)) in SCALARS for name in names)


def only_once(node: ast.expr, scope: Scope) -> bool:
    """Whether an iterable is surely one that can be walked but once, or by the user's own code."""
    if isinstance(node, ast.GeneratorExp):
        return True
    if isinstance(node, ast.Call):
        made_by = _object(node.func, scope)
        if type(made_by) is FunctionType:
            return bool(made_by.__code__.co_flags & _GENERATOR)
        if any(made_by is maker for maker in _OVER):
            return any(only_once(each, scope) for each in node.args)
        return any(made_by is maker for maker in _ONCE)
    obj = _object(node, scope)
    if obj is MISSING:
        return False
    return hasattr(type(obj), "__next__") or type(obj).__module__ == "__main__"


_ONCE: Final = (map, filter, iter)
_OVER: Final = (zip, enumerate, reversed)
_GENERATOR: Final = 0x20


def _harmless_display(node: ast.List | ast.Tuple | ast.Set, scope: Scope) -> bool:
    parts = [each.value if isinstance(each, ast.Starred) else each for each in node.elts]
    return all(harmless(each, scope) for each in parts)


def _harmless_name(node: ast.Name, scope: Scope) -> bool:
    return _is_walkable(_object(node, scope))


def _object(node: ast.expr, scope: Scope) -> object:
    """Give the live object an expression surely stands for, found without running anything."""
    if isinstance(node, ast.Name):
        if node.id in scope.opaque or node.id in scope.definitions:
            return MISSING
        if node.id in scope.objects:
            return scope.objects[node.id]
        return vars(builtins).get(node.id, MISSING)
    if isinstance(node, ast.Attribute):
        base = _object(node.value, scope)
        return vars(base).get(node.attr, MISSING) if isinstance(base, ModuleType) else MISSING
    return MISSING


def _is_walkable(obj: object) -> bool:
    kind = type(obj)
    if kind in _WALKABLE or kind in SCALARS:
        return True
    root = str(kind.__module__).partition(".")[0]
    if root == "pandas":
        return kind.__name__ in _FRAMES
    if (root, kind.__name__) in _ARRAYS:
        return bool(obj.ndim == 1)  # type: ignore[attr-defined]  # a row is made anew each time
    return bool(root == "numpy" and any(base.__name__ == "generic" for base in kind.__mro__))


def _harmless_call(node: ast.Call, scope: Scope) -> bool:
    given = [*node.args, *(word.value for word in node.keywords)]
    if isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS and not given:
        return type(_object(node.func.value, scope)) is dict
    function = _object(node.func, scope)
    if function is MISSING or not all(harmless(each, scope) for each in given):
        return False
    if function is sorted:
        return len(node.args) == 1 and _sorts_plainly(node, scope)
    if function in _ADDING:
        return all(_sorted_plainly(each, scope) for each in node.args) and not node.keywords
    return _is_known(function) and all(word.arg in _KEYWORDS for word in node.keywords)


_ADDING: Final = (min, max, sum)
_KEYWORDS: Final = frozenset({"start", "strict", "repeat", "fillvalue"})


def _is_known(function: object) -> bool:
    try:
        if function in _FUNCTIONS:
            return True
    except TypeError:  # not hashable: no function of ours
        return False
    module = getattr(function, "__module__", None)
    name = getattr(function, "__name__", None)
    return module == "numpy" and name in {"arange", "linspace", "unique", "ndenumerate"}


def _sorts_plainly(node: ast.Call, scope: Scope) -> bool:
    return _sorted_plainly(node.args[0], scope) and all(
        word.arg == "reverse" for word in node.keywords
    )


def _sorted_plainly(node: ast.expr, scope: Scope) -> bool:
    """Whether comparing and adding the elements runs no code of the user's."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return all(isinstance(each, ast.Constant) for each in node.elts)
    obj = _object(node, scope)
    if type(obj) in _WALKABLE:
        return len(obj) <= 1000 and all(type(each) in SCALARS for each in obj)  # type: ignore[arg-type, attr-defined]
    return type(obj) in SCALARS or (type(obj).__module__ == "numpy" and obj.dtype != object)  # type: ignore[attr-defined]


def _harmless_subscript(node: ast.Subscript, scope: Scope) -> bool:
    obj = _object(node.value, scope)
    if type(obj) not in _INDEXABLE:
        return False
    if isinstance(node.slice, ast.Slice):
        parts = (node.slice.lower, node.slice.upper, node.slice.step)
        return all(part is None or harmless(part, scope) for part in parts)
    if not _is_plain_index(node.slice, scope):
        return False
    element = _element(obj, node.slice, scope)
    if element is MISSING:
        return all(_is_walkable(each) for each in _elements(obj))
    return _is_walkable(element)


def _is_plain_index(node: ast.expr, scope: Scope) -> bool:
    return isinstance(node, (ast.Constant, ast.UnaryOp)) or type(_object(node, scope)) in SCALARS


def _element(obj: object, index: ast.expr, scope: Scope) -> object:
    key = index.value if isinstance(index, ast.Constant) else _object(index, scope)
    try:
        return obj[key]  # type: ignore[index]  # exact builtin types only
    except (KeyError, IndexError, TypeError):
        return MISSING


def _elements(obj: object) -> list[object]:
    return list(obj.values()) if isinstance(obj, dict) else list(obj)  # type: ignore[call-overload]


def _harmless_attribute(node: ast.Attribute, scope: Scope) -> bool:
    """Allow module constants, and what arrays and frames say of their own shape."""
    if _is_walkable(_object(node, scope)):
        return True
    kind = type(_object(node.value, scope))
    root = str(kind.__module__).partition(".")[0]
    if (root, kind.__name__) in _ARRAYS and node.attr == "flat":
        return True
    return root in {"numpy", "pandas"} and node.attr in {"shape", "size", "columns", "index", "T"}


def _harmless_arithmetic(node: ast.expr, scope: Scope) -> bool:
    if isinstance(node, ast.UnaryOp):
        return harmless(node.operand, scope) and _kind(node.operand, scope) in _NUMBERS
    if not isinstance(node, ast.BinOp):
        return False
    kinds = {_kind(node.left, scope), _kind(node.right, scope)}
    if not (harmless(node.left, scope) and harmless(node.right, scope)):
        return False
    if isinstance(node.op, ast.Pow):
        return False  # may take for ever
    return kinds <= _NUMBERS or (
        isinstance(node.op, (ast.Add, ast.Mult))
        and len(kinds - _NUMBERS) == 1
        and kinds <= _NUMBERS | _SEQUENCES
    )


def _kind(node: ast.expr, scope: Scope) -> type | None:
    if isinstance(node, ast.Constant):
        return type(node.value)
    if isinstance(node, ast.BinOp):
        kinds = {_kind(node.left, scope), _kind(node.right, scope)}
        others = kinds - _NUMBERS
        return others.pop() if others else int
    if isinstance(node, ast.UnaryOp):
        return _kind(node.operand, scope)
    if isinstance(node, (ast.List, ast.Tuple)):
        return list if isinstance(node, ast.List) else tuple
    if isinstance(node, ast.Call):
        return int if _object(node.func, scope) in (len, int, abs, round) else None
    obj = _object(node, scope)
    return None if obj is MISSING else type(obj)


_JUDGES: Final[Mapping[type, Callable[[Any, Scope], bool]]] = {
    ast.Constant: lambda _node, _scope: True,
    ast.List: _harmless_display,
    ast.Tuple: _harmless_display,
    ast.Set: _harmless_display,
    ast.Name: _harmless_name,
    ast.Call: _harmless_call,
    ast.Subscript: _harmless_subscript,
    ast.Attribute: _harmless_attribute,
    ast.UnaryOp: _harmless_arithmetic,
    ast.BinOp: _harmless_arithmetic,
}
