"""A `RunRecord` comes in, what `%taskpar last` shows goes out: text, and HTML for notebooks.

The HTML is one table with inline styles: no script, no style sheet, so it survives every sanitiser.
"""

from __future__ import annotations

from html import escape

from taskpar_kernel.model.run import RunRecord, StatementRecord
from taskpar_kernel.report.workers import table

MOST_ROWS = 60


def summary(record: RunRecord) -> str:
    """Return one sentence on the cell."""
    number = len(record.statements)
    if not record.ahead:
        return f"{number} statements, all at home: {record.wall_s:.2f} s"
    workers = f"{record.workers} worker{'s' if record.workers != 1 else ''}"
    again = f"; {record.squashed} run again" if record.squashed else ""
    return (
        f"{number} statements, {record.committed_ahead} ahead on {workers}: {record.wall_s:.2f} s "
        f"instead of about {record.serial_s_estimate:.2f} s ({record.speed_up:.1f}×){again}"
    )


def last_text(record: RunRecord) -> str:
    """Return the record as a sentence and an aligned table."""
    rows = [_row(s) for s in record.statements[:MOST_ROWS]]
    lines = [summary(record), "", table(_HEAD, rows)]
    lines += _moved(record)
    lines += [f"… and {len(record.statements) - MOST_ROWS} more"] * (
        len(record.statements) > MOST_ROWS
    )
    return "\n".join([*lines, *record.notes])


def last_html(record: RunRecord) -> str:
    """Return the record as an HTML table with a caption."""
    cell = 'style="text-align:left;padding:2px 8px"'
    head = "".join(f'<th scope="col" {cell}>{h}</th>' for h in _HEAD)
    body = "".join(
        "<tr>" + "".join(f"<td {cell}>{escape(c)}</td>" for c in _row(s)) + "</tr>"
        for s in record.statements[:MOST_ROWS]
    )
    notes = "".join(f"<p>{escape(n)}</p>" for n in [*_moved(record), *record.notes])
    return (
        f"<p>{escape(summary(record))}</p><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{notes}"
    )


_HEAD = ("line", "statement", "where", "start", "seconds", "state", "reason")


def _row(s: StatementRecord) -> tuple[str, ...]:
    where = "home" if s.place == "home" else f"worker {s.place}"
    source = s.source if len(s.source) <= 50 else s.source[:49] + "…"
    return (
        str(s.line),
        source,
        where,
        f"{s.start_s:.3f}",
        f"{s.end_s - s.start_s:.3f}",
        s.state,
        s.reason,
    )


def _moved(record: RunRecord) -> list[str]:
    if not record.transfers:
        return []
    total = sum(t.bytes for t in record.transfers)
    return [f"{len(record.transfers)} values moved, {total / 1e6:.1f} MB in all"]
