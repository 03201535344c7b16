"""A `RunRecord` comes in, what `%taskpar last` shows goes out: text, HTML, and files.

One sentence first, then the table of statements, the timeline, and what bounds the speed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from taskpar_kernel.errors import UsageError
from taskpar_kernel.report.bounds import Bounds, bounds_of, in_program_order, seconds_of
from taskpar_kernel.report.files import write
from taskpar_kernel.report.markup import (
    bullets,
    html_table,
    page,
    paragraphs,
    shortened,
    table,
)
from taskpar_kernel.report.timeline import lane_name, timeline, timeline_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskpar_kernel.model.run import RunRecord, StatementRecord

MOST_ROWS = 60
MOST_UNFOLDED = 24
"""More statements than these are shown with the iterations of one statement together."""
SUFFIXES = (".html", ".svg", ".png")
_HEAD = ("line", "statement", "where", "start", "seconds", "reads", "writes", "state")
_NUMBERS = ("line", "start", "seconds")
_STATES = {"home": "at home", "committed": "taken", "squashed": "run again"}
_NAMES_TOLD = 4


def summary(record: RunRecord, bounds: Bounds | None = None) -> str:
    """Return one sentence on the cell."""
    number = len(record.statements)
    statements = "1 statement" if number == 1 else f"{number} statements"
    if not record.ahead:
        return f"{statements}, all at home: {record.wall_s:.2f} s"
    bounds = bounds_of(record) if bounds is None else bounds
    workers = f"{record.workers} worker{'s' if record.workers != 1 else ''}"
    again = f"; {record.squashed} run again" if record.squashed else ""
    return (
        f"{statements}, {record.committed_ahead} ahead on {workers}: {record.wall_s:.2f} s "
        f"instead of about {record.serial_s_estimate:.2f} s "
        f"({record.speed_up:.1f}×; bound {bounds.speed_up:.1f}×){again}"
    )


def last_text(record: RunRecord) -> str:
    """Return the record as a sentence, an aligned table, lanes, and what bounds the speed."""
    record = in_program_order(record)
    bounds = bounds_of(record)
    shown, left = rows_shown(record)
    lines = [summary(record, bounds), "", table(_HEAD, [_row(s) for s in shown])]
    lines += [f"… and {left} more"] * bool(left)
    lanes = timeline_text(record, bounds)
    if lanes:
        lines += ["", lanes]
    told = [*bounds.sentences, *_moved(record)]
    if told:
        lines += ["", *(f"- {line}" for line in told)]
    return "\n".join([*lines, *record.notes])


def last_html(record: RunRecord) -> str:
    """Return the record as HTML: sentence, table, picture, and what bounds the speed."""
    record = in_program_order(record)
    bounds = bounds_of(record)
    shown, left = rows_shown(record)
    parts = [
        paragraphs([summary(record, bounds)]),
        html_table("Statements as they went", _HEAD, [_row(s) for s in shown], _NUMBERS),
        paragraphs([f"… and {left} more"] * bool(left)),
    ]
    if any(seconds_of(s) > 0 for s in record.statements):
        parts.append(timeline(record, bounds).image())
    told = [*bounds.sentences, *_moved(record)]
    if told:
        parts += [paragraphs(["What bounds the speed:"]), bullets(told)]
    return "".join([*parts, paragraphs(record.notes)])


def rows_shown(record: RunRecord) -> tuple[list[StatementRecord], int]:
    """Return the statements to list, in program order, and how many are left out.

    Of many, the iterations of one statement that went the same way are one row, where the first of
    them was: its seconds are theirs together. Of too many rows the dearest are kept.
    """
    every = list(record.statements)
    if len(every) > MOST_UNFOLDED:
        every = _folded(every)
    if len(every) <= MOST_ROWS:
        return every, 0
    dearest = sorted(range(len(every)), key=lambda i: (-seconds_of(every[i]), i))[:MOST_ROWS]
    return [every[i] for i in sorted(dearest)], len(every) - MOST_ROWS


def _folded(every: Iterable[StatementRecord]) -> list[StatementRecord]:
    """Return one record for all that have line, text, place, state and kind of reason in common."""
    found: dict[tuple[object, ...], StatementRecord] = {}
    longest: dict[tuple[object, ...], float] = {}
    for one in every:
        key = (one.line, one.source, one.place, one.state, one.reason_kind)
        seconds, before = seconds_of(one), found.get(key)
        if before is None:
            found[key], longest[key] = one, seconds / one.times
            continue
        is_longest = seconds / one.times > longest[key]
        longest[key] = max(longest[key], seconds / one.times)
        found[key] = replace(
            before,
            end_s=before.start_s + seconds_of(before) + seconds,
            times=before.times + one.times,
            reason=one.reason if is_longest else before.reason,
        )
    return list(found.values())


def save_last(record: RunRecord, path: Path) -> None:
    """Write the report as .html, or its timeline as .svg or .png.

    Raises:
        UsageError: the ending is another, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"{str(path)!r}: the name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}; "
            "nothing was written"
        )
    if suffix == ".html":
        write(path, page("taskpar: the last cell", last_html(record)).encode())
        return
    record = in_program_order(record)
    picture = timeline(record, bounds_of(record))
    write(path, picture.png() if suffix == ".png" else picture.svg().encode())


def _row(s: StatementRecord) -> tuple[str, ...]:
    timed = s.end_s > s.start_s
    state = _STATES.get(s.state, s.state)
    times = f" ×{s.times}" if s.times > 1 else ""
    return (
        str(s.line),
        shortened(s.source, 50) + times,
        lane_name(s.place),
        f"{s.start_s:.3f}" if timed else "",
        f"{s.end_s - s.start_s:.3f}" if timed else "",
        _named(s.reads),
        _named(s.writes),
        f"{state}: {s.reason}" if s.reason else state,
    )


def _named(names: tuple[str, ...]) -> str:
    more = f", +{len(names) - _NAMES_TOLD}" if len(names) > _NAMES_TOLD else ""
    return ", ".join(names[:_NAMES_TOLD]) + more


def _moved(record: RunRecord) -> list[str]:
    if not record.transfers:
        return []
    total = sum(t.bytes for t in record.transfers)
    return [f"{len(record.transfers)} values moved, {total / 1e6:.1f} MB in all"]
