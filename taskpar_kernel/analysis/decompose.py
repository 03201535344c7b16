"""Top-level statements come in, their steps (what can run ahead, what stays home) go out.

The rule: compute goes out; mutation, printing and drawing stay home, in order. A statement that
only computes is a unit as a whole. One that stores into something shared, prints or draws stays
home, and the dear calls among its arguments become units.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence

from taskpar_kernel.analysis.api import advance
from taskpar_kernel.analysis.iterables import harmless
from taskpar_kernel.analysis.predict import predict
from taskpar_kernel.model.effects import Effects, Scope
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.steps import HomeStep, LoopStep, Step, TopLevel, Unit

_VALUES = (ast.Call, ast.ListComp, ast.SetComp, ast.DictComp)


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
    work = _Decomposer(eager, [line.encode() for line in lines])
    scope = Scope(dict(objects))
    result = []
    for index, node in enumerate(nodes):
        effects = predict(node, scope)
        steps = tuple(work.statement(node, effects, scope, shown=index in interactive))
        result.append(TopLevel(node, steps, effects))
        scope = advance(scope, node, effects)
    return tuple(result)


class _Decomposer:
    def __init__(self, eager: bool, lines: Sequence[bytes]):
        self.eager = eager
        self.lines = lines
        self.next_id = 0

    def number(self) -> UnitId:
        self.next_id += 1
        return UnitId(self.next_id)

    def statement(
        self, node: ast.stmt, effects: Effects, scope: Scope, *, shown: bool = False
    ) -> list[Step]:
        if isinstance(node, ast.For):
            loop = self.loop(node, effects, scope)
            if loop is not None:
                return [loop]
        whole = effects.travels and not shown and not _has_handlers(node)
        if whole and not _keeps_home(node):
            return [self.unit(node, effects)]
        units = [self.unit(call, e) for call, e in self.dear(_arguments(node), scope)]
        if self.eager and whole and not units:
            return [self.unit(node, effects)]
        return [*units, self.home(node, effects, whole=not units)]

    def unit(self, node: ast.stmt | ast.expr, effects: Effects) -> Unit:
        text = self.text(node)
        return Unit(self.number(), node, effects, text, node.lineno, effects.cost_s == 0.0)

    def home(self, node: ast.stmt, effects: Effects, *, whole: bool) -> HomeStep:
        why = str(effects.home[0]) if effects.home else "stores, prints or draws, in order"
        return HomeStep(self.number(), node, effects, self.text(node), node.lineno, why, whole)

    def dear(
        self, expressions: Iterable[ast.expr | None], scope: Scope
    ) -> Iterator[tuple[ast.expr, Effects]]:
        """Yield the largest calls and comprehensions that are always evaluated and may travel."""
        for node in expressions:
            if node is None:
                continue
            if isinstance(node, _VALUES):
                effects = predict(node, scope)
                worth = self.eager or effects.cost_s != 0.0
                if effects.travels and worth and not effects.writes and not effects.deletes:
                    yield node, effects
                    continue
            yield from self.dear(_evaluated(node), scope)

    def text(self, node: ast.stmt | ast.expr) -> str:
        """Return the first line of the node's source, at most 120 characters."""
        if 0 < node.lineno <= len(self.lines):
            line = self.lines[node.lineno - 1]
            end = node.end_col_offset if node.end_lineno == node.lineno else len(line)
            text = line[node.col_offset : end].decode(errors="replace").rstrip()
        else:
            shown = replace_body(node) if isinstance(node, ast.For) else node
            text = ast.unparse(shown).split("\n", 1)[0]
        return text if len(text) <= 120 else text[:119] + "…"

    # Loops ---------------------------------------------------------------------------------

    def loop(self, node: ast.For, effects: Effects, scope: Scope) -> LoopStep | None:
        """Return the loop taken apart, or None where its iterations cannot run side by side."""
        targets = _plain_names(node.target)
        if targets is None or not _may_be_harmless(node.iter, scope):
            return None
        if targets & _names(node.iter):
            return None
        saved = self.next_id
        number = self.number()
        inside = _inside(scope, effects.writes | effects.deletes | targets)
        body: list[Step] = []
        for statement in node.body:
            predicted = predict(statement, inside)
            body += self.statement(statement, predicted, inside)
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                inside.definitions[statement.name] = statement
        if not any(_worth(step, self.eager) for step in _free_units(body, targets)):
            self.next_id = saved
            return None
        return LoopStep(number, node, effects, self.text(node), node.lineno, tuple(body))


