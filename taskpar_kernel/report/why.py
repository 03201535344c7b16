"""A `RunRecord` comes in, what `%taskpar why` shows goes out: text, JSON, and HTML for notebooks.

The rule: the reason that cost most comes first, and a cell in which nothing was wrong gets one
quiet line. The HTML is one table with inline styles, as that of `%taskpar last`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from html import escape

from taskpar_kernel.model.run import ReasonRecord, RunRecord
from taskpar_kernel.report.workers import table

MOST_ROWS = 40
NOTHING = "nothing kept this cell from running in parallel"
_HEAD = ("line", "statement", "at home", "why", "what would free it")


def why_text(record: RunRecord) -> str:
    """Return the reasons as an aligned table, or one line if there are none."""
    if not record.reasons:
        return NOTHING
    rows = [_row(reason) for reason in record.reasons[:MOST_ROWS]]
    return "\n".join([table(_HEAD, rows), *_more(record)])


def why_html(record: RunRecord) -> str:
    """Return the reasons as an HTML table, or one paragraph if there are none."""
    if not record.reasons:
        return f"<p>{NOTHING}</p>"
    cell = 'style="text-align:left;padding:2px 8px"'
    head = "".join(f'<th scope="col" {cell}>{h}</th>' for h in _HEAD)
    body = "".join(
        "<tr>" + "".join(f"<td {cell}>{escape(c)}</td>" for c in _row(reason)) + "</tr>"
        for reason in record.reasons[:MOST_ROWS]
    )
    notes = "".join(f"<p>{escape(line)}</p>" for line in _more(record))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


def why_json(record: RunRecord) -> str:
    """Return the reasons as one JSON list."""
    return json.dumps([asdict(reason) for reason in record.reasons])


def _row(reason: ReasonRecord) -> tuple[str, ...]:
    source = reason.statement
    return (
        str(reason.line or ""),
        source if len(source) <= 40 else source[:39] + "…",
        f"{reason.seconds:.3f} s" if reason.seconds else "",
        reason.sentence,
        reason.advice,
    )


def _more(record: RunRecord) -> list[str]:
    left = len(record.reasons) - MOST_ROWS
    return [f"… and {left} more"] * (left > 0)
