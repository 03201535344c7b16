"""Top-level statements come in, their steps (what can run ahead, what stays home) go out.

The rule: compute goes out; mutation, printing and drawing stay home, in order. A statement that
only computes is a unit as a whole. One that stores into something shared, prints or draws stays
home, and the dear calls among its arguments become units. So do the calls of a statement that
stands alone and combines several: otherwise nothing in it could overlap.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import FunctionType

from taskpar_kernel.analysis.api import advance
from taskpar_kernel.analysis.blocks import in_blocks
from taskpar_kernel.analysis.compounds import Compounds
from taskpar_kernel.analysis.iterables import only_once
from taskpar_kernel.analysis.loops import (
    free_units,
    independent,
    leads_on,
    loops_of,
    may_be_harmless,
    units_of,
    within,
    worth,
)
from taskpar_kernel.analysis.names import bindings_of, parameters_of
from taskpar_kernel.analysis.predict import predict
from taskpar_kernel.analysis.shapes import (
    arguments,
    blocks_of,
    bound_in,
    calls_in,
    declared_elsewhere,
    has_calls,
    has_handlers,
    has_several_calls,
    keeps_home,
    makes_functions,
    names_in,
    plain_names,
)
from taskpar_kernel.analysis.sources import node_of
from taskpar_kernel.analysis.together import WHILE, of_loop
from taskpar_kernel.model.effects import Effects, Scope
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.refusal import Together
from taskpar_kernel.model.steps import (
    Inner,
    LoopStep,
    Span,
    Step,
    TopLevel,
    Unit,
)

_ENOUGH = 2
"""So many statements that could run side by side make it needless to take their calls apart."""
_BLOCKS = ast.While | ast.If | ast.With | ast.Try | ast.TryStar


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
    work.single = independent(effects for _, effects, _ in predicted) < _ENOUGH
    work.alone = eager or work.single
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
    scope = Scope(seen, {}, local)
    inner = work.inner(node.body, scope)
    span = work.span(node, scope)
    return inner if span is None else replace(inner, spans=(*inner.spans, span))


class _Decomposer(Compounds):
    """Takes statements apart."""

    def top_level(self, node: ast.stmt, effects: Effects, scope: Scope, *, shown: bool) -> TopLevel:
        self.together = {}
        top = self.taken_apart(node, effects, scope, shown=shown)
        return replace(top, together=self.kept_together(top)) if self.together else top

    def kept_together(self, top: TopLevel) -> tuple[Together, ...]:
        """Return the loops of a statement that no way of looking at it has taken apart."""
        apart = {loop.node for loop in loops_of([*top.steps, *top.free.loops])}
        found = (kept for node, kept in self.together.items() if node not in apart)
        return tuple(sorted(found, key=lambda kept: kept.line))

    def taken_apart(
        self, node: ast.stmt, effects: Effects, scope: Scope, *, shown: bool
    ) -> TopLevel:
        steps = tuple(self.statement(node, effects, scope, shown=shown))
        if not has_calls(node):
            return TopLevel(node, steps, effects)
        if isinstance(node, _BLOCKS):
            self.taken = {loop.node for loop in loops_of(steps)}
            inner = self.inner([node], scope)
            self.taken = set()
            if (inner.loops or inner.spans) and isinstance(node, ast.While):
                steps = (self.home(node, effects, scope, ()),)
            return TopLevel(node, steps, effects, inner)
        if any(isinstance(step, LoopStep) for step in steps):
            return TopLevel(node, steps, effects)
        inner = self.inner([node], scope)
        # more can overlap inside of it than if it went out as a whole, or alone
        if inner.loops or (self.single and self.opens_inside(inner, scope)):
            steps = (self.home(node, effects, scope, ()),)
        return TopLevel(node, steps, effects, inner)

    def inner(self, body: Sequence[ast.stmt], scope: Scope) -> Inner:
        """Find what can look ahead inside of other control flow."""
        loops: list[LoopStep] = []
        calls: list[tuple[UnitId, ast.Call]] = []
        spans: list[Span] = []
        for node in body:
            if node in self.taken:
                continue
            if isinstance(node, ast.While):
                span = self.span(node, within(scope, bound_in(node)))
                spans += [span] if span else []
            found = self.free_loops(node, scope)
            loops += found
            if isinstance(node, ast.For | _BLOCKS) and not found:
                deeper = self.inner(list(blocks_of(node)), within(scope, bound_in(node)))
                loops += deeper.loops
                calls += deeper.calls
                spans += deeper.spans
            elif not found and not isinstance(node, ast.FunctionDef | ast.ClassDef):
                calls += self.calls(node, scope)
        return Inner(tuple(loops), tuple(calls), tuple(spans))

    def span(self, node: ast.FunctionDef | ast.While, scope: Scope) -> Span | None:
        """Return a body in which several statements could run side by side, or None.

        Its loops are not in it: home has what they go through once it comes to them.
        """
        saved, self.straight = self.next_id, True
        number = self.number()
        steps = self.block(node.body, scope)
        self.straight = False
        if independent(unit.effects for unit in units_of(steps)) < _ENOUGH:
            self.next_id = saved
            return None
        effects = Effects(writes=self.local | bound_in(node))
        return Span(number, node, effects, node.lineno, tuple(steps))

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
        if isinstance(node, ast.FunctionDef | ast.ClassDef | _BLOCKS):
            return []
        if not has_several_calls(node):  # nor a comprehension, nor a function to apply
            return []
        saved = self.next_id
        loops = [s for s in self.parts(arguments(node), scope) if isinstance(s, LoopStep)]
        if any(loop.node in self.taken for loop in loops) or not loops:
            self.next_id = saved
            return []
        return loops

    def calls(self, node: ast.stmt, scope: Scope) -> tuple[tuple[UnitId, ast.Call], ...]:
        """Return the calls of notebook functions that `node` surely evaluates."""
        return tuple(
            (self.number(), call)
            for call in calls_in(arguments(node))
            if leads_on(call, scope) or self.is_method(call)
        )

    def is_method(self, call: ast.Call) -> bool:
        """Whether a call may be one of a method of the notebook's classes, by its name."""
        return isinstance(call.func, ast.Attribute) and call.func.attr in self.methods_by_name()

    def methods_by_name(self) -> Mapping[str, FunctionType]:
        """Return the methods of the notebook's classes; of one name, any."""
        if self.methods is None:
            kinds = (v for v in self.objects.values() if isinstance(v, type))
            own = (vars(k) for k in kinds if k.__module__ == "__main__")
            self.methods = {
                name: member
                for members in own
                for name, member in members.items()
                if isinstance(member, FunctionType)
            }
        return self.methods

    def opens_inside(self, inner: Inner, scope: Scope) -> bool:
        """Whether one of the functions called has something in it that could look ahead."""
        return any(self.is_openable(call.func, scope) for _, call in inner.calls)

    def is_openable(self, function: ast.expr, scope: Scope) -> bool:
        """Whether a function of the notebook has loops or statements that could overlap."""
        made: object = None
        if isinstance(function, ast.Attribute):
            made = self.methods_by_name().get(function.attr)
        elif isinstance(function, ast.Name):
            made = scope.definitions.get(function.id, scope.objects.get(function.id))
        if isinstance(made, FunctionType):
            node, code = node_of(made.__code__), made.__code__
            local = frozenset((*code.co_varnames, *code.co_cellvars, *code.co_freevars))
        else:
            node, local = None, frozenset()
            if isinstance(made, ast.FunctionDef):
                node = made
                local = bindings_of(made.body, parameters_of(made.args)).local
        if not isinstance(node, ast.FunctionDef):
            return False
        if node not in self.openable:
            inside = decompose_function(node, local, self.objects, 0)
            self.openable[node] = bool(inside.loops or inside.spans)
        return self.openable[node]

    def statement(
        self, node: ast.stmt, effects: Effects, scope: Scope, *, shown: bool = False
    ) -> list[Step]:
        if isinstance(node, ast.For) and not self.straight:
            loop = self.loop(node, effects, scope)
            if loop is not None:
                return [loop]
        compound = self.compound(node, effects, scope)
        if compound is not None:
            return compound
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
        return len(parts) > 1 and (
            self.alone or not isinstance(getattr(node, "value", None), ast.Call)
        )

    def loop(self, node: ast.For, effects: Effects, scope: Scope) -> LoopStep | None:
        """Return the loop taken apart, or None where its iterations cannot run side by side."""
        targets = plain_names(node.target)
        by_value, self.by_value = self.by_value, False  # not so the loops inside of it
        there = by_value and not only_once(node.iter, scope)
        known = targets is not None and (there or may_be_harmless(node.iter, scope))
        if not known or targets is None or targets & names_in(node.iter):
            self.keep(node, of_loop(node, scope, None))
            return None
        saved = self.next_id
        number = self.number()
        inside = within(scope, effects.writes | effects.deletes | targets)
        self.inside += 1
        numbers: dict[ast.AST, UnitId] = {}
        body = self.block(node.body, inside, numbers=numbers)
        self.inside -= 1
        if not any(worth(step, eager=self.eager) for step in free_units(body, targets)):
            self.next_id = saved
            self.keep(node, of_loop(node, scope, body))
            return None
        if not self.local:
            body = in_blocks(
                body,
                targets,
                numbers,
                lambda part: predict(part, inside),
                lambda statement, parts: self.own(statement, inside, parts),
            )
        return LoopStep(number, node, effects, self.text(node), node.lineno, tuple(body))
