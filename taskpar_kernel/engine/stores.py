"""Home's own part of a loop comes in, the containers it fills go out, if that is all it does.

    rows.append((n, VALUE))     best[k, round(x, 2)] = VALUE     print(f"{k}: {VALUE:.3f}")

The analysis cannot tell what the names will be bound to: `round(x)` of an object of the user's runs
his code, which may change anything. Home can, once it stands there: of numbers and texts it runs
none. The rule: types are exact, names of builtins are bound to these, and there is nothing between
the head of the loop and its first unit, where targets are bound to what nobody has looked at.
"""

from __future__ import annotations

import ast
import builtins
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from taskpar_kernel.analysis.shapes import begins_with
from taskpar_kernel.model.effects import Effects, Touch
from taskpar_kernel.model.steps import HomeStep, LoopStep, Span, Step, Unit, flat

_SCALARS: Final = frozenset({int, float, complex, bool, str, bytes, type(None)})
_FUNCTIONS: Final = {
    name: getattr(builtins, name)
    for name in (
        "abs",
        "bool",
        "float",
        "int",
        "len",
        "max",
        "min",
        "print",
        "repr",
        "round",
        "str",
    )
}
_INDEXED: Final = frozenset({dict, list})
_GROWING: Final = {"append": frozenset({list, deque}), "add": frozenset({set})}
_SIZED: Final = frozenset({dict, list, set, tuple, str, deque})
_PLAIN: Final = (ast.Pass, ast.Break, ast.Continue)


@dataclass(slots=True)
class Stores:
    """What must be so when home goes on, for its own part to fill these containers only."""

    scalars: set[str] = field(default_factory=set)
    """Names bound to numbers or texts."""
    containers: dict[str, frozenset[type]] = field(default_factory=dict)
    """Names bound to one of these types."""
    changes: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    """Names of builtins."""
    takes_scalar: bool = False
    """The value that was taken must be a number or text."""

    @classmethod
    def of(cls, loop: Step | Span) -> Stores | None:
        """Return what home's part of a loop needs to be so plain, or None."""
        if not isinstance(loop, LoopStep) or not _begins_with_unit(loop):
            return None
        reader = _Reader(cls(), {id(node) for unit in _units(loop.body) for node in unit.nodes})
        homes = (step for step in flat(loop.body) if isinstance(step, HomeStep))
        return reader.found if all(reader.reads(step.node) for step in homes) else None

    def effects(self, names: Mapping[str, Any], taken: Iterable[object]) -> Effects | None:
        """Return what home's part changes as the names are bound now, None if that may be more.

        `taken`: the values that were just taken from a worker.
        """
        values = [names.get(name, self) for name in self.scalars]
        if self.takes_scalar:
            values += taken
        if not all(_is_scalar(value) for value in values):
            return None
        if not all(_is_builtin(name, names) for name in self.functions):
            return None
        if not all(type(names.get(name)) in kinds for name, kinds in self.containers.items()):
            return None
        if "print" in self.functions and type(sys.stdout).__module__ != "ipykernel.iostream":
            return None
        if any(type(value) not in _SCALARS for value in values) and not _numpy_is_quiet():
            return None
        touch = Touch.OBJECTS if self.changes else Touch.NOTHING
        return Effects(touch=touch, changes=frozenset(self.changes))


def _units(steps: Iterable[Step]) -> Iterable[Unit]:
    for step in flat(steps):
        if isinstance(step, Unit):
            yield step
            yield from step.members


def _begins_with_unit(loop: LoopStep) -> bool:
    """Whether each iteration comes to a unit before home evaluates anything else."""
    if not isinstance(loop.node, ast.For) or not loop.body:
        return False
    first, statement = loop.body[0], loop.node.body[0]
    if isinstance(first, LoopStep):
        return len(loop.body) == 1 and first.node is statement and _begins_with_unit(first)
    if not isinstance(first, Unit) or first.when:
        return False
    inner = any(isinstance(step, LoopStep) for step in loop.body)
    grown = _grown(statement.value) if isinstance(statement, ast.Expr) else None
    if grown is not None:  # the container's method is looked up before, which runs nothing
        statement = ast.Expr(grown[2])
        if first.node is grown[2]:
            return not inner
    return not inner and (first.node is statement or begins_with(statement, first.node))


def _grown(node: ast.expr) -> tuple[str, str, ast.expr] | None:
    """Return name, method and argument of a call like `rows.append(x)`."""
    if not isinstance(node, ast.Call) or node.keywords or len(node.args) != 1:
        return None
    method = node.func
    if not isinstance(method, ast.Attribute) or not isinstance(method.value, ast.Name):
        return None
    return (method.value.id, method.attr, node.args[0]) if method.attr in _GROWING else None


def _is_scalar(value: object) -> bool:
    kind = type(value)
    if kind in _SCALARS:
        return True
    numpy = sys.modules.get("numpy")
    return numpy is not None and kind.__module__ == "numpy" and isinstance(value, numpy.generic)


def _is_builtin(name: str, names: Mapping[str, Any]) -> bool:
    function = _FUNCTIONS[name]
    return names.get(name, function) is function and vars(builtins).get(name) is function


