"""Units of one loop iteration come in, chains of them go out as one unit each.

    rng = default_rng(seed)          → Unit(`rng = …; sample = …; gini(sample)`), HomeStep(`ginis…`)
    sample = rng.choice(values)
    ginis.append(gini(sample))

What each reads of the one before would otherwise wait for it, travel with it, and be taken by home
one by one: a chain has nothing to gain from being several. A value that home stores and that has
several units in it ends a chain as a whole, so that one look at home is enough for it:

    words = tokens(text)             → Unit(`words = …; {…}`), HomeStep(`rows.append(…)`)
    rows.append({"n": count(words), "longest": longest(words)})

The rule: a block keeps apart what could overlap. A unit joins the one before only if it uses what
that makes; nothing in a block reads what another iteration makes, or changes what was there before.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from taskpar_kernel.analysis.ledger import text_of
from taskpar_kernel.analysis.shapes import VALUE
from taskpar_kernel.analysis.trees import walk
from taskpar_kernel.model.effects import Effects
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.steps import HomeStep, LoopStep, Step, Unit

Predict = Callable[[ast.stmt], Effects]
Own = Callable[[ast.stmt, Sequence[Step]], Callable[[], Effects]]
"""Gives the effects of a statement without those of some parts, once they are asked for."""


def in_blocks(
    body: Sequence[Step],
    targets: frozenset[str],
    numbers: Mapping[ast.AST, UnitId],
    predict: Predict,
    own: Own,
) -> list[Step]:
    """Return the steps of a loop's body with its chains of units as blocks.

    `targets` are the loop's own; `numbers` gives, for each statement, a number just before those of
    its steps.
    """
    work = _Blocks(body, targets, numbers, predict, own)
    index = 0
    while index < len(body):
        after = index + 1
        while after < len(body) and _is_part(body[after - 1]):
            after += 1  # up to the statement of which these are parts
        if after - index > 1 and work.end_in_value(body[index : after - 1], body[after - 1]):
            index = after
            continue
        work.add(body[index], body[index + 1] if index + 1 < len(body) else None)
        index += 1
    work.close()
    return work.done


class _Blocks:
    def __init__(
        self,
        body: Sequence[Step],
        targets: frozenset[str],
        numbers: Mapping[ast.AST, UnitId],
        predict: Predict,
        own: Own,
    ):
        self._numbers = numbers
        self._predict = predict
        self._own = own
        self._carried = frozenset[str]().union(*(_made(step.effects) for step in body))
        self._fresh = set(targets)
        """Names that this iteration has bound anew by now."""
        self._chain: list[Unit] = []
        self.done: list[Step] = []

    def add(self, step: Step, after: Step | None) -> None:
        stands_in = after if isinstance(step, Unit) and step.is_expression else step
        direct = getattr(stands_in, "node", None) in self._numbers  # and not in a `try` or `if`
        if direct and isinstance(step, Unit) and self._is_own(step.effects):
            if not step.is_expression and not _may_be_view(step):
                if not self._leads_to(step):
                    self.close()
                self._chain.append(step)
                self._fresh |= step.effects.writes
                return
            if step.is_expression and self._chain and self._ends_in(step, after):
                assert after is not None
                self.close(step, _comes_first(step.node, after.node) or "")
                return
        self.close()
        self.done.append(step)
        if isinstance(step, Unit) or _only_binds(step):
            self._fresh |= step.effects.writes - step.effects.reads

    def end_in_value(self, parts: Sequence[Step], stored: Step) -> bool:
        """End the chain with all of the value that home stores, if these are parts of it.

        Then both are done with: the value, and the statement that stores it.
        """
        if not (self._chain and isinstance(stored, HomeStep) and stored.node in self._numbers):
            return False
        unit = self._whole_value(parts, stored.node)
        if unit is None or not self._ends_in(unit, stored):
            return False
        if not self.close(unit, _comes_first(unit.node, stored.node) or "", only=True):
            return False
        self.add(replace(stored, own=self._own(stored.node, (unit,))), None)
        return True

    def _whole_value(self, parts: Sequence[Step], statement: ast.stmt) -> Unit | None:
        """Return a unit that computes all that a statement stores, in place of several parts."""
        value, first = _stored(statement), parts[0]
        if value is None or not isinstance(first, Unit) or first.node is value:
            return None
        inside = {id(part) for part in walk(value)}
        if not all(isinstance(u, Unit) and id(u.node) in inside and not u.local for u in parts):
            return None
        effects = self._predict(_compound([value]))
        effects = replace(effects, writes=effects.writes - {VALUE})
        if effects.writes or not (effects.travels and self._is_own(effects)):
            return None
        trivial = effects.cost_s == 0.0
        return Unit(first.id, value, effects, text_of(value), value.lineno, trivial)

    def _is_own(self, effects: Effects) -> bool:
        """Whether a unit uses nothing of other iterations, and only computes."""
        used = effects.reads | effects.changes
        if not used & self._carried <= self._fresh or effects.deletes:
            return False
        return not (effects.draws or effects.prints or effects.files_written)

    def _leads_to(self, step: Unit) -> bool:
        """Whether the chain so far is for this unit to use, or costs nothing."""
        made = frozenset[str]().union(*(u.effects.writes for u in self._chain))
        used = (step.effects.reads | step.effects.changes) & made
        return bool(used) or step.trivial or all(unit.trivial for unit in self._chain)

    def _ends_in(self, step: Unit, after: Step | None) -> bool:
        """Whether an expression, the only unit of its statement, ends the chain.

        What home evaluates before it, in that statement, must not be able to change anything.
        """
        if not isinstance(after, HomeStep) or step.local or step.effects.changes:
            return False
        return _comes_first(step.node, after.node) is not None and self._leads_to(step)

    def close(self, value: Unit | None = None, receiver: str = "", *, only: bool = False) -> bool:
        """End the chain: it is a block if it is one of several, and changes nothing of before.

        Return whether it is one; `only`: leave the chain as it is if it is none.
        """
        members = self._chain if value is None else [*self._chain, value]
        block = None
        if len(members) > 1 and not all(unit.trivial for unit in members):
            block = self._block(members, receiver)
        if block is not None or not only:
            self._chain = []
            self.done += members if block is None else [block]
        return block is not None

    def _block(self, members: Sequence[Unit], receiver: str) -> Unit | None:
        first = members[0]
        effects = self._predict(_compound(unit.node for unit in members))
        own = effects.writes - {VALUE}
        shared = {new for new, old in effects.aliases if old not in own}
        changed = effects.changes.union(*(u.effects.changes for u in members))
        if not effects.travels or not changed <= own or changed & shared:
            return None
        return Unit(
            self._numbers[first.node],
            first.node,
            replace(effects, writes=own, changes=frozenset()),
            "; ".join(unit.text for unit in members),
            first.line,
            members=tuple(members),
            receiver=receiver,
        )


def _is_part(step: Step) -> bool:
    return isinstance(step, Unit) and step.is_expression


def _stored(statement: ast.AST | None) -> ast.expr | None:
    """Return the value that a statement stores, if that is all it does."""
    if isinstance(statement, ast.Assign | ast.AugAssign):
        return statement.value
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return statement.value.args[0] if len(statement.value.args) == 1 else None
    return None


def _comes_first(part: ast.AST, statement: ast.AST) -> str | None:
    """Return the name looked up before `part` is evaluated ("" if none); None: there is more.

    rows.append(PART) → "rows"       d[k] = PART, total += PART → ""
    """
    if isinstance(statement, ast.Assign | ast.AugAssign) and statement.value is part:
        simple = isinstance(statement, ast.Assign) or isinstance(statement.target, ast.Name)
        return "" if simple else None
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return None
    call = statement.value
    method = call.func
    if not (call.args and call.args[0] is part and isinstance(method, ast.Attribute)):
        return None
    return method.value.id if isinstance(method.value, ast.Name) else None


def _compound(parts: Iterable[ast.stmt | ast.expr]) -> ast.stmt:
    """Return one statement that does the same; the value of an expression has a name there."""
    body = [
        ast.copy_location(ast.Assign([ast.Name(VALUE, ast.Store())], part), part)
        if isinstance(part, ast.expr)
        else part
        for part in parts
    ]
    whole = ast.If(ast.Constant(True), body, [])
    return ast.fix_missing_locations(ast.copy_location(whole, body[0]))


def _made(effects: Effects) -> frozenset[str]:
    return effects.writes | effects.changes | effects.deletes


def _may_be_view(step: Unit) -> bool:
    """Whether a cheap statement may only name a part of something: that does not travel."""
    if not step.trivial:
        return False
    called = {id(n.func) for n in walk(step.node) if isinstance(n, ast.Call)}
    parts = (n for n in walk(step.node) if id(n) not in called)
    value = getattr(step.node, "value", None)
    return isinstance(value, ast.Name) or any(
        isinstance(n, ast.Subscript | ast.Attribute) for n in parts
    )


def _only_binds(step: Step) -> bool:
    if isinstance(step, LoopStep):
        return False
    return isinstance(step.node, ast.Assign | ast.AnnAssign | ast.FunctionDef)


__all__ = ["in_blocks"]
