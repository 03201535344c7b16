"""Top-level statements come in, their steps (what can run ahead, what stays home) go out.

The rule: compute goes out; mutation, printing and drawing stay home, in order. A statement that
only computes is a unit as a whole. One that stores into something shared, prints or draws stays
home, and the dear calls among its arguments become units. So do the calls of a statement that
stands alone and combines several: otherwise nothing in it could overlap.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from taskpar_kernel.analysis.api import advance
from taskpar_kernel.analysis.blocks import in_blocks
from taskpar_kernel.analysis.iterables import harmless, only_once, plain_condition
from taskpar_kernel.analysis.predict import predict
from taskpar_kernel.analysis.shapes import (
    COMPREHENSIONS,
    VALUE,
    arguments,
    blocks_of,
    bound_in,
    calls_in,
    consumed_generator,
    declared_elsewhere,
    evaluated,
    has_calls,
    has_handlers,
    has_several_calls,
    head_of,
    keeps_home,
    makes_functions,
    names_in,
    plain_names,
    results,
    without,
)
from taskpar_kernel.analysis.together import WHILE, of_comprehension, of_loop
from taskpar_kernel.model.effects import Effects, Scope
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.refusal import Refusal, Together
from taskpar_kernel.model.steps import (
    Comprehension,
    HomeStep,
    Inner,
    LoopStep,
    Step,
    TopLevel,
    Unit,
)

_ENOUGH = 2
"""So many statements that could run side by side make it needless to take their calls apart."""
_LONGEST_TEXT = 120
_BLOCKS = ast.While | ast.If | ast.With | ast.Try


def decompose(
    nodes: Sequence[ast.stmt],
    objects: Mapping[str, object],
    *,
    interactive: frozenset[int] = frozenset(),
    eager: bool = False,
    lines: Sequence[str] = (),
) -> tuple[TopLevel, ...]:
    """Take the statements of one cell apart.

    `objects` is the namespace at the cell's start; `interactive` are the indexes of the statements
    whose value is displayed; with `eager`, trivial statements become units as well. `lines` is the
    cell's source, which the statements are shown in; without it they are unparsed, at ten times the
    cost.
    """
    scope = Scope(dict(objects))
    predicted = []
    for node in nodes:
        effects = predict(node, scope)
        predicted.append((node, effects, scope))
        scope = advance(scope, node, effects)
    work = _Decomposer(eager, [line.encode() for line in lines], objects)
    work.alone = eager or _independent(effects for _, effects, _ in predicted) < _ENOUGH
    return tuple(
        work.top_level(node, effects, seen, shown=i in interactive)
        for i, (node, effects, seen) in enumerate(predicted)
    )


def decompose_function(
    node: ast.FunctionDef, local: frozenset[str], objects: Mapping[str, object], first: int
) -> Inner:
    """Find the loops of a function's body that can look ahead, and the calls that lead to more.

    `local` are the function's own names, `objects` the notebook's. Numbers begin at `first`.
    """
    seen = {n: v for n, v in objects.items() if n not in local}
    work = _Decomposer(eager=False, lines=[], objects=objects)
    work.next_id = first
    work.local = local - declared_elsewhere(node)
    return work.inner(node.body, Scope(seen, {}, local))


def _independent(statements: Iterable[Effects]) -> int:
    """Count the dear statements that use nothing of what dear statements before them make."""
    made: frozenset[str] = frozenset()
    number = 0
    for effects in statements:
        if effects.travels and effects.cost_s != 0.0:
            number += not (effects.reads & made)
            made |= effects.writes | effects.changes
    return number


class _Decomposer:
    """Numbers the steps in program order; `inside` a loop only whole iterations go out."""

    def __init__(self, eager: bool, lines: Sequence[bytes], objects: Mapping[str, object]):
        self.eager = eager
        self.lines = lines
        self.next_id = 0
        self.alone = True
        self.inside = 0
        self.by_value = False
        """Whether a loop's iterable will be there, evaluated, when its steps are asked for."""
        self.objects = objects
        self.methods: frozenset[str] | None = None
        """The names of all methods of the notebook's classes, once asked for."""
        self.local: frozenset[str] = frozenset()
        """The names of the function whose body is taken apart; empty: it is the notebook's."""
        self.together: dict[ast.AST, Together] = {}
        """The loops of the present statement that were not taken apart, and why."""

    def number(self) -> UnitId:
        self.next_id += 1
        return UnitId(self.next_id)

    # Statements ------------------------------------------------------------------------------

    def top_level(self, node: ast.stmt, effects: Effects, scope: Scope, *, shown: bool) -> TopLevel:
        self.together = {}
        top = self.taken_apart(node, effects, scope, shown=shown)
        return replace(top, together=self.kept_together(top)) if self.together else top

    def kept_together(self, top: TopLevel) -> tuple[Together, ...]:
        """Return the loops of a statement that no way of looking at it has taken apart."""
        apart = {loop.node for loop in _loops([*top.steps, *top.free.loops])}
        found = (kept for node, kept in self.together.items() if node not in apart)
        return tuple(sorted(found, key=lambda kept: kept.line))

    def taken_apart(
        self, node: ast.stmt, effects: Effects, scope: Scope, *, shown: bool
    ) -> TopLevel:
        steps = tuple(self.statement(node, effects, scope, shown=shown))
        if any(isinstance(step, LoopStep) for step in steps) or not has_calls(node):
            return TopLevel(node, steps, effects)
        inner = self.inner([node], scope)
        if inner.loops:  # more can overlap inside of it than if it went out as a whole
            steps = (self.home(node, effects, scope, ()),)
        return TopLevel(node, steps, effects, inner)

    def inner(self, body: Sequence[ast.stmt], scope: Scope) -> Inner:
        """Find what can look ahead inside of other control flow."""
        loops: list[LoopStep] = []
        calls: list[tuple[UnitId, ast.Call]] = []
        for node in body:
            found = self.free_loops(node, scope)
            loops += found
            if isinstance(node, ast.For | _BLOCKS) and not found:
                deeper = self.inner(list(blocks_of(node)), _inside(scope, bound_in(node)))
                loops += deeper.loops
                calls += deeper.calls
            elif not found and not isinstance(node, ast.FunctionDef | ast.ClassDef):
                calls += self.calls(node, scope)
        return Inner(tuple(loops), tuple(calls))

    def free_loops(self, node: ast.stmt, scope: Scope) -> list[LoopStep]:
        """Find loops that home, when it comes to them, can look ahead of: it has the iterable."""
        self.by_value = True
        found = self.loops_in(node, scope)
        self.by_value = False
        return found

    def loops_in(self, node: ast.stmt, scope: Scope) -> list[LoopStep]:
        if isinstance(node, ast.For):
            loop = self.loop(node, predict(node, scope), scope)
            return [] if loop is None else [loop]
        if isinstance(
            node, ast.FunctionDef | ast.ClassDef | ast.While | ast.If | ast.With | ast.Try
        ):
            return []
        saved = self.next_id
        loops = [s for s in self.parts(arguments(node), scope) if isinstance(s, LoopStep)]
        if not loops:
            self.next_id = saved
        return loops

    def calls(self, node: ast.stmt, scope: Scope) -> tuple[tuple[UnitId, ast.Call], ...]:
        """Return the calls of notebook functions that `node` surely evaluates."""
        return tuple(
            (self.number(), call)
            for call in calls_in(arguments(node))
            if _leads_on(call, scope) or self.is_method(call)
        )

    def is_method(self, call: ast.Call) -> bool:
        """Whether a call may be one of a method of the notebook's classes, by its name."""
        if not isinstance(call.func, ast.Attribute):
            return False
        if self.methods is None:
            kinds = (v for v in self.objects.values() if isinstance(v, type))
            own = (vars(k) for k in kinds if k.__module__ == "__main__")
            self.methods = frozenset(name for members in own for name in members)
        return call.func.attr in self.methods

    def statement(
        self, node: ast.stmt, effects: Effects, scope: Scope, *, shown: bool = False
    ) -> list[Step]:
        if isinstance(node, ast.For):
            loop = self.loop(node, effects, scope)
            if loop is not None:
                return [loop]
        if isinstance(node, ast.While):
            self.keep(node, WHILE)
        saved = self.next_id
        if self.local:
            assigned = self.assigned(node, effects, scope)
            if assigned is not None:
                return [assigned]
        whole = effects.travels and not shown and not has_handlers(node) and not self.local
        computes = whole and not keeps_home(node)
        parts: list[Step] = []
        if not computes or self.may_split(node, effects):
            parts = self.parts(arguments(node), scope)
        if computes and not self.splits(node, parts):
            self.next_id = saved
            return [self.unit(node, effects)]
        if self.eager and whole and not parts:
            return [self.unit(node, effects)]
        return [*parts, self.home(node, effects, scope, parts)]

    def assigned(self, node: ast.stmt, effects: Effects, scope: Scope) -> Unit | None:
        """Return the value of an assignment to local names as a unit that home binds itself."""
        if not isinstance(node, ast.Assign) or not effects.travels or effects.deletes:
            return None
        bound = [plain_names(target) for target in node.targets]
        if not all(names is not None and names <= self.local for names in bound):
            return None
        if effects.cost_s == 0.0 or makes_functions(node.value):
            return None
        value = predict(node.value, scope)
        if value.writes or value.deletes or not value.travels:
            return None
        return replace(self.unit(node.value, effects), targets=tuple(node.targets))

    def may_split(self, node: ast.stmt, effects: Effects) -> bool:
        """Whether a statement that could go out as a whole has several parts that could."""
        return not self.inside and effects.cost_s != 0.0 and has_several_calls(node)

    def splits(self, node: ast.stmt, parts: Sequence[Step]) -> bool:
        """Whether such a statement gains more if it is taken apart."""
        if any(isinstance(part, LoopStep) for part in parts):
            return True
        return len(parts) > 1 and (self.alone or not isinstance(_value_of(node), ast.Call))

    def unit(self, node: ast.stmt | ast.expr, effects: Effects, local: Iterable[str] = ()) -> Unit:
        used = tuple(sorted((effects.reads | effects.changes) & frozenset(local)))
        trivial = effects.cost_s == 0.0
        return Unit(self.number(), node, effects, self.text(node), node.lineno, trivial, used)

    def home(
        self, node: ast.stmt, effects: Effects, scope: Scope, parts: Sequence[Step]
    ) -> HomeStep:
        why = str(effects.home[0]) if effects.home else "stores, prints or draws, in order"
        own = None
        if parts:
            inner = {id(unit.node) for unit in units_of(parts)}

            @cache
            def own() -> Effects:
                opaque = Scope(scope.objects, scope.definitions, scope.opaque | {VALUE})
                return predict(without(node, inner), opaque)

        text = self.text(node)
        return HomeStep(self.number(), node, effects, text, node.lineno, why, not parts, own)

    # Expressions -----------------------------------------------------------------------------

    def parts(self, expressions: Iterable[ast.expr | None], scope: Scope) -> list[Step]:
        """Return the calls and comprehensions that are always evaluated and may travel.

        A call is taken apart if several of its operands may travel; otherwise it goes as a whole.
        """
        return [step for node in expressions if node for step in self.part(node, scope)]

    def part(self, node: ast.expr, scope: Scope) -> list[Step]:
        saved = self.next_id
        if not self.inside:
            generator = consumed_generator(node, scope)
            inner = [self.comprehension(generator, scope)] if generator else []
            if isinstance(node, COMPREHENSIONS):
                inner = [self.comprehension(node, scope)]
            if any(inner):
                return [step for step in inner if step]
            self.next_id = saved
            parts = self.parts(evaluated(node), scope)
            if len(parts) > 1 or any(isinstance(part, LoopStep) for part in parts):
                return parts
            self.next_id = saved
        if isinstance(node, (ast.Call, *COMPREHENSIONS)):
            effects = predict(node, scope)
            worth = self.eager or effects.cost_s != 0.0
            worth = worth and not (self.local and makes_functions(node))
            if effects.travels and worth and not effects.writes and not effects.deletes:
                return [self.unit(node, effects)]
        return self.parts(evaluated(node), scope)

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

    # Loops -----------------------------------------------------------------------------------

    def loop(self, node: ast.For, effects: Effects, scope: Scope) -> LoopStep | None:
        """Return the loop taken apart, or None where its iterations cannot run side by side."""
        targets = plain_names(node.target)
        by_value, self.by_value = self.by_value, False  # not so the loops inside of it
        there = by_value and not only_once(node.iter, scope)
        known = targets is not None and (there or _may_be_harmless(node.iter, scope))
        if not known or targets is None or targets & names_in(node.iter):
            self.keep(node, of_loop(node, scope, None))
            return None
        saved = self.next_id
        number = self.number()
        inside = _inside(scope, effects.writes | effects.deletes | targets)
        self.inside += 1
        body: list[Step] = []
        numbers: dict[ast.AST, UnitId] = {}
        for statement in node.body:
            numbers[statement] = self.number()
            predicted = predict(statement, inside)
            body += self.statement(statement, predicted, inside)
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                inside.definitions[statement.name] = statement
        self.inside -= 1
        if not any(_worth(step, self.eager) for step in _free_units(body, targets)):
            self.next_id = saved
            self.keep(node, of_loop(node, scope, body))
            return None
        if not self.local:
            body = in_blocks(body, targets, numbers, lambda part: predict(part, inside))
        return LoopStep(number, node, effects, self.text(node), node.lineno, tuple(body))

    def keep(self, node: ast.stmt | ast.expr, refusal: Refusal) -> None:
        """Note that a loop is not taken apart, and why."""
        last = node.end_lineno or node.lineno
        self.together[node] = Together(node.lineno, last, self.text(node), refusal)

    def comprehension(self, node: Comprehension, scope: Scope) -> LoopStep | None:
        """Return the comprehension taken apart, or None where that cannot be or does not pay."""
        targets = _targets_of(node, scope, by_value=self.by_value)
        if targets is None:
            self.keep(node, of_comprehension(node, scope, None))
            return None
        effects = predict(node, scope)
        if effects.cost_s == 0.0 and not self.eager:
            return None
        if targets & (effects.reads | effects.writes) or effects.writes or effects.deletes:
            return None  # a function that is called uses a name of the notebook spelled alike
        number = self.number()
        units = self.element(node, _inside(scope, targets))
        local = [replace(unit, local=_used(unit, targets)) for unit in units]
        apart = not any(u.effects.changes - targets or u.effects.draws for u in local)
        if apart and any(_worth(unit, self.eager) for unit in local):
            return LoopStep(number, node, effects, self.text(node), node.lineno, tuple(local))
        self.keep(node, of_comprehension(node, scope, local))
        return None

    def element(self, node: Comprehension, inside: Scope) -> list[Unit]:
        self.inside += 1
        steps = self.parts(results(node), inside)
        self.inside -= 1
        return [step for step in steps if isinstance(step, Unit)]


