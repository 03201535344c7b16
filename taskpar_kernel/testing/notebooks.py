"""What the commands on notebooks are given: a path and options come in, checked values go out."""

from __future__ import annotations

import argparse
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from taskpar_kernel.errors import UsageError

if TYPE_CHECKING:
    from nbformat import NotebookNode


def read_notebook(path: Path) -> NotebookNode:
    """Return the notebook in a file.

    Raises:
        UsageError: it is none, it is not one of Python, or what reads it is not installed.
    """
    missing = [name for name in ("nbclient", "nbformat") if find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        raise UsageError(f"it needs {names}; say pip install 'taskpar_kernel[verify]'")
    import nbformat  # wanted by this command only

    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise UsageError(f"{path} {what}; nothing was run")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old notebook lacks ids of cells
            notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
            nbformat.validate(notebook)
    except (ValueError, KeyError, AttributeError, TypeError, nbformat.ValidationError) as error:
        first = (str(error).splitlines() or [""])[0][:200]
        raise UsageError(f"{path} is not a notebook ({first}); nothing was run") from None
    language = notebook.metadata.get("kernelspec", {}).get("language", "python")
    if str(language).lower() != "python":
        raise UsageError(f"{path} is a notebook of {language}, not of Python; nothing was run")
    return notebook


def seconds(text: str) -> int:
    """Return an option's whole number of seconds; `type` of an argument."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds over 0")
    return int(text)


__all__ = ["read_notebook", "seconds"]
