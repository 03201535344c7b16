"""Nodes and effects come in, numbered steps go out.

The rule: numbers are given in program order, and what is given up gives its numbers back.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from types import FunctionType

from taskpar_kernel.analysis.loops import loops_of, units_of
from taskpar_kernel.analysis.predict import predict
from taskpar_kernel.analysis.shapes import VALUE, head_of, without
from taskpar_kernel.model.effects import NO_EFFECTS, Effects, Scope
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.refusal import Refusal, Together
from taskpar_kernel.model.steps import HomeStep, LoopStep, Step, Unit

_LONGEST_TEXT = 120
_IN_ORDER = "stores, prints or draws, in order"


class Maker:
    """Numbers the steps in program order; `inside` a loop only whole iterations go out."""

    def __init__(self, eager: bool, lines: Sequence[bytes], objects: Mapping[str, object]):
        self.eager = eager
        self.lines = lines
        self.next_id = 0
        self.alone = True
        """Whether calls are taken out of statements that would else go out as a whole."""
        self.single = False
        """Whether nothing in the cell could run beside a statement that goes out as a whole."""
        self.inside = 0
        self.straight = False
        """Whether loops are left to those who come to them."""
        self.by_value = False
        """Whether a loop's iterable will be there, evaluated, when its steps are asked for."""
        self.objects = objects
        self.methods: dict[str, FunctionType] | None = None
        """The methods of the notebook's classes by name, once asked for."""
        self.openable: dict[ast.FunctionDef, bool] = {}
        """Whether a function of the notebook has something in it that could overlap."""
        self.local: frozenset[str] = frozenset()
        """The names of the function whose body is taken apart; empty: it is the notebook's."""
        self.together: dict[ast.AST, Together] = {}
        """The loops of the present statement that were not taken apart, and why."""
        self.taken: set[ast.AST] = set()
        """The loops of the present statement that are steps of it already."""

    def number(self) -> UnitId:
        """Return the next number."""
        self.next_id += 1
        return UnitId(self.next_id)

    def keep(self, node: ast.stmt | ast.expr, refusal: Refusal) -> None:
        """Note that a loop is not taken apart, and why."""
        last = node.end_lineno or node.lineno
        self.together[node] = Together(node.lineno, last, self.text(node), refusal)

    def unit(self, node: ast.stmt | ast.expr, effects: Effects, local: Iterable[str] = ()) -> Unit:
        """Make a unit of a statement or expression."""
        used = tuple(sorted((effects.reads | effects.changes) & frozenset(local)))
        trivial = effects.cost_s == 0.0
        return Unit(self.number(), node, effects, self.text(node), node.lineno, trivial, used)

    def home(
        self, node: ast.stmt, effects: Effects, scope: Scope, parts: Sequence[Step]
    ) -> HomeStep:
        """Make a step of what is left of a statement once `parts` went out of it."""
        why = str(effects.home[0]) if effects.home else _IN_ORDER
        own = self.own(node, scope, parts) if parts else None
        text = self.text(node)
        return HomeStep(self.number(), node, effects, text, node.lineno, why, not parts, own)

    def edge(self, node: ast.stmt, effects: Effects) -> HomeStep:
        """Make a step of the head or the end of a compound statement; its `rest` tells the rest."""
        why = str(effects.home[0]) if effects.home else _IN_ORDER
        text = self.text(node)
        return HomeStep(
            self.number(), node, effects, text, node.lineno, why, own=lambda: NO_EFFECTS
        )

    def rest(
        self, node: ast.stmt, effects: Effects, scope: Scope, parts: Sequence[Step]
    ) -> HomeStep:
        """Make the last step of a compound statement whose `parts` are steps of their own.

        `effects`: what is predicted to happen there; what may happen in it at all is its `own`.
        """
        text, own = self.text(node), self.own(node, scope, parts)
        return HomeStep(self.number(), node, effects, text, node.lineno, _IN_ORDER, own=own)

    def own(self, node: ast.stmt, scope: Scope, parts: Sequence[Step]) -> Callable[[], Effects]:
        """Return what gives the effects of a statement without those of the units in `parts`."""
        inner = {id(unit.node) for unit in units_of(parts)}
        instead = {id(loop.place): _left_of(loop) for loop in loops_of(parts) if loop.place}

        @cache
        def own() -> Effects:
            opaque = Scope(scope.objects, scope.definitions, scope.opaque | {VALUE})
            return predict(without(node, inner, instead), opaque)

        return own

    def text(self, node: ast.stmt | ast.expr) -> str:
        """Return the first line of the node's source, at most 120 characters."""
        if 0 < node.lineno <= len(self.lines):
            line = self.lines[node.lineno - 1]
            end = node.end_col_offset if node.end_lineno == node.lineno else len(line)
            text = line[node.col_offset : end].decode(errors="replace").rstrip()
        else:
            shown = head_of(node) if isinstance(node, ast.For) else node
            text = ast.unparse(shown).split("\n", 1)[0]
        return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _left_of(loop: LoopStep) -> ast.expr:
    """Return what home does in place of an applied function if all its outcomes are taken."""
    place = loop.place
    assert place is not None
    assert isinstance(loop.node, ast.GeneratorExp)
    value = ast.copy_location(ast.Name(VALUE, ast.Load()), loop.node.elt)
    values = ast.copy_location(ast.GeneratorExp(value, loop.node.generators), place)
    if not place.keywords:
        return values
    return ast.copy_location(ast.Call(place.func, [values], place.keywords[1:]), place)


__all__ = ["Maker"]
