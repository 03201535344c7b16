"""`%taskpar` in real kernels: subcommands, help, completion, settings, wrong lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskpar_kernel.commands import completions, help_of
from taskpar_kernel.subcommands import COMMANDS
from taskpar_kernel.testing.fronts import Front
from taskpar_kernel.testing.seen import Seen

NAPS = "import time\ndef nap(s):\n    time.sleep(s)\n    return s\n"
CELL = "a = nap(0.3)\nb = nap(0.4)\nprint(a + b)"
FIXED = {
    "": [
        *("wall_s", "serial_s_estimate", "workers", "statements", "transfers", "ahead"),
        *("committed_ahead", "squashed", "notes"),
    ],
    "statements": ["line", "source", "place", "state", "start_s", "end_s", "reason"],
    "transfers": ["name", "source", "target", "bytes", "seconds"],
}
"""Fields that programs rely on: their names stay."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("commands") / "cwd"


@pytest.fixture(scope="module")
def fresh(folder: Path) -> Iterator[Front]:
    """A kernel in which no cell has run yet; it must come first."""
    with Front("taskpar", folder, TASKPAR_WORKERS="2") as front:
        yield front


@pytest.fixture(scope="module")
def front(fresh: Front) -> Front:
    fresh.wait_for_workers()
    assert fresh.run(NAPS).status == "ok"
    fresh.wait_for_workers()
    assert fresh.run(CELL).status == "ok"
    return fresh


def text_of(seen: Seen) -> str:
    assert seen.status == "ok", seen
    return "".join(str(content) for kind, content in seen.outputs if kind == "stdout")


def error_of(seen: Seen) -> str:
    """Return the one line a wrong line gets; there is no traceback."""
    assert seen.status == "error", seen
    assert [kind for kind, _ in seen.outputs] == ["stderr"]
    line = str(seen.outputs[0][1])
    assert line.count("\n") == 1, line
    return line


@pytest.mark.parametrize("line", ["%taskpar", "%taskpar last", "%taskpar why", "%taskpar graph"])
def test_before_any_cell(fresh: Front, line: str) -> None:
    assert "no cell has run under taskpar yet" in error_of(fresh.run(line))


def test_a_cell_that_ran_before_the_workers_were_there(tmp_path: Path) -> None:
    """The first cell does not wait for the engine; asked at once, it is told of."""
    with Front("taskpar", tmp_path / "cwd", TASKPAR_WORKERS="2") as front:
        assert front.run("a = 6").status == "ok"
        told = [text_of(front.run(line)) for line in ("%taskpar why --text", "%taskpar --text")]
    assert "the cell   0.0" in told[0], "not of the question itself"
    assert told[1].startswith("1 statement, all at home")


