"""A `RunRecord` comes in, its timeline goes out: a picture, or lanes of text.

One lane for home and each worker that did something, time from left to right. The state of a
statement is told by colour *and* by form: a bar without outline ran at home, one with a bright
edge was run ahead and taken, a dashed one was run again. A thick dark rule under a bar marks the
longest chain, small triangles the arrival of values, hollow bars below a lane what was planned.
The rule: however many statements there are, a lane is at most a few hundred bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from taskpar_kernel.report.bounds import Bounds, lines_text, seconds_of
from taskpar_kernel.report.shapes import (
    AGAIN_FILL,
    AHEAD_FILL,
    CHARACTER_PX,
    FAINT,
    HOME_FILL,
    INK,
    RULE,
    Box,
    Line,
    Picture,
    Words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taskpar_kernel.model.run import RunRecord, StatementRecord

WIDTH_PX = 880.0
LABEL_PX = 84.0
BAR_PX = 22.0
PLAN_PX = 8.0
LANE_PX = 36.0
TOP_PX = 26.0
MOST_LANES = 33
COLUMNS = 64
FILLS = {"home": HOME_FILL, "committed": AHEAD_FILL, "squashed": AGAIN_FILL}
"""Ground of the bars; white words on them have a contrast of at least 4.5:1."""
FORMS = MappingProxyType(
    {
        "home": "ran at home",
        "committed": "run ahead (edged)",
        "squashed": "run again (dashed)",
    }
)
_MARKS = {"home": "=", "committed": "#", "squashed": "~"}
_ARRIVALS = 200


@dataclass(frozen=True, slots=True)
class Bar:
    """Statements of one lane that are shown as one: of the same line and state, side by side."""

    start_s: float
    end_s: float
    line: int
    state: str
    on_chain: bool


def lanes_of(record: RunRecord, bounds: Bounds, least_s: float) -> dict[str, list[Bar]]:
    """Return the bars of each place, home first, then by number; those nearer than `least_s` merge.

    A bar is at least so long. Only places that did something, or were to, have a lane.
    """
    chain = set(bounds.chain)
    found: dict[str, list[Bar]] = {"home": []}
    order = sorted(range(len(record.statements)), key=lambda i: record.statements[i].start_s)
    for index in order:
        one = record.statements[index]
        bar = Bar(
            max(0.0, one.start_s),
            max(one.start_s, one.end_s, 0.0),
            one.line,
            one.state,
            index in chain,
        )
        bars = found.setdefault(one.place, [])
        if bars and _merges(bars[-1], bar, least_s):
            last = bars.pop()
            bar = Bar(
                last.start_s,
                max(last.end_s, bar.end_s),
                last.line if last.end_s - last.start_s >= bar.end_s - bar.start_s else bar.line,
                last.state if last.end_s - last.start_s >= bar.end_s - bar.start_s else bar.state,
                last.on_chain or bar.on_chain,
            )
        bars.append(bar)
    for plan in record.planned:
        found.setdefault(plan.place, [])
    names = ["home", *sorted((n for n in found if n != "home"), key=_number)]
    return {name: found[name] for name in names[:MOST_LANES]}


def _number(place: str) -> tuple[int, str]:
    return (int(place), "") if place.isdecimal() else (1 << 30, place)


def _merges(last: Bar, bar: Bar, least_s: float) -> bool:
    if bar.start_s - last.end_s > least_s:
        return False
    short = min(bar.end_s - bar.start_s, last.end_s - last.start_s) < least_s
    same = (last.line, last.state, last.on_chain) == (bar.line, bar.state, bar.on_chain)
    return short or (same and bar.end_s - bar.start_s < 4 * least_s)


def lane_name(place: str) -> str:
    """Return what a lane is called."""
    return "home" if place == "home" else f"worker {place}"


# The picture --------------------------------------------------------------------------------------


def timeline(record: RunRecord, bounds: Bounds, forms: Mapping[str, str] = FORMS) -> Picture:
    """Draw the timeline; its height grows with the number of workers only.

    `forms`: the states that may occur, and what the legend says of each.
    """
    wall_s = max([record.wall_s, *(s.end_s for s in record.statements)], default=0.0) or 1e-9
    scale = (WIDTH_PX - LABEL_PX - 14) / wall_s
    lanes = lanes_of(record, bounds, 2.0 / scale)
    height = TOP_PX + LANE_PX * len(lanes) + 46
    picture = Picture(WIDTH_PX, height, alternative(record, bounds, lanes))
    shapes = picture.shapes
    bottom = TOP_PX + LANE_PX * len(lanes)
    for tick_s in ticks(wall_s):
        x = LABEL_PX + tick_s * scale
        shapes.append(Line(((x, TOP_PX - 6), (x, bottom)), RULE))
        shapes.append(Words(x, TOP_PX - 10, _seconds(tick_s), FAINT, 11, "middle"))
    planned = {p.place for p in record.planned}
    for row, (place, bars) in enumerate(lanes.items()):
        y = TOP_PX + row * LANE_PX
        shapes.append(Words(8, y + 16, lane_name(place)))
        shapes.append(Line(((LABEL_PX, y + LANE_PX - 2), (WIDTH_PX - 14, y + LANE_PX - 2)), RULE))
        for bar in bars:
            shapes += _bar(bar, y, scale)
        if place in planned:
            shapes += [
                Box(
                    LABEL_PX + p.start_s * scale,
                    y + BAR_PX + 3,
                    max(1.0, min(p.end_s, wall_s) * scale - p.start_s * scale),
                    PLAN_PX,
                    "none",
                    FAINT,
                )
                for p in record.planned
                if p.place == place and p.start_s < wall_s
            ]
        arrivals = [t for t in record.transfers if t.target == place][:_ARRIVALS]
        for moved in arrivals:
            x = LABEL_PX + max(0.0, moved.start_s + moved.seconds) * scale
            shapes.append(Line(((x, y - 4), (x, y + 3)), INK, 1.0, arrow=True))
    shapes += _legend(bottom + 18, record, forms)
    return picture


def _bar(bar: Bar, y: float, scale: float) -> list[Box | Words | Line]:
    x, width = LABEL_PX + bar.start_s * scale, max(1.0, (bar.end_s - bar.start_s) * scale)
    fill = FILLS.get(bar.state, HOME_FILL)
    edge = {"committed": "#7ee0c0", "squashed": "#ffffff"}.get(bar.state, "")
    edge = edge if width > 4 else ""
    found: list[Box | Words | Line] = [
        Box(x, y + 2, width, BAR_PX - 2, fill, edge, 1.5, bar.state == "squashed")
    ]
    text = str(bar.line)
    if width >= CHARACTER_PX * 12 * len(text) + 6:
        found.append(Words(x + width / 2, y + 16, text, "#ffffff", 12, "middle", bold=bar.on_chain))
    if bar.on_chain:
        found.append(Line(((x, y + BAR_PX + 1), (x + width, y + BAR_PX + 1)), INK, 3.0))
    return found


def _legend(y: float, record: RunRecord, forms: Mapping[str, str]) -> list[Box | Words | Line]:
    found: list[Box | Words | Line] = []
    x = 8.0
    for state, text in forms.items():
        edge = {"committed": "#7ee0c0", "squashed": "#ffffff"}.get(state, "")
        found.append(Box(x, y - 10, 18, 12, FILLS[state], edge, 1.5, state == "squashed"))
        found.append(Words(x + 24, y, text, INK, 11))
        x += 24 + len(text) * 11 * CHARACTER_PX + 18
    found.append(Line(((x, y - 3), (x + 18, y - 3)), INK, 3.0))
    found.append(Words(x + 24, y, "longest chain", INK, 11))
    x += 24 + 13 * 11 * CHARACTER_PX + 18
    if record.transfers:
        found.append(Line(((x + 4, y - 10), (x + 4, y)), INK, 1.0, arrow=True))
        found.append(Words(x + 14, y, "values arrive", INK, 11))
        x += 14 + 13 * 11 * CHARACTER_PX + 18
    if record.planned:
        found.append(Box(x, y - 8, 18, PLAN_PX, "none", FAINT))
        found.append(Words(x + 24, y, "planned", INK, 11))
    found.append(Words(8, y + 17, "numbers in bars are lines of the cell", FAINT, 11))
    return found


def ticks(wall_s: float, most: int = 8) -> list[float]:
    """Return round times from 0 to `wall_s`, at most `most` + 1 of them."""
    step = 1e-6
    while True:
        for factor in (1, 2, 5):
            if step * factor * most >= wall_s:
                width = step * factor
                return [i * width for i in range(int(wall_s / width * (1 + 1e-9)) + 1)]
        step *= 10


def _seconds(value: float) -> str:
    return f"{value:.6g} s" if value >= 0.1 or not value else f"{1e3 * value:.4g} ms"


def alternative(record: RunRecord, bounds: Bounds, lanes: dict[str, list[Bar]]) -> str:
    """Say in words what the picture shows."""
    parts = []
    for place, bars in lanes.items():
        busy_s = sum(seconds_of(s) for s in record.statements if s.place == place)
        own = [s for s in record.statements if s.place == place and seconds_of(s) > 0]
        dearest = sorted(own, key=lambda s: (-seconds_of(s), s.line))
        if bars:
            parts.append(f"{lane_name(place)} was busy for {busy_s:.2f} s with {_of(dearest)}")
        else:
            parts.append(f"{lane_name(place)} ran nothing")
    chain = [record.statements[i] for i in bounds.chain]
    longest = f" Longest chain: {lines_text(chain, ' then ')}." if chain else ""
    return f"Timeline of {record.wall_s:.2f} s: {'; '.join(parts)}.{longest}"


def _of(statements: list[StatementRecord]) -> str:
    return lines_text(statements) if statements else "statements too short to show"


# Text ---------------------------------------------------------------------------------------------


def timeline_text(record: RunRecord, bounds: Bounds) -> str:
    """Return a row of characters for each lane; a bar begins with its line if there is room."""
    wall_s = max([record.wall_s, *(s.end_s for s in record.statements)], default=0.0)
    if wall_s <= 0 or not any(seconds_of(s) > 0 for s in record.statements):
        return ""
    lanes = lanes_of(record, bounds, wall_s / COLUMNS)
    width = max(len(lane_name(place)) for place in lanes)
    end = f"{wall_s:.3f} s"
    lines = [f"{'':{width}}  0{end.rjust(COLUMNS - 1)}"]
    for place, bars in lanes.items():
        lines.append(f"{lane_name(place):{width}}  {_cells(bars, wall_s)}")
    lines.append("= ran at home   # run ahead   ~ run again   numbers are lines of the cell")
    chain = [record.statements[i] for i in bounds.chain]
    if chain:
        lines.append(f"longest chain: {lines_text(chain, ' → ')}")
    return "\n".join(lines)


def _cells(bars: Sequence[Bar], wall_s: float) -> str:
    cells = ["·"] * COLUMNS
    for bar in bars:
        first = min(COLUMNS - 1, int(bar.start_s / wall_s * COLUMNS))
        last = min(COLUMNS, max(first + 1, round(bar.end_s / wall_s * COLUMNS)))
        mark = _MARKS.get(bar.state, "=")
        text = str(bar.line)
        room = last - first
        body = text.ljust(room, mark) if len(text) < room else mark * room
        cells[first:last] = body[:room]
    return "".join(cells)


__all__ = ["Bar", "lane_name", "lanes_of", "timeline", "timeline_text"]
