"""Loops that home comes to inside other control flow, or inside a function it calls.

Nobody knows before whether and when home comes to such a loop, so no window has it; once home is
there, it gets a window of its own, on the names of the frame in which it runs. The functions of the
notebook that have such loops are called through twins, made here when home is about to call them.

The rule: only home calls twins, and only inside a cell run; a twin is made where looking ahead may
pay, and the original goes on in all other cases.
"""

from __future__ import annotations

import ast
import time
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import FrameType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from taskpar_kernel.analysis.decompose import decompose_function
from taskpar_kernel.analysis.loops import units_of
from taskpar_kernel.analysis.sources import node_of
from taskpar_kernel.engine.lookahead import Lookahead
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.refusal import Refusal, Together
from taskpar_kernel.model.steps import Inner, LoopStep, Span, Step, TopLevel, Unit
from taskpar_kernel.source.rewrite import rewritten_body
from taskpar_kernel.source.twins import may_have_twin, twin_of

if TYPE_CHECKING:
    from types import CodeType

_DEEPEST = 8
"""So many frames of comprehensions, and of our own, may lie between a hook and its loop."""
_SHORT_S = 0.005
"""A function called again sooner than this is not worth looking into."""


class FreeLoop:
    """One run of a loop, or body, that no window of the cell has: its window, and its frame."""

    def __init__(
        self,
        place: LoopStep | Span,
        frame: FrameType,
        namespace: Mapping[str, Any],
        base: Lookahead,
        local: frozenset[str],
        items: Iterable[Any],
    ):
        self.place = place
        self.entered = (0, 0.0)
        """How many attempts had gone out when home came to it, and how long home had run."""
        self._frame = frame
        self._namespace = namespace
        self.is_global = frame.f_locals is namespace
        loop = place if isinstance(place, LoopStep) else None
        self.steps: tuple[Step, ...] = place.body if isinstance(place, LoopStep) else place.steps
        self._numbers = frozenset(unit.id for unit in units_of(self.steps))
        self._numbers |= frozenset(_loops_in(self.steps))
        top = TopLevel(ast.Pass(), (loop,) if loop else self.steps, place.effects)
        walked = (loop.clause.iter, items) if loop else None
        self.look = Lookahead((top,), base.dispatch, self.names, base.free_workers, local, walked)

    def surrounds(self, place: LoopStep | Span, frame: FrameType) -> bool:
        """Whether home is still in it when it comes to `place` in `frame`."""
        if frame is self._frame:
            outer, inner = self.place.node, place.node
            last, end = outer.end_lineno or outer.lineno, inner.end_lineno or inner.lineno
            return inner is not outer and outer.lineno <= inner.lineno and end <= last
        around = frame.f_back
        while around is not None and around is not self._frame:
            around = around.f_back
        return around is not None

    def has(self, number: UnitId, frame: FrameType) -> bool:
        """Whether home, in `frame`, is at the unit or loop of this number in this run of it."""
        if number not in self._numbers:
            return False
        around: FrameType | None = frame
        for _ in range(_DEEPEST):
            if around is None or around is self._frame:
                break
            around = around.f_back
        return around is self._frame

    def names(self) -> Mapping[str, Any]:
        """Return what the names mean in the frame of the loop now."""
        if self.is_global:
            return self._namespace
        return ChainMap(dict(self._frame.f_locals), self._namespace)  # type: ignore[arg-type]


