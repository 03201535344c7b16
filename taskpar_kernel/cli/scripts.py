"""A script's path comes in; its cells are run in a kernel, and what they print goes out live.

Cells begin at lines `# %%`, as in the editors that know them; a script without is one cell. The
rule: as far as the script can tell it is the main program: its lines have their numbers, `sys.argv`
and `__file__` are its own, its folder is searched for modules, and no value is displayed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from taskpar_kernel.cli.kernels import NAME, kernel_specs
from taskpar_kernel.cli.progress import plain
from taskpar_kernel.errors import UsageError

START_LIMIT_S = 60
_CELL = re.compile(r"^# ?%%(?!\w)", re.MULTILINE)
_TO_EXIT = re.compile(r"\n?[^\n]*UserWarning: To exit: use 'exit'[^\n]*\n( [^\n]*\n)?")
"""What IPython says to a person who calls `sys.exit` in a cell; a script means it."""
_BEGIN = """
import sys
sys.argv[:] = {argv!r}
sys.path.insert(0, {folder!r})
__file__ = {file!r}
del sys
"""


def cells_of(text: str) -> list[str]:
    """Return the cells of a script.

    Each is preceded by as many empty comments as there are lines before it, so that its own lines
    keep their numbers (IPython takes away empty lines).
    """
    begins = [match.start() for match in _CELL.finditer(text)]
    cuts = sorted({0, *begins, len(text)})
    parts = [(text.count("\n", 0, one), text[one:two]) for one, two in pairwise(cuts)]
    return ["#\n" * lines + part for lines, part in parts if part.strip()]


def run_script(
    path: Path, words: Sequence[str], arguments: Sequence[str], limit_s: int | None
) -> int:
    """Run the script at `path`, whose own arguments are `words`.

    Returns:
        0; 1 if it raised or a cell took longer than `limit_s`; what it gave to `sys.exit`.

    Raises:
        UsageError: it is not text in UTF-8; nothing was run.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text in UTF-8; nothing was run") from None
    with kernel_specs(arguments) as specs:
        manager = KernelManager(kernel_name=NAME, transport_encryption="auto")
        manager.kernel_spec_manager = specs
        manager.start_kernel()
        client = manager.client()
        assert isinstance(client, BlockingKernelClient)
        ended = False
        try:
            client.start_channels()
            client.wait_for_ready(timeout=START_LIMIT_S)
            begin = _BEGIN.format(
                argv=[str(path), *words], folder=str(path.resolve().parent), file=str(path)
            )
            client.execute(begin, silent=True, store_history=False, reply=True)
            status = _run_cells(manager, client, cells_of(text), limit_s)
            ended = status == 0
            return status
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=not ended)  # who is asked keeps what it has learned


def _run_cells(
    manager: KernelManager, client: BlockingKernelClient, cells: Sequence[str], limit_s: int | None
) -> int:
    for cell in cells:
        try:
            reply = client.execute_interactive(
                cell,
                allow_stdin=sys.stdin is not None and sys.stdin.isatty(),
                timeout=limit_s,
                output_hook=_show,
            )
        except TimeoutError:
            manager.interrupt_kernel()
            print(f"taskpar run: a cell took longer than {limit_s} s", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            manager.interrupt_kernel()
            raise
        content = reply["content"]
        if content["status"] != "ok":
            return _exit_code(content)
    return 0


def _exit_code(content: dict[str, Any]) -> int:
    if content.get("ename") != "SystemExit":
        return 1
    value = content.get("evalue", "")
    if value in {"", "None"}:  # sys.exit(), sys.exit(None)
        return 0
    number = _number(value)
    return 1 if number is None else number & 0xFF


def _number(text: str) -> int | None:
    return int(text) if text.removeprefix("-").isdecimal() else None


def _show(message: dict[str, Any]) -> None:
    """Print what a cell prints and displays; the value of its last expression is not shown."""
    kind, content = message["header"]["msg_type"], message["content"]
    if kind == "stream":
        text, stream = content["text"], sys.stdout
        if content["name"] == "stderr":
            text, stream = _TO_EXIT.sub("", text), sys.stderr
        print(text, end="", file=stream, flush=True)
    elif kind == "display_data":
        print(content["data"].get("text/plain", ""), flush=True)
    elif kind == "error" and content["ename"] != "SystemExit":
        text = "\n".join(content["traceback"])
        print(plain(text, sys.stderr), file=sys.stderr, flush=True)
    elif kind == "error" and _number(content["evalue"]) is None:
        said = "" if content["evalue"] in {"", "None"} else f"{content['evalue']}\n"
        print(said, end="", file=sys.stderr, flush=True)


__all__ = ["cells_of", "run_script"]
