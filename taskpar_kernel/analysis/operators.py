"""Operators: arithmetic, comparison, truth.

Operand values come in, the result's value goes out. The rule: operators of builtin, numpy, pandas
and scipy types change nothing, those of notebook classes are followed, others may do anything.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from taskpar_kernel.analysis import classes, hooks
from taskpar_kernel.analysis.summaries import Arguments
from taskpar_kernel.analysis.values import (
    MISSING,
    NO_ROOTS,
    NUMBERS,
    PLAINS,
    Family,
    Kind,
    Plain,
    Roots,
    Scalar,
    Value,
    family,
    is_small,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taskpar_kernel.analysis.walk import Walk


def dunder(walk: Walk, node: ast.AST, base: Value, name: str, given: list[Value]) -> Value:
    """Follow an operator's method of a notebook class."""
    method = classes.method_of(walk, base.kind, name)
    if method is None:
        walk.ledger.unclear()
        return Value()
    return classes.call_method(walk, node, method, base, Arguments(given))


_BINARY: Final[Mapping[type, str]] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.Mod: "mod",
    ast.FloorDiv: "floordiv", ast.Pow: "pow", ast.MatMult: "matmul", ast.LShift: "lshift",
    ast.RShift: "rshift", ast.BitOr: "or", ast.BitXor: "xor", ast.BitAnd: "and",
}  # fmt: skip


_COMPARED: Final[Mapping[type, tuple[str, str]]] = {
    ast.Eq: ("__eq__", "__eq__"), ast.NotEq: ("__ne__", "__ne__"), ast.Lt: ("__lt__", "__gt__"),
    ast.LtE: ("__le__", "__ge__"), ast.Gt: ("__gt__", "__lt__"), ast.GtE: ("__ge__", "__le__"),
}  # fmt: skip
"""For each comparison the method of the left operand, and the one of the right."""
_JOINED: Final = frozenset({list, tuple, str, bytes})


def binary(walk: Walk, node: ast.BinOp) -> Value:
    """Evaluate `left op right`."""
    left = walk.value(node.left)
    right = walk.value(node.right)
    return operate(walk, node, node.op, left, right)


def operate(walk: Walk, node: ast.AST, op: ast.operator, left: Value, right: Value) -> Value:
    """Combine two values by an operator."""
    families = family(left.kind), family(right.kind)
    if Family.NOTEBOOK in families:
        return _users_operator(walk, node, _BINARY[type(op)], left, right)
    if max(families) > Family.PLAIN:
        walk.ledger.unclear()
        return Value()
    if max(families) is Family.PLAIN and not (left.kind is right.kind and left.kind in _JOINED):
        hooks.meet(walk, hooks.NUMBERS if left.kind is not str else hooks.TEXT, left, right)
    kind = _combined(op, left.kind, right.kind)
    small = is_small(left) and is_small(right)
    walk.ledger.spend(0.0 if small else None)
    held: Roots = left.reach | right.reach if kind in {list, tuple} else NO_ROOTS
    return Value(kind, held=held, fresh=True, small=small)


def operate_in_place(walk: Walk, node: ast.AugAssign, old: Value, value: Value) -> Value:
    """Do `old += value` where the object may have a method for it."""
    if family(old.kind) is Family.NOTEBOOK:
        name = f"__i{_BINARY[type(node.op)]}__"
        if classes.method_of(walk, old.kind, name) is not None:
            return dunder(walk, node, old, name, [value])
        if classes.has_member(old.kind, name):
            walk.ledger.doubt()
    return operate(walk, node, node.op, old, value)


def _users_operator(walk: Walk, node: ast.AST, name: str, left: Value, right: Value) -> Value:
    """Follow the methods that may answer: the right operand's is asked if the left's declines."""
    found: list[Value] = []
    for base, method, other in ((left, f"__{name}__", right), (right, f"__r{name}__", left)):
        if classes.method_of(walk, base.kind, method) is not None:
            found.append(dunder(walk, node, base, method, [other]))
        elif family(base.kind) not in {Family.SCALAR, Family.NOTEBOOK} or classes.has_member(
            base.kind, method
        ):
            walk.ledger.doubt()
    if not found:
        walk.ledger.unclear()
        return Value()
    return found[0] if len(found) == 1 else found[0].joined(found[1])