class InnerCalls:
    """The loops and twins of one cell run, by their numbers."""

    def __init__(self, tops: Sequence[TopLevel], namespace: Mapping[str, Any]):
        self._namespace = namespace
        self._twins: dict[CodeType, tuple[list[ast.stmt], ast.FunctionDef] | None] = {}
        self._local: dict[UnitId, frozenset[str]] = {}
        self._called_s: dict[UnitId, float] = {}
        self._short: set[UnitId] = set()
        self._next = 1 + max((n for top in tops for n in _numbers(top)), default=0)
        self.loops: dict[UnitId, LoopStep] = {}
        self.spans: dict[UnitId, Span] = {}
        self.units: set[UnitId] = set()
        """The units and loops in these."""
        self.together: dict[UnitId, Together] = {}
        """The loops that home came to and found that only it can walk them."""
        self.off: set[UnitId] = set()
        """Those in loops that are too short to look ahead of."""
        for top in tops:
            self._add(top.free, frozenset())

    def _add(self, inner: Inner, local: frozenset[str]) -> None:
        self.loops |= {loop.id: loop for loop in inner.loops}
        self.spans |= {span.id: span for span in inner.spans}
        self._local |= {loop.id: local for loop in inner.loops}
        self._local |= {span.id: local for span in inner.spans}
        self.units |= {unit.id for unit in units_of(inner.steps)}
        self.units |= set(_loops_in(inner.steps))

    def in_functions(self) -> list[Step]:
        """Return the loops, and the steps of bodies, of functions that home came to."""
        loops = [loop for number, loop in self.loops.items() if self._local[number]]
        spans = [span for number, span in self.spans.items() if self._local[number]]
        return [*loops, *(step for span in spans for step in span.steps)]

    def local_names(self, loop: UnitId) -> frozenset[str]:
        """Return the names of the function in which a loop stands."""
        return self._local[loop]

    def twin_of(self, number: UnitId, function: Any) -> tuple[Any, Sequence[Step]]:
        """Return the twin of `function`, or itself, for a call; and the steps in it if new."""
        if not self.is_long(number):
            return function, ()
        plain = function.__func__ if type(function) is MethodType else function
        if type(plain) is not FunctionType or plain.__module__ != "__main__":
            return function, ()
        steps: Sequence[Step] = ()
        if plain.__code__ not in self._twins:
            self._twins[plain.__code__], steps = self._taken_apart(plain.__code__)
        made = self._twins[plain.__code__]
        twin = None if made is None else twin_of(plain, *made)
        if twin is None:
            return function, steps
        if type(function) is MethodType:
            return MethodType(twin, function.__self__), steps
        return twin, steps

    def is_long(self, number: UnitId) -> bool:
        """Whether a call, or loop, is not known to be a short one that comes again and again."""
        if number in self._short:
            return False
        now_s = time.monotonic()
        last_s = self._called_s.get(number)
        self._called_s[number] = now_s
        if last_s is not None and now_s - last_s < _SHORT_S:
            self.turn_off(number)
            return False
        return True

    def keep(self, loop: LoopStep, iterable: Any) -> None:
        """Note that only home can walk what a loop goes through."""
        shown = " ".join(ast.unparse(loop.clause.iter).split())
        text = f"the loop goes through `{shown}`, which only home may advance"
        if not hasattr(type(iterable), "__next__"):
            text = f"the loop goes through `{shown}`, whose own code would run"
        last = loop.node.end_lineno or loop.line
        refusal = Refusal("iterable", text, (shown,), loop.line)
        self.together[loop.id] = Together(loop.line, last, loop.text, refusal)

    def turn_off(self, number: UnitId) -> None:
        """Do not look into this call, or loop, again."""
        self._short.add(number)
        if number in self.loops:
            self.off |= {unit.id for unit in units_of(self.loops[number].body)}
        elif number in self.spans:
            self.off |= {unit.id for unit in units_of(self.spans[number].steps)}

    def _taken_apart(
        self, code: CodeType
    ) -> tuple[tuple[list[ast.stmt], ast.FunctionDef] | None, Sequence[Step]]:
        node = node_of(code)
        if not isinstance(node, ast.FunctionDef) or not may_have_twin(code):
            return None, ()
        local = frozenset((*code.co_varnames, *code.co_cellvars, *code.co_freevars))
        inner = decompose_function(node, local, self._namespace, self._next)
        if not inner:
            return None, ()
        self._next = 1 + max(_numbers_of(inner))
        self._add(inner, local)
        return (rewritten_body(node, inner), node), inner.steps


def _loops_in(steps: Sequence[Step]) -> Iterator[UnitId]:
    for step in steps:
        if isinstance(step, LoopStep):
            yield step.id
            yield from _loops_in(step.body)


def _numbers(top: TopLevel) -> Iterator[int]:
    yield from _numbers_in(top.steps)
    yield from _numbers_of(top.free)


def _numbers_of(inner: Inner) -> Iterator[int]:
    yield from _numbers_in(inner.steps)
    yield from (span.id for span in inner.spans)
    yield from (number for number, _ in inner.calls)


def _numbers_in(steps: Sequence[Step]) -> Iterator[int]:
    for step in steps:
        yield step.id
        if isinstance(step, LoopStep):
            yield from _numbers_in(step.body)
        elif isinstance(step, Unit):
            yield from (member.id for member in step.members)


__all__ = ["FreeLoop", "InnerCalls"]
