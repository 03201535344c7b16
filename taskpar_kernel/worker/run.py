"""Carry out one `Run`: source text comes in, a `Finished` goes out.

The rule: the text runs as a cell would, in the worker's own namespace, with magics and displays,
but leaves no history. A cell with top-level await runs as a task on the worker's loop.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from taskpar_kernel.model.ids import HOME
from taskpar_kernel.model.messages import Finished, Run

if TYPE_CHECKING:
    from collections.abc import Awaitable


def run(instruction: Run, shell: Any) -> Finished | Awaitable[Finished]:
    """Run `instruction`; `worker` and `outputs` are filled in by the caller."""
    start_s = time.monotonic()
    if _awaits(instruction.source, shell):
        return _run_async(instruction, shell, start_s)
    result = shell.run_cell(instruction.source, store_history=False, silent=False)
    return _finished(instruction, result, shell, start_s)


async def _run_async(instruction: Run, shell: Any, start_s: float) -> Finished:
    result = await shell.run_cell_async(
        instruction.source,
        store_history=False,
        silent=False,
        transformed_cell=shell.transform_cell(instruction.source),
    )
    shell.events.trigger("post_execute")
    shell.events.trigger("post_run_cell", result)
    return _finished(instruction, result, shell, start_s)


def _awaits(source: str, shell: Any) -> bool:
    if "await" not in source and "async" not in source:
        return False
    try:
        transformed = shell.transform_cell(source)
    except Exception:  # noqa: BLE001 - run_cell reports it
        return False
    return bool(shell.should_run_async(source, transformed_cell=transformed))


def _finished(instruction: Run, result: Any, shell: Any, start_s: float) -> Finished:
    error = result.error_before_exec or result.error_in_exec
    if error is None:
        return Finished(instruction.ticket, HOME, ok=True, start_s=start_s, end_s=time.monotonic())
    interrupted = isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
    return Finished(
        instruction.ticket,
        HOME,
        ok=False,
        start_s=start_s,
        end_s=time.monotonic(),
        why="interrupted" if interrupted else f"it raised {type(error).__name__}",
        ename=type(error).__name__,
        evalue=str(error),
        traceback="\n".join(shell._last_traceback or ()),
    )
