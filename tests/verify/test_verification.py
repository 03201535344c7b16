"""`taskpar verify`: equal, different, and what cannot be compared, with real kernels."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from taskpar_kernel.errors import UsageError
from taskpar_kernel.testing.folders import Copy
from taskpar_kernel.testing.verify import main, without_own_magics


def notebook(path: Path, *cells: str, **metadata: Any) -> str:
    code = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    content = {"cells": [code | {"source": c} for c in cells], "metadata": metadata}
    path.write_text(json.dumps(content | {"nbformat": 4, "nbformat_minor": 4}))
    return str(path)


EQUAL = (
    "import time\ndef f(n):\n    time.sleep(0.05)\n    return [n] * 3",
    "%%taskpar --workers 2\na = f(1)\nb = f(2)\nprint(a, b)",
    "%taskpar last --text",
    "seen = open('x.txt').read()\nopen('out.txt', 'w').write(seen)\n1 / 0",
)


def test_an_equal_notebook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.txt").write_text("beside it")
    path = notebook(tmp_path / "n.ipynb", *EQUAL)
    assert main([path, "--eager", "--workers", "2", "--timeout", "60"]) == 0
    told = capsys.readouterr().out
    assert "results equal: yes" in told
    assert "3 cells, " in told
    (row,) = (line.split() for line in told.splitlines() if line.startswith("   2 "))
    assert int(row[-2]) > 0  # something was run ahead, or this compares nothing
    assert sorted(p.name for p in tmp_path.iterdir()) == ["n.ipynb", "x.txt"]


def test_the_last_error_is_the_notebooks_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = notebook(tmp_path / "n.ipynb", "1 / 0", "import sys; print(repr(sys.last_value))")
    assert main([path]) == 0, capsys.readouterr().out


def test_here_runs_in_the_folder_itself(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "open('out.txt', 'w').write('here')")
    assert main([path, "--here"]) == 0
    assert (tmp_path / "out.txt").read_text() == "here"


def test_a_notebook_that_differs_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([notebook(tmp_path / "n.ipynb", "x = 1", "import os; print(os.getpid())")]) == 1
    told = capsys.readouterr().out
    assert "cell 2 stdout text" in told
    assert "the notebook itself is not deterministic" in told
    assert "results equal: no" in told


KNOWS = "import sys\nparallel = 'taskpar_kernel.kernel' in sys.modules\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print(parallel)", "cell 1 stdout text"),
        ("x = [1] if parallel else (1,)", "name x"),
        ("open('f', 'w').write(str(parallel))", "file f"),
        ("if parallel: raise ValueError", "cell 1: outputs"),
    ],
)
def test_what_differs_is_told(
    code: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([notebook(tmp_path / "n.ipynb", KNOWS + code)]) == 1
    (line,) = (s for s in capsys.readouterr().out.splitlines() if s.startswith(f"  {expected}"))
    assert "so do two serial runs" not in line


def test_a_parallel_run_that_ends_early_is_a_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = KNOWS + "import os\nif parallel: os._exit(3)"
    assert main([notebook(tmp_path / "n.ipynb", "1", code)]) == 1
    assert "the kernel ended after cell 1" in capsys.readouterr().out


def test_a_serial_run_that_takes_too_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = notebook(tmp_path / "n.ipynb", "while True: pass")
    assert main([path, "--timeout", "1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "took over 1 s" in line


R = {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}


def test_an_interrupt_ends_it_and_its_kernels(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "x = 1", "import time\nwhile True: time.sleep(0.05)")
    command = [sys.executable, "-u", "-m", "taskpar_kernel", "verify", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        while b"1 of 2" not in process.stdout.readline():
            pass
        kernels = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 2
    assert told.decode().splitlines() == [
        "taskpar verify: interrupted; nothing was compared",
    ]
    assert kernels
    assert psutil.wait_procs(kernels, timeout=10)[1] == []


BAD = {
    "missing": (None, "does not exist"),
    "empty": ("", "is not a notebook"),
    "not JSON": ("cells", "is not a notebook"),
    "a list": ("[1]", "is not a notebook"),
    "a number": ("3", "is not a notebook"),
    "JSON of something else": ('{"a": 1}', "is not a notebook"),
    "cells of no kind": ('{"cells": [{}], "metadata": {}, "nbformat": 4}', "is not a notebook"),
    "not text": ("\udcff", "is not a notebook"),
    "of R": (
        json.dumps({"cells": [], "metadata": R, "nbformat": 4, "nbformat_minor": 4}),
        "of R, not of Python",
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_line(text: str | None, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    if text is not None:
        path.write_text(text, errors="surrogateescape")
    command = [sys.executable, "-m", "taskpar_kernel", "verify", path, "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert expected in line
    assert line.startswith("taskpar verify: ")


def test_a_folder_is_no_notebook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "is not a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [[], ["n", "--workers", "0"], ["n", "--timeout", "x"], ["n", "--timeout", "0"]]
)
def test_wrong_use(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "usage: taskpar verify" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("%%taskpar\nx", "\nx"),
        ("x\n%taskpar last\ny", "x\n\ny"),
        ("if x:\n    %taskpar off", "if x:\n    pass"),
        ("%load_ext taskpar_kernel", ""),
        ("%taskparty\n%%time\nx", "%taskparty\n%%time\nx"),
    ],
)
def test_own_magics_are_left_out(source: str, expected: str) -> None:
    assert without_own_magics(source) == expected


# The copy of the folder ---------------------------------------------------------------------


def test_a_copy_is_set_back(tmp_path: Path) -> None:
    original, folder = tmp_path / "original", tmp_path / "copy"
    (original / "deep" / "__pycache__").mkdir(parents=True)
    (original / "deep" / "a.txt").write_text("a")
    (original / "deep" / "__pycache__" / "b").write_text("b")
    (original / ".hidden").write_text("h")
    copy = Copy(original, folder)
    copy.set_back()
    before = copy.digests()
    assert list(before) == ["deep/a.txt"]
    (folder / "deep" / "a.txt").write_text("changed")
    (folder / "new").mkdir()
    (folder / "new" / "n").write_text("n")
    assert list(copy.digests()) == ["deep/a.txt", "new/n"]
    copy.set_back()
    assert copy.digests() == before
    assert (original / "deep" / "a.txt").read_text() == "a"


def test_a_folder_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(11))
    with pytest.raises(UsageError, match="--here"):
        Copy(tmp_path, tmp_path / "copy", most_bytes=10)
