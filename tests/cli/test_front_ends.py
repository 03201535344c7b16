"""Other ways to run a notebook with this kernel, and what they record of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

LIMIT_S = 100
CELLS = [
    "import time\ndef nap(s):\n    time.sleep(s)\n    return s",
    "a = nap(1.3)\nb = nap(1.4)\na + b",
]
SPEC = {"name": "taskpar", "display_name": "Python 3 (taskpar)", "language": "python"}


def jupyter(*words: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, "TASKPAR_WORKERS": "2"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    cells = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"c{number}",
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(CELLS)
    ]
    whole = {"cells": cells, "metadata": {"kernelspec": SPEC}, "nbformat": 4, "nbformat_minor": 5}
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps(whole))
    return path


def test_nbconvert_records_what_a_serial_run_gives(notebook: Path) -> None:
    words = ("nbconvert", "--execute", "--to", "notebook", "--output", "out.ipynb", "n.ipynb")
    jupyter("jupyter", *words, folder=notebook.parent)
    cells = json.loads((notebook.parent / "out.ipynb").read_text())["cells"]
    outputs = cells[1]["outputs"]
    assert [output["output_type"] for output in outputs] == ["execute_result"], "no line is kept"
    assert outputs[0]["data"]["text/plain"] == ["2.7"]
    times = cells[1]["metadata"]["execution"]
    assert times["iopub.status.busy"] < times["iopub.status.idle"]


def test_papermill_records_the_same_and_sets_parameters(notebook: Path) -> None:
    whole = json.loads(notebook.read_text())
    whole["cells"].insert(0, {**whole["cells"][0], "id": "p", "source": "s = 1"})
    whole["cells"][0]["metadata"] = {"tags": ["parameters"]}
    whole["cells"][2]["source"] = "a = nap(s)\nb = nap(0.2)\na + b"
    notebook.write_text(json.dumps(whole))
    words = ("papermill", "n.ipynb", "out.ipynb", "-p", "s", "0.5", "--no-progress-bar")
    jupyter(*words, folder=notebook.parent)
    cells = json.loads((notebook.parent / "out.ipynb").read_text())["cells"]
    assert [c["metadata"]["papermill"]["status"] for c in cells] == ["completed"] * 4
    (output,) = cells[3]["outputs"]
    assert output["data"]["text/plain"] == ["0.7"]


def test_jupyter_console(tmp_path: Path) -> None:
    """It is typed to as people do, a moment after the prompt.

    The client does not listen yet when it shows its first prompt: what is typed at once is now and
    then answered to nobody, and it waits for ever (6 of 40 times under python3). So it has three
    tries.
    """
    typed = "a = 6\nprint(a * 7)\n%taskpar --text\nexit\n"
    said = next(filter(None, (typed_to_console(typed, tmp_path) for _ in range(3))), "")
    assert "%taskpar tells" in said, "the banner"
    assert "42\n" in said
    assert "all at home" in said
    assert "Traceback" not in said


def typed_to_console(typed: str, folder: Path) -> str:
    """Return what the console showed, or "" if it has not ended after a while."""
    words = ("jupyter", "console", "--kernel", "taskpar", "--simple-prompt")
    with subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TASKPAR_WORKERS": "2"},
    ) as console:
        assert console.stdout is not None
        shown = b""
        while not shown.endswith(b"In [1]: "):
            more = console.stdout.read1(1000)  # type: ignore[attr-defined]
            assert more, shown.decode()
            shown += more
        time.sleep(1.0)
        try:
            rest, _ = console.communicate(typed.encode(), timeout=LIMIT_S / 4)
        except subprocess.TimeoutExpired:
            console.kill()
            return ""
    return (shown + rest).decode()


def test_jupyter_run(tmp_path: Path) -> None:
    (tmp_path / "r.py").write_text("print(6 * 7)\n")
    said = jupyter("jupyter", "run", "--kernel", "taskpar", "r.py", folder=tmp_path)
    assert said.split() == ["42"]


def test_jupyter_knows_the_kernel(tmp_path: Path) -> None:
    specs = json.loads(jupyter("jupyter", "kernelspec", "list", "--json", folder=tmp_path))
    spec = specs["kernelspecs"]["taskpar"]
    assert spec["spec"]["display_name"] == SPEC["display_name"]
    found = {path.name for path in Path(spec["resource_dir"]).iterdir()}
    assert {"logo-32x32.png", "logo-64x64.png", "logo-svg.svg"} <= found
