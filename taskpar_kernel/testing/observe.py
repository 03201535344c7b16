"""A notebook and a kernel's name come in, an `Observation` goes out: cells run, the end probed.

The rule: cells are run one by one, as nbclient does for everybody; whatever is asked besides goes
in silent requests that change no counter, no history and no name, and that no seconds include.
"""

from __future__ import annotations

import ast
import copy
import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from taskpar_kernel.errors import TaskParError
from taskpar_kernel.testing.compare import CellResult, Observation, canonical_outputs
from taskpar_kernel.testing.digests import PROBE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nbformat import NotebookNode

    OnCell = Callable[[CellResult, dict[str, Any]], None]

LAST_RUN = (
    "(lambda e: e.last_run().to_json() if getattr(e, '_last', None) else '')"
    "(__import__('sys').modules.get('taskpar_kernel.engine.session'))"
)
"""What a kernel answers about the last cell; '' where no record is. It must not raise: an error is
remembered by IPython, and `%debug` in the next cell would be about it."""
_READY = "str(__import__('taskpar_kernel.testing.ready', fromlist=['x']).wait_for_workers())"
_FIXED = {"PYTHONHASHSEED": "0", "TASKPAR_HISTORY": "0"}
"""Sets of strings iterate alike in all kernels, so that their order can be compared; and no run
rests on what kernels before it have learned."""
_PROBE_LIMIT_S = 600


class KernelRun:
    """One kernel that runs one notebook; an asynchronous context manager. It compares nothing.

    `notebook` holds the outputs afterwards. A cell that raises does not stop the next ones: a user
    would go on too. `specs` knows where to find the kernel, if not among the installed ones.
    """

    def __init__(
        self,
        notebook: NotebookNode,
        kernel: str,
        *,
        folder: str = ".",
        environ: Mapping[str, str] | None = None,
        specs: KernelSpecManager | None = None,
        cell_limit_s: int = 1200,
    ):
        self.kernel = kernel
        self.notebook = copy.deepcopy(notebook)
        self._environ = {**os.environ, **_FIXED, **(environ or {})}
        self._manager = AsyncKernelManager(kernel_name=kernel, transport_encryption="auto")
        if specs is not None:
            self._manager.kernel_spec_manager = specs
        self._client = NotebookClient(
            self.notebook,
            km=self._manager,
            timeout=cell_limit_s,
            allow_errors=True,
            resources={"metadata": {"path": folder}},
        )

    async def __aenter__(self) -> Self:
        await self._client.async_start_new_kernel(env=self._environ)
        await self._client.async_start_new_kernel_client()
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(RuntimeError, OSError):  # it may have died under the test
            client: Any = self._client.kc
            client.stop_channels()
        await self._manager.shutdown_kernel(now=True)

    async def wait_for_workers(self) -> None:
        """Wait until all workers of a taskpar kernel are up, so that its first cells use them."""
        await self._evaluate(_READY)

    async def observe(self, on_cell: OnCell | None = None) -> Observation:
        """Run all cells, then probe; `on_cell` is told each result and the kernel's own record."""
        results = []
        for index, cell in enumerate(self.notebook.cells):
            if cell.cell_type != "code" or not cell.source.strip():
                continue
            begin_s = time.perf_counter()
            await self._client.async_execute_cell(cell, index)
            seconds = time.perf_counter() - begin_s
            outputs = canonical_outputs(cell.outputs)
            result = CellResult(index, cell.source, seconds, outputs, cell.execution_count)
            results.append(result)
            if on_cell is not None:
                on_cell(result, await self._last_run())
        probed = json.loads(await self._evaluate(PROBE.format(detail=[])))
        return Observation(
            self.kernel,
            tuple(results),
            tuple(probed["order"]),
            {name: (digest, text) for name, (digest, text) in probed["names"].items()},
            probed["ambient"],
        )

    async def detail(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Return the full description of some names, line by line."""
        probed = json.loads(await self._evaluate(PROBE.format(detail=list(names))))
        lines: dict[str, list[str]] = probed["lines"]
        return lines

    async def _last_run(self) -> dict[str, Any]:
        """Return the kernel's record of the last cell; empty where there is none."""
        text = await self._evaluate(LAST_RUN)
        record: dict[str, Any] = json.loads(text) if text else {}
        return record

    async def _evaluate(self, expression: str) -> str:
        """Evaluate an expression whose value is a string, silently."""
        client: Any = self._client.kc
        sent = client.execute(
            "", silent=True, store_history=False, user_expressions={"it": expression}
        )
        while True:
            reply = await client.get_shell_msg(timeout=_PROBE_LIMIT_S)
            if reply["parent_header"].get("msg_id") == sent:
                break
        answer = reply["content"].get("user_expressions", {}).get("it", {})
        if answer.get("status") != "ok":
            why = f"{answer.get('ename', reply['content'])}: {answer.get('evalue', '')}"
            raise TaskParError(f"the kernel {self.kernel!r} could not answer a probe: {why}")
        return str(ast.literal_eval(answer["data"]["text/plain"]))
