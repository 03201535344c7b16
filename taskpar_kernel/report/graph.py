"""A cell's text comes in, its task graph goes out: a picture, DOT, Mermaid, or text.

The graph is the one that planning works on (`taskpar_kernel.planning.graph`); nothing is run.

Theory of the layout. A statement stands one row below the last one it needs, so arrows go down;
within a row statements are ordered by the middle of what they need, ties by program order. A row of
more than `MOST_ABREAST` is broken. Among many arrows those that follow from others are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import networkx as nx

from taskpar_kernel.analysis.api import analyse
from taskpar_kernel.errors import UsageError
from taskpar_kernel.model.ids import StatementId
from taskpar_kernel.planning.graph import TaskDetails, critical_path, task_graph
from taskpar_kernel.report.files import write
from taskpar_kernel.report.markup import bullets, html_table, paragraphs, shortened, table
from taskpar_kernel.report.shapes import (
    AHEAD_FILL,
    CHARACTER_PX,
    FAINT,
    HOME_FILL,
    INK,
    Box,
    Line,
    Picture,
    Words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_ABREAST = 7
MANY_EDGES = 60
MANY_NODES = 40
NODE_PX = (142.0, 38.0)
GAP_PX = (16.0, 46.0)
MARGIN_PX = 14.0
_LABEL_PX = 11.0
_MOST_NEEDS = 3
_UNKNOWN_S = 1.0
_HEAD = ("line", "statement", "needs", "where it may run")


@dataclass(frozen=True, slots=True)
class CellGraph:
    """A task graph and what is told of it; `timed`: its costs were measured, not taken alike."""

    graph: nx.DiGraph
    timed: bool
    title: str
    why_home: Mapping[int, str] = field(default_factory=dict)

    @property
    def chain(self) -> list[int]:
        """The longest chain, in program order."""
        return [int(one) for one in critical_path(self.graph)[0]]


def cell_graph(
    code: str,
    namespace: Mapping[str, object] | None = None,
    seconds: Mapping[int, float] | None = None,
    title: str = "the cell",
) -> CellGraph:
    """Return the task graph of a cell's text.

    Args:
        code: plain Python: magics are turned into calls before.
        namespace: the notebook's names; they make the prediction sharper.
        seconds: measured seconds by the line a statement begins on, if they are known.
        title: what the cell is called.

    Raises:
        UsageError: the text is not Python.
    """
    statements = analyse(code, namespace).statements
    known = seconds or {}
    details, effects, why = {}, [], {}
    for number, one in enumerate(statements):
        guess_s = 0.0 if known else _UNKNOWN_S
        told_s = one.effects.cost_s
        cost_s = known.get(one.line, guess_s if told_s is None else told_s)
        details[StatementId(number)] = TaskDetails(cost_s, one.source, one.line)
        effects.append((StatementId(number), one.effects))
        why[number] = "; ".join(
            dict.fromkeys(f"{r.what}: {r.blocker.value}".lstrip(": ") for r in one.effects.home)
        )
    return CellGraph(task_graph(effects, details), bool(known), title, why)


def graph_summary(one: CellGraph) -> str:
    """Return one sentence on the graph."""
    count = one.graph.number_of_nodes()
    statements = "1 statement" if count == 1 else f"{count} statements"
    if not count:
        return f"{one.title}: no statements"
    home = sum(task.home for _, task in one.graph.nodes(data="task"))
    chain = one.chain
    many = "1 statement" if len(chain) == 1 else f"{len(chain)} statements"
    length = f"longest chain: {many}, {_lines(one, chain)}"
    return f"{one.title}: {statements}, {home} must run at home; {length}"


def graph_text(one: CellGraph) -> str:
    """Return the graph as a sentence and a table of what each statement needs."""
    return f"{graph_summary(one)}\n\n{table(_HEAD, _rows(one))}"


def graph_html(one: CellGraph) -> str:
    """Return the graph as a sentence, a picture and, for those who do not see it, a table."""
    if not one.graph.number_of_nodes():
        return paragraphs([graph_summary(one)])
    notes = ["thick frame: longest chain; square and dark: must run at home; round: may run ahead"]
    if _is_reduced(one.graph):
        notes.append("arrows that follow from others are left out of the picture")
    needs = html_table("What each statement needs", _HEAD, _rows(one), ("line",))
    return (
        paragraphs([graph_summary(one)])
        + graph_picture(one).image()
        + bullets(notes)
        + f"<details><summary>as a table</summary>{needs}</details>"
    )


def graph_dot(one: CellGraph) -> str:
    """Return the graph in Graphviz' language."""
    chain = set(one.chain)
    lines = ["digraph cell {", "  rankdir=TB;", '  node [shape=box, fontname="monospace"];']
    for number, task in one.graph.nodes(data="task"):
        style = "filled" if task.home else "rounded"
        width = 2.5 if number in chain else 1
        lines.append(
            f'  n{number} [label="{_dot(_label(task))}", style={style}, penwidth={width}];'
        )
    for source, target, edge in one.graph.edges(data=True):
        lines.append(f'  n{source} -> n{target} [label="{_dot(_along(edge))}"];')
    return "\n".join([*lines, "}"])


