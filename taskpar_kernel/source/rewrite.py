"""A statement and its steps come in, the same statement with hooks for its units goes out.

The rule: control flow stays native. A unit is replaced *in place* by a test that takes the outcome
of the worker that ran it, or else evaluates the original right there:

    rows.append(f(x))   →   rows.append(H.value(3) if H.has(3) else f(x))
    model.fit(X, y)     →   if H.has(4): pass
                            else: model.fit(X, y)

    a = f(x)            →   if H.has(5): pass
    b = g(a)                else:
                                if H.has(6): pass
                                else: a = f(x)
                                …

so evaluation order, `break`, exceptions and frames are those of the original. A loop gets an
iterable that tells the engine where home is, and that can end early to hand the rest of the same
iterator to an untouched copy of the loop, so that a million cheap steps cost nothing extra:

    for x in xs: B      →   for x in H.loop(5, xs): B'
    else: E                 else:
                                for x in H.rest(5): B
                                else: E

A comprehension is continued in the same way:

    [E for x in xs]     →   [*[E' for x in H.loop(6, xs)], *[E for x in H.rest(6)]]
    sum(E for x in xs)  →   sum(H.chain((E' for x in H.loop(6, xs)), (E for x in H.rest(6))))

So is a call that applies a function to each item; the function is called from there, with no frame
in between:

    map(f, xs)          →   map(*H.applied(7, 8, f, xs))
    max(xs, key=f)      →   max(H.compared(7, 8, xs, f, max), key=H.key())

The body of a `while` loop, or of a function, in which several statements could run side by side,
begins with `H.enter(9)`.

Every new node has the position of the one it stands for.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Sequence
from typing import Any

from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.steps import Comprehension, HomeStep, Inner, LoopStep, Step, Unit

HOOKS = "__taskpar__"
"""Name in `builtins` under which the running cell finds its hooks."""


def rewrite(node: ast.stmt, steps: Iterable[Step], inner: Inner | None = None) -> ast.stmt:
    """Return `node` with hooks at the units and loops of `steps`; `node` itself is not changed.

    The calls of `inner` go to the twins of the functions they call:

        f(x)                →   H.inner(7, f)(x)
    """
    rewriter = _Rewriter()
    rewriter.learn(steps)
    if inner is not None:
        rewriter.learn(inner.steps)
        rewriter.spans = {id(span.node): span.id for span in inner.spans}
        rewriter.calls = {id(call): number for number, call in inner.calls}
    if not (rewriter.units or rewriter.loops or rewriter.applied or rewriter.calls):
        return node
    new = rewriter.one(node)
    assert isinstance(new, ast.stmt)
    return new


def rewritten_body(node: ast.FunctionDef, inner: Inner) -> list[ast.stmt]:
    """Return the body of a function with hooks at what of it can look ahead."""
    body = [rewrite(statement, (), inner) for statement in node.body]
    for span in inner.spans:
        if span.node is node:
            first = next((s for s in body if not _is_text(s)), body[-1])
            body.insert(body.index(first), _entering(first, span.id))
    return body


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _entering(place: ast.stmt, number: UnitId) -> ast.stmt:
    """Return a statement that says that home enters a body, at the start of `place`."""
    new = ast.Expr(_hook(place, "enter", number))
    new.lineno = new.end_lineno = place.lineno
    new.col_offset = new.end_col_offset = place.col_offset
    return new


class _Rewriter:
    def __init__(self) -> None:
        self.units: dict[int, Unit] = {}
        self.blocks: dict[int, Unit] = {}
        self.loops: dict[int, LoopStep] = {}
        self.applied: dict[int, LoopStep] = {}
        self.calls: dict[int, UnitId] = {}
        self.spans: dict[int, UnitId] = {}

    def learn(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if isinstance(step, Unit) and step.members:
                self.blocks[id(step.node)] = step
                self.learn(step.members)
            elif isinstance(step, Unit):
                self.units[id(step.node)] = step
            elif isinstance(step, LoopStep) and step.place is not None:
                self.applied[id(step.place)] = step
            elif isinstance(step, LoopStep):
                self.loops[id(step.node)] = step
                self.learn(step.body)
            else:
                assert isinstance(step, HomeStep)

    def one(self, node: ast.AST) -> Any:
        unit = self.units.get(id(node))
        if unit is not None:
            return _at(node, _hooked_unit(unit, node, self.opened(node)))
        return self.opened(node)

    def opened(self, node: ast.AST) -> Any:
        """Return the node with hooks for all that is inside of it."""
        loop = self.loops.get(id(node))
        if loop is not None:
            if isinstance(loop.node, ast.For):
                return self.hooked_loop(loop, loop.node)
            return _at(node, self.hooked_comprehension(loop, loop.node))
        applied = self.applied.get(id(node))
        if applied is not None:
            return self.hooked_call(applied, node)
        return self.copied(node)

    def copied(self, node: ast.AST) -> Any:
        new = copy.copy(node)
        for name, value in ast.iter_fields(node):
            setattr(new, name, self.field(value))
        number = self.calls.get(id(node))
        if number is not None and isinstance(new, ast.Call):
            new.func = _at(new.func, _hook(new.func, "inner", number, new.func))
        if id(node) in self.spans and isinstance(new, ast.While):
            new.body.insert(0, _entering(new.body[0], self.spans[id(node)]))
        return new

    def field(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.one(v) if isinstance(v, ast.AST) else v for v in value]
        if isinstance(value, ast.AST):
            return self.one(value)
        return value

    def hooked_loop(self, loop: LoopStep, node: ast.For) -> ast.For:
        rest = ast.For(
            target=copy.deepcopy(node.target),
            iter=_hook(node.iter, "rest", loop.id),
            body=copy.deepcopy(node.body),
            orelse=copy.deepcopy(node.orelse),
        )
        new = ast.For(
            target=node.target,
            iter=_hook(node.iter, "loop", loop.id, node.iter),
            body=self.statements(node.body),
            orelse=[_at(node, rest)],
        )
        _at(node, new)
        return new

    def statements(self, nodes: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Return the statements of a loop's body, those of a block under one test."""
        done: list[ast.stmt] = []
        place = 0
        while place < len(nodes):
            block = self.blocks.get(id(nodes[place]))
            if block is None:
                done.append(self.one(nodes[place]))
                place += 1
                continue
            after = place + sum(not unit.is_expression for unit in block.members)
            native = [self.one(node) for node in nodes[place:after]]
            test = _hook(nodes[place], "has", block.id)
            done.append(_at(nodes[place], ast.If(test=test, body=[ast.Pass()], orelse=native)))
            place = after
        return done

    def hooked_comprehension(self, loop: LoopStep, node: Comprehension) -> ast.expr:
        clause = node.generators[0]
        first, rest = copy.copy(node), copy.deepcopy(node)
        rest.generators[0].iter = _hook(clause.iter, "rest", loop.id)
        begin = copy.copy(clause)
        begin.iter = _hook(clause.iter, "loop", loop.id, clause.iter)
        first.generators = [begin]
        if isinstance(first, ast.DictComp):
            first.key, first.value = self.one(first.key), self.one(first.value)
            return ast.Dict(keys=[None, None], values=[first, rest])
        first.elt = self.one(first.elt)
        if isinstance(first, ast.GeneratorExp):
            return _hook(node, "chain", None, first, rest)
        if isinstance(first, ast.SetComp):
            assert isinstance(rest, ast.SetComp)
            native = ast.GeneratorExp(elt=rest.elt, generators=rest.generators)
            return _hook(node, "extend", None, first, native)
        parts: list[ast.expr] = [ast.Starred(each, ast.Load()) for each in (first, rest)]
        return ast.List(elts=parts, ctx=ast.Load())

    def hooked_call(self, loop: LoopStep, node: ast.AST) -> ast.Call:
        """Return a call that applies a function to each item, with its arguments hooked."""
        (unit,) = loop.body
        new = copy.copy(node)
        assert isinstance(new, ast.Call)
        if not new.keywords:  # map(f, xs), filter(f, xs)
            function, iterable = new.args
            both = _hook(new, "applied", loop.id, ast.Constant(int(unit.id)), function, iterable)
            new.args = [ast.Starred(both, ast.Load())]
        else:  # max(xs, key=f)
            (iterable,), (word, *others) = new.args, new.keywords
            given = (ast.Constant(int(unit.id)), iterable, word.value, new.func)
            new.args = [_hook(iterable, "compared", loop.id, *given)]
            key = _hook(word.value, "key", None)
            new.keywords = [ast.keyword("key", key), *(self.copied(w) for w in others)]
            ast.copy_location(new.keywords[0], word)
        result: ast.Call = _at(node, new)
        return result


