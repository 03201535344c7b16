"""`%taskpar graph` and `%taskpar plan`: on texts of cells, without a kernel."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import pytest
from html_rules import Checked

from taskpar_kernel.errors import UsageError
from taskpar_kernel.planning.choose import choose_plan
from taskpar_kernel.report.graph import (
    WRITERS,
    cell_graph,
    graph_html,
    graph_picture,
    graph_summary,
    graph_text,
    save_graph,
)
from taskpar_kernel.report.planned import KNOWN, UNKNOWN, plan_report
from taskpar_kernel.report.shapes import Box, Words

FIVE = 'import math\na = f(1)\nb = f("<2>")\nc = a + b\nprint(c)\n'


def many(number: int) -> str:
    chance = random.Random(7)
    lines = ["x0 = f(0)"]
    for i in range(1, number):
        inputs = f"x{chance.randrange(max(0, i - 40), i)}, x{chance.randrange(i)}"
        lines.append(f"x{i} = f({inputs})" if i % 7 else f"x{i} = f({i})")
    return "\n".join(lines)


def test_the_sentence_names_the_longest_chain() -> None:
    assert graph_summary(cell_graph(FIVE, title="In[3]")) == (
        "In[3]: 5 statements, 1 must run at home; longest chain: 2 statements, lines 2 → 4"
    )


def test_the_table_says_what_each_needs_and_why_one_stays() -> None:
    rows = graph_text(cell_graph(FIVE)).splitlines()[2:]
    assert re.search(r"^4 +c = a \+ b +a of line 2; b of line 3 +anywhere$", rows[4])
    assert "home: import math: imports" in rows[1]


def test_measured_seconds_decide_the_chain() -> None:
    graph = cell_graph("a = f(1)\nb = f(2)\nc = f(a)\n", seconds={1: 0.1, 2: 5.0, 3: 0.1})
    assert graph.timed
    assert graph.chain == [1]
    assert "5 s" in graph_picture(graph).svg()


@pytest.mark.parametrize("number", [5, 300])
def test_the_picture_is_usable_at_any_size(number: int) -> None:
    graph = cell_graph(FIVE if number == 5 else many(number))
    picture = graph_picture(graph)
    boxes = [s for s in picture.shapes if isinstance(s, Box)]
    assert len(boxes) == number
    assert picture.width <= 1200
    for one, two in combinations(boxes, 2):
        apart_x = abs(one.x - two.x) >= one.width
        assert apart_x or abs(one.y - two.y) >= one.height, "two boxes overlap"
    assert all(b.x >= 0 and b.x + b.width <= picture.width for b in boxes)
    assert all(b.y >= 0 and b.y + b.height <= picture.height for b in boxes)
    labels = [s for s in picture.shapes if isinstance(s, Words)]
    assert {f"line {n}" for n in range(2, number)} <= {w.text.split(" ·")[0] for w in labels}
    ET.fromstring(picture.svg())


@pytest.mark.parametrize("code", ["", FIVE, many(300)])
def test_html_survives_sanitisers_and_reads_aloud(code: str) -> None:
    checked = Checked(graph_html(cell_graph(code)))
    assert checked.breaches == []
    assert bool(checked.alternatives) == bool(code)
    if code == FIVE:
        assert "line 4 needs a of line 2; b of line 3" in checked.alternatives[0]


def test_dot_has_every_statement_and_arrow() -> None:
    text = WRITERS["dot"](cell_graph(FIVE))
    assert text.count(" -> ") == 3
    assert 'n2 [label="3: b = f(\\"<2>\\")"' in text
    assert text.count("{") == text.count("}") == 1


def test_mermaid_quotes_what_it_must() -> None:
    lines = WRITERS["mermaid"](cell_graph(FIVE)).splitlines()
    assert lines[0] == "flowchart TD"
    assert '  n2("3: b = f(#quot;#lt;2#gt;#quot;)")' in lines
    assert '  n1 -->|"a"| n3' in lines
    assert '  n0["1: import math"]' in lines


def test_saving(tmp_path: Path) -> None:
    graph = cell_graph(FIVE)
    save_graph(graph, tmp_path / "g.svg")
    save_graph(graph, tmp_path / "g.png")
    ET.parse(tmp_path / "g.svg")
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match=r"must end in \.svg or \.png"):
        save_graph(graph, tmp_path / "g.html")


def test_what_is_not_python_names_the_line() -> None:
    with pytest.raises(UsageError, match="line 2: this is not Python"):
        cell_graph("x = 1\ny = = 2\n")


def test_a_plan_says_where_its_seconds_are_from() -> None:
    graph = cell_graph("a = f(1)\nb = f(2)\nc = a + b\n")
    text, html = plan_report(choose_plan(graph.graph, 2), timed=False)
    assert text.endswith(UNKNOWN)
    assert "3 statements on 1 of 2 workers" in text
    checked = Checked(html)
    assert checked.breaches == []
    assert "What would run where" in checked.text
    assert "home was busy for" in checked.alternatives[0]
    assert plan_report(choose_plan(graph.graph, 2), timed=True)[0].endswith(KNOWN)
