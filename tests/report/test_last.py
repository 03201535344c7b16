"""`%taskpar last`: sentence, table, timeline, bounds, files; on records, without a kernel."""

from __future__ import annotations

import base64
import json
import re
import struct
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from html_rules import Checked
from report_records import EMPTY, EVERY, LOOP, MIXED, SERIAL, ran

from taskpar_kernel.errors import UsageError
from taskpar_kernel.model.run import RunRecord
from taskpar_kernel.report import bounds as bounds_module
from taskpar_kernel.report.bounds import (
    bounds_of,
    busy_s,
    in_program_order,
    record_graph,
    seconds_by_line,
)
from taskpar_kernel.report.last import (
    MOST_ROWS,
    last_html,
    last_text,
    rows_shown,
    save_last,
    summary,
)
from taskpar_kernel.report.timeline import COLUMNS, ticks, timeline, timeline_text
from taskpar_kernel.report.trace import trace_json


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds_module, "usable_cores", lambda: 2)


def test_the_sentence_comes_first() -> None:
    said = (
        "7 statements, 3 ahead on 2 workers: 3.10 s instead of about 5.80 s (1.9×; bound 2.0×); "
        "1 run again"
    )
    assert summary(MIXED) == said
    assert last_text(MIXED).startswith(said + "\n")
    assert last_html(MIXED).startswith(f"<p>{said}</p>")


def test_a_serial_cell_has_a_quiet_sentence_and_no_lanes() -> None:
    assert summary(SERIAL) == "1 statement, all at home: 0.50 s"
    assert "timeline" not in last_text(SERIAL).lower()
    assert "<img" not in last_html(SERIAL)
    assert "too short: 0.1 ms" in last_text(SERIAL)


def test_the_table_has_its_columns_and_program_order() -> None:
    lines = last_text(MIXED).splitlines()
    assert lines[2].split() == [
        "line",
        "statement",
        "where",
        "start",
        "seconds",
        "reads",
        "writes",
        "state",
    ]
    assert [line.split()[0] for line in lines[3:10]] == list("1234567")
    assert re.search(r"worker 1 +1\.600 +1\.000 +a, b +d +taken", lines[7])
    assert "run again: `c` was changed in between" in lines[8]


def test_of_many_statements_the_dearest_are_listed() -> None:
    dear = ran(9, "dear()", "home", (5.0, 9.0))
    others = tuple(replace(s, line=10 + i) for i, s in enumerate(LOOP.statements))
    record = replace(LOOP, statements=(*others[:100], dear, *others[100:]))
    text = last_text(record)
    assert "dear()" in text
    assert f"… and {5001 - MOST_ROWS} more" in text
    assert last_html(record).count("<tr>") == MOST_ROWS + 1


def test_iterations_that_went_the_same_way_are_one_row() -> None:
    short = [ran(2, "a = f(x)", "home", (i, i + 0.1), why=("too short", "short")) for i in range(9)]
    away = [ran(2, "a = f(x)", "1", (i + 0.2, i + 0.4)) for i in range(9)]
    once = [ran(3, "print(a)", "home", (20.0 + i, 20.5 + i)) for i in range(9)]
    twice = replace(once[0], times=2, start_s=30.0, end_s=34.0, reason="longer")
    every = [*(each for pair in zip(short, away, strict=True) for each in pair), *once, twice]
    rows = rows_shown(replace(LOOP, statements=tuple(every)))
    assert rows == (
        [
            replace(short[0], end_s=pytest.approx(0.9), times=9),
            replace(away[0], end_s=pytest.approx(2.0), times=9),
            replace(once[0], end_s=pytest.approx(28.5), times=11, reason="longer"),
        ],
        0,
    )
    few = tuple(every[:10])
    assert rows_shown(replace(LOOP, statements=few)) == ([*few], 0), "few are told one by one"


@pytest.mark.parametrize("name", EVERY)
def test_html_survives_sanitisers_and_reads_aloud(name: str) -> None:
    checked = Checked(last_html(EVERY[name]))
    assert checked.breaches == []
    assert all(len(text) > 20 for text in checked.alternatives)
    assert len(last_html(EVERY[name])) < 400_000


def test_text_of_users_is_escaped() -> None:
    html = last_html(MIXED)
    assert "c = f(3) &lt; &#x27;&amp;&#x27;" in html
    assert "worker 2 ended &lt;here&gt;" in html


