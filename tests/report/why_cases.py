"""Little cells, and why their statements ran at home: a laboratory with no kernel.

The rule: a made-up clock times a cell's steps, so that what is explained is the same each time.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

from taskpar_kernel.analysis.decompose import decompose
from taskpar_kernel.engine.facts import facts_of
from taskpar_kernel.engine.history import why_home
from taskpar_kernel.engine.natively import explain_native
from taskpar_kernel.engine.reasons import explain
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.model.run import ReasonRecord, RunRecord, StatementRecord
from taskpar_kernel.model.steps import HomeStep, TopLevel, Unit, flat

PRELUDE = """
import itertools, math, random, threading, time
def f(*args): return args
class Model:
    def fit(self, *args): self.seen = args; return self
class Steps:
    def __iter__(self): return iter((1, 2))
def numbers(): yield from (1, 2, 3)
xs = [1, 2, 3]; n = 3; d = {"a": 1}; rows = []; total = 0; x = 1; y = 2
model = Model(); models = [Model(), Model()]; steps = Steps(); gen = numbers(); it = iter(xs)
pairs = zip(xs, xs); doubled = map(abs, xs); lock = threading.Lock(); handle = open("/dev/null")
"""
ITERATIONS = 3


def namespace() -> dict[str, object]:
    names: dict[str, object] = {"__name__": "__main__"}
    exec(PRELUDE, names)
    names["handle"].close()  # type: ignore[attr-defined]
    return names


@dataclass(frozen=True)
class Case:
    """A cell, how it went, and what is said of it: (line, kind, sentence), the dearest first."""

    code: str
    says: tuple[tuple[int, str, str], ...] = ()
    ms: Mapping[int, float] = field(default_factory=dict)
    """Milliseconds of each run of the statements on these lines; 50 where it is silent."""
    refused: Mapping[int, Refusal] = field(default_factory=dict)
    """What the engine said of the units on these lines."""
    squashed: frozenset[int] = frozenset()
    ahead: frozenset[int] = frozenset()
    """Lines that were run ahead, all from the cell's start."""
    after: frozenset[int] = frozenset()
    """Lines that were run ahead, one after the other, while home waited."""
    ready: bool = True
    native: bool = False

    def __str__(self) -> str:
        return self.code.replace("\n", " | ")[:70]


def explained(case: Case, names: Mapping[str, object]) -> tuple[ReasonRecord, ...]:
    nodes = ast.parse(case.code).body
    tops = decompose(nodes, names, lines=case.code.splitlines(keepends=True))
    clock = Clock(case)
    records = tuple(record for top in tops for record in clock.run(top))
    if case.native:
        return explain_native(facts_of(tops), clock.now_s, None)
    record = RunRecord(clock.now_s, clock.now_s, 2, records)
    return explain(record, facts_of(tops), ready=case.ready, waited_s=clock.waited_s)


class Clock:
    """Runs the steps of a cell without running them."""

    def __init__(self, case: Case):
        self.case = case
        self.now_s = self.waited_s = 0.0

    def run(self, top: TopLevel) -> list[StatementRecord]:
        looped = not isinstance(top.steps[0], Unit | HomeStep)
        return [
            self.record(step)
            for _ in range(ITERATIONS if looped else 1)
            for step in flat(top.steps)
            if isinstance(step, Unit) or (step.whole and not looped)
        ]

    def record(self, step: Unit | HomeStep) -> StatementRecord:
        cheap = 0.1 if step.effects.cost_s == 0.0 else 50.0
        cost_s = self.case.ms.get(step.line, cheap) / 1000
        if step.line in self.case.ahead:
            return StatementRecord(step.line, step.text, "1", "committed", 0.0, cost_s, "")
        begin_s, self.now_s = self.now_s, self.now_s + cost_s
        if step.line in self.case.after:
            self.waited_s += cost_s
            return StatementRecord(step.line, step.text, "1", "committed", begin_s, self.now_s, "")
        why = why_home(step) or self.case.refused.get(step.line) or Refusal("", "")
        state = "squashed" if step.line in self.case.squashed else "home"
        span = (begin_s, self.now_s)
        return StatementRecord(
            step.line, step.text, "home", state, *span, why.text, why.kind, why.names
        )
