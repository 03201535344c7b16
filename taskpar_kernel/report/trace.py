"""A `RunRecord` comes in, a Chrome trace goes out, which Perfetto and chrome://tracing open.

Source: "Trace Event Format" of the Chromium project; complete events ("X"), metadata ("M") and
flow events ("s", "f") are used. Times are microseconds since the cell's start, one thread a lane.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from taskpar_kernel.report.timeline import lane_name

if TYPE_CHECKING:
    from taskpar_kernel.model.run import RunRecord, StatementRecord

_PROCESS = 1


def trace_json(record: RunRecord) -> str:
    """Return the trace as one JSON object."""
    places = ["home", *(str(number) for number in range(1, record.workers + 1))]
    lanes = {place: number for number, place in enumerate(places)}
    for one in record.statements:
        lanes.setdefault(one.place, len(lanes))
    events: list[dict[str, Any]] = [_named("process_name", 0, "taskpar")]
    for place, lane in lanes.items():
        events.append(_named("thread_name", lane, lane_name(place)))
        events.append({**_named("thread_sort_index", lane, ""), "args": {"sort_index": lane}})
    events += [_ran(one, lanes[one.place]) for one in record.statements]
    for number, moved in enumerate(record.transfers):
        sent_s = max(0.0, moved.start_s)
        arrived_s = max(sent_s, moved.start_s + moved.seconds)
        told = {"bytes": moved.bytes, "from": moved.source, "to": moved.target}
        common = {"name": moved.name or "values", "cat": "transfer", "id": number, "args": told}
        for phase, place, at_s in (("s", moved.source, sent_s), ("f", moved.target, arrived_s)):
            events.append(
                {
                    **common,
                    "ph": phase,
                    "pid": _PROCESS,
                    "tid": lanes.get(place, 0),
                    "ts": 1e6 * at_s,
                }
            )
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})


def _ran(one: StatementRecord, lane: int) -> dict[str, Any]:
    return {
        "name": f"{one.line}: {one.source}",
        "cat": one.state,
        "ph": "X",
        "pid": _PROCESS,
        "tid": lane,
        "ts": 1e6 * max(0.0, one.start_s),
        "dur": 1e6 * max(0.0, one.end_s - one.start_s),
        "args": {
            "state": one.state,
            "reads": ", ".join(one.reads),
            "writes": ", ".join(one.writes),
            "reason": one.reason,
            "times": one.times,
        },
    }


def _named(kind: str, lane: int, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": _PROCESS, "tid": lane, "args": {"name": name}}
