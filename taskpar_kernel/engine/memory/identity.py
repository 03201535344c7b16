"""The statements of a cell come in, what each of their steps is known by goes out.

A step is known by two tags. Its *code*: its own, and that of the notebook's functions and classes
that it uses. Its *scale*: type and order of magnitude of each input; of an input that the cell
itself makes, in place of that, the code and the scale from which it is made (numbers written there
count by their order of magnitude). Both are keyed digests: nobody without the key can tell what
they stand for, nor try.

The rule: tags are the same whenever the same cell begins in the same state, in any session; so
nothing is asked of names that the cell itself binds before, or around, the step.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from types import FunctionType
from typing import Any

from taskpar_kernel.engine.memory.codes import (
    NOTEBOOK,
    code_of_class,
    code_of_function,
    digest,
    module_of,
    shape_of,
)
from taskpar_kernel.engine.memory.scale import scale_of
from taskpar_kernel.model.steps import HomeStep, LoopStep, Step, TopLevel, Unit

_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_COMPOUND = (ast.For, ast.While, ast.With, ast.If, ast.Try, ast.TryStar, ast.Match)
_CACHED = type(cache(len))
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Identity:
    """What a step is known by."""

    code: str
    scale: str


class Identities:
    """The tags of one cell run. It runs no code of the notebook, and keeps no object of it."""

    def __init__(self, tops: Sequence[TopLevel], namespace: Mapping[str, Any], key: bytes):
        self._namespace = namespace
        self._key = key
        self._made: dict[str, bytes] = {}
        """Names bound or changed by the statements so far, and what from."""
        self._defined: dict[str, bytes] = {}
        """Functions and classes that they define, and their code."""
        self._values: dict[str, tuple[bytes, str]] = {}
        self._scales: dict[frozenset[str], bytes] = {}
        self._around: dict[ast.AST, bytes] = {}
        """The scale of the statements that call functions with steps of their own."""
        self.of: dict[Unit | HomeStep, Identity] = {}
        needed = _needed(tops)
        for index, top in enumerate(tops):
            self._add(top, needed=index in needed)
        self._values.clear()

    def tag(self, *parts: object) -> str:
        """Return a keyed digest of texts and digests."""
        return digest(parts, self._key).hex()

    def inside(self, top: ast.AST, steps: Iterable[Step]) -> dict[Unit | HomeStep, Identity]:
        """Return the tags of steps of a function that `top` calls: their scale is that of `top`.

        What the names of the function are bound to differs from call to call.
        """
        around = self._around.get(top, b"")
        found = {step: Identity(self._code_tag(step), self.tag(around)) for step in _timed(steps)}
        self._values.clear()
        return found

    def _add(self, top: TopLevel, *, needed: bool) -> None:
        """Take in the next statement; `needed`: later steps read what it makes."""
        own = top.effects.writes if isinstance(top.node, _COMPOUND) else frozenset[str]()
        for step in _timed((*top.steps, *top.free.steps)):
            scale = self.tag(self._scale(step.effects.reads - own))
            self.of[step] = Identity(self._code_tag(step), scale)
        if top.free.calls:
            self._around[top.node] = self._scale(top.effects.reads - own)
        if not needed:
            return
        reads = top.effects.reads
        rounded = not isinstance(top.node, _DEFINITIONS)
        code = (shape_of(top.node, rounded=rounded), *self._used(reads))
        if isinstance(top.node, _DEFINITIONS):
            self._defined[top.node.name] = digest(code)
        else:
            made = digest((code, self._scale(reads - own)))
            for name in top.effects.writes | top.effects.changes | top.effects.deletes:
                self._made[name] = made
                self._defined.pop(name, None)
        self._scales.clear()

    def _code_tag(self, step: Unit | HomeStep) -> str:
        nodes = step.nodes if isinstance(step, Unit) else (step.node,)
        kind = "…" if isinstance(step, HomeStep) and not step.whole else ""
        shapes = map(shape_of, nodes)
        return self.tag(kind, *shapes, *self._used(step.effects.reads))

    def _used(self, names: frozenset[str]) -> list[bytes]:
        """Return the digests of the notebook's functions and classes among `names`."""
        return [code for name in sorted(names) if (code := self._meant(name)[0])]

    def _scale(self, names: frozenset[str]) -> bytes:
        scale = self._scales.get(names)
        if scale is None:
            scales = [
                (name, self._made.get(name) or self._meant(name)[1]) for name in sorted(names)
            ]
            scale = self._scales[names] = digest(scales)
        return scale

    def _meant(self, name: str) -> tuple[bytes, str]:
        """Return the code and the scale of what a name is bound to when the cell begins."""
        defined = self._defined.get(name)
        if defined is not None:
            return defined, ""
        if name in self._made:
            return b"", ""
        known = self._values.get(name)
        if known is None:
            value = self._namespace.get(name, _ABSENT)
            known = (
                (_code_of(value), "") if value is _ABSENT else (_code_of(value), scale_of(value))
            )
            self._values[name] = known
        return known


def _code_of(value: object) -> bytes:
    """Return the digest of the notebook's code behind a value, or nothing."""
    if type(value) is partial:
        value = value.func
    elif type(value) is _CACHED:
        value = value.__wrapped__
    kind = type(value)
    if kind is FunctionType:
        assert isinstance(value, FunctionType)
        return code_of_function(value) if value.__module__ == NOTEBOOK else b""
    if issubclass(kind, type):
        kind = value  # type: ignore[assignment]
    return code_of_class(kind) if module_of(kind) == NOTEBOOK else b""


def _timed(steps: Iterable[Step]) -> Iterator[Unit | HomeStep]:
    """Yield the steps whose costs are worth keeping: not those that are surely trivial."""
    for step in steps:
        if isinstance(step, LoopStep):
            yield from _timed(step.body)
        elif isinstance(step, Unit) and step.members:
            yield step
            yield from step.members
        elif step.effects.cost_s != 0.0:
            yield step


def _needed(tops: Sequence[TopLevel]) -> frozenset[int]:
    """Return the indexes of the statements that make what timed steps read, also by way of others.

    Some more may be among them: that a name is bound anew is not looked at. O(statements).
    """
    read: set[str] = set()
    found = set()
    for index in reversed(range(len(tops))):
        top = tops[index]
        effects = top.effects
        if not read.isdisjoint(effects.writes | effects.changes):
            found.add(index)
            read |= effects.reads
        for step in _timed((*top.steps, *top.free.steps)):
            read |= step.effects.reads
        if top.free.calls:
            read |= effects.reads
    return frozenset(found)


__all__ = ["Identities", "Identity"]