def graph_mermaid(one: CellGraph) -> str:
    """Return the graph in Mermaid's language, which GitHub and JupyterLab draw in Markdown."""
    lines = ["flowchart TD"]
    for number, task in one.graph.nodes(data="task"):
        text = _mermaid(_label(task))
        lines.append(f'  n{number}["{text}"]' if task.home else f'  n{number}("{text}")')
    for source, target, edge in one.graph.edges(data=True):
        along = _mermaid(_along(edge))
        lines.append(
            f'  n{source} -->|"{along}"| n{target}' if along else f"  n{source} --> n{target}"
        )
    thick = ",".join(f"n{number}" for number in one.chain)
    lines += [f"  style {name} stroke-width:3px" for name in thick.split(",") if name]
    return "\n".join(lines)


# The picture --------------------------------------------------------------------------------------


def graph_picture(one: CellGraph) -> Picture:
    """Draw the graph; O(statements * arrows) for many arrows, else O(statements + arrows)."""
    graph, chain = one.graph, one.chain
    rows = _rows_of(graph)
    width_px, height_px = NODE_PX
    abreast = max((len(row) for row in rows), default=1)
    width = max(2 * MARGIN_PX + abreast * (width_px + GAP_PX[0]) - GAP_PX[0], 360.0)
    height = 2 * MARGIN_PX + len(rows) * (height_px + GAP_PX[1]) - GAP_PX[1]
    places: dict[int, tuple[float, float]] = {}
    for level, row in enumerate(rows):
        span = len(row) * (width_px + GAP_PX[0]) - GAP_PX[0]
        for position, number in enumerate(row):
            x = (width - span) / 2 + position * (width_px + GAP_PX[0])
            places[number] = (x, MARGIN_PX + level * (height_px + GAP_PX[1]))
    picture = Picture(width, height, _alternative(one))
    on_chain = set(pairwise(chain))
    for source, target in _edges_shown(graph):
        (x, y), (to_x, to_y) = places[source], places[target]
        start, end = (x + width_px / 2, y + height_px), (to_x + width_px / 2, to_y)
        thick = (source, target) in on_chain
        colour = INK if thick else FAINT
        picture.shapes.append(Line((start, end), colour, 2.5 if thick else 1.0, arrow=True))
    if graph.number_of_nodes() <= MANY_NODES:
        picture.shapes += _names(graph, places)
    for number, task in graph.nodes(data="task"):
        x, y = places[number]
        edge = INK if number in chain else ""
        fill, corner = (HOME_FILL, 1.0) if task.home else (AHEAD_FILL, 11.0)
        picture.shapes.append(Box(x, y, width_px, height_px, fill, edge, 3.0, round_px=corner))
        columns = int((width_px - 12) / (_LABEL_PX * CHARACTER_PX))
        head = f"line {task.line}" + (" · home" if task.home else "")
        if one.timed and task.cost_s:
            head += f" · {task.cost_s:.2g} s"
        picture.shapes.append(Words(x + 6, y + 15, head[:columns], "#ffffff", _LABEL_PX, bold=True))
        label = shortened(task.label, columns)
        picture.shapes.append(Words(x + 6, y + 30, label, "#ffffff", _LABEL_PX))
    return picture


