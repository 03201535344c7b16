"""What an attempt imported comes in; home imports it too, as running the statement would have.

A library loads parts of itself when they are first used, and a program can tell: by `sys.modules`,
and by the attributes of packages. The rule: it is done before anything of the outcome is written,
and shows nothing, since what an import shows is among the attempt's own outputs.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module

from taskpar_kernel.errors import NotPortable


def import_alike(modules: Iterable[str]) -> None:
    """Import the modules that are not there yet, in this order.

    Raises:
        NotPortable: one of them cannot be imported here.
    """
    missing = [name for name in modules if name not in sys.modules]
    if not missing:
        return
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        for name in missing:
            try:
                import_module(name)
            except Exception as error:  # a module may raise anything
                raise NotPortable(f"`{name}`, which it imported, raises here: {error}") from error


__all__ = ["import_alike"]