def _combined(op: ast.operator, left: Kind, right: Kind) -> Kind:
    if left in NUMBERS and right in NUMBERS:
        if isinstance(op, ast.Div):
            return complex if complex in {left, right} else float
        for kind in (complex, float):
            if kind in {left, right}:
                return kind
        return int if not isinstance(op, ast.Pow) else Scalar
    if left is str or left is right:
        return left
    sequence = next((kind for kind in (list, tuple, str) if kind in {left, right}), None)
    if sequence is not None:
        return sequence if {left, right} <= {sequence, int, bool} else Plain
    return Scalar if max(family(left), family(right)) is Family.SCALAR else Plain


def unary(walk: Walk, node: ast.UnaryOp) -> Value:
    """Evaluate `op operand`."""
    operand = walk.value(node.operand)
    known = family(operand.kind)
    if known > Family.PLAIN:
        walk.ledger.unclear()
        return Value()
    if known is Family.PLAIN:
        hooks.meet(walk, hooks.NUMBERS, operand)
    walk.ledger.spend(0.0 if is_small(operand) else None)
    if isinstance(node.op, ast.Not):
        return Value(bool, small=True)
    if isinstance(node.operand, ast.Constant) and isinstance(operand.obj, (int, float)):
        signed = -operand.obj if isinstance(node.op, ast.USub) else operand.obj
        return Value(
            operand.kind, obj=signed if isinstance(node.op, (ast.USub, ast.UAdd)) else MISSING
        )
    return Value(operand.kind, fresh=True, small=is_small(operand))


def boolean(walk: Walk, node: ast.BoolOp) -> Value:
    """Evaluate `and` and `or`: what comes after the first may not run."""
    value = walk.value(node.values[0])
    truth(walk, value)
    for later in node.values[1:]:
        found: list[Value] = []
        walk.branches(into(walk, later, found), nothing)
        value = value.joined(found[0])
    return value


def into(walk: Walk, node: ast.expr, found: list[Value]) -> Callable[[], None]:
    """Make a branch that evaluates `node` into `found`."""
    return lambda: found.append(walk.value(node))


def nothing() -> None:
    """Be the branch in which nothing runs."""


def truth(walk: Walk, value: Value) -> None:
    """Test a value: an unknown type may run code to answer."""
    if family(value.kind) > Family.LIBRARY and value.dotted is None:
        walk.ledger.doubt()
    elif value.kind not in PLAINS or value.kind is Plain:
        hooks.meet(walk, hooks.NUMBERS, value)


def compare(walk: Walk, node: ast.Compare) -> Value:
    """Evaluate a chain of comparisons."""
    values = [walk.value(node.left), *map(walk.value, node.comparators)]
    compared = [
        value
        for op, *pair in zip(node.ops, values, values[1:], strict=False)
        if not isinstance(op, (ast.Is, ast.IsNot))
        for value in pair
    ]
    plain = max((family(value.kind) for value in compared), default=Family.SCALAR)
    if plain is Family.NOTEBOOK:
        found = [
            _users_comparison(walk, node, op, left, right)
            for op, left, right in zip(node.ops, values, values[1:], strict=False)
        ]
        return found[0] if len(found) == 1 else Value()
    if plain > Family.PLAIN:
        walk.ledger.unclear()
    elif plain is Family.PLAIN:
        hooks.meet(walk, hooks.ORDER, *compared)
    walk.ledger.spend(0.0 if all(map(is_small, values)) or plain is Family.SCALAR else None)
    return Value(
        bool if plain is Family.SCALAR else Plain, fresh=True, small=plain is Family.SCALAR
    )


def _users_comparison(walk: Walk, node: ast.AST, op: ast.cmpop, left: Value, right: Value) -> Value:
    """Compare where one side is of a notebook class: the other side's method may be asked too."""
    if type(op) not in _COMPARED:
        if not isinstance(op, (ast.Is, ast.IsNot)):
            walk.ledger.unclear()
        return Value()
    found: list[Value] = []
    for base, method, other in zip((left, right), _COMPARED[type(op)], (right, left), strict=True):
        names = (method, "__eq__") if method == "__ne__" else (method,)
        for name in names:
            if classes.method_of(walk, base.kind, name) is not None:
                found.append(dunder(walk, node, base, name, [other]))
            elif classes.has_member(base.kind, name):
                walk.ledger.doubt()
        if family(base.kind) not in {Family.SCALAR, Family.NOTEBOOK}:
            walk.ledger.doubt()
    return found[0] if len(found) == 1 else Value()


def conditional(walk: Walk, node: ast.IfExp) -> Value:
    """Evaluate `a if test else b`: the value may be either."""
    truth(walk, walk.value(node.test))
    found: list[Value] = []
    walk.branches(into(walk, node.body, found), into(walk, node.orelse, found))
    return found[0].joined(found[1])
