"""A file of a gallery comes in, a notebook goes out.

The rule: the code is the library's own, unchanged. A script is split where sphinx-gallery splits it
(`# %%`, or a line of twenty `#`); if a part would not be a program of its own, it stays one cell.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode, v4

_BOUNDARY = re.compile(r"^(?=# ?%%|#{20,}\s*$)", re.MULTILINE)
_BEGIN = (
    "import sys, random, numpy\n"
    "sys.argv, __file__ = [{name!r}], {name!r}\n"
    "random.seed(0), numpy.random.seed(0)\n"
    "del sys, random, numpy"
)
"""The first cell: what a script may expect of its process, and the same draws in each run."""


def notebook_of(path: Path) -> NotebookNode:
    """Return the item as a notebook of code cells.

    Raises:
        SyntaxError: A script is of another Python.
    """
    cells = _of_notebook(path) if path.suffix == ".ipynb" else _of_script(path)
    cells.insert(0, _BEGIN.format(name=path.name))
    return v4.new_notebook(cells=[v4.new_code_cell(source) for source in cells])


def _of_notebook(path: Path) -> list[str]:
    cells = nbformat.read(path, as_version=4).cells
    return [c.source for c in cells if c.cell_type == "code" and c.source.strip()]


def _of_script(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    whole = ast.parse(text)
    if not whole.body:
        return []
    parts = _BOUNDARY.split(text)
    try:
        holding = [part for part in parts if ast.parse(part).body]
    except SyntaxError:
        return [text]
    return holding
