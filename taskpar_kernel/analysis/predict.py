"""Predict the effects of one statement or expression.

A syntax node and what is known before it runs come in; `Effects` go out. The rule: pure, quick
(about 20 µs for a simple statement), and never a guess that home would rely on.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from taskpar_kernel.analysis.calls import call
from taskpar_kernel.analysis.expressions import EXPRESSIONS
from taskpar_kernel.analysis.handles import name_node, read_handles
from taskpar_kernel.analysis.ledger import Ledger, Level
from taskpar_kernel.analysis.names import Frame, FrameKind, bindings_of
from taskpar_kernel.analysis.statements import STATEMENTS
from taskpar_kernel.analysis.trees import walk
from taskpar_kernel.analysis.walk import Grammar, Session, Walk, is_code
from taskpar_kernel.model.effects import Blocker, Effects, Reason

if TYPE_CHECKING:
    from taskpar_kernel.model.effects import Scope

_GRAMMAR: Final = Grammar({**EXPRESSIONS, ast.Call: call}, STATEMENTS)


def predict(node: ast.stmt | ast.expr, scope: Scope) -> Effects:
    """Predict what running `node` in `scope` does; O(nodes), bodies of functions counted once."""
    walk = Walk(_GRAMMAR, scope, Session(), Frame(FrameKind.MODULE))
    try:
        if isinstance(node, ast.expr):
            lazy = walk.value(node).lazy
            if lazy and not isinstance(node, ast.GeneratorExp):  # that one is used up in parts
                walk.ledger.block(Blocker.HANDLE, node, lazy)
        else:
            walk.run((node,))
    except RecursionError:
        return _too_deep(node)
    ledger = walk.ledger
    if ledger.reads and scope.objects:
        hidden = scope.opaque | scope.definitions.keys() if scope.definitions else scope.opaque
        for name, blocker in read_handles(ledger.reads, scope.objects, hidden):
            ledger.block(blocker, name_node(node, name), name)
    return ledger.effects(_assumed(ledger, scope))


def _assumed(ledger: Ledger, scope: Scope) -> tuple[tuple[str, object], ...]:
    """Give what the names read were taken to be: code that nobody follows may bind them anew."""
    if ledger.reach is Level.ANY or not ledger.reads:
        return ()
    objects, definitions, opaque = scope.objects, scope.definitions, scope.opaque
    return tuple(
        (name, objects[name] if is_code(objects[name]) else type(objects[name]))
        for name in ledger.reads
        if name in objects and name not in opaque and name not in definitions
    )


def _too_deep(node: ast.AST) -> Effects:
    """Give up on a node nested too deeply: every name in it may be read, written and changed."""
    names = bindings_of([node])
    reads = {each.id for each in walk(node) if isinstance(each, ast.Name)}
    reason = Reason(Blocker.UNKNOWN, "nested too deeply", getattr(node, "lineno", 1))
    return Effects(
        reads=frozenset(reads),
        writes=names.bound,
        deletes=names.bound,
        changes=frozenset(reads),
        home=(reason,),
    )
