"""Explain a cell that ran as it is, without the engine: its facts come in, `ReasonRecord`s go out.

The rule: its statements were not timed, so those that may have been dear share the cell's time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from taskpar_kernel.engine.facts import CellFacts
from taskpar_kernel.engine.history import too_short
from taskpar_kernel.engine.reasons import ALONE, WORTH_S, in_order, reason_for
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.model.run import ReasonRecord

_ORDINARY = frozenset({"in-order", "blocked-definition"})
"""What every cell does, and what costs nothing."""
_SERIAL = Refusal("serial", "nothing in this cell could run beside something else and gain")


def explain_native(
    facts: CellFacts | None, wall_s: float, refusal: Refusal | None
) -> tuple[ReasonRecord, ...]:
    """Return why a cell was run as it is; `facts` are there if it was looked into."""
    if refusal is not None and not (refusal.kind == "no-calls" and wall_s < WORTH_S):
        return (reason_for(refusal, 0, "the cell", wall_s),)
    if facts is None and wall_s >= WORTH_S:
        return (reason_for(_SERIAL, 0, "the cell", wall_s),)
    if facts is None or wall_s < WORTH_S:
        return (reason_for(too_short(wall_s), 0, "the cell", wall_s),)
    found = [*_kept(facts), *_own(facts, trivial=False)] or [*_own(facts, trivial=True)]
    if not found:
        return (reason_for(ALONE, 0, "the cell", wall_s),)
    share_s = wall_s / len(found)
    return in_order(replace(reason, seconds=share_s) for reason in found)


def _kept(facts: CellFacts) -> Iterator[ReasonRecord]:
    for kept in facts.together:
        if kept.refusal.kind != "trivial":
            yield reason_for(kept.refusal, kept.line, kept.text, 0.0)


def _own(facts: CellFacts, *, trivial: bool) -> Iterator[ReasonRecord]:
    """Tell of the dear steps, or of those that look cheap, outside of loops kept together."""
    lines = [
        (kept.line, kept.end_line) for kept in facts.together if kept.refusal.kind != "trivial"
    ]
    for fact in facts.steps:
        covers = any(fact.line <= first and last <= fact.end_line for first, last in lines)
        if fact.trivial != trivial or covers:
            continue
        refusal = fact.refusal or ALONE
        if refusal.kind not in _ORDINARY and not (trivial and refusal is ALONE):
            yield reason_for(refusal, fact.line, fact.text, 0.0)
