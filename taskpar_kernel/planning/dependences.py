"""Predicted effects in program order come in, the dependences between statements go out.

Theory of operation. Statements are walked once, in program order. For each name we keep its present
*binding*: which statements defined the value it has now, and which objects that value may be, hold
or view. A read depends on the definitions that are live at that point, not on older ones, so each
write starts a new version of a name as in static single assignment form.

Objects are what makes one name's change another name's change. Every binding has a token of its
own and takes over the tokens of the objects it may share (`Effects.aliases`). Changing the object
behind `m` changes every name that has a token in common with `m`. The change is a full definition
of `m` itself, which was read and is written back, and a *partial* one of the others: a reader of
`models = [m1, m2]` waits for the line that made the list and for whatever changed `m1` and `m2`
since, while the changes of `m1` and of `m2` do not wait for one another.

The rule: flow and effect dependences constrain, anti and output dependences are only recorded,
because every worker has a copy of its own.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskpar_kernel.model.effects import Touch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from taskpar_kernel.model.effects import Effects
    from taskpar_kernel.model.ids import StatementId

FILES = "files"
"""The name an effect dependence carries when files cause it."""


class Kind(enum.Enum):
    """Why one statement comes after another."""

    FLOW = "flow"
    """The later one reads what the earlier one defined or changed."""
    ANTI = "anti"
    """The later one defines what the earlier one still has to read."""
    OUTPUT = "output"
    """Both define the same name."""
    EFFECT = "effect"
    """Both touch something outside the namespace: files, a shared random generator."""

    @property
    def constrains(self) -> bool:
        """Whether a plan must keep this order."""
        return self in {Kind.FLOW, Kind.EFFECT}


_KIND_ORDER = {kind: number for number, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Dependence:
    """`target` comes after `source`; `names` say why (for effects: "files" or a generator)."""

    source: StatementId
    target: StatementId
    kind: Kind
    names: frozenset[str]

    def __str__(self) -> str:
        return f"{self.source} → {self.target} {self.kind.value}: {', '.join(sorted(self.names))}"


@dataclass(frozen=True, slots=True)
class Dependences:
    """All dependences of a cell, ordered by target, source, kind; and what crosses its borders."""

    edges: tuple[Dependence, ...]
    inputs: Mapping[StatementId, frozenset[str]]
    """For each statement, the names whose value from before the cell it reads."""
    defines: Mapping[StatementId, frozenset[str]]
    """For each statement, the names whose value it hands on: written, deleted or changed."""

    def of(self, *kinds: Kind) -> tuple[Dependence, ...]:
        """Return the dependences of these kinds, in order."""
        return tuple(edge for edge in self.edges if edge.kind in kinds)


def dependences(
    statements: Sequence[tuple[StatementId, Effects]],
    aliases: Iterable[tuple[str, str]] = (),
) -> Dependences:
    """Find the dependences between `statements`, which are given in program order.

    Args:
        statements: id and predicted effects of each; a home statement has consequences for the
            others only through its effects.
        aliases: pairs (name, name) that share an object before the first statement runs.

    Returns:
        The edges, each from an earlier to a later statement. O(statements + names + edges).
    """
    walk = _Walk()
    for new, old in aliases:
        walk.share_at_entry(new, old)
    for statement, effects in statements:
        walk.step(statement, effects)
    order = sorted(walk.found, key=lambda edge: (edge[1], edge[0], _KIND_ORDER[edge[2]]))
    return Dependences(
        tuple(Dependence(*edge, frozenset(walk.found[edge])) for edge in order),
        walk.inputs,
        walk.defines,
    )


@dataclass(slots=True)
class _Binding:
    """The present value of one name.

    `own` is the token of the object made for this binding; `bound` are the tokens it may *be* since
    it was bound, `tokens` those it may be, hold or view by now. `definers` maps the token of the
    object through which the value was defined or changed to the statement that did it last; None
    stands for the time before the cell.
    """

    own: int
    bound: frozenset[int]
    tokens: set[int]
    definers: dict[int, StatementId | None]
    latest: StatementId | None = None
    readers: list[StatementId] = field(default_factory=list)


@dataclass(slots=True)
class _Order:
    """A thing of the outside world: who touched it last, and who has looked at it since."""

    writer: StatementId | None = None
    readers: list[StatementId] = field(default_factory=list)


class _Walk:
    """Carries the bindings from statement to statement; decides nothing about where things run."""

    def __init__(self) -> None:
        self.found: dict[tuple[StatementId, StatementId, Kind], set[str]] = {}
        self.inputs: dict[StatementId, frozenset[str]] = {}
        self.defines: dict[StatementId, frozenset[str]] = {}
        self._bindings: dict[str, _Binding] = {}
        self._holders: defaultdict[int, set[str]] = defaultdict(set)
        self._outside: defaultdict[str, _Order] = defaultdict(_Order)
        self._tokens = 0

    def share_at_entry(self, new: str, old: str) -> None:
        binding, tokens = self._binding(new), set(self._binding(old).tokens)
        binding.bound |= tokens
        self._gain({new}, tokens)

    def step(self, statement: StatementId, effects: Effects) -> None:
        rebound = effects.writes | effects.deletes
        self._read(statement, effects.reads | (effects.changes - rebound))
        # What is changed before it is rebound changes the old object, what is changed after that
        # the new one; a compound statement may do both.
        changed_first = effects.changes - (rebound - effects.reads)
        shallow = effects.touch is not Touch.ANY
        self._change(statement, changed_first, rebound, shallow=shallow)
        self._rebind(statement, rebound, effects.aliases)
        self._change(statement, effects.changes & rebound, rebound, shallow=shallow)
        for new, old in effects.aliases:
            if new not in rebound:
                bound = self._binding(new).bound
                holders = set().union(*(self._holders[token] for token in bound))
                self._gain(holders, set(self._binding(old).tokens))
        self.defines[statement] = rebound | effects.changes
        self._touch_outside(statement, effects)

    def _binding(self, name: str) -> _Binding:
        binding = self._bindings.get(name)
        if binding is None:
            binding = self._fresh(name, None)
        return binding

    def _fresh(self, name: str, definer: StatementId | None) -> _Binding:
        self._tokens += 1
        own = self._tokens
        binding = _Binding(own, frozenset({own}), {own}, {own: definer}, definer)
        self._bindings[name] = binding
        self._holders[own].add(name)
        return binding

    def _read(self, statement: StatementId, names: frozenset[str]) -> None:
        from_before = set()
        for name in names:
            binding = self._binding(name)
            for definer in binding.definers.values():
                if definer is None:
                    from_before.add(name)
                else:
                    self._add(definer, statement, Kind.FLOW, name)
            binding.readers.append(statement)
        self.inputs[statement] = frozenset(from_before)

    def _change(
        self,
        statement: StatementId,
        names: frozenset[str],
        rebound: frozenset[str],
        *,
        shallow: bool,
    ) -> None:
        """Make `statement` define the changed `names`, and partially what shares their objects.

        A shallow change (`ms.append(m)`) leaves alone what was put into the object since it was
        bound.
        """
        for name in names:
            binding = self._binding(name)
            tokens = binding.bound if shallow else binding.tokens
            affected = set().union(*(self._holders[token] for token in tokens))
            for other in affected - names - rebound:
                self._define(statement, other)
                self._bindings[other].definers[binding.own] = statement
            self._define(statement, name)
            binding.definers = {binding.own: statement}

    def _rebind(
        self,
        statement: StatementId,
        names: frozenset[str],
        aliases: frozenset[tuple[str, str]],
    ) -> None:
        pairs = [(new, old) for new, old in aliases if new in names]
        before = {old: set(self._binding(old).tokens) for _, old in pairs}
        touched: set[int] = set()
        for name in names:
            self._define(statement, name)
            old_binding = self._binding(name)
            for token in old_binding.tokens:
                self._holders[token].discard(name)
            touched |= old_binding.tokens
            self._fresh(name, statement)
        for new, old in pairs:
            self._gain({new}, before[old])
        # `a = b = []` shares new values and pairs have no order: go on until nothing is gained.
        while any(self._gain({new}, set(self._binding(old).tokens)) for new, old in pairs):
            pass
        for name in names:
            self._bindings[name].bound = frozenset(self._bindings[name].tokens)
        self._drop_lonely(touched)

    def _gain(self, names: set[str], tokens: set[int]) -> bool:
        gained = False
        for name in names:
            more = tokens - self._bindings[name].tokens
            if more:
                gained = True
                self._bindings[name].tokens |= more
                for token in more:
                    self._holders[token].add(name)
        return gained

    def _drop_lonely(self, tokens: set[int]) -> None:
        """Forget objects that one name alone can reach; else `x = f(x)` would collect them all."""
        for token in tokens:
            holders = self._holders[token]
            if not holders:
                del self._holders[token]
            elif len(holders) == 1:
                (name,) = holders
                binding = self._bindings[name]
                if token != binding.own:
                    binding.tokens.discard(token)
                    binding.bound -= {token}
                    del self._holders[token]

    def _define(self, statement: StatementId, name: str) -> None:
        """Record what a definition of `name` is recorded after: its readers, its last definer."""
        binding = self._binding(name)
        for reader in binding.readers:
            self._add(reader, statement, Kind.ANTI, name)
        if binding.latest is not None:
            self._add(binding.latest, statement, Kind.OUTPUT, name)
        binding.latest = statement
        binding.readers = []

    def _touch_outside(self, statement: StatementId, effects: Effects) -> None:
        if effects.files_read or effects.files_written:
            self._look_or_write(statement, FILES, writes=effects.files_written)
        for generator in effects.draws:
            self._look_or_write(statement, generator, writes=True)

    def _look_or_write(self, statement: StatementId, thing: str, *, writes: bool) -> None:
        order = self._outside[thing]
        if order.writer is not None:
            self._add(order.writer, statement, Kind.EFFECT, thing)
        if not writes:
            order.readers.append(statement)
            return
        for reader in order.readers:
            self._add(reader, statement, Kind.EFFECT, thing)
        order.writer, order.readers = statement, []

    def _add(self, source: StatementId, target: StatementId, kind: Kind, name: str) -> None:
        if source != target:
            self.found.setdefault((source, target, kind), set()).add(name)
