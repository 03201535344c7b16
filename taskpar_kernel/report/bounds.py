"""A `RunRecord` comes in, what bounds the cell's speed goes out: chain, work, home, and sentences.

Theory. A cell cannot end sooner than its longest chain of statements that need one another, nor
sooner than all of its work spread evenly over the places that can work at once. What must run at
home runs there in order, after everything before it; so it is part of the chain. The rule: the
times are those that were measured, the dependences those the record names; nothing is run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from taskpar_kernel.model.ids import StatementId
from taskpar_kernel.planning.graph import Edge, Task, critical_path, graph_of
from taskpar_kernel.settings import usable_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

    import networkx as nx

    from taskpar_kernel.model.run import RunRecord, StatementRecord

FREE_KINDS = frozenset(
    {
        "",
        "at-gate",
        "depends",
        "given-up",
        "home-first",
        "interrupted",
        "no-workers",
        "not-known-yet",
        "raised",
        "squashed-ambient",
        "squashed-changed",
        "squashed-files",
        "uses-all-cores",
        "worker-lost",
        "workers-starting",
    }
)
"""Reasons that held this time only: what ran at home for one of them could have run elsewhere."""
_WORTH_TELLING = 0.1
"""Of the wall time: what is less is not told."""
_LINES_TOLD = 8


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a cell's time cannot go below, in seconds, and why."""

    chain: tuple[int, ...] = ()
    """Indexes (into the record's statements) of the longest chain, in program order."""
    chain_s: float = 0.0
    work_s: float = 0.0
    """All statements, each counted where it counted: once."""
    home_s: float = 0.0
    """What ran at home and had to."""
    places: int = 1
    """How many statements can run at once."""
    speed_up: float = 1.0
    """What no run on so many places can exceed; never below the speed-up that was had."""
    sentences: tuple[str, ...] = ()


def seconds_of(statement: StatementRecord) -> float:
    """Return how long a statement ran; never negative."""
    return max(0.0, statement.end_s - statement.start_s)


def record_graph(record: RunRecord) -> nx.DiGraph:
    """Return the task graph of what was run: one node for each record; O(names + edges)."""
    tasks, edges = [], []
    last: dict[str, int] = {}
    values: dict[int, list[int]] = {}
    """Line → the expressions on it whose values nobody has used yet."""
    for index, one in enumerate(record.statements):
        at_home = one.place == "home" and one.reason_kind not in FREE_KINDS
        label = one.source if one.times == 1 else f"{one.source} (×{one.times})"
        task = Task(StatementId(index), seconds_of(one), at_home, label, one.line)
        tasks.append(task)
        sources: dict[int, list[str]] = {}
        for name in one.reads:
            if name in last:
                sources.setdefault(last[name], []).append(name)
        waiting = values.get(one.line, ())
        if one.place == "home" and any(_is_other(record, i, index) for i in waiting):
            for source in values.pop(one.line):
                sources.setdefault(source, [])
        edges += [
            Edge(StatementId(source), StatementId(index), tuple(names))
            for source, names in sources.items()
        ]
        for name in one.writes:
            last[name] = index
        if not one.writes:
            values.setdefault(one.line, []).append(index)
    return graph_of(tasks, edges)


def _is_other(record: RunRecord, one: int, two: int) -> bool:
    """Whether two records are of different steps, and not two instances of one."""
    return record.statements[one].source != record.statements[two].source


def seconds_by_line(record: RunRecord, spans: Sequence[tuple[int, int]]) -> dict[int, float]:
    """Return the measured seconds of each statement of a cell, by its first line.

    `spans`: first and last line of each statement. A loop gets what its iterations took together.
    """
    found = dict.fromkeys((first for first, _ in spans), 0.0)
    for one in record.statements:
        for first, last in spans:
            if first <= one.line <= last:
                found[first] += seconds_of(one)
                break
    return found if any(found.values()) else {}


def in_program_order(record: RunRecord) -> RunRecord:
    """Return the record with its statements in program order.

    Records come in the order of their commits, which is that; but steps that home only noted in
    passing are recorded at the end. Each of those goes where home was when it began.
    """
    found: list[StatementRecord] = []
    latest_s = 0.0
    for one in record.statements:
        if one.place == "home" and one.start_s < latest_s:
            later = (
                i for i, s in enumerate(found) if s.place == "home" and s.start_s > one.start_s
            )
            found.insert(next(later), one)
        else:
            found.append(one)
            latest_s = max(latest_s, one.start_s) if one.place == "home" else latest_s
    return replace(record, statements=tuple(found))