def _rows_of(graph: nx.DiGraph) -> list[list[int]]:
    level: dict[int, int] = {}
    for number in graph.nodes:
        level[number] = max((level[one] + 1 for one in graph.pred[number]), default=0)
    rows: list[list[int]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for number, depth in level.items():
        rows[depth].append(number)
    middle: dict[int, float] = {}

    def wish(number: int) -> tuple[float, int]:
        before = [middle[one] for one in graph.pred[number]]
        return (sum(before) / len(before) if before else 0.5, number)

    broken: list[list[int]] = []
    for row in rows:
        ordered = sorted(row, key=wish)
        for position, number in enumerate(ordered):
            middle[number] = (position + 0.5) / len(ordered)
        broken += [ordered[i : i + MOST_ABREAST] for i in range(0, len(ordered), MOST_ABREAST)]
    return broken


def _is_reduced(graph: nx.DiGraph) -> bool:
    return bool(graph.number_of_edges() > MANY_EDGES)


def _edges_shown(graph: nx.DiGraph) -> list[tuple[int, int]]:
    shown = nx.transitive_reduction(graph) if _is_reduced(graph) else graph
    return sorted(shown.edges)


def _names(graph: nx.DiGraph, places: Mapping[int, tuple[float, float]]) -> list[Words]:
    """Return the names that flow along each arrow, below what makes them, each once."""
    found = []
    width_px, height_px = NODE_PX
    columns = int((width_px + GAP_PX[0]) / (10 * CHARACTER_PX))
    for number in graph.nodes:
        names = [n for _, _, edge in graph.out_edges(number, data=True) for n in edge["names"]]
        if names:
            x, y = places[number]
            text = shortened(", ".join(dict.fromkeys(names)), columns)
            found.append(Words(x + width_px / 2 + 8, y + height_px + 13, text, INK, 10))
    return found


def _alternative(one: CellGraph) -> str:
    needs = "; ".join(f"line {row[0]} needs {row[2]}" for row in _rows(one)[:MANY_NODES] if row[2])
    return f"Task graph of {graph_summary(one)}." + (f" {needs}." if needs else "")


# Words --------------------------------------------------------------------------------------------


def _rows(one: CellGraph) -> list[tuple[str, ...]]:
    tasks = dict(one.graph.nodes(data="task"))
    rows: list[tuple[str, ...]] = []
    for number, task in tasks.items():
        needs = []
        for source, edge in one.graph.pred[number].items():
            along = _along(edge)
            needs.append(f"{along} of line {tasks[source].line}")
        why = one.why_home.get(number, "")
        where = (f"home: {why}" if why else "home") if task.home else "anywhere"
        rows.append((str(task.line), shortened(task.label, 50), "; ".join(needs), where))
    return rows


def _along(edge: dict[str, Any]) -> str:
    names = [*edge["names"], *edge["effects"]]
    more = f", +{len(names) - _MOST_NEEDS}" if len(names) > _MOST_NEEDS else ""
    return ", ".join(names[:_MOST_NEEDS]) + more or "order"


def _label(task: Any) -> str:
    return f"{task.line}: {shortened(task.label, 40)}"


def _lines(one: CellGraph, numbers: list[int]) -> str:
    tasks = dict(one.graph.nodes(data="task"))
    shown = " → ".join(str(tasks[number].line) for number in numbers[:8])
    return f"line{'s' if len(numbers) > 1 else ''} {shown}{' → …' if len(numbers) > 8 else ''}"


def _dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _mermaid(text: str) -> str:
    return (
        text.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
    )


def graph_svg(one: CellGraph) -> str:
    """Return the picture as SVG."""
    return graph_picture(one).svg()


def save_graph(one: CellGraph, path: Path) -> None:
    """Write the picture as .svg or .png.

    Raises:
        UsageError: the ending is another, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in {".svg", ".png"}:
        raise UsageError(f"{str(path)!r}: the name must end in .svg or .png; nothing was written")
    picture = graph_picture(one)
    write(path, picture.png() if suffix == ".png" else picture.svg().encode())


WRITERS = MappingProxyType(
    {"svg": graph_svg, "dot": graph_dot, "mermaid": graph_mermaid, "text": graph_text}
)
"""What writes each format that is text."""

__all__ = ["WRITERS", "CellGraph", "cell_graph", "graph_html", "graph_text", "save_graph"]
