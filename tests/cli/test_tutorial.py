"""The tutorials run, show what their words say, and their pages in the documents are their own."""

from __future__ import annotations

import importlib.util
import re
import sys
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
pytestmark = pytest.mark.timeout(400)  # a machine may be busy; what is tested has no hurry
_CELL = re.compile(r"```python\n(.*?)\n```(?:\n\n```text\n(.*?)\n```)?", re.DOTALL)
_MEASURED = (".log(", "last_run()")


def _writer() -> ModuleType:
    """Return what writes the pages: `docs/` is no package."""
    spec = importlib.util.spec_from_file_location("make_tutorial", DOCS / "make_tutorial.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


WRITER = _writer()


@cache
def _cells(name: str) -> list[nbformat.NotebookNode]:
    cells: list[nbformat.NotebookNode] = WRITER.executed(name)
    return cells


def _shown(name: str, start: str) -> str:
    """Return what the first cell shows whose source starts so."""
    for cell in _cells(name):
        if cell.cell_type == "code" and cell.source.startswith(start):
            return "".join(WRITER.text_of(output) for output in cell.outputs)
    pytest.fail(f"{name}.ipynb has no cell that starts with {start!r}")


def _after(name: str, start: str) -> str:
    """Return what the cell shows that follows the one whose source starts so."""
    code = [cell for cell in _cells(name) if cell.cell_type == "code"]
    number = next(n for n, cell in enumerate(code) if cell.source.startswith(start))
    return "".join(WRITER.text_of(output) for output in code[number + 1].outputs)


def test_every_tutorial_has_a_page() -> None:
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert notebooks - {"flights"} == set(WRITER.TUTORIALS)
    assert all((DOCS / f"{name}.md").is_file() for name in WRITER.TUTORIALS)


@pytest.mark.parametrize("name", WRITER.TUTORIALS)
def test_it_runs(name: str) -> None:
    outputs = [output for cell in _cells(name) for output in cell.get("outputs", ())]
    assert outputs
    assert [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"] == []


@pytest.mark.parametrize("name", WRITER.TUTORIALS)
def test_the_page_is_written_from_the_notebook(name: str) -> None:
    """All but what is measured is on the page as it is shown here, and nothing else is."""
    file = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    page = WRITER.page_of(name, _cells(name))
    found, expected = (_steady(text) for text in (file, page.text))
    assert found == expected, f"the notebook was changed: make tutorial ARGS={name}"
    for picture in page.pictures:
        ET.parse(DOCS / picture)


def _steady(text: str) -> list[tuple[str, str]]:
    """Return prose and cells, each with what it prints if that is the same each time."""
    prose = ("prose", re.sub(r"!\[.*?\]", "![]", _CELL.sub("", text)))
    found = [prose]
    for source, shown in _CELL.findall(text):
        measured = source.startswith("%") or any(word in source for word in _MEASURED)
        found.append((source, "" if measured else shown))
    return found


def _plain(name: str, start: str) -> str:
    """Return what a cell prints if Python runs it, and the definitions at the start, alone."""
    code = [cell.source for cell in _cells(name) if cell.cell_type == "code"]
    cell = next(source for source in code if source.startswith(start))
    printed: list[str] = []
    space = {"print": lambda *words, sep=" ": printed.append(sep.join(map(str, words)) + "\n")}
    exec(f"{code[0]}\n{cell}", space)
    return "".join(printed)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("tutorial", "orders ="),
        ("tutorial", "means = []"),
        ("loops", "rows, pages"),
        ("loops", "table ="),
        ("loops", "kept = []"),
        ("loops", "class Walker"),
        ("loops", "def collect"),
        ("loops", "short ="),
        ("timeline", "orders ="),
        ("no_gain", "value ="),
        ("no_gain", "random.seed(1)"),
        ("no_gain", "guesses ="),
        ("no_gain", "halves ="),
    ],
)
def test_results_are_the_serial_ones(name: str, start: str) -> None:
    assert _shown(name, start) == _plain(name, start) != ""


def test_first_steps_show_what_their_words_say() -> None:
    assert re.match(r"4 statements, ", _shown("tutorial", "%taskpar"))
    assert "each iteration uses `value` of the one before" in _after("tutorial", "value =")
    assert _shown("tutorial", "%taskpar workers").count("\n") == 3
    assert _shown("tutorial", "from taskpar_kernel import Pool") == "{'z': 42}\n"


def test_loops_show_what_their_words_say() -> None:
    lines = _after("loops", "rows, pages").splitlines()
    assert sum("found = download(page)" in line for line in lines) == 6
    assert _after("loops", "def collect").count("download(page)") == 6


def test_the_timeline_shows_what_its_words_say() -> None:
    assert re.match(r"8 statements, ", _shown("timeline", "%taskpar"))
    assert "= ran at home   # run ahead   ~ run again" in _shown("timeline", "%taskpar")
    graph = " ".join(_shown("timeline", "%%taskpar graph").split())
    assert "sold = join(orders, customers) orders of line 2; customers of line 3" in graph
    assert "nothing was run" in _shown("timeline", "%%taskpar plan")
    assert _shown("timeline", "record = last_run()").count("\n") == 3
    pictures = WRITER.page_of("timeline", _cells("timeline")).pictures
    assert pictures.keys() == {"timeline_joins.svg", "graph_joins.svg"}


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        ("value =", "each iteration uses `value` of the one before"),
        ("small = []", "too short"),
        ("random.seed(1)", "draws from the shared generator of `random`"),
        ("halves =", "an open handle, generator, iterator or lock"),
    ],
)
def test_why_a_cell_does_not_gain(start: str, reason: str) -> None:
    assert reason in _after("no_gain", start)


def test_the_interface_does_what_its_words_say() -> None:
    analysed = _shown("api", "from taskpar_kernel import analyse")
    assert "2 ['clean', 'raw'] → ['left']" in analysed
    assert "run line 3: right = clean(raw, 2)" in _shown("api", "from taskpar_kernel import plan")
    log = [line.split() for line in _shown("api", "print(pool.log(1))").splitlines() if line]
    told = [words[2] for words in log]
    assert told == ["worker", "ready", "receive", "receive", "run", "send", "send"]
    wrong = _shown("api", "from taskpar_kernel.errors")
    assert wrong.startswith("ZeroDivisionError - division by zero\nthere is no worker 3")