WRONG = {
    "%taskpar frobnicate": "%taskpar: unknown subcommand 'frobnicate'; allowed are on, off, last,",
    "%taskpar --foo": "%taskpar last: unrecognized arguments: --foo. Usage: %taskpar last [--",
    "%taskpar last --foo": "%taskpar last: unrecognized arguments: --foo. Usage: %taskpar last [--",
    "%taskpar why --foo": "Usage: %taskpar why [--text] [--json]",
    "%taskpar last --text --json": "--text or --json, not both",
    "%taskpar last --save": "argument --save: expected one argument",
    "%taskpar last --save x.pdf": "'x.pdf': the name must end in .html, .svg or .png",
    "%taskpar last --save /no/x.svg": "cannot be written: No such file or directory",
    "%taskpar last --trace /no/x": "'/no/x' cannot be written",
    "%taskpar graph 99": "there is no cell In[99] in this session",
    "%taskpar graph 0": "there is no cell In[0]",
    "%taskpar graph x": "argument CELL: invalid int value: 'x'",
    "%taskpar graph --format pdf": "invalid choice: 'pdf'",
    "%taskpar plan --workers abc": "workers='abc': the number of workers is a whole number from 1",
    "%taskpar plan --policy x": "invalid choice: 'x'",
    "%taskpar on now": "%taskpar on: unrecognized arguments: now. Usage: %taskpar on",
    "%taskpar last 'x": "No closing quotation",
    "%%taskpar graph\n\nx = = 1": "line 3: this is not Python",
    "%%taskpar --workers abc\nx = 1": "'abc' is not a number of workers",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_line_gets_one_clear_line(front: Front, line: str) -> None:
    assert WRONG[line] in error_of(front.run(line))


def test_last_is_what_one_gets_without_a_subcommand(front: Front) -> None:
    front.run(CELL)
    alone, named = front.run("%taskpar"), front.run("%taskpar last")
    assert alone.outputs == named.outputs
    kind, content = alone.outputs[0][0], alone.outputs[0][1]
    assert kind == "display_data"
    bundle = content[0]
    assert bundle["text/plain"].startswith("3 statements, ")
    assert bundle["text/html"].startswith("<p>3 statements, ")


def test_json_keeps_its_fields(front: Front) -> None:
    front.run(CELL)
    record = json.loads(text_of(front.run("%taskpar last --json")))
    assert set(FIXED[""]) <= record.keys()
    assert set(FIXED["statements"]) <= record["statements"][0].keys()
    assert record["transfers"], "nothing was sent"
    assert set(FIXED["transfers"]) <= record["transfers"][0].keys()
    by_line = {s["line"]: s for s in record["statements"]}
    assert by_line[3]["reads"] == ["a", "b"]
    assert by_line[1]["writes"] == ["a"]


def test_files_are_written_where_one_says(front: Front, folder: Path) -> None:
    front.run(CELL)
    said = text_of(front.run("%taskpar last --trace t.json --save 'my report.html'"))
    assert said == ("wrote t.json: open it in https://ui.perfetto.dev\nwrote my report.html\n")
    assert json.loads((folder / "t.json").read_text())["traceEvents"]
    assert "3 statements" in (folder / "my report.html").read_text()
    assert text_of(front.run("%taskpar graph --save g.svg")) == "wrote g.svg\n"
    assert (folder / "g.svg").read_text().startswith("<svg")


def test_graph_of_the_last_cell_and_of_a_number(front: Front) -> None:
    number = front.run("p = 1\nq = p + 1").count
    front.run("%taskpar workers")
    assert "q = p + 1  p of line 1" in text_of(front.run("%taskpar graph --text"))
    front.run("other = 5")
    assert "q = p + 1" in text_of(front.run(f"%taskpar graph {number} --format text"))
    assert text_of(front.run(f"%taskpar graph {number} --format dot")).startswith("digraph")
    assert "flowchart" in text_of(front.run(f"%taskpar graph {number} --format mermaid"))
    assert text_of(front.run(f"%taskpar graph {number} --format svg")).startswith("<svg")


def test_the_graph_of_the_last_cell_has_its_times(front: Front) -> None:
    front.run(CELL)
    svg = text_of(front.run("%taskpar graph --format svg"))
    assert re.search(r"line 2 · 0\.4\d? s", svg), svg


def test_plan_tells_of_a_text_and_runs_nothing(front: Front) -> None:
    told = text_of(front.run("%%taskpar plan --text --workers 2\nz9 = nap(1)\ny9 = nap(2)"))
    assert told.startswith("2 statements on 1 of 2 workers")
    assert "nothing was run" in told
    assert front.evaluate("'z9' in globals()") is False
    front.run(CELL)
    assert "seconds are those observed" in text_of(front.run("%taskpar plan --text"))


def test_graph_of_the_text_below(front: Front) -> None:
    told = text_of(front.run("%%taskpar graph --text\n%cd -q .\nz9 = nap(1)\ny9 = z9"))
    assert "y9 = z9" in told
    assert "home: " in told
    assert front.evaluate("'z9' in globals()") is False


def test_workers_tells_what_each_holds(front: Front) -> None:
    lines = text_of(front.run("%taskpar workers --text")).splitlines()
    assert lines[0].split() == ["worker", "pid", "state", "memory", "up", "holds"]
    assert len(lines) == 3
    assert "imported: " in lines[1]
    assert "time" in lines[1]


def test_the_doctor_comes_to_the_notebook(front: Front) -> None:
    assert text_of(front.run("%taskpar doctor --quick")).endswith("all is well\n")


def test_help_of_everything(front: Front) -> None:
    told = text_of(front.run("%taskpar help"))
    assert all(f"%taskpar {name}" in told for name in COMMANDS)
    assert text_of(front.run("%taskpar last --help")).startswith("%taskpar last [--text] [--json]")
    assert text_of(front.run("%taskpar help graph")) == text_of(front.run("%taskpar graph -h"))
    page = front.run("%taskpar?").payload[0]["data"]["text/plain"]
    assert all(f"{name}: {what[:20]}" in " ".join(page.split()) for name, what in COMMANDS.items())


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "help"])
def test_every_subcommand_has_help(name: str) -> None:
    assert help_of(name).startswith(f"%taskpar {name}")
    assert len(help_of(name).splitlines()) >= 3


