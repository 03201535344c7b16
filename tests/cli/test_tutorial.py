"""The tutorial runs, shows what its words say, and its page in the documents is its own."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import nbformat
import pytest

from taskpar_kernel.cli import main

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "tutorial.ipynb"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each code cell shows, as text, by its source."""
    out = tmp_path_factory.mktemp("tutorial") / "out.ipynb"
    assert main(["run", str(NOTEBOOK), "-o", str(out), "--workers", "2"]) == 0
    found: dict[str, str] = {}
    for cell in nbformat.read(out, as_version=4).cells:
        if cell.cell_type == "code":
            texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
            found.setdefault(cell.source, "".join(texts))
    return found


def of(shown: dict[str, str], start: str) -> str:
    return next(text for source, text in shown.items() if source.startswith(start))


def test_results_are_the_serial_ones(shown: dict[str, str]) -> None:
    assert of(shown, "orders =") == "orders in 1.0 s\nprices in 1.2 s\nstock in 0.8 s\n"
    assert of(shown, "from taskpar_kernel import Pool") == "{'z': 42}\n"
    space: dict[str, object] = {}
    define = next(source for source in shown if source.startswith("import math"))
    exec(define + "\nmeans = [round(simulate(s / 10), 3) for s in range(8)]", space)
    assert of(shown, "means = []") == f"{space['means']}\n"


def test_the_views_say_what_the_words_promise(shown: dict[str, str]) -> None:
    assert re.match(r"4 statements, ", of(shown, "%taskpar"))
    assert "each iteration uses `value` of the one before" in of(shown, "%taskpar why")
    graph = " ".join(of(shown, "%%taskpar graph").split())
    assert "both = left + right left of line 3; right of line 4" in graph
    assert "nothing was run" in of(shown, "%%taskpar plan")
    assert of(shown, "%taskpar workers").count("\n") == 3


def test_the_page_is_written_from_the_notebook() -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert cell.source in page, "the notebook was changed: make tutorial"
    ET.parse(ROOT / "docs" / "timeline.svg")
