"""Run notebooks/tutorial.ipynb and write what it shows: docs/tutorial.md and docs/timeline.svg.

The notebook is the source; the page is never written by hand. The picture is the timeline of a cell
that was planned: the second that `%taskpar` is asked about.
"""

from __future__ import annotations

import asyncio
import base64
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from taskpar_kernel.testing.observe import KernelRun

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "notebooks" / "tutorial.ipynb"
PAGE = ROOT / "docs" / "tutorial.md"
PICTURE = ROOT / "docs" / "timeline.svg"
_IMAGE = re.compile(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]*)"')
_NOTE = "<!-- written by `make tutorial` from notebooks/tutorial.ipynb -->"


def main() -> int:
    """Write both files; return 1 if a cell raised."""
    cells = asyncio.run(_run(nbformat.read(NOTEBOOK, as_version=4)))
    if any(output.output_type == "error" for cell in cells for output in cell.get("outputs", ())):
        print("a cell of the tutorial raised; nothing was written")
        return 1
    pictures: list[str] = []
    parts = [_NOTE]
    for cell in cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        else:
            parts += [
                f"```python\n{cell.source}\n```",
                *(_shown(o, pictures) for o in cell.outputs),
            ]
    PAGE.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    PICTURE.write_text(pictures[1], encoding="utf-8")
    print(f"wrote {PAGE} and {PICTURE}")
    return 0


async def _run(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the cells with their outputs, of a kernel whose workers are up before the first."""
    with TemporaryDirectory() as folder:
        environ = {"TASKPAR_WORKERS": "2", "TASKPAR_PROGRESS": "off"}
        async with KernelRun(notebook, "taskpar", folder=folder, environ=environ) as run:
            await run.wait_for_workers()
            await run.observe()
        return run.notebook.cells


def _shown(output: nbformat.NotebookNode, pictures: list[str]) -> str:
    """Return an output as Markdown; the second timeline is shown as a picture as well."""
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```"
    text = f"```text\n{output.data.get('text/plain', '').rstrip()}\n```"
    found = _IMAGE.search(output.data.get("text/html", ""))
    if found:
        pictures.append(base64.b64decode(found[1]).decode())
    if found and len(pictures) == 2:
        return f"{text}\n\n![{found[2]}](timeline.svg)"
    return text


if __name__ == "__main__":
    sys.exit(main())
