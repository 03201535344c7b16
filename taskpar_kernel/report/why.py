"""A `RunRecord` comes in, what `%taskpar why` shows goes out: text, JSON, and HTML for notebooks.

The rule: the reason that cost most comes first, and a cell in which nothing was wrong gets one
quiet line. The HTML is one table with inline styles, as that of `%taskpar last`.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from taskpar_kernel.model.run import ReasonRecord, RunRecord
from taskpar_kernel.report.markup import html_table, paragraphs, shortened, table

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
        return paragraphs([NOTHING])
    rows = [_row(reason) for reason in record.reasons[:MOST_ROWS]]
    reasons = html_table("What ran at home or waited, the dearest first", _HEAD, rows, ("line",))
    return reasons + paragraphs(_more(record))


def why_json(record: RunRecord) -> str:
    """Return the reasons as one JSON list."""
    return json.dumps([asdict(reason) for reason in record.reasons])


def _row(reason: ReasonRecord) -> tuple[str, ...]:
    source = reason.statement
    return (
        str(reason.line or ""),
        shortened(source, 40) if source else "",
        f"{reason.seconds:.3f} s" if reason.seconds else "",
        reason.sentence,
        reason.advice,
    )


def _more(record: RunRecord) -> list[str]:
    left = len(record.reasons) - MOST_ROWS
    return [f"… and {left} more"] * (left > 0)
