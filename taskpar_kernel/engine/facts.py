"""What is kept of a cell's analysis to explain its run afterwards: steps in, names and lines out.

The rule: facts hold no object of the user's and no syntax tree, so keeping them keeps nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from taskpar_kernel.analysis.together import blocked
from taskpar_kernel.model.effects import Effects
from taskpar_kernel.model.ids import UnitId
from taskpar_kernel.model.refusal import Refusal, Together
from taskpar_kernel.model.steps import HomeStep, LoopStep, Step, TopLevel


@dataclass(frozen=True, slots=True)
class StepFact:
    """One step: where it stands, and what it was predicted to do."""

    top: int
    """The number of its top-level statement; -1: it is inside a function."""
    line: int
    end_line: int
    text: str
    effects: Effects
    loops: tuple[UnitId, ...]
    """The loops around it, outermost first."""
    whole: bool
    """Whether it is its statement's only step."""
    refusal: Refusal | None
    """Why it is home's own, if it is."""
    trivial: bool

    @property
    def makes(self) -> frozenset[str]:
        """The names it hands on: written, deleted or changed."""
        return self.effects.writes | self.effects.deletes | self.effects.changes


@dataclass(frozen=True, slots=True)
class CellFacts:
    """A cell's steps in program order, the effects of its statements, its loops kept together."""

    steps: tuple[StepFact, ...] = ()
    tops: tuple[Effects, ...] = ()
    together: tuple[Together, ...] = ()


def facts_of(
    tops: Iterable[TopLevel], inner: Iterable[Step] = (), kept: Iterable[Together] = ()
) -> CellFacts:
    """Return the facts of a cell.

    `inner`: steps inside functions that home came to; `kept`: loops that only home could walk.
    """
    tops = tuple(tops)
    steps: list[StepFact] = []
    for number, top in enumerate(tops):
        steps += _facts(top.steps, number, (), whole=len(top.steps) == 1)
        steps += _facts(top.free.steps, number, (), whole=False)
    steps += _facts(inner, -1, (), whole=False)
    together = (*(kept for top in tops for kept in top.together), *kept)
    return CellFacts(tuple(steps), tuple(top.effects for top in tops), together)


def _facts(
    steps: Iterable[Step], top: int, loops: tuple[UnitId, ...], *, whole: bool
) -> Iterator[StepFact]:
    for step in steps:
        if isinstance(step, LoopStep):
            yield from _facts(step.body, top, (*loops, step.id), whole=False)
            continue
        yield StepFact(
            top,
            step.line,
            step.node.end_lineno or step.line,
            step.text,
            step.effects,
            loops,
            whole,
            _home_refusal(step) if isinstance(step, HomeStep) else None,
            step.effects.cost_s == 0.0,
        )


def _home_refusal(step: HomeStep) -> Refusal:
    return blocked(step.effects) if step.effects.home else Refusal("in-order", step.why)