COMPLETIONS = {
    "%taskpar ": list(COMMANDS),
    "%taskpar gr": ["graph"],
    "%taskpar graph --f": ["--format"],
    "%taskpar graph --format ": ["html", "text", "svg", "dot", "mermaid"],
    "%taskpar graph --format m": ["mermaid"],
    "%taskpar plan --policy ": ["auto", "heft", "peft", "online", "listing", "serial"],
    "%taskpar last --text ": ["--json", "--trace", "--save", "--help"],
    "%taskpar verify --a": ["--all"],
    "%taskpar help wo": ["workers"],
    "%%taskpar ": ["graph", "plan", "--workers", "--serial"],
    "%taskpar frob ": [],
}


@pytest.mark.parametrize("line", COMPLETIONS)
def test_completions(line: str) -> None:
    assert completions(line) == COMPLETIONS[line]


def test_the_kernel_completes_and_offers_nothing_else(front: Front) -> None:
    assert front.client is not None
    for code, found in (
        ("x = 1\n%taskpar graph --f", ["--format"]),
        ("%taskpar ", sorted(COMMANDS)),
        ("impor", ["import"]),
    ):
        reply = front.client.complete(code, len(code), reply=True, timeout=20)["content"]
        assert reply["matches"] == found, code


# Settings -----------------------------------------------------------------------------------------


def test_config_lists_and_sets(front: Front) -> None:
    assert "TaskPar.workers=<Int>" in text_of(front.run("%config TaskPar"))
    front.run("%config TaskPar.workers = 1")
    assert len(text_of(front.run("%taskpar workers --text")).splitlines()) == 2
    front.run("%config TaskPar.workers = 2")
    front.wait_for_workers()
    assert len(text_of(front.run("%taskpar workers --text")).splitlines()) == 3
    front.run("%config TaskPar.enabled = False")
    assert front.evaluate("get_ipython().door.on") is False
    front.run("%config TaskPar.enabled = True")
    assert front.evaluate("get_ipython().door.on") is True


def test_config_that_may_not_be_changes_nothing(front: Front) -> None:
    for line in ("%config TaskPar.progress = 'x'", "%config TaskPar.workers = 0"):
        front.run(line)
    assert front.evaluate("get_ipython().door.settings.progress") == "auto"
    assert front.evaluate("get_ipython().door.settings.workers") == 2


def test_the_line_is_shown_where_it_is_asked_for(front: Front) -> None:
    front.run("%config TaskPar.progress = 'on'")
    try:
        seen = front.run("print('first')\nu = nap(1.6)\nv = nap(1.7)\nprint('last')")
    finally:
        front.run("%config TaskPar.progress = 'auto'")
    kinds = [output[0] for output in seen.outputs]
    assert kinds[0] == "stdout"
    assert kinds[1] == "display_data"
    assert set(kinds[2:]) == {"update_display_data", "stdout"}
    updates = [output[1][0] for output in seen.outputs if output[0] == "update_display_data"]
    assert updates[-1] == {}
    assert text_of(seen) == "first\nlast\n"
    quiet = front.run("u = nap(1.6)\nv = nap(1.7)")
    assert quiet.outputs == [], "nobody named the cell, so nothing is shown"


# In a plain kernel --------------------------------------------------------------------------------


def test_load_unload_and_reload_are_idempotent(folder: Path) -> None:
    count = "len([t for t in get_ipython().input_transformers_cleanup if 'Door' in repr(t)])"
    matchers = "len(get_ipython().Completer.custom_matchers)"
    with Front("python3", folder, TASKPAR_WORKERS="2") as plain:
        before = plain.evaluate(matchers)
        for line in ("%load_ext", "%load_ext", "%reload_ext"):
            assert plain.run(f"{line} taskpar_kernel").status == "ok"
            assert plain.evaluate(count) == 1
            assert plain.evaluate(matchers) == before + 1
        assert "TaskPar.workers" in text_of(plain.run("%config TaskPar"))
        for _ in range(2):
            plain.run("%unload_ext taskpar_kernel")
            assert plain.evaluate(count) == 0
            assert plain.evaluate(matchers) == before
        assert "not found" in str(plain.run("%taskpar").outputs)
        assert plain.run("%load_ext taskpar_kernel").status == "ok"
        assert plain.run("%%taskpar\nx = 6 * 7\nx").status == "ok"
