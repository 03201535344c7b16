"""A notebook's path comes in; it is run in a kernel of its own, and saved or printed.

The rule: cells are run one by one until one raises, as papermill does; what has run is saved also
then, with the error in its cell.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import AsyncKernelManager

from taskpar_kernel.cli.kernels import NAME, kernel_specs
from taskpar_kernel.cli.progress import Progress, plain
from taskpar_kernel.errors import UsageError
from taskpar_kernel.testing.notebooks import read_notebook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbformat import NotebookNode


def run_notebook(
    path: Path, out: Path | None, arguments: Sequence[str], limit_s: int | None
) -> int:
    """Run the notebook at `path`; save it to `out`, or print its outputs if that is None.

    Returns:
        0, or 1 if a cell raised, took longer than `limit_s`, or the kernel died.

    Raises:
        UsageError: it is no notebook that could be run; nothing was run.
    """
    notebook = read_notebook(path)
    with kernel_specs(arguments) as specs:
        why = asyncio.run(_executed(notebook, path.resolve().parent, specs, limit_s, out is None))
    if out is not None:
        _save(notebook, out)
    if why:
        print(why, file=sys.stderr)
    return 1 if why else 0


def _save(notebook: NotebookNode, out: Path) -> None:
    """Write what was executed; where that is not possible after all, keep it elsewhere.

    Raises:
        UsageError: it is not in `out`; the message tells where it is.
    """
    import nbformat  # `read_notebook` has told if it is missing

    text: str = nbformat.writes(notebook) + "\n"  # type: ignore[no-untyped-call]
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as why:
        kept = Path(mkdtemp(prefix="taskpar-")) / out.name
        kept.write_text(text, encoding="utf-8")
        raise UsageError(
            f"{out} cannot be written ({why.strerror}); it is kept in {kept}"
        ) from None
    print(f"wrote {out}", file=sys.stderr)


async def _executed(
    notebook: NotebookNode, folder: Path, specs: Any, limit_s: int | None, prints: bool
) -> str:
    """Run the cells in place; return why the run broke off, or ''."""
    from nbclient import NotebookClient  # with `read_notebook`
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    manager = AsyncKernelManager(kernel_name=NAME, transport_encryption="auto")
    manager.kernel_spec_manager = specs
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=limit_s,
        resources={"metadata": {"path": str(folder)}},
    )
    cells = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    progress = Progress(len(cells))
    why, ended = "", False
    try:
        await client.async_start_new_kernel()
        await client.async_start_new_kernel_client()
        for cell in cells:
            progress.begins(cell.source)
            try:
                await client.async_execute_cell(cell, notebook.cells.index(cell))
            except CellExecutionError as error:
                why = plain(str(error), sys.stderr)
            except CellTimeoutError:
                why = f"a cell took longer than {limit_s} s and was stopped"
            except DeadKernelError:
                why = "the kernel died"
            progress.ends(cell.source)
            if prints:
                _print(cell.outputs)
            if why:
                break
        ended = not why
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
        # nbclient leaves alone what it was given; a kernel that is asked keeps what it has learned
        await manager.shutdown_kernel(now=not ended)
    progress.over("stopped" if why else "done")
    return why


def _print(outputs: Sequence[Any]) -> None:
    for output in outputs:
        if output.output_type == "stream":
            stream = sys.stderr if output.name == "stderr" else sys.stdout
            print(output.text, end="", file=stream, flush=True)
        elif "data" in output and "text/plain" in output.data:
            print(output.data["text/plain"], flush=True)
