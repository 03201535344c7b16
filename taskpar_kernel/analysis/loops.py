"""What of a loop can run ahead: its targets, iterable and body come in, plain answers go out.

The rule: nothing is evaluated; what a name of unknown value is taken for is checked before anything
is walked.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from taskpar_kernel.analysis.iterables import harmless, only_once, plain_condition
from taskpar_kernel.analysis.shapes import names_in, plain_names
from taskpar_kernel.analysis.trees import walk
from taskpar_kernel.model.effects import Effects, Scope
from taskpar_kernel.model.steps import Comprehension, HomeStep, LoopStep, Step, Unit


def leads_on(call: ast.Call, scope: Scope) -> bool:
    """Whether a call goes to a function of the notebook, as far as can be seen."""
    function = call.func
    if isinstance(function, ast.Name):
        if function.id in scope.definitions:
            return isinstance(scope.definitions[function.id], ast.FunctionDef)
        if function.id in scope.opaque:
            return False
        return getattr(scope.objects.get(function.id), "__module__", None) == "__main__"
    return False


def units_of(steps: Iterable[Step]) -> Iterator[Unit]:
    """Yield the units among `steps`, those inside loops and blocks included."""
    for step in steps:
        if isinstance(step, Unit):
            yield step
            yield from step.members
        elif isinstance(step, LoopStep):
            yield from units_of(step.body)


def loops_of(steps: Iterable[Step]) -> Iterator[LoopStep]:
    """Yield the loops among `steps`, those inside others included."""
    for step in steps:
        if isinstance(step, LoopStep):
            yield step
            yield from loops_of(step.body)


def targets_of(node: Comprehension, scope: Scope, *, by_value: bool) -> frozenset[str] | None:
    """Return the targets of a comprehension that can be walked ahead of home."""
    clause = node.generators[0]
    targets = plain_names(clause.target)
    if len(node.generators) > 1 or clause.is_async or targets is None:
        return None
    if targets & names_in(clause.iter) or not all(map(plain_condition, clause.ifs)):
        return None
    there = by_value and not only_once(clause.iter, scope)
    return targets if there or may_be_harmless(clause.iter, scope) else None


def used(unit: Unit, targets: frozenset[str]) -> tuple[str, ...]:
    """Return the targets that a unit reads, sorted."""
    return tuple(sorted((unit.effects.reads | unit.effects.changes) & targets))


def may_be_harmless(node: ast.expr, scope: Scope) -> bool:
    """Whether walking `node` is harmless if names of unknown value are what they look like.

    What they are is checked before anything is walked.
    """
    if harmless(node, scope):
        return True
    guesses: dict[str, object] = {n: [] for n in names_in(node) & scope.opaque}
    for part in walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            if part.value.id in guesses and part.attr in {"items", "keys", "values"}:
                guesses[part.value.id] = {}
        elif (
            isinstance(part, ast.Call)
            and isinstance(part.func, ast.Name)
            and part.func.id == "range"
        ):
            guesses |= {a.id: 1 for a in part.args if isinstance(a, ast.Name) and a.id in guesses}
    if not guesses:
        return False
    opaque = scope.opaque - guesses.keys()
    return harmless(node, Scope(scope.objects | guesses, scope.definitions, opaque))


def within(scope: Scope, written: frozenset[str]) -> Scope:
    """Return what is known where these names may be bound to anything."""
    objects = {k: v for k, v in scope.objects.items() if k not in written}
    definitions = {k: v for k, v in scope.definitions.items() if k not in written}
    return Scope(objects, definitions, scope.opaque | written)


def worth(unit: Unit, *, eager: bool) -> bool:
    """Whether a unit is one to send out for its own sake."""
    return eager or not unit.trivial


def free_units(body: Sequence[Step], targets: frozenset[str]) -> Iterator[Unit]:
    """Yield the units of a loop's body whose input no earlier iteration makes."""
    carried = frozenset[str]().union(
        *(s.effects.writes | s.effects.changes | s.effects.deletes for s in body)
    )
    fresh = set(targets)
    for step in body:
        needs = (step.effects.reads | step.effects.changes) & carried
        if isinstance(step, Unit) and needs <= fresh and not step.effects.draws:
            yield step
        if isinstance(step, LoopStep):
            inner = plain_names(step.clause.target) or frozenset()
            yield from (
                u
                for u in free_units(step.body, inner | frozenset(fresh))
                if (u.effects.reads | u.effects.changes) & carried <= fresh | inner
            )
        if not isinstance(step, HomeStep) or isinstance(
            step.node, ast.Assign | ast.AnnAssign | ast.FunctionDef
        ):
            fresh |= step.effects.writes - step.effects.reads


def independent(statements: Iterable[Effects]) -> int:
    """Count the dear statements that use nothing of what dear statements before them make."""
    made: frozenset[str] = frozenset()
    number = 0
    for effects in statements:
        if effects.travels and effects.cost_s != 0.0:
            number += not (effects.reads & made)
            made |= effects.writes | effects.changes
    return number
