"""The running account of a statement's effects.

A walk over the statement enters here what it finds; `effects()` closes the account. The rule:
entries only accumulate, and doubt moves `touch` and `cost_s` one way only.
"""

from __future__ import annotations

import ast
from enum import IntEnum
from typing import TYPE_CHECKING

from taskpar_kernel.analysis.values import LIST_LIKE, Root, Value
from taskpar_kernel.model.effects import Blocker, Effects, Reason, Touch

if TYPE_CHECKING:
    from collections.abc import Iterable


class Level(IntEnum):
    """`Touch` with an order."""

    NOTHING = 0
    OBJECTS = 1
    ANY = 2


class Change(IntEnum):
    """How far a change of an object goes."""

    SHALLOW = 1  # an operation of a list-like type on itself
    OWN = 2  # the object itself, in whatever way
    DEEP = 3  # also what it holds


_TOUCH = {Level.NOTHING: Touch.NOTHING, Level.OBJECTS: Touch.OBJECTS, Level.ANY: Touch.ANY}
_TEXT_LIMIT = 60


class Ledger:
    """Collects effects; knows what a change of a value means, not how values come about."""

    __slots__ = (
        "aliases",
        "changes",
        "cost_s",
        "deletes",
        "draws",
        "files_read",
        "files_unseen",
        "files_written",
        "home",
        "prints",
        "reads",
        "touch",
        "writes",
    )

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.deletes: set[str] = set()
        self.changes: dict[Root, Change] = {}
        self.aliases: set[tuple[str, str]] = set()
        self.files_read = False
        self.files_unseen = False
        self.files_written = False
        self.draws: set[str] = set()
        self.prints = False
        self.home: list[Reason] = []
        self.touch = Level.NOTHING  # besides what `changes` implies
        self.cost_s: float | None = 0.0

    def spend(self, cost_s: float | None) -> None:
        """Add seconds; None makes the whole cost unknown."""
        self.cost_s = None if cost_s is None or self.cost_s is None else self.cost_s + cost_s

    def block(self, blocker: Blocker, node: ast.AST, what: str = "") -> None:
        """Keep the statement at home because of `node`."""
        self.files_written |= blocker is Blocker.FILES
        reason = Reason(blocker, what or text_of(node), getattr(node, "lineno", 1))
        if reason not in self.home:
            self.home.append(reason)

    def unclear(self) -> None:
        """Note that code runs of which nothing is known."""
        self.touch = Level.ANY
        self.cost_s = None

    def doubt(self) -> None:
        """Note that anything reachable may be changed, by code whose cost is known or small."""
        self.touch = Level.ANY

    def change(self, value: Value, node: ast.AST, how: Change) -> None:
        """Note that `value`'s object is changed; an object made within the statement may be."""
        if value.dotted is not None and not value.fresh:
            self.block(Blocker.AMBIENT, node)
            self.touch = Level.ANY
            return
        if how is Change.SHALLOW and not (value.kind is None or value.kind in LIST_LIKE):
            how = Change.OWN
        if not value.fresh:
            self.change_roots(value.same, how if value.direct else Change.DEEP)
            if not value.reach:
                self.touch = Level.ANY
        if how is Change.DEEP:
            self.change_roots(value.held, Change.DEEP)

    def change_roots(self, roots: Iterable[Root], how: Change) -> None:
        """Note changes of the objects these roots are bound to."""
        changes = self.changes
        for root in roots:
            changes[root] = max(changes.get(root, how), how)

    @property
    def reach(self) -> Level:
        """How far all noted changes go."""
        if self.touch is Level.ANY or not self.changes:
            return self.touch
        if max(self.changes.values()) is Change.SHALLOW:
            return Level.OBJECTS
        return Level.ANY

    def effects(self, assumes: tuple[tuple[str, object], ...] = ()) -> Effects:
        """Close the account of a top-level statement."""
        return Effects(
            reads=frozenset(self.reads),
            writes=frozenset(self.writes),
            deletes=frozenset(self.deletes),
            changes=frozenset(root for root in self.changes if isinstance(root, str)),
            aliases=frozenset(self.aliases),
            files_read=self.files_read,
            files_unseen=self.files_unseen,
            files_written=self.files_written,
            draws=frozenset(self.draws),
            prints=self.prints,
            home=tuple(self.home),
            touch=_TOUCH[self.reach],
            assumes=assumes,
            cost_s=self.cost_s,
        )


def text_of(node: ast.AST) -> str:
    """Give the source of `node` on one line, cut to a readable length."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _TEXT_LIMIT else text[: _TEXT_LIMIT - 1] + "…"