def _hooked_unit(unit: Unit, node: ast.AST, native: Any) -> ast.expr | ast.stmt:
    if isinstance(node, ast.expr):
        local = [ast.copy_location(ast.Name(name, ast.Load()), node) for name in unit.local]
        has, value = _hook(node, "has", unit.id, *local), _hook(node, "value", unit.id)
        return ast.IfExp(test=has, body=value, orelse=native)
    assert isinstance(node, ast.stmt)
    return ast.If(test=_hook(node, "has", unit.id), body=[ast.Pass()], orelse=[native])


def _hook(
    place: ast.expr | ast.stmt, name: str, number: int | None, *arguments: ast.expr
) -> ast.Call:
    """Return a call of a hook, at the start of `place`: calls are reported by their last line."""
    hooks = ast.Attribute(ast.Name(HOOKS, ast.Load()), name, ast.Load())
    numbers = [] if number is None else [ast.Constant(int(number))]
    call = ast.Call(hooks, [*numbers, *arguments], [])
    for node in (call, hooks, hooks.value, *numbers):
        node.lineno = node.end_lineno = place.lineno
        node.col_offset = node.end_col_offset = place.col_offset
    return call


def _at(place: ast.AST, new: Any) -> Any:
    """Give `new`, and every part of it that has none, the position of `place`."""
    ast.copy_location(new, place)
    for child in ast.walk(new):
        if "lineno" in child._attributes and not hasattr(child, "lineno"):
            ast.copy_location(child, place)
    return new
