"""A cell's statements, taken apart into what can run ahead and what stays home.

A *step* is one place in the program text. Loops repeat steps, so a step has an instance for each
path (the iteration numbers of the loops around it).

    rows.append(f(x))     → Unit(`f(x)`), HomeStep(`rows.append(…)`)
    model.fit(X, y)       → Unit(`model.fit(X, y)`)
    for x in xs: …        → LoopStep(body=…)
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from taskpar_kernel.model.effects import Effects
from taskpar_kernel.model.ids import UnitId


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """A statement, or an expression inside one, that can run on a worker.

    `trivial`: so cheap that it goes out only when something dear needs what it defines.
    """

    id: UnitId
    node: ast.stmt | ast.expr
    effects: Effects
    text: str
    line: int
    trivial: bool = False

    @property
    def is_expression(self) -> bool:
        """Whether its outcome is a value that home's own code goes on with."""
        return isinstance(self.node, ast.expr)


@dataclass(frozen=True, slots=True, eq=False)
class HomeStep:
    """What home itself runs; `why` says why it stays."""

    id: UnitId
    node: ast.stmt
    effects: Effects
    text: str
    line: int
    why: str
    whole: bool = False
    """Whether no part of the statement is a unit."""


@dataclass(frozen=True, slots=True, eq=False)
class LoopStep:
    """A `for` loop whose iterable can be walked ahead of home."""

    id: UnitId
    node: ast.For
    effects: Effects
    text: str
    line: int
    body: tuple[Step, ...]


Step = Unit | HomeStep | LoopStep


@dataclass(frozen=True, slots=True, eq=False)
class TopLevel:
    """One top-level statement of the cell with its steps, in evaluation order."""

    node: ast.stmt
    steps: tuple[Step, ...]
    effects: Effects
