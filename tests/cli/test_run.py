"""`taskpar run` as a shell sees it: what is printed where, and exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import pytest

from taskpar_kernel.cli.scripts import cells_of

LIMIT_S = 90
NAPS = "import time\ndef nap(s):\n    time.sleep(s)\n    return s\n"


def taskpar(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "taskpar_kernel", *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, "TASKPAR_WORKERS": "2"},
    )


def notebook(path: Path, *cells: str) -> Path:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(made, path)
    return path


@pytest.mark.parametrize("kind", ["notebook", "script"])
def test_what_a_run_learns_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("TASKPAR_HISTORY", "1")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    cells = (NAPS, "nap(2.0)", "a = nap(0.2)\nb = nap(0.2)\nc = nap(0.2)")
    path = notebook(tmp_path / "n.ipynb", *cells)
    if kind == "script":
        path = tmp_path / "s.py"
        path.write_text("# %%\n" + "\n# %%\n".join(cells) + "\n")
    done = taskpar("run", path.name, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    kept = (tmp_path / "data" / "taskpar" / "costs").read_bytes()
    assert len(kept.splitlines()) >= 4  # a line that says what it is, and the three dear statements


def test_a_notebook_is_run_and_saved(tmp_path: Path) -> None:
    notebook(tmp_path / "n.ipynb", NAPS, "a = nap(0.3)\nb = nap(0.3)\nprint(a + b)", "a * 2")
    done = taskpar("run", "n.ipynb", "-o", "out.ipynb", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == [f"cell {n} of 3" for n in (1, 2, 3)]
    assert lines[-1] == "wrote out.ipynb"
    cells = nbformat.read(tmp_path / "out.ipynb", 4).cells
    assert cells[1].outputs[0].text == "0.6\n"
    assert cells[2].outputs[0].data["text/plain"] == "0.6"
    assert cells[2].execution_count == 3
    assert "execution" in cells[2].metadata, "no times for jupyterlab-execute-time"


def test_without_o_outputs_are_printed_and_nothing_is_saved(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "n.ipynb", "print('out')\n6 * 7", "import sys; _ = sys.stderr.write('e')"
    )
    before = path.read_bytes()
    done = taskpar("run", "n.ipynb", folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout == "out\n42\n"
    assert done.stderr.endswith(" s\ne") or "\nedone after" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["n.ipynb"]
    assert path.read_bytes() == before


def test_a_cell_that_raises_ends_it_with_1_and_is_saved(tmp_path: Path) -> None:
    notebook(tmp_path / "n.ipynb", "x = 1", "1 / 0", "print('never')")
    done = taskpar("run", "n.ipynb", "-o", "out.ipynb", folder=tmp_path)
    assert done.returncode == 1
    assert "ZeroDivisionError: division by zero" in done.stderr
    cells = nbformat.read(tmp_path / "out.ipynb", 4).cells
    assert cells[1].outputs[0].output_type == "error"
    assert cells[2].outputs == []


def test_what_cannot_be_saved_after_all_is_kept_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    notebook(tmp_path / "n.ipynb", "import shutil\nshutil.rmtree('out')\n6 * 7")
    done = taskpar("run", "n.ipynb", "-o", "out/x.ipynb", folder=tmp_path)
    assert done.returncode == 2
    *_, says = done.stderr.splitlines()
    assert says.startswith("taskpar run: out/x.ipynb cannot be written")
    kept = Path(says.partition("it is kept in ")[2])
    (cell,) = nbformat.read(kept, as_version=4).cells
    assert cell.outputs[0].data["text/plain"] == "42"
    shutil.rmtree(kept.parent)


def test_a_cell_that_takes_too_long_ends_it_with_1(tmp_path: Path) -> None:
    notebook(tmp_path / "n.ipynb", "import time\ntime.sleep(60)")
    done = taskpar("run", "n.ipynb", "--timeout", 2, folder=tmp_path)
    assert done.returncode == 1
    assert "a cell took longer than 2 s" in done.stderr


def test_settings_reach_the_kernel(tmp_path: Path) -> None:
    told = "s = get_ipython().door.settings\nprint(s.workers, s.enabled, s.policy)"
    notebook(tmp_path / "n.ipynb", told)
    words = ("--workers", 3, "--serial", "--TaskPar.policy=heft")
    done = taskpar("run", "n.ipynb", *words, folder=tmp_path)
    assert done.stdout == "3 False heft\n", done.stderr


SCRIPT = '''"""A script."""
import sys, time, beside
print(sys.argv, __file__, __name__, beside.x)
# %%
def nap(s):
    time.sleep(s)
    return s
a = nap(0.2); b = nap(0.2)
a
# %% [markdown]
# words
# %% the end
print(a + b, file=sys.stderr)
'''


def test_a_script_is_the_main_program(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(SCRIPT)
    (tmp_path / "beside.py").write_text("x = 'found'\n")
    done = taskpar("run", "s.py", "--", "data.csv", "-v", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['s.py', 'data.csv', '-v'] s.py __main__ found\n"
    assert done.stderr == "0.4\n"


def test_a_script_that_raises_tells_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("x = 1\n\n# %%\n\n1 / 0\n# %%\nprint('never')\n")
    done = taskpar("run", "s.py", folder=tmp_path)
    assert done.returncode == 1
    assert "----> 5 1 / 0" in done.stderr
    assert "\x1b" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("leave", "code", "says"),
    [("sys.exit()", 0, ""), ("sys.exit(3)", 3, ""), ("sys.exit('no luck')", 1, "no luck\n")],
)
def test_a_script_leaves_with_its_own_code(
    tmp_path: Path, leave: str, code: int, says: str
) -> None:
    (tmp_path / "s.py").write_text(f"import sys\n# %%\n{leave}\n# %%\nprint('never')\n")
    done = taskpar("run", "s.py", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", says)


def test_cells_of_a_script_keep_their_line_numbers() -> None:
    assert cells_of("a = 1\n# %%\nb = 2\n#%% x\nc = 3") == [
        "a = 1\n",
        "#\n# %%\nb = 2\n",
        "#\n#\n#\n#%% x\nc = 3",
    ]
    assert cells_of("a\n") == ["a\n"]
    assert cells_of(" \n") == []
    assert cells_of("# %%time is no cell\na\n") == ["# %%time is no cell\na\n"]


def test_an_interrupt_ends_it_with_130(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("import time\nprint('on', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "taskpar_kernel", "run", "s.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.communicate()


WRONG = {
    "no such file": (["no.ipynb"], "no.ipynb does not exist; nothing was run"),
    "a folder": (["."], ". is not a file; nothing was run"),
    "no notebook": (["bad.ipynb"], "bad.ipynb is not a notebook"),
    "other language": (["r.ipynb"], "is a notebook of R, not of Python; nothing was run"),
    "out for a script": (["s.py", "-o", "x"], "-o is for notebooks"),
    "out in no folder": (["n.ipynb", "-o", "no/x.ipynb"], "no/x.ipynb cannot be written"),
    "out is a folder": (["n.ipynb", "-o", "."], ". cannot be written; nothing was run"),
    "workers": (["n.ipynb", "--workers", "abc"], "workers='abc': the number of workers is a whole"),
    "no setting": (["n.ipynb", "--TaskPar.foo=1"], "there is no setting 'foo'; there are eager"),
    "no option": (["n.ipynb", "--frob"], "unknown option '--frob'"),
    "words": (["n.ipynb", "--", "x"], "words after -- are for scripts"),
    "timeout": (["n.ipynb", "--timeout", "-1"], "is not a whole number of seconds over 0"),
    "nothing": ([], "the following arguments are required: FILE"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_is_one_line_and_2(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from taskpar_kernel.cli import main

    monkeypatch.chdir(tmp_path)
    notebook(Path("n.ipynb"), "print('ran')")
    Path("bad.ipynb").write_text("{]")
    language = {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}
    other = {"cells": [], "metadata": language, "nbformat": 4, "nbformat_minor": 5}
    Path("r.ipynb").write_text(json.dumps(other))
    Path("s.py").write_text("print('ran')\n")
    words, says = WRONG[name]
    assert main(["run", *words]) == 2
    printed = capsys.readouterr()
    assert says in printed.err.splitlines()[-1]
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_it_leaves_no_process(tmp_path: Path) -> None:
    import psutil

    (tmp_path / "s.py").write_text("import os\nprint(os.getpid())\n")
    done = taskpar("run", "s.py", folder=tmp_path)
    end_s = time.monotonic() + 10
    while psutil.pid_exists(int(done.stdout)):
        assert time.monotonic() < end_s, "the kernel lives on"
        threading.Event().wait(0.05)