def _leads_on(call: ast.Call, scope: Scope) -> bool:
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


def _loops(steps: Iterable[Step]) -> Iterator[LoopStep]:
    for step in steps:
        if isinstance(step, LoopStep):
            yield step
            yield from _loops(step.body)


def _targets_of(node: Comprehension, scope: Scope, *, by_value: bool) -> frozenset[str] | None:
    """Return the targets of a comprehension that can be walked ahead of home."""
    clause = node.generators[0]
    targets = plain_names(clause.target)
    if len(node.generators) > 1 or clause.is_async or targets is None:
        return None
    if targets & names_in(clause.iter) or not all(map(plain_condition, clause.ifs)):
        return None
    there = by_value and not only_once(clause.iter, scope)
    return targets if there or _may_be_harmless(clause.iter, scope) else None


def _used(unit: Unit, targets: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted((unit.effects.reads | unit.effects.changes) & targets))


def _value_of(node: ast.stmt) -> ast.expr | None:
    return getattr(node, "value", None)


def _may_be_harmless(node: ast.expr, scope: Scope) -> bool:
    """Whether walking `node` is harmless if names of unknown value are what they look like.

    What they are is checked before anything is walked.
    """
    if harmless(node, scope):
        return True
    guesses: dict[str, object] = {n: [] for n in names_in(node) & scope.opaque}
    for part in ast.walk(node):
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


def _inside(scope: Scope, written: frozenset[str]) -> Scope:
    objects = {k: v for k, v in scope.objects.items() if k not in written}
    definitions = {k: v for k, v in scope.definitions.items() if k not in written}
    return Scope(objects, definitions, scope.opaque | written)


def _worth(unit: Unit, eager: bool) -> bool:
    return eager or not unit.trivial


def _free_units(body: Sequence[Step], targets: frozenset[str]) -> Iterator[Unit]:
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
                for u in _free_units(step.body, inner | frozenset(fresh))
                if (u.effects.reads | u.effects.changes) & carried <= fresh | inner
            )
        if not isinstance(step, HomeStep) or isinstance(
            step.node, ast.Assign | ast.AnnAssign | ast.FunctionDef
        ):
            fresh |= step.effects.writes - step.effects.reads