def test_the_picture_is_well_formed_and_has_a_lane_for_each_place() -> None:
    found = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', last_html(MIXED))
    assert found is not None
    root = ET.fromstring(base64.b64decode(found[1]))
    words = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"home", "worker 1", "worker 2", "planned", "values arrive", "longest chain"} <= {*words}
    assert {"2", "3", "4", "5", "6", "7"} <= {*words}


def test_a_long_loop_makes_a_small_picture() -> None:
    picture = timeline(LOOP, bounds_of(LOOP))
    assert len(picture.shapes) < 1500
    assert len(picture.svg()) < 200_000


def test_control_characters_do_not_break_the_picture() -> None:
    odd = replace(MIXED, statements=(ran(1, "x = '\x00\x1b\udc80'", "home", (0.0, 1.0)),))
    ET.fromstring(timeline(odd, bounds_of(odd)).svg())


def test_lanes_of_text_line_up() -> None:
    lines = timeline_text(MIXED, bounds_of(MIXED)).splitlines()
    assert [line.split("  ")[0].strip() for line in lines[1:4]] == ["home", "worker 1", "worker 2"]
    assert {len(line) for line in lines[1:4]} == {len("worker 1") + 2 + COLUMNS}
    assert "~" in lines[1]
    assert lines[2].count("#") > 30
    assert lines[-1] == "longest chain: lines 3 → 5 → 7"


@pytest.mark.parametrize(("wall_s", "last"), [(3.1, 3.0), (0.0007, 0.0007), (100, 100), (1, 1.0)])
def test_ticks_are_round_and_few(wall_s: float, last: float) -> None:
    found = ticks(wall_s)
    assert len(found) <= 9
    assert found[0] == 0
    assert found[-1] == pytest.approx(last)


# What bounds the speed ----------------------------------------------------------------------------


def test_the_longest_chain_goes_through_names_and_through_home() -> None:
    bounds = bounds_of(MIXED)
    assert [MIXED.statements[i].line for i in bounds.chain] == [3, 5, 7]
    assert bounds.chain_s == pytest.approx(1.25 + 1.0 + 0.5)
    assert bounds.home_s == pytest.approx(0.7)


def test_a_value_used_on_its_line_is_part_of_the_chain() -> None:
    record = RunRecord(
        wall_s=2.0,
        serial_s_estimate=2.0,
        workers=2,
        statements=(
            ran(1, "f(1)", "1", (0.0, 1.0), reads=("f",)),
            ran(1, "print(…)", "home", (1.0, 2.0), why=AT_PRINT),
        ),
        ahead=1,
    )
    assert bounds_of(record).chain_s == pytest.approx(2.0)


def test_what_home_noted_in_passing_goes_where_it_was() -> None:
    record = RunRecord(
        statements=(
            ran(3, "f(x)", "home", (0.1, 1.0)),
            ran(3, "f(x)", "1", (0.2, 1.2)),
            ran(4, "print(rows)", "home", (1.3, 1.4)),
            ran(1, "rows = []", "home", (0.0, 0.1)),
            ran(5, "x = 1", "home", (1.4, 1.5)),
            ran(2, "y = 2", "home", (0.05, 0.06)),
        )
    )
    assert [s.line for s in in_program_order(record).statements] == [1, 2, 3, 3, 4, 5]
    assert in_program_order(MIXED) == MIXED


def test_iterations_that_share_no_name_are_no_chain() -> None:
    record = RunRecord(
        wall_s=2.0,
        serial_s_estimate=2.0,
        workers=2,
        statements=(
            ran(1, "f(x)", "home", (0.0, 1.0), reads=("f", "x")),
            ran(1, "f(x)", "home", (1.0, 2.0), reads=("f", "x")),
            ran(1, "rows = […]", "home", (2.0, 2.0), why=AT_PRINT, writes=("rows",)),
        ),
        ahead=1,
    )
    assert bounds_of(record).chain_s == pytest.approx(1.0)
    assert record_graph(record).number_of_edges() == 2


AT_PRINT = ("it prints", "in-order")


def test_even_work_is_bound_by_places() -> None:
    record = RunRecord(
        wall_s=2.0,
        serial_s_estimate=4.0,
        workers=2,
        statements=tuple(ran(i, f"f({i})", "1", (0.0, 1.0), writes=(f"a{i}",)) for i in range(4)),
        ahead=4,
    )
    bounds = bounds_of(record)
    assert bounds.speed_up == pytest.approx(2.0)
    assert bounds.sentences[0].startswith("4.00 s of work on 2 places take at least 2.00 s")


