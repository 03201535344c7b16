"""Run a notebook's independent work in parallel, with exactly the serial result.

The public names are loaded on first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
"""As in `typing`, whose import takes longer than a kernel's first process lives."""

if TYPE_CHECKING:
    from typing import Any

    from IPython.core.interactiveshell import InteractiveShell

    from taskpar_kernel.analysis.api import analyse
    from taskpar_kernel.engine.session import last_run
    from taskpar_kernel.planning.api import plan
    from taskpar_kernel.pool.pool import Pool
    from taskpar_kernel.settings import TaskPar

__version__ = "0.1.0"
__all__ = ["Pool", "TaskPar", "analyse", "last_run", "plan"]

_HOMES = {
    "Pool": "taskpar_kernel.pool.pool",
    "TaskPar": "taskpar_kernel.settings",
    "analyse": "taskpar_kernel.analysis.api",
    "last_run": "taskpar_kernel.engine.session",
    "plan": "taskpar_kernel.planning.api",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add `%taskpar`, `%%taskpar` and the parallel engine to a running IPython kernel."""
    from taskpar_kernel.magics import load  # workers import this package without it

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take everything away again; the pool is closed."""
    from taskpar_kernel.magics import unload  # as above

    unload(shell)
