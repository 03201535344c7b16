"""Say why a loop's iterations stay together: the loop, its steps and what is known come in.

It is asked only once a loop was not taken apart, so that loops that are cost nothing. The rule:
the sentence names what in the loop is the reason, and on which line; nothing is run or walked.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from types import GeneratorType

from taskpar_kernel.analysis.iterables import harmless, plain_condition
from taskpar_kernel.analysis.shapes import bound_in, names_in, plain_names
from taskpar_kernel.analysis.trees import walk
from taskpar_kernel.model.effects import Blocker, Effects, Scope
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.model.steps import Comprehension, HomeStep, LoopStep, Step, Unit, flat

WHILE = Refusal("while", "whether a `while` loop goes on is known only when a round is over")
_NO_NAMES = Refusal("loop-target", "the loop stores each item into something that is no plain name")
_BINDS_ITS_OWN = Refusal("loop-target", "the loop binds a name that says what it goes through")
_SEVERAL = Refusal("several-clauses", "it has several `for` clauses")
_CONDITION = Refusal("condition", "its condition does more than compare names and constants")
_CHEAP = Refusal("trivial", "nothing in the loop is known to take time")


def blocked(effects: Effects) -> Refusal:
    """Return the first of the reasons for which something must run at home."""
    first = effects.home[0]
    if effects.draws and first.blocker is Blocker.AMBIENT:
        generators = tuple(sorted(effects.draws))
        which = " and ".join(f"`{name}`" for name in generators)
        text = f"`{first.what}` draws from the shared generator of {which}, in order"
        return Refusal("random-draw", f"line {first.line}: {text}", generators, first.line)
    kind = f"blocked-{first.blocker.name.lower()}"
    return Refusal(kind, str(first), (first.what,), first.line)


def of_loop(node: ast.For, scope: Scope, body: Sequence[Step] | None) -> Refusal:
    """Return why a `for` loop was not taken apart; `body`: its steps, if it came to that."""
    targets = plain_names(node.target)
    if targets is None:
        return _NO_NAMES
    if targets & names_in(node.iter):
        return _BINDS_ITS_OWN
    return _of_iterable(node.iter, scope) if body is None else _of_body(body, targets)


def of_comprehension(node: Comprehension, scope: Scope, units: Sequence[Unit] | None) -> Refusal:
    """Return why a comprehension was not taken apart; `units`: its parts, if it came to that."""
    clause = node.generators[0]
    targets = plain_names(clause.target)
    if len(node.generators) > 1:
        return _SEVERAL
    if targets is None:
        return _NO_NAMES
    if targets & names_in(clause.iter):
        return _BINDS_ITS_OWN
    if not all(map(plain_condition, clause.ifs)):
        return _CONDITION
    return _of_iterable(clause.iter, scope) if units is None else _of_body(units, targets)


# Iterables ----------------------------------------------------------------------------------------


def _of_iterable(node: ast.expr, scope: Scope) -> Refusal:
    for part in _unsafe(node, scope):
        text = f"`{_shown(part)}`"
        if isinstance(part, ast.Name) and _is_known(part.id, scope):
            obj = scope.objects[part.id]
            kind = type(obj).__name__
            if isinstance(obj, GeneratorType):
                kind = "generator"
            elif not hasattr(type(obj), "__next__"):
                text = f"the loop goes through {text}, {_a(kind)}, whose own code would run"
                return Refusal("iterable", text, (part.id,), node.lineno)
            text = f"the loop goes through {text}, {_a(kind)}, which only home may advance"
            return Refusal("iterable", text, (part.id,), node.lineno)
        text = f"the loop goes through {text}, which cannot be evaluated ahead of its turn"
        return Refusal("iterable", text, (_shown(part),), node.lineno)
    text = f"the loop goes through `{_shown(node)}`, of which nothing is known"
    return Refusal("iterable", text, (_shown(node),), node.lineno)


def _unsafe(node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
    """Yield the innermost part that cannot be evaluated ahead, with what is around it after it."""
    if harmless(node, scope):
        return
    if isinstance(node, ast.Call):
        walks = isinstance(node.func, ast.Name)  # a method may do anything with what it is given
        for given in [*node.args, *(word.value for word in node.keywords)]:
            parts = (part for part in _unsafe(given, scope) if _is_iterable(part, scope))
            yield from (part for part in parts if walks or _is_iterator(part, scope))
    yield node


def _is_iterator(node: ast.expr, scope: Scope) -> bool:
    if isinstance(node, ast.Name):
        return _is_known(node.id, scope) and hasattr(type(scope.objects[node.id]), "__next__")
    return True


def _is_iterable(node: ast.expr, scope: Scope) -> bool:
    """Whether a part of an iterable expression is one itself, as far as is known."""
    if not isinstance(node, ast.Name):
        return isinstance(node, ast.GeneratorExp | ast.Call)
    return _is_known(node.id, scope) and hasattr(type(scope.objects[node.id]), "__iter__")


def _is_known(name: str, scope: Scope) -> bool:
    hidden = name in scope.opaque or name in scope.definitions
    return name in scope.objects and not hidden


def _shown(node: ast.expr) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 40 else text[:39] + "…"


def _a(kind: str) -> str:
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


# Bodies -------------------------------------------------------------------------------------------


def _of_body(body: Sequence[Step], targets: frozenset[str]) -> Refusal:
    """Return the reason of the first dear step that cannot run beside those of other iterations."""
    steps = tuple(body)
    for step in _dear(steps):
        if isinstance(step, HomeStep):
            if step.effects.home:
                return blocked(step.effects)
            continue
        if step.effects.draws:
            return _draws(step)
        found = _carried(step, steps, targets)
        if found is not None:
            return found
    return _CHEAP


def _draws(step: Unit) -> Refusal:
    names = tuple(sorted(step.effects.draws))
    which = " and ".join(f"`{name}`" for name in names)
    text = f"line {step.line}: `{step.text}` draws from the shared generator of {which}, in order"
    return Refusal("random-draw", text, names, step.line)


def _dear(steps: Iterable[Step]) -> Iterator[Unit | HomeStep]:
    for step in steps:
        if isinstance(step, LoopStep):
            yield from _dear(step.body)
        elif isinstance(step, HomeStep) or not step.trivial:
            yield step


def _carried(step: Unit, steps: Sequence[Step], targets: frozenset[str]) -> Refusal | None:
    """Return which name brings something from one iteration to the next."""
    fresh = set(targets)
    for before in flat(steps):
        if before is step:
            break
        if not isinstance(before, HomeStep) or _always_binds(before):
            fresh |= before.effects.writes - before.effects.reads
    needs = (step.effects.reads | step.effects.changes) - fresh
    for name in sorted(needs):
        makers = [s for s in flat(steps) if name in _made(s.effects)]
        if makers:
            return carried(name, makers[-1].effects, _line(makers[-1], name))
    return None


def carried(name: str, maker: Effects, line: int) -> Refusal:
    """Return that `name` brings something from one iteration to the next; `line` makes it."""
    kind = "carried" if name in maker.writes else "carried-object"
    text = f"each iteration uses `{name}` of the one before (line {line})"
    return Refusal(kind, text, (name,), line)


def _made(effects: Effects) -> frozenset[str]:
    return effects.writes | effects.changes | effects.deletes


def _always_binds(step: HomeStep) -> bool:
    return isinstance(step.node, ast.Assign | ast.AnnAssign | ast.FunctionDef)


def _line(step: Unit | HomeStep, name: str) -> int:
    """Return the line on which a step binds a name, or its first one."""
    node = step.node
    if isinstance(node, ast.stmt) and name in bound_in(node):
        for part in walk(node):
            if isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Store):
                return part.lineno
    return step.line


__all__ = ["WHILE", "blocked", "of_comprehension", "of_loop"]