def busy_s(statements: Sequence[StatementRecord]) -> float:
    """Return for how many seconds at least one statement ran."""
    total_s = until_s = 0.0
    for one in sorted(statements, key=lambda s: s.start_s):
        begin_s = max(one.start_s, until_s)
        total_s += max(0.0, one.end_s - begin_s)
        until_s = max(until_s, one.end_s)
    return total_s


def places_of(record: RunRecord) -> int:
    """Return how many statements could run at once: home's core counts, if there is one for it."""
    return max(1, min(record.workers + 1, max(usable_cores(), record.workers)))


def bounds_of(record: RunRecord) -> Bounds:
    """Return what bounds the speed of the recorded cell."""
    if not record.statements:
        return Bounds()
    graph = record_graph(record)
    chain, chain_s = critical_path(graph)
    work_s = sum(seconds_of(s) for s in record.statements)
    had_to = [s for s in record.statements if s.place == "home" and s.reason_kind not in FREE_KINDS]
    home_s = sum(seconds_of(s) for s in had_to)
    places = places_of(record)
    if work_s > places * record.wall_s:  # statements that wait need no core of their own
        places = record.workers + 1
    least_s = max(chain_s, work_s / places)
    serial_s = max(record.serial_s_estimate, work_s)
    possible = serial_s / least_s if least_s > 0 else 1.0
    bounds = Bounds(
        tuple(int(one) for one in chain if seconds_of(record.statements[one]) > 0),
        chain_s,
        work_s,
        home_s,
        places,
        max(1.0, record.speed_up, possible),
    )
    return _with_sentences(record, bounds, had_to)


def _with_sentences(record: RunRecord, bounds: Bounds, had_to: list[StatementRecord]) -> Bounds:
    told = []
    if bounds.work_s > 0:
        told.append(_least(record, bounds))
    if had_to and bounds.home_s > _WORTH_TELLING * record.wall_s:
        dearest = sorted(had_to, key=lambda s: (-seconds_of(s), s.line))
        told.append(f"{bounds.home_s:.2f} s had to run at home, in order: {lines_text(dearest)}")
    idle_s = record.wall_s - busy_s(record.statements)
    if idle_s > _WORTH_TELLING * record.wall_s and record.ahead:
        told.append(
            f"for {idle_s:.2f} s nothing ran: workers were starting or importing, or values were "
            "being packed and sent"
        )
    again_s = sum(seconds_of(s) for s in record.statements if s.state == "squashed")
    if again_s > _WORTH_TELLING * record.wall_s:
        told.append(f"{again_s:.2f} s were run at home although a worker had run them, or began to")
    sent_s = sum(t.seconds for t in record.transfers)
    if sent_s > _WORTH_TELLING * record.wall_s:
        told.append(f"values were on their way for {sent_s:.2f} s in all")
    told += _dearest_reason(record)
    return Bounds(
        bounds.chain,
        bounds.chain_s,
        bounds.work_s,
        bounds.home_s,
        bounds.places,
        bounds.speed_up,
        tuple(told),
    )


def _least(record: RunRecord, bounds: Bounds) -> str:
    """Say which of the two limits is the higher one."""
    evenly_s = bounds.work_s / bounds.places
    if bounds.chain_s >= evenly_s:
        lines = lines_text([record.statements[i] for i in bounds.chain], " → ")
        return (
            f"the longest chain of statements that need one another takes {bounds.chain_s:.2f} s "
            f"of {bounds.work_s:.2f} s in all: {lines}"
        )
    return (
        f"{bounds.work_s:.2f} s of work on {bounds.places} places take at least {evenly_s:.2f} s; "
        f"no chain of statements is longer than {bounds.chain_s:.2f} s"
    )


def _dearest_reason(record: RunRecord) -> list[str]:
    """Tell it if it cost something, or if the cell gained nothing."""
    for reason in record.reasons[:1]:
        is_dear = reason.seconds > _WORTH_TELLING * record.wall_s
        if not is_dear and record.speed_up > 1 + _WORTH_TELLING:
            break
        where = f"line {reason.line}: " if reason.line else ""
        advice = f"; {reason.advice}" if reason.advice else ""
        return [f"{where}{reason.sentence}{advice} (%taskpar why tells more)"]
    return []


def lines_text(statements: list[StatementRecord], between: str = ", ") -> str:
    """Return "line 3" or "lines 3 → 5": each line once, at most eight of them."""
    lines = list(dict.fromkeys(s.line for s in statements))
    shown = between.join(str(line) for line in lines[:_LINES_TOLD])
    more = f"{between}…" if len(lines) > _LINES_TOLD else ""
    return f"line{'s' if len(lines) > 1 else ''} {shown}{more}"
