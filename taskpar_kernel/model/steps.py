"""A cell's statements, taken apart into what can run ahead and what stays home.

A *step* is one place in the program text. Loops repeat steps, so a step has an instance for each
path (the iteration numbers of the loops around it).

    rows.append(f(x))       → Unit(`f(x)`), HomeStep(`rows.append(…)`)
    model.fit(X, y)         → Unit(`model.fit(X, y)`)
    for x in xs: …          → LoopStep(body=…)
    r = [f(x) for x in xs]  → LoopStep(body=Unit(`f(x)`)), HomeStep(`r = …`)
    try: r = f(x) …         → Unit(`r = f(x)`), HomeStep(`try: …`)
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from taskpar_kernel.model.effects import Effects
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.refusal import Together


@dataclass(frozen=True, slots=True, eq=False)
class Guard:
    """A condition around a step: it is reached only where `test` is `holds`.

    `holds` is None for what is met only where nobody knows ahead what the test will say. `likely`:
    whether it is taken to be reached then.
    """

    test: ast.expr
    holds: bool | None
    likely: bool = False


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
    local: tuple[str, ...] = ()
    """Names it reads that are no names of the notebook: the targets of comprehensions around it."""
    targets: tuple[ast.expr, ...] = ()
    """What home binds its value to, inside a function: statements that follow may read it."""
    members: tuple[Unit, ...] = ()
    """The units that it runs one after the other, if it is a block; a last one may be the only
    unit of a statement that stays home. They have numbers of their own: home may run them so."""
    receiver: str = ""
    """In a block whose last member is the argument of a method: the name whose method that is."""
    when: tuple[Guard, ...] = ()
    """The conditions of the branches it stands in, outermost first."""

    @property
    def nodes(self) -> tuple[ast.stmt | ast.expr, ...]:
        """What is run, in order."""
        return tuple(unit.node for unit in self.members) or (self.node,)

    def mentions(self) -> frozenset[str]:
        """Return the names that its text reads; O(nodes)."""
        names = (n for node in self.nodes for n in ast.walk(node) if isinstance(n, ast.Name))
        return frozenset(name.id for name in names if isinstance(name.ctx, ast.Load))

    @property
    def value_of(self) -> Unit | None:
        """The unit whose value its outcome gives, to home's own code that goes on with it."""
        last = self.members[-1] if self.members else self
        return last if last.is_expression else None

    @property
    def is_expression(self) -> bool:
        """Whether its outcome is a value that home's own code goes on with."""
        return isinstance(self.node, ast.expr)

    @property
    def key(self) -> str:
        """What its costs are known by."""
        return self.text


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
    own: Callable[[], Effects] | None = None
    """Gives the effects of what home itself does if the outcomes of all its units are taken."""
    when: tuple[Guard, ...] = ()

    @property
    def leaves(self) -> ast.Continue | ast.Break | None:
        """The jump that it makes if its test holds, if that is all it does."""
        node = self.node
        if isinstance(node, ast.If) and len(node.body) == 1 and not node.orelse:
            jump = node.body[0]
            return jump if isinstance(jump, ast.Continue | ast.Break) else None
        return None

    @property
    def key(self) -> str:
        """What its costs are known by: without its units it is another thing than with them."""
        return self.text if self.whole else f"{self.text} …"


@dataclass(frozen=True, slots=True, eq=False)
class LoopStep:
    """A loop whose iterable can be walked ahead of home: `for`, or a comprehension."""

    id: UnitId
    node: Loop
    effects: Effects
    text: str
    line: int
    body: tuple[Step, ...]
    when: tuple[Guard, ...] = ()
    place: ast.Call | None = None
    """The call of `map`, `filter`, `max`, … that it is written as, if it is written as one."""

    @property
    def clause(self) -> ast.For | ast.comprehension:
        """The node that has the loop's target and iterable."""
        return self.node if isinstance(self.node, ast.For) else self.node.generators[0]

    @property
    def conditions(self) -> list[ast.expr]:
        """The conditions of a comprehension: what they say decides if the body is evaluated."""
        return [] if isinstance(self.node, ast.For) else self.node.generators[0].ifs

    @property
    def is_local(self) -> bool:
        """Whether its targets are names of its own, unknown to the notebook."""
        return not isinstance(self.node, ast.For)


Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Loop = ast.For | Comprehension
Step = Unit | HomeStep | LoopStep


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """The body of a function or of a `while` loop: statements that home runs one after another."""

    id: UnitId
    node: ast.FunctionDef | ast.While
    effects: Effects
    line: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Inner:
    """What else of a statement, or of a function's body, can look ahead once home gets there."""

    loops: tuple[LoopStep, ...] = ()
    """Loops inside other control flow: nobody knows before whether and when home comes to them."""
    calls: tuple[tuple[UnitId, ast.Call], ...] = ()
    """Calls of notebook functions that may have such loops in them."""
    spans: tuple[Span, ...] = ()
    """Bodies in which several statements could run side by side."""

    def __bool__(self) -> bool:
        return bool(self.loops or self.calls or self.spans)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in it."""
        return (*self.loops, *(step for span in self.spans for step in span.steps))


@dataclass(frozen=True, slots=True, eq=False)
class TopLevel:
    """One top-level statement of the cell with its steps, in evaluation order."""

    node: ast.stmt
    steps: tuple[Step, ...]
    effects: Effects
    free: Inner = field(default_factory=Inner)
    together: tuple[Together, ...] = ()
    """Its loops that were not taken apart, and why."""


def flat(steps: Iterable[Step]) -> Iterator[Unit | HomeStep]:
    """Yield all steps, those inside loops included, loops themselves excluded."""
    for step in steps:
        if isinstance(step, LoopStep):
            yield from flat(step.body)
        else:
            yield step
