"""Operators: arithmetic, comparison, truth.

Operand values come in, the result's value goes out. The rule: operators of builtin, numpy, pandas
and scipy types change nothing, those of notebook classes are followed, others may do anything.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from taskpar_kernel.analysis import classes
from taskpar_kernel.analysis.summaries import Arguments
from taskpar_kernel.analysis.values import (
    MISSING,
    NO_ROOTS,
    NUMBERS,
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


_COMPARED: Final[Mapping[type, str]] = {
    ast.Eq: "__eq__", ast.NotEq: "__ne__", ast.Lt: "__lt__", ast.LtE: "__le__", ast.Gt: "__gt__",
    ast.GtE: "__ge__",
}  # fmt: skip


def binary(walk: Walk, node: ast.BinOp) -> Value:
    """Evaluate `left op right`."""
    left = walk.value(node.left)
    right = walk.value(node.right)
    return operate(walk, node, node.op, left, right)


def operate(walk: Walk, node: ast.AST, op: ast.operator, left: Value, right: Value) -> Value:
    """Combine two values by an operator."""
    families = family(left.kind), family(right.kind)
    if Family.NOTEBOOK in families:
        name = _BINARY[type(op)]
        if families[0] is Family.NOTEBOOK:
            return dunder(walk, node, left, f"__{name}__", [right])
        return dunder(walk, node, right, f"__r{name}__", [left])
    if max(families) > Family.PLAIN:
        walk.ledger.unclear()
        return Value()
    kind = _combined(op, left.kind, right.kind)
    small = is_small(left) and is_small(right)
    walk.ledger.spend(0.0 if small else None)
    held: Roots = left.reach | right.reach if kind in {list, tuple} else NO_ROOTS
    return Value(kind, held=held, fresh=True, small=small)


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
        walk.ledger.touch = walk.ledger.touch.ANY


def compare(walk: Walk, node: ast.Compare) -> Value:
    """Evaluate a chain of comparisons."""
    values = [walk.value(node.left)]
    plain = Family.SCALAR
    for op, right in zip(node.ops, node.comparators, strict=True):
        values.append(walk.value(right))
        if isinstance(op, (ast.Is, ast.IsNot)):
            continue
        for value in values[-2:]:
            known = family(value.kind)
            if known is Family.NOTEBOOK and type(op) in _COMPARED:
                other = values[-1] if value is values[-2] else values[-2]
                if classes.method_of(walk, value.kind, _COMPARED[type(op)]) is None:
                    continue
                return dunder(walk, node, value, _COMPARED[type(op)], [other])
            plain = max(plain, known)
    if plain > Family.PLAIN:
        walk.ledger.unclear()
    walk.ledger.spend(0.0 if all(map(is_small, values)) or plain is Family.SCALAR else None)
    return Value(
        bool if plain is Family.SCALAR else Plain, fresh=True, small=plain is Family.SCALAR
    )


def conditional(walk: Walk, node: ast.IfExp) -> Value:
    """Evaluate `a if test else b`: the value may be either."""
    truth(walk, walk.value(node.test))
    found: list[Value] = []
    walk.branches(into(walk, node.body, found), into(walk, node.orelse, found))
    return found[0].joined(found[1])
