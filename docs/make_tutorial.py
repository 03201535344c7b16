"""Run the tutorials in `notebooks/` and write what they show: a page each, and their pictures.

The notebooks are the source; the pages are never written by hand. A cell whose metadata say
`"taskpar": {"picture": NAME}` has the picture of what it shows written to `docs/NAME`.
"""

from __future__ import annotations

import asyncio
import base64
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from taskpar_kernel.testing.observe import KernelRun

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
NOTEBOOKS = ROOT / "notebooks"
TUTORIALS = ("tutorial", "loops", "timeline", "no_gain", "api")
"""In the order in which they are read."""
_IMAGE = re.compile(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]*)"')
_NOTEBOOK_LINK = re.compile(r"\]\((\w+)\.ipynb(#[\w-]+)?\)")
_DOCS_LINK = re.compile(r"\]\(\.\./docs/")
_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the documents, and its pictures by file name."""

    text: str
    pictures: dict[str, str]


def main(names: list[str]) -> int:
    """Write the pages of the tutorials named, or of all; return 1 if a cell raised."""
    for name in names or TUTORIALS:
        cells = executed(name)
        raised = [o for c in cells for o in c.get("outputs", ()) if o.output_type == "error"]
        if raised:
            print(f"{name}.ipynb: a cell raised {raised[0].ename}: {raised[0].evalue}; no page")
            return 1
        page = page_of(name, cells)
        (DOCS / f"{name}.md").write_text(page.text, encoding="utf-8")
        for file, picture in page.pictures.items():
            (DOCS / file).write_text(picture, encoding="utf-8")
        print("wrote", ", ".join(f"docs/{file}" for file in (f"{name}.md", *page.pictures)))
    return 0


def executed(name: str) -> list[nbformat.NotebookNode]:
    """Return a tutorial's cells with their outputs, of a kernel whose workers were up before."""
    return asyncio.run(_run(nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)))


async def _run(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    with TemporaryDirectory() as folder:
        environ = {"TASKPAR_WORKERS": str(_WORKERS), "TASKPAR_PROGRESS": "off"}
        async with KernelRun(notebook, "taskpar", folder=folder, environ=environ) as run:
            await run.wait_for_workers()
            await run.observe()
        return run.notebook.cells


def page_of(name: str, cells: list[nbformat.NotebookNode]) -> Page:
    """Return the page that shows these cells."""
    parts = [f"<!-- written by `make tutorial` from notebooks/{name}.ipynb -->"]
    pictures: dict[str, str] = {}
    for cell in cells:
        if cell.cell_type == "markdown":
            parts.append(_with_links_of_docs(cell.source))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        texts = _texts(cell.outputs)
        if "".join(texts).strip():
            parts.append("```text\n" + "\n".join(text.rstrip() for text in texts) + "\n```")
        file = cell.metadata.get("taskpar", {}).get("picture")
        if file:
            pictures[file], told = _picture(name, cell)
            parts.append(f"![{told}]({file})")
    return Page("\n\n".join(parts) + "\n", pictures)


def _texts(outputs: list[nbformat.NotebookNode]) -> list[str]:
    """Return what a cell shows, as text; what one stream sent in several parts is one text."""
    found: list[str] = []
    before = ""
    for output in outputs:
        stream = output.get("name", "") if output.output_type == "stream" else ""
        if stream and stream == before:
            found[-1] += text_of(output)
        else:
            found.append(text_of(output))
        before = stream
    return found


def text_of(output: nbformat.NotebookNode) -> str:
    """Return what an output shows where there is only text."""
    if output.output_type == "stream":
        return str(output.text)
    return str(output.get("data", {}).get("text/plain", ""))


def _picture(name: str, cell: nbformat.NotebookNode) -> tuple[str, str]:
    """Return the picture among a cell's outputs, and its words.

    Raises:
        SystemExit: there is none, so the page would promise what it does not show.
    """
    for output in cell.outputs:
        found = _IMAGE.search(output.get("data", {}).get("text/html", ""))
        if found:
            return base64.b64decode(found[1]).decode(), found[2]
    sys.exit(f"{name}.ipynb: the cell {cell.source!r} showed no picture; run it again")


def _with_links_of_docs(source: str) -> str:
    """Return Markdown of a notebook as it is in `docs/`: links lead to pages."""
    return _DOCS_LINK.sub("](", _NOTEBOOK_LINK.sub(r"](\1.md\2)", source))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
