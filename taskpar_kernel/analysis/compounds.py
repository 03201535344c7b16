"""Compound statements come in; the steps of their blocks go out, as one sequence.

`try` and `with` are predicted to go through: their blocks are steps like any other, and home's own
code, which keeps the statement, deals with exceptions as it always does. The steps in the branches
of an `if` carry its test: the look-ahead evaluates it where that is harmless, and else goes by what
was reached before.

The rule: what home itself may do in the statement, handlers included, is told by its last step.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from taskpar_kernel.analysis.api import advance
from taskpar_kernel.analysis.iterables import plain_condition
from taskpar_kernel.analysis.loops import worth
from taskpar_kernel.analysis.parts import Parts
from taskpar_kernel.analysis.predict import predict
from taskpar_kernel.model.effects import NO_EFFECTS, Blocker, Effects, Scope
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.steps import Guard, LoopStep, Step, Unit

_MAY_SURROUND = frozenset({Blocker.HANDLE, Blocker.FILES, Blocker.CLOCK, Blocker.WORLD})
"""What a context manager may be without its block's state being another than that around it."""
_JUMPS = ast.Continue | ast.Break | ast.Return | ast.Raise


class Compounds(Parts, ABC):
    """Takes blocks apart; what is done with a single statement, its subclass says."""

    @abstractmethod
    def statement(
        self, node: ast.stmt, effects: Effects, scope: Scope, *, shown: bool = False
    ) -> list[Step]:
        """Return the steps of one statement."""

    def block(
        self,
        body: Sequence[ast.stmt],
        scope: Scope,
        when: tuple[Guard, ...] = (),
        numbers: dict[ast.AST, UnitId] | None = None,
    ) -> list[Step]:
        """Return the steps of statements that follow one another; `when`: what is around them.

        `numbers` is filled with a number for each statement, just before those of its steps.
        """
        steps: list[Step] = []
        for statement in body:
            if numbers is not None:
                numbers[statement] = self.number()
            effects = predict(statement, scope)
            found = self.statement(statement, effects, scope)
            steps += [replace(s, when=(*when, *s.when)) for s in found] if when else found
            if _skips_the_rest(statement):
                assert isinstance(statement, ast.If)
                when = (*when, Guard(statement.test, holds=False, likely=True))
            if not self.inside:
                scope = advance(scope, statement, effects)
            elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
                scope.definitions[statement.name] = statement
        return steps

    def compound(self, node: ast.stmt, effects: Effects, scope: Scope) -> list[Step] | None:
        """Return the steps of a compound statement, or None if nothing in it could run ahead."""
        saved = self.next_id
        if isinstance(node, ast.Try | ast.TryStar):
            steps = self.block([*node.body, *node.orelse, *node.finalbody], scope)
            end = NO_EFFECTS
        elif isinstance(node, ast.With):
            head = predict(_head_of(node), scope)
            if not all(reason.blocker in _MAY_SURROUND for reason in head.home):
                return None
            steps = [self.edge(node, head)]
            steps += self.block(node.body, scope)
            end = replace(head, writes=frozenset())
        elif isinstance(node, ast.If):
            steps = self.branches(node, scope)
            end = effects
        else:
            return None
        opens = [s for s in steps if s.when] if isinstance(node, ast.If) else steps
        if not any(_goes_out(step, eager=self.eager) for step in opens):
            self.next_id = saved
            return None
        last = self.rest(node, end, scope, steps)
        if isinstance(node, ast.If):
            last = replace(last, when=(Guard(node.test, holds=None),))
        return [*steps, last]

    def branches(self, node: ast.If, scope: Scope) -> list[Step]:
        """Return the steps of an `if`'s test and of both of its branches."""
        steps = self.parts([node.test], scope)
        if not steps and not plain_condition(node.test):
            steps = [self.edge(node, predict(node.test, scope))]
        for body, holds in ((node.body, True), (node.orelse, False)):
            steps += self.block(body, scope, (Guard(node.test, holds),))
        return steps


def _goes_out(step: Step, *, eager: bool) -> bool:
    return isinstance(step, LoopStep) or (isinstance(step, Unit) and worth(step, eager=eager))


def _skips_the_rest(node: ast.stmt) -> bool:
    """Whether what follows the statement in its block is reached only where its test fails."""
    if not isinstance(node, ast.If) or node.orelse or not plain_condition(node.test):
        return False
    return isinstance(node.body[-1], _JUMPS)


def _head_of(node: ast.With) -> ast.With:
    """Return a `with` that only enters what it names."""
    nothing = ast.copy_location(ast.Pass(), node)
    return ast.copy_location(ast.With(node.items, [nothing]), node)


__all__ = ["Compounds"]
