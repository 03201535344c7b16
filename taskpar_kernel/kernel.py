"""Jupyter's door: the `taskpar` kernel, an ipykernel whose cells go through the parallel engine.

Execute requests come in as ever. The rule: everything but the running of a cell's statements is
stock ipykernel; history, counters, hooks, displays, debugger and subshells never know.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQInteractiveShell
from traitlets import Type

from taskpar_kernel import __version__
from taskpar_kernel.door import Door
from taskpar_kernel.magics import register
from taskpar_kernel.settings import TaskPar
from taskpar_kernel.startup import collect_as_ever

START_AFTER_S = 0.4
"""The pool starts this long after the kernel is up: the first cell's reply comes first."""


class TaskParShell(ZMQInteractiveShell):  # type: ignore[misc]
    """The stock shell, with the parallel engine between compiling and running."""

    door: Door | None = None

    async def run_ast_nodes(self, nodelist: Any, cell_name: str, *args: Any, **kwargs: Any) -> Any:
        """Run the statements of a cell, ahead where that pays and changes nothing."""
        native = super().run_ast_nodes
        if self.door is None:
            return await native(nodelist, cell_name, *args, **kwargs)
        return await self.door.run_ast_nodes(native, nodelist, cell_name, *args, **kwargs)


class TaskParKernel(IPythonKernel):  # type: ignore[misc]
    """ipykernel with `TaskParShell`."""

    shell_class = Type(TaskParShell)

    @property
    def banner(self) -> str:
        """Say what this kernel is, above IPython's own banner."""
        line = (
            f"taskpar {__version__}: independent work in a cell runs in parallel; %taskpar tells\n"
        )
        return f"{self.shell.banner}{line}"

    def start(self) -> None:
        """Start as ipykernel does; the workers come up behind it."""
        super().start()
        door = Door(self.shell, parent=self.parent)
        self.shell.door = door
        register(self.shell, door)
        timer = threading.Timer(START_AFTER_S, door.start)
        timer.daemon = True
        timer.start()
        collect_as_ever()

    @contextmanager
    def _cancel_on_sigint(self, future: asyncio.Future[Any]) -> Iterator[None]:
        """Let SIGINT cancel the cell that `future` runs, within the block.

        ipykernel's own handler asks the loop with `call_soon`, which does not wake a loop that
        waits: an awaiting cell went on for seconds (ipykernel #881).
        """
        loop = asyncio.get_running_loop()
        previous = signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(future.cancel))
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    def do_shutdown(self, restart: bool) -> Any:
        """Shut down, and take the workers along."""
        if self.shell.door is not None:
            self.shell.door.close()
        return super().do_shutdown(restart)


class TaskParApp(IPKernelApp):  # type: ignore[misc]
    """`python -m taskpar_kernel`: the kernel application. Its log lines read like ipykernel's."""

    kernel_class = Type(TaskParKernel, klass=IPythonKernel)
    classes = (*IPKernelApp.classes, TaskPar)


TaskParApp.__name__ = IPKernelApp.__name__  # clients know some log lines by this name


def launch(argv: list[str] | None = None) -> None:
    """Run the kernel until it is shut down."""
    TaskParApp.launch_instance(argv=argv)
