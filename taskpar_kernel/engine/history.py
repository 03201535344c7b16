"""What happened to each statement of the running cell comes in, a `RunRecord` goes out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from taskpar_kernel.analysis.together import blocked
from taskpar_kernel.model.ids import Key, Place
from taskpar_kernel.model.messages import Received
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.model.run import (
    PlannedRecord,
    RunRecord,
    StatementRecord,
    TransferRecord,
)
from taskpar_kernel.model.steps import HomeStep, Step

Touched = tuple[frozenset[str], frozenset[str], frozenset[str], frozenset[str]]

MOST_STATEMENTS = 5000
"""Instances recorded one by one; a longer loop is counted but not listed further."""


@dataclass(slots=True)
class History:
    """Collects one cell's records."""

    workers: int
    ready: bool = True
    """Whether any worker was up when the cell began."""
    start_s: float = field(default_factory=time.monotonic)
    statements: list[StatementRecord] = field(default_factory=list)
    transfers: list[TransferRecord] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    committed: int = 0
    squashed: int = 0
    saved_s: float = 0.0
    names: Mapping[Key, Iterable[str]] = field(default_factory=dict)
    """The names that travel in each bundle."""
    planned: tuple[PlannedRecord, ...] = ()
    touched: list[Touched] = field(default_factory=list)
    """The names that each of `statements` reads, and writes in one way or another."""

    def home(
        self,
        step: Step,
        start_s: float,
        end_s: float,
        reason: Refusal | None,
        state: str = "home",
        times: int = 1,
    ) -> None:
        """Home ran `step` itself."""
        self._add(step, "home", state, (start_s, end_s), reason, times)

    def took(self, step: Step, worker: Place, start_s: float, end_s: float) -> None:
        """Home took what `worker` made of `step`."""
        self.committed += 1
        self.saved_s += end_s - start_s
        self._add(step, str(worker), "committed", (start_s, end_s))

    def moved(self, event: Received) -> None:
        """A bundle arrived at a worker."""
        self.transfers.append(
            TransferRecord(
                event.name or ", ".join(self.names.get(event.key, ())),
                _place(event.source),
                _place(event.worker),
                event.nbytes,
                max(0.0, event.arrived_s - event.sent_s),
                event.sent_s - self.start_s,
            )
        )

    def _add(
        self,
        step: Step,
        place: str,
        state: str,
        span_s: tuple[float, float],
        reason: Refusal | None = None,
        times: int = 1,
    ) -> None:
        if len(self.statements) < MOST_STATEMENTS:
            begin_s, stop_s = (moment_s - self.start_s for moment_s in span_s)
            why = reason or _NOTHING
            effects = step.effects
            self.touched.append((effects.reads, effects.writes, effects.deletes, effects.changes))
            self.statements.append(
                StatementRecord(
                    step.line,
                    step.text,
                    place,
                    state,
                    begin_s,
                    stop_s,
                    why.text,
                    why.kind,
                    why.names,
                    times,
                )
            )

    def record(self, ahead: int, waited_s: float) -> RunRecord:
        """Return the cell's record; `waited_s` is the time home spent waiting for workers."""
        wall_s = time.monotonic() - self.start_s
        return RunRecord(
            wall_s=wall_s,
            serial_s_estimate=max(wall_s - waited_s + self.saved_s, 0.0),
            workers=self.workers,
            statements=tuple(self.statements),
            transfers=tuple(self.transfers),
            ahead=ahead,
            committed_ahead=self.committed,
            squashed=self.squashed,
            notes=tuple(self.notes),
            planned=self.planned,
        )

    def named(self, record: RunRecord) -> RunRecord:
        """Return the record with the names that each statement reads and writes."""
        sort = cache(_sorted)  # the iterations of a loop share their names
        told = [
            replace(one, reads=sort(reads), writes=sort(*written))
            for one, (reads, *written) in zip(record.statements, self.touched, strict=True)
        ]
        return replace(record, statements=tuple(told))


def _sorted(*names: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(frozenset().union(*names)))


def _place(place: int) -> str:
    return "home" if place == 0 else str(place)


_NOTHING = Refusal("", "")


def why_home(step: Step) -> Refusal | None:
    """Return the analysis' reason for keeping a step home, or None."""
    if not isinstance(step, HomeStep):
        return None
    if not step.effects.home:
        return Refusal("in-order", step.why)
    return blocked(step.effects)


COSTS_MORE = Refusal("costs-more", "so far, handing it over took longer than running it would have")
SLOWER_AHEAD = Refusal("slower-ahead", "workers side by side take much longer for it than home")


def too_short(seconds: float) -> Refusal:
    """Return the reason for keeping home what takes so many seconds each time."""
    return Refusal("too-short", f"too short: {1e3 * seconds:.2g} ms")


def changed(text: str, *names: str) -> Refusal:
    """Return the reason for dropping an outcome made from another input than home has."""
    return Refusal("squashed-changed", text, names)


def failed(why: str) -> Refusal:
    """Return the reason for which an attempt ended without an outcome, as its worker tells it."""
    for words, kind in _TOLD.items():
        if why.startswith(words):
            return Refusal(kind, why)
    return Refusal("not-portable", why)


_TOLD = {
    "it reached the gate": "at-gate",
    "it raised": "raised",
    "interrupted": "interrupted",
    "a defect": "defect",
}
