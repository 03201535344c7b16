"""Where the value of each name comes from at one point of the program, ahead of home.

The look-ahead feeds it the instances in program order; for each name it then knows one of

    known     home has it now (or the loop will bind it): it can be sent
    outcome   an attempt that is out makes it: its worker sends it on
    deferred  a cheap statement makes it: whoever needs it repeats that statement on the spot
    pending   home, or a statement that is not out, makes it: whoever reads it has to wait

The rule: it only looks at the namespace, and what it says is a prediction that home checks.
"""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from taskpar_kernel.analysis.sources import global_names
from taskpar_kernel.errors import NotPortable
from taskpar_kernel.model.effects import Effects
from taskpar_kernel.model.refusal import Refusal

if TYPE_CHECKING:
    from taskpar_kernel.engine.attempts import AttemptRecord
    from taskpar_kernel.engine.stream import Instance, Order

LONGEST_PRELUDE = 32
_MOST_MEMBERS = 1000
_NOTHING: Mapping[str, Any] = {}


class Blocked(Exception):
    """A unit cannot go out now; the refusal says why."""

    def __init__(self, kind: str, text: str, *names: str):
        super().__init__(text)
        self.refusal = Refusal(kind, text, names)


@dataclass(frozen=True, slots=True)
class Known:
    """A value that home has, or that the loop will bind."""

    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What an attempt that is out will make."""

    attempt: AttemptRecord


@dataclass(frozen=True, slots=True, eq=False)
class Deferred:
    """What a cheap statement makes, with the sources of its own input."""

    instance: Instance
    sources: dict[str, Any]


class Pending:
    """Nobody has it and nobody who could be asked makes it yet."""


PENDING = Pending()
Source = Known | Outcome | Deferred | Pending


@dataclass(slots=True)
class Names:
    """The sources of all names at one point of the program; it moves on with `bind` and `pend`."""

    namespace: Mapping[str, Any]
    interesting: frozenset[str]
    """The names that any statement of the cell reads: only these are looked through for aliases."""
    local: frozenset[str] = frozenset()
    """The names of the function in which the statements stand."""
    _sources: dict[str, Source] = field(default_factory=dict)

    def now(self, name: str) -> Source | None:
        """Return where `name` comes from, or None where it does not exist."""
        source = self._sources.get(name)
        if source is None and name in self.namespace:
            return Known(self.namespace[name])
        return source

    def assume(self, values: Mapping[str, Any]) -> None:
        """A loop will bind these names to these values."""
        self._sources |= {name: Known(value) for name, value in values.items()}

    def needed_by(self, effects: Effects, local: Mapping[str, Any]) -> dict[str, Source]:
        """Return the source of each name that a statement reads; some may be bound locally.

        Raises:
            Blocked: one of them is not known yet.
        """
        sources: dict[str, Source] = {}
        for name in sorted(effects.reads | effects.changes | effects.deletes):
            source = Known(local[name]) if name in local else self.now(name)
            if source is None:
                if name in vars(builtins) or name in effects.writes:
                    continue
                raise Blocked("missing-name", f"`{name}` does not exist yet", name)
            if source is PENDING:
                raise Blocked("depends", f"`{name}` is not known yet", name)
            sources[name] = source
        self._add_what_methods_use(sources)
        return sources

    def _add_what_methods_use(self, sources: dict[str, Source]) -> None:
        """Add the global names that methods of the notebook's objects among `sources` may use.

        The analysis sees a name such as a loop variable, not yet the class of its value.
        """
        queue = [s.value for s in sources.values() if isinstance(s, Known)]
        while queue:
            for name in names_behind(queue.pop(), self.namespace):
                if name in self.local:
                    text = f"a function it calls may use another `{name}` than it does"
                    raise Blocked("other-name", text, name)
                if name in sources or self._sources.get(name) is PENDING:
                    continue
                source = sources[name] = self._sources.get(name) or Known(self.namespace[name])
                if isinstance(source, Known):
                    queue.append(source.value)

    def pend(
        self, effects: Effects, changes: Iterable[str], local: Mapping[str, Any] = _NOTHING
    ) -> None:
        """A statement that is not out will write and change these."""
        for name in effects.writes | effects.deletes:
            self._sources[name] = PENDING
        for name in changes:
            if name in local:
                self._pend_holders(local[name])
                continue
            source = self.now(name)
            self._sources[name] = PENDING
            if isinstance(source, Known):
                self._pend_holders(source.value)

    def bind(
        self,
        effects: Effects,
        changes: Iterable[str],
        source: Outcome | Deferred,
        local: Mapping[str, Any] = _NOTHING,
    ) -> None:
        """A statement that is out, or goes along, makes and changes these."""
        for name in changes:
            if name in local:
                self._pend_holders(local[name])
                continue
            old = self.now(name)
            if isinstance(old, Known):
                self._pend_holders(old.value)
            self._sources[name] = source
        for name in effects.writes:
            self._sources[name] = source
        for name in effects.deletes:
            self._sources[name] = PENDING

    def _pend_holders(self, value: Any) -> None:
        """What is known by a name that reaches `value` may change with it."""
        for other in self.interesting:
            source = self.now(other)
            if isinstance(source, Known) and _holds(source.value, value):
                self._sources[other] = PENDING


def needed_before(sources: Mapping[str, Source]) -> list[Deferred]:
    """Return the cheap statements these sources need, theirs included, in program order.

    Raises:
        Blocked: they are too many to be repeated for one statement.
    """
    found: dict[Order, Deferred] = {}
    queue = [s for s in sources.values() if isinstance(s, Deferred)]
    while queue:
        deferred = queue.pop()
        if deferred.instance.order not in found:
            found[deferred.instance.order] = deferred
            queue += [s for s in deferred.sources.values() if isinstance(s, Deferred)]
    if len(found) > LONGEST_PRELUDE:
        raise Blocked("prelude", "too many cheap statements come before it")
    return [found[order] for order in sorted(found)]


def names_behind(value: Any, namespace: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of `namespace` that a notebook's function or object's methods may use."""
    if isinstance(value, types.FunctionType):
        ours = value.__module__ == "__main__"
        return global_names(value.__code__) & namespace.keys() if ours else frozenset()
    kind = value if isinstance(value, type) else type(value)
    if kind.__module__ != "__main__":
        return frozenset()
    functions = [
        getattr(member, "__func__", member)
        for base in kind.__mro__
        if base.__module__ == "__main__"
        for member in vars(base).values()
    ]
    codes = [f.__code__ for f in functions if isinstance(f, types.FunctionType)]
    return frozenset[str]().union(*map(global_names, codes)) & namespace.keys()


def split_modules(
    sources: Mapping[str, Source],
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the known values that travel as bundles, and (name, module name) for modules.

    Raises:
        NotPortable: a module cannot be imported by its name.
    """
    values: dict[str, Any] = {}
    modules: list[tuple[str, str]] = []
    for name, source in sources.items():
        if not isinstance(source, Known):
            continue
        value = source.value
        if isinstance(value, types.ModuleType):
            if sys.modules.get(value.__name__) is not value or value.__name__ == "__main__":
                raise NotPortable(f"the module `{name}` cannot be imported by name")
            modules.append((name, value.__name__))
        else:
            values[name] = value
    return values, modules


def _holds(container: Any, value: Any) -> bool:
    """Whether `container` is `value` or, one level deep, holds it (a prediction only)."""
    if container is value:
        return True
    if type(container) in (list, tuple) and len(container) <= _MOST_MEMBERS:
        return any(v is value for v in container)
    if type(container) is dict and len(container) <= _MOST_MEMBERS:
        return any(v is value for v in container.values())
    return False
