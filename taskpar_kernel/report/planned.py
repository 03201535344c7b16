"""A plan comes in, what `%taskpar plan` shows goes out: text as planning prints it, and HTML."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from taskpar_kernel.model.run import RunRecord, StatementRecord
from taskpar_kernel.planning.graph import critical_path, place_name
from taskpar_kernel.report.bounds import Bounds
from taskpar_kernel.report.markup import html_table, paragraphs, shortened
from taskpar_kernel.report.timeline import lane_name, timeline

if TYPE_CHECKING:
    from taskpar_kernel.planning.plan import Plan

KNOWN = "seconds are those observed; nothing was run"
UNKNOWN = (
    "a statement of unknown cost counts for one second here, so only the order tells; "
    "after the cell has run, observed seconds are used; nothing was run"
)
FORMS = MappingProxyType({"home": "at home", "committed": "on a worker (edged)"})
_HEAD = ("line", "statement", "where", "start", "seconds", "needs")
_NUMBERS = ("line", "start", "seconds")


def plan_report(plan: Plan, *, timed: bool) -> tuple[str, str]:
    """Return text and HTML of a plan; `timed`: its costs were observed."""
    note = KNOWN if timed else UNKNOWN
    text = str(plan)
    head = text.partition("\n")[0]
    parts = [paragraphs([head]), html_table("What would run where", _HEAD, _rows(plan), _NUMBERS)]
    if plan.makespan_s > 0:
        record = _as_record(plan)
        chain = tuple(int(one) for one in critical_path(plan.graph)[0])
        bounds = Bounds(tuple(i for i, p in enumerate(plan.placements) if p.task in chain))
        parts.append(timeline(record, bounds, FORMS).image())
    return f"{text}\n\n{note}", "".join([*parts, paragraphs([note])])


def _as_record(plan: Plan) -> RunRecord:
    """Return the plan as if it had been run to the second."""
    tasks = dict(plan.graph.nodes(data="task"))
    statements = []
    for one in plan.placements:
        task, place = tasks[one.task], place_name(plan.graph, one.place)
        state = "home" if place == "home" else "committed"
        statements.append(
            StatementRecord(task.line, task.label, place, state, one.start_s, one.end_s, "")
        )
    return RunRecord(plan.makespan_s, plan.serial_s, plan.places - 1, tuple(statements))


def _rows(plan: Plan) -> list[tuple[str, ...]]:
    tasks = dict(plan.graph.nodes(data="task"))
    rows: list[tuple[str, ...]] = []
    for one in plan.placements:
        needs = [
            f"{', '.join(edge['names'] + edge['effects']) or 'order'} of line {tasks[source].line}"
            for source, edge in plan.graph.pred[one.task].items()
        ]
        task = tasks[one.task]
        row = (
            str(task.line),
            shortened(task.label, 50),
            lane_name(place_name(plan.graph, one.place)),
            f"{one.start_s:.3f}",
            f"{one.end_s - one.start_s:.3f}",
            "; ".join([*needs, *["must run at home"] * task.home]),
        )
        rows.append(row)
    return rows