def _may_be_harmless(node: ast.expr, scope: Scope) -> bool:
    """Whether walking `node` is harmless if names of unknown value are what they look like.

    What they are is checked before anything is walked.
    """
    if harmless(node, scope):
        return True
    guesses: dict[str, object] = {n: [] for n in _names(node) & scope.opaque}
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
            inner = _plain_names(step.node.target) or frozenset()
            yield from (
                u
                for u in _free_units(step.body, inner | frozenset(fresh))
                if (u.effects.reads | u.effects.changes) & carried <= fresh | inner
            )
        if not isinstance(step, HomeStep) or isinstance(
            step.node, ast.Assign | ast.AnnAssign | ast.FunctionDef
        ):
            fresh |= step.effects.writes - step.effects.reads


# Shapes of statements ------------------------------------------------------------------------


def _has_handlers(node: ast.stmt) -> bool:
    """Whether the statement's own text may catch an interrupt, or clean up after one.

    Such code runs where the interrupt arrives, which is at home.
    """
    kinds = (ast.Try, ast.TryStar, ast.With)
    compound = isinstance(node, (ast.For, ast.While, ast.If, ast.Match, *kinds))
    return compound and any(isinstance(n, kinds) for n in ast.walk(node))


def _keeps_home(node: ast.stmt) -> bool:
    """Whether the statement stores into something shared or prints: its own part stays home."""
    if isinstance(node, ast.Assign):
        return not all(map(_binds_names, node.targets))
    if isinstance(node, ast.AugAssign | ast.AnnAssign):
        return True
    if isinstance(node, ast.Delete | ast.Pass | ast.Assert):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        if isinstance(function, ast.Name):
            return function.id in {"print", "display"}
        return isinstance(function, ast.Attribute) and function.attr in _ACCUMULATE
    return isinstance(node, ast.If)


_ACCUMULATE = frozenset(
    "append extend insert add update setdefault appendleft extendleft push put write "  # noqa: SIM905
    "discard remove pop popitem clear reverse".split()
)


def _binds_names(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return all(map(_binds_names, target.elts))
    return isinstance(target, ast.Name) or (
        isinstance(target, ast.Starred) and _binds_names(target.value)
    )


def _arguments(node: ast.stmt) -> list[ast.expr | None]:
    """Return the expressions a home statement always evaluates, in evaluation order."""
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Call) and _keeps_home(node):
            return list(_evaluated(node.value))
        return [node.value]
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return):
        return [node.value]
    if isinstance(node, ast.If | ast.Assert):
        return [node.test]
    return []


def _evaluated(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the operands that evaluating `node` surely evaluates, in order."""
    if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return
    if isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr):
        return
    if isinstance(node, ast.BoolOp):
        yield node.values[0]
        return
    if isinstance(node, ast.IfExp):
        yield node.test
        return
    if isinstance(node, ast.Compare):
        yield node.left
        yield node.comparators[0]
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.keyword):
            yield child.value


def _plain_names(target: ast.expr) -> frozenset[str] | None:
    if isinstance(target, ast.Name):
        return frozenset({target.id})
    if isinstance(target, ast.Tuple | ast.List):
        parts = [_plain_names(e) for e in target.elts]
        return None if None in parts else frozenset[str]().union(*(p for p in parts if p))
    return None


def _names(node: ast.expr) -> frozenset[str]:
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name))


def replace_body(node: ast.For) -> ast.For:
    """Return the head of a loop, for display."""
    return ast.For(node.target, node.iter, [ast.Pass()], [], lineno=node.lineno, col_offset=0)