def test_statements_that_wait_need_no_core() -> None:
    naps = [ran(1, "a = nap(1)", "home", (0.0, 1.0), writes=("a",))]
    naps += [ran(i, f"b{i} = nap(1)", str(i - 1), (0.0, 1.0), writes=(f"b{i}",)) for i in (2, 3)]
    record = RunRecord(1.05, 3.0, 2, tuple(naps), ahead=2, committed_ahead=2)
    bounds = bounds_of(record)
    assert bounds.places == 3
    assert "on 3 places take at least 1.00 s" in bounds.sentences[0] or bounds.chain_s >= 1.0
    assert bounds.speed_up == pytest.approx(3.0)


def test_the_bound_is_never_below_what_was_had() -> None:
    record = replace(MIXED, wall_s=1.0, serial_s_estimate=9.0)
    assert bounds_of(record).speed_up >= record.speed_up


def test_sentences_name_home_squashes_waits_and_the_dearest_reason() -> None:
    told = " | ".join(bounds_of(replace(MIXED, wall_s=6.0)).sentences)
    assert "0.70 s had to run at home, in order: lines 7, 1" in told
    assert "for 2.90 s nothing ran" in told
    assert "line 7: it prints (%taskpar why tells more)" in told
    assert "0.50 s were run at home although" in " | ".join(bounds_of(MIXED).sentences)


def test_a_reason_that_cost_nothing_is_told_only_if_nothing_was_gained() -> None:
    cheap = tuple(replace(reason, seconds=0.01) for reason in MIXED.reasons)
    gained = replace(MIXED, reasons=cheap)
    assert not any("why tells more" in line for line in bounds_of(gained).sentences)
    slow = replace(gained, serial_s_estimate=3.1)
    assert any("why tells more" in line for line in bounds_of(slow).sentences)


def test_time_in_which_two_ran_counts_once() -> None:
    assert busy_s(MIXED.statements) == pytest.approx(3.1)
    assert busy_s(()) == 0.0


def test_an_empty_record_is_bound_by_nothing() -> None:
    assert bounds_of(EMPTY).sentences == ()
    assert last_text(EMPTY).startswith("0 statements, all at home")


def test_seconds_by_line_add_up_a_loop() -> None:
    assert seconds_by_line(LOOP, [(1, 3), (4, 4)]) == {1: pytest.approx(20.0), 4: 0.0}
    assert seconds_by_line(SERIAL, [(1, 1)]) == {}


# Files --------------------------------------------------------------------------------------------


def test_saved_files_are_what_their_names_say(tmp_path: Path) -> None:
    for suffix in (".html", ".svg", ".png"):
        save_last(MIXED, tmp_path / f"last{suffix}")
    page = (tmp_path / "last.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert '<html lang="en">' in page
    assert "<script" not in page
    ET.parse(tmp_path / "last.svg")
    png = (tmp_path / "last.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", png[16:24])
    assert width == 2 * 880
    assert height > 200


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("last.pdf", "must end in .html, .svg or .png; nothing was written"),
        ("last", "must end in"),
        ("no/such/last.svg", "cannot be written: No such file or directory; nothing was saved"),
    ],
)
def test_a_file_that_cannot_be_is_one_line(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        save_last(MIXED, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", EVERY)
def test_the_trace_is_what_perfetto_reads(name: str) -> None:
    record = EVERY[name]
    events = json.loads(trace_json(record))["traceEvents"]
    complete = [e for e in events if e["ph"] == "X"]
    assert len(complete) == len(record.statements)
    assert all(e["dur"] >= 0 and e["ts"] >= 0 for e in complete)
    lanes = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert list(lanes.values())[: 1 + record.workers] == [
        "home",
        *(f"worker {n}" for n in range(1, record.workers + 1)),
    ]
    assert {e["tid"] for e in complete} <= lanes.keys()
    flows = [e for e in events if e["ph"] in "sf"]
    assert len(flows) == 2 * len(record.transfers)
    for number in range(len(record.transfers)):
        start, end = (e for e in flows if e["id"] == number)
        assert start["ts"] <= end["ts"]
