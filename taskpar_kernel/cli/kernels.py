"""Options of a kernel come in; a kernelspec of this interpreter goes out, installed nowhere."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from jupyter_client.kernelspec import KernelSpecManager

from taskpar_kernel.errors import UsageError
from taskpar_kernel.settings import TaskPar, check_workers

NAME = "taskpar"
_OWN = f"--{TaskPar.__name__}."


@contextmanager
def kernel_specs(arguments: Sequence[str]) -> Iterator[KernelSpecManager]:
    """Make a kernelspec for the block, whose kernel gets `arguments`."""
    with TemporaryDirectory(prefix="taskpar-spec-") as folder:
        spec = {
            "argv": [
                sys.executable,
                "-m",
                "taskpar_kernel",
                "-f",
                "{connection_file}",
                "--HistoryManager.hist_file=:memory:",  # the user's history stays as it is
                *arguments,
            ],
            "display_name": "Python 3 (taskpar)",
            "language": "python",
            "metadata": {"supported_encryption": ["curve"]},
        }
        (Path(folder) / NAME).mkdir()
        (Path(folder) / NAME / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
        yield KernelSpecManager(kernel_dirs=[folder], ensure_native_kernel=False)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that decide how the kernel works."""
    parser.add_argument("--workers", metavar="N", help="size of the pool")
    parser.add_argument("--serial", action="store_true", help="run every cell serially")


def kernel_arguments(given: argparse.Namespace, others: Sequence[str]) -> list[str]:
    """Return the kernel's arguments; `others` are the words the parser did not know.

    Raises:
        UsageError: a word is no option, or a setting does not exist or may not be that.
    """
    for word in others:
        name, equals, value = word.removeprefix(_OWN).partition("=")
        if not word.startswith(_OWN) or not equals:
            raise UsageError(f"unknown option {word!r}; settings are given as {_OWN}NAME=VALUE")
        if name not in TaskPar.class_trait_names(config=True):
            known = ", ".join(sorted(TaskPar.class_trait_names(config=True)))
            raise UsageError(f"there is no setting {name!r}; there are {known}")
        if name == "workers":
            check_workers(value)
    found = list(others)
    if given.workers is not None:
        found.append(f"{_OWN}workers={check_workers(given.workers)}")
    if given.serial:
        found.append(f"{_OWN}enabled=False")
    return found
