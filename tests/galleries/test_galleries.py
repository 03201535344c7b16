"""How `make galleries` reads items, compares runs and keeps results."""

from __future__ import annotations

from pathlib import Path

import pytest
from items import notebook_of
from nbformat import v4, write
from results import Result, Store, totals
from sources import libraries
from trial import Place, Trial, compared

from taskpar_kernel.testing.compare import CellResult, Observation

SPLIT = {
    "no marks": ("x = 1\ny = 2\n", 1),
    "percent": ('"""Title"""\nx = 1\n# %%\n# text\ny = 2\n', 2),
    "percent without a space": ("x = 1\n#%%\ny = 2\n", 2),
    "a line of twenty": (f"x = 1\n{'#' * 20}\n# text\ny = 2\n", 2),
    "a shorter line": (f"x = 1\n{'#' * 19}\ny = 2\n", 1),
    "text only": ("x = 1\n# %%\n# nothing but text\n# %%\ny = 2\n", 2),
    "inside a block": ("if True:\n    x = 1\n# %%\n    y = 2\n", 1),
    "inside a string": ('x = """\n# %%\n"""\n', 1),
}


@pytest.mark.parametrize(("text", "cells"), SPLIT.values(), ids=SPLIT.keys())
def test_scripts_are_split_as_galleries_split_them(text: str, cells: int, tmp_path: Path) -> None:
    path = tmp_path / "plot_it.py"
    path.write_text(text)
    sources = [c.source for c in notebook_of(path).cells]
    assert "'plot_it.py'" in sources[0]
    assert len(sources) == cells + 1
    assert [line for s in sources[1:] for line in s.splitlines() if "=" in line] == [
        line for line in text.splitlines() if "=" in line
    ]


def test_notebooks_give_their_code(tmp_path: Path) -> None:
    cells = [v4.new_markdown_cell("# text"), v4.new_code_cell("x = 1"), v4.new_code_cell(" ")]
    write(v4.new_notebook(cells=cells), tmp_path / "n.ipynb")
    assert [c.source for c in notebook_of(tmp_path / "n.ipynb").cells][1:] == ["x = 1"]


def test_a_script_of_another_python_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("print 'x'\n")
    with pytest.raises(SyntaxError):
        notebook_of(tmp_path / "old.py")


def trial(text: str = "a", value: str = "1", files: str = "f") -> Trial:
    cell = CellResult(1, "cell", 0.5, (("stdout", "text", text),), 1)
    seen = Observation("k", (cell,), ("x",), {"x": (value, "int")})
    return Trial(seen, {"out.txt": files})


@pytest.mark.parametrize(
    ("other", "where"),
    [
        (trial(), []),
        (trial(text="b"), ["cell 1 stdout text"]),
        (trial(value="2"), ["name x"]),
        (trial(files="g"), ["file out.txt"]),
        (Trial(ended="over 60 s"), ["end"]),
    ],
)
def test_two_runs_are_compared(other: Trial, where: list[str]) -> None:
    assert list(compared(trial(), other, seeded=False)) == where


def test_each_run_finds_the_same_folder(tmp_path: Path) -> None:
    script = tmp_path / "gallery" / "plot_it.py"
    script.parent.mkdir()
    script.write_text("x = 1")
    (script.parent / "table.csv").write_text("1")
    place = Place(tmp_path / "item", tmp_path / "caches")
    inside = place.renew(script)
    (inside / "left.txt").write_text("by the run before")
    again = place.renew(script)
    assert again == inside
    assert sorted(p.name for p in again.iterdir()) == ["plot_it.py", "table.csv"]


def test_results_are_found_again_and_added_up(tmp_path: Path) -> None:
    store = Store(tmp_path)
    done = Result("lib", "a/plot_it.py", "1.0", serial_s=1.5, seconds={"normal": 2.0})
    done.ahead, done.differences = {"normal": 3}, {"normal": ["name x: differs"]}
    left = Result("lib", "b.py", "1.0", left_out="needs a window")
    for result in (done, left):
        store.keep(result)
    assert store.find("lib", "a/plot_it.py", "1.0") == done
    assert store.find("lib", "a/plot_it.py", "1.1") is None
    assert totals(store.all(), ["normal"])[-1] == "| all | 1 | 0 | 1 | 1.5 | 2.0 | 3 | 1 |"
    store.summarise(["normal"])
    text = (tmp_path / "galleries.md").read_text()
    assert "name x: differs" in text
    assert "needs a window" in text


def test_the_table_of_libraries() -> None:
    table = libraries()
    assert len(table) >= 8
    assert all(library.items for library in table.values())
