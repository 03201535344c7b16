"""A JupyterLab server of the tests' own, and what a user does in its pages."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

START_LIMIT_S = 90
SPEC = {"name": "taskpar", "display_name": "Python 3 (taskpar)", "language": "python"}


class Lab:
    """JupyterLab on a free port, with settings, runtime files and notebooks in one folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""

    def __enter__(self) -> Lab:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.choose_theme("JupyterLab Light")
        environ = {k: v for k, v in os.environ.items() if not k.startswith("TASKPAR_")}
        environ |= {
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(self.folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.folder / "workspaces"),
            "TASKPAR_WORKERS": "2",
            "TASKPAR_HISTORY": "0",
        }
        log = (self.folder / "lab.log").open("wb")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *(f"--port={port}", "--ServerApp.port_retries=0", "--expose-app-in-browser"),
                *("--IdentityProvider.token=", f"--ServerApp.root_dir={self.work}"),
            ],
            env=environ,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log.close()
        end_s = time.monotonic() + START_LIMIT_S
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{self.address}/api", timeout=5):
                return self
            assert time.monotonic() < end_s, (self.folder / "lab.log").read_text()
            threading.Event().wait(0.2)

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def choose_theme(self, theme: str) -> None:
        """Set the theme of pages that are opened from now on."""
        for plugin, settings in (
            ("themes", {"theme": theme}),
            ("notification", {"fetchNews": "false", "checkForUpdates": False}),
        ):
            path = self.folder / "settings/@jupyterlab/apputils-extension"
            path.mkdir(parents=True, exist_ok=True)
            text = json.dumps(settings)
            (path / f"{plugin}.jupyterlab-settings").write_text(text, encoding="utf-8")

    def notebook(self, name: str, cells: list[Any]) -> str:
        """Write a notebook; a cell is its source, or source and outputs. Return its name."""
        found = []
        for number, cell in enumerate(cells):
            source, outputs = (cell, []) if isinstance(cell, str) else cell
            found.append(
                {
                    "cell_type": "code",
                    "execution_count": None,
                    "id": f"cell-{number}",
                    "metadata": {},
                    "outputs": outputs,
                    "source": source,
                }
            )
        whole = {"cells": found, "metadata": {"kernelspec": SPEC}, "nbformat": 4}
        text = json.dumps(whole | {"nbformat_minor": 5})
        (self.work / name).write_text(text, encoding="utf-8")
        return name

    def saved(self, name: str) -> list[dict[str, Any]]:
        """Return the cells of a notebook as they are on disk."""
        cells: list[dict[str, Any]] = json.loads((self.work / name).read_text())["cells"]
        return cells


class Notebook:
    """One notebook in one page of the browser."""

    def __init__(self, page: Any, lab: Lab, name: str):
        self.page = page
        self.name = name
        page.goto(f"{lab.address}/lab/workspaces/{Path(name).stem}/tree/{name}?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        page.wait_for_function("() => window.jupyterapp !== undefined")
        self.wait_idle()

    def wait_idle(self, limit_s: float = 60.0) -> None:
        """Wait until the kernel of the notebook is there and has nothing to do."""
        self.page.wait_for_function(
            "() => { const p = window.jupyterapp.shell.currentWidget;"
            " return p && p.sessionContext && p.sessionContext.session &&"
            " p.sessionContext.session.kernel &&"
            " p.sessionContext.session.kernel.status === 'idle' &&"
            " !document.querySelector('.jp-Notebook .jp-mod-active.jp-mod-busy'); }",
            timeout=1000 * limit_s,
        )

    def command(self, name: str) -> None:
        """Do what a menu entry does; does not wait for it."""
        self.page.evaluate("name => { window.jupyterapp.commands.execute(name); }", name)

    def save(self) -> None:
        """Save the notebook and wait until that is done."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def run_all(self) -> None:
        """Run all cells; does not wait for them."""
        self.command("notebook:run-all-cells")

    def prompt(self, index: int) -> str:
        """Return what stands before a cell: `[1]:`, `[*]:`, `[ ]:`."""
        return str(self.cell(index).locator(".jp-InputPrompt").first.inner_text()).strip()

    def wait_done(self, index: int, limit_s: float = 60.0) -> None:
        """Wait until a cell has its number."""
        self.page.wait_for_function(
            "index => { const cell = document.querySelectorAll('.jp-Notebook .jp-Cell')[index];"
            " const prompt = cell && cell.querySelector('.jp-InputPrompt');"
            " return prompt && /\\[\\d+\\]/.test(prompt.textContent); }",
            arg=index,
            timeout=1000 * limit_s,
        )

    def cell(self, index: int) -> Any:
        """Return the element of a cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Any:
        """Return the element with a cell's outputs."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def run(self, index: int) -> None:
        """Select a cell and run it, as a user does with Shift+Enter."""
        self.cell(index).locator(".jp-InputPrompt").first.click()
        self.page.keyboard.press("Shift+Enter")
