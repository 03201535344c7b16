"""`%taskpar verify`: the cells of a session come in, the lines of a verification go out.

The rule: the session itself is left alone. Its cells, as they were typed, are run again from the
beginning in kernels of their own, by `taskpar verify` in a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taskpar_kernel.errors import UsageError
from taskpar_kernel.testing.verify import without_own_magics


def replay(shell: Any, options: Sequence[str], *, every: bool) -> int:
    """Verify the session's cells so far; return what `taskpar verify` returns.

    Arguments:
        shell: IPython's shell; its raw history tells the cells, by their numbers.
        options: of `taskpar verify`, without the notebook.
        every: tell the differences of all cells, not only those of the last one.

    Raises:
        UsageError: No cell was run before.
    """
    cells = [without_own_magics(text) for text in shell.history_manager.input_hist_raw[1:]]
    numbers = [number for number, text in enumerate(cells, 1) if text.strip()]
    if not numbers:
        raise UsageError("no cell was run before this one")
    since = 0 if every else numbers[-1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "session.ipynb")
        path.write_text(json.dumps(_notebook(cells)), encoding="utf-8")
        command = [sys.executable, "-m", "taskpar_kernel", "verify", str(path)]
        command += ["--folder", str(shell.starting_dir), f"--since={since}", *options]
        return _told(command)


def _notebook(cells: Sequence[str]) -> dict[str, Any]:
    code: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
    }
    return {
        "cells": [code | {"source": text} for text in cells],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 4,
    }


def _told(command: Sequence[str]) -> int:
    """Run a command and print its lines as they come; an interrupt ends it too."""
    # a kernel's own variables would make the new ones believe that they are this one
    environ = {k: v for k, v in os.environ.items() if not k.startswith("JPY_")}
    with subprocess.Popen(  # noqa: S603 - our own command
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
        except BaseException:
            process.send_signal(signal.SIGINT)  # it ends its kernels before itself
            raise
    return process.returncode