def _numpy_is_quiet() -> bool:
    """Whether NumPy's own arithmetic calls nothing of the user's when it warns."""
    numpy = sys.modules["numpy"]
    shown_by = getattr(warnings.showwarning, "__module__", "")
    return numpy.geterrcall() is None and shown_by == "warnings"


@dataclass(slots=True)
class _Reader:
    """Reads statements and notes what they need; each method says whether that can be enough."""

    found: Stores
    units: set[int]
    loose: set[str] = field(default_factory=set)
    """Names that a statement before binds to what nobody has looked at."""
    has_one: bool = False
    """Whether there is but one unit in the present statement, whose value is looked at."""

    def reads(self, node: ast.stmt) -> bool:
        self.has_one = sum(id(part) in self.units for part in ast.walk(node)) == 1
        return self.statement(node)

    def statement(self, node: ast.stmt) -> bool:
        if id(node) in self.units or isinstance(node, _PLAIN):
            return True
        if isinstance(node, ast.Assign):
            return self.anything(node.value) and all(
                self.target(target, node.value) for target in node.targets
            )
        if isinstance(node, ast.AugAssign):
            return isinstance(node.target, ast.Name) and self.added(node.target, node.value)
        if isinstance(node, ast.If):
            inner = (*node.body, *node.orelse)
            return self.scalar(node.test) and all(map(self.statement, inner))
        return isinstance(node, ast.Expr) and (self.grows(node.value) or self.scalar(node.value))

    def target(self, target: ast.expr, value: ast.expr) -> bool:
        if isinstance(target, ast.Name):
            if self.is_loose(value):
                self.loose.add(target.id)
            return True
        if not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Name):
            return False
        key = target.slice
        parts = key.elts if isinstance(key, ast.Tuple) else [key]
        return all(map(self.scalar, parts)) and self.fills(target.value.id, _INDEXED)

    def is_loose(self, value: ast.expr) -> bool:
        return (
            id(value) in self.units
            or isinstance(value, ast.Name | ast.Tuple | ast.List | ast.Dict)
            or not self.scalar(value)
        )

    def added(self, target: ast.Name, value: ast.expr) -> bool:
        return self.scalar(ast.Name(target.id, ast.Load())) and self.scalar(value)

    def fills(self, name: str, kinds: frozenset[type]) -> bool:
        self.found.changes.add(name)
        return self.holds(name, kinds)

    def holds(self, name: str, kinds: frozenset[type]) -> bool:
        self.found.containers[name] = self.found.containers.get(name, kinds) & kinds
        return True

    def grows(self, node: ast.expr) -> bool:
        grown = _grown(node)
        if grown is None:
            return False
        name, method, given = grown
        takes = self.scalar if method == "add" else self.anything
        return takes(given) and self.fills(name, _GROWING[method])

    def anything(self, node: ast.expr) -> bool:
        """Whether evaluating it runs no code; what comes out of it may be anything."""
        if id(node) in self.units or isinstance(node, ast.Name):
            return True
        if isinstance(node, ast.Tuple | ast.List):
            return all(map(self.anything, node.elts))
        if isinstance(node, ast.Dict):
            keys = [key for key in node.keys if key is not None]
            return len(keys) == len(node.values) and (
                all(map(self.scalar, keys)) and all(map(self.anything, node.values))
            )
        return self.scalar(node)

    def scalar(self, node: ast.expr) -> bool:
        """Whether it is a number or text, computed of such."""
        if id(node) in self.units:
            self.found.takes_scalar = True
            return self.has_one
        if isinstance(node, ast.Name):
            self.found.scalars.add(node.id)
            return node.id not in self.loose
        if isinstance(node, ast.Constant):
            return type(node.value) in _SCALARS
        if isinstance(node, ast.Call):
            return self.call(node)
        parts = _parts(node)
        return parts is not None and all(map(self.scalar, parts))

    def call(self, node: ast.Call) -> bool:
        if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS:
            return False
        self.found.functions.add(node.func.id)
        (one, *_) = node.args or (None,)
        if node.func.id == "len" and isinstance(one, ast.Name) and len(node.args) == 1:
            return self.holds(one.id, _SIZED)
        words = (word.value for word in node.keywords)
        return all(map(self.scalar, node.args)) and all(isinstance(w, ast.Constant) for w in words)


def _parts(node: ast.expr) -> Sequence[ast.expr] | None:
    """Return the parts of an expression that runs no code of its own, if they are scalars."""
    found: Sequence[ast.expr | None] | None = None
    match node:
        case ast.BinOp(left, _, right):
            found = left, right
        case ast.UnaryOp(_, operand):
            found = (operand,)
        case ast.Compare(left, _, others):
            found = left, *others
        case ast.IfExp(test, body, orelse):
            found = test, body, orelse
        case ast.FormattedValue(value, _, spec):
            found = value, spec
        case ast.BoolOp(_, values) | ast.JoinedStr(values):
            found = values
    return None if found is None else [part for part in found if part is not None]


__all__ = ["Stores"]
