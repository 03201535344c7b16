"""The other commands of `taskpar`, and the command line itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskpar_kernel.cli import COMMANDS, main
from taskpar_kernel.cli.demo import CELLS, notebook
from taskpar_kernel.pool.folder import Folder


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert (
        f"taskpar{'_kernel' if command == 'install' else ''} {command}" in capsys.readouterr().out
    )


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert all(f"  {name} " in text for name in COMMANDS)


def test_without_a_command_the_help_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "examples:" in capsys.readouterr().err


def test_an_unknown_command_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["frobnicate"])
    assert end.value.code == 2
    assert "invalid choice: 'frobnicate'" in capsys.readouterr().err


def test_the_doctor_finds_a_working_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for what in ("versions", "cores", "kernelspec", "ipc", "CURVE", "left-overs", "self-test"):
        assert any(line.startswith("ok") and what in line for line in lines), what
    assert lines[-1] == "all is well"


def test_the_doctor_removes_what_ended_kernels_left(capsys: pytest.CaptureFixture[str]) -> None:
    live = Folder()
    live.create()
    parts = live.path.name.split("-")
    parts[2:4] = ["1", "1"]  # no process of this number was born then
    orphan = live.path.with_name("-".join(parts))
    orphan.mkdir()
    try:
        assert main(["doctor", "--quick"]) == 0
        assert "removed" in capsys.readouterr().out
        assert not orphan.exists()
        assert live.path.exists()
    finally:
        live.remove()


def test_the_doctor_tells_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(os.environ, "TASKPAR_WORKERS", "many")
    assert main(["doctor", "--quick"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("wrong  settings: workers='many'") for line in lines)
    assert lines[-1].startswith("1 of these would keep")


def test_the_demo_notebook_is_a_notebook() -> None:
    import nbformat

    made = nbformat.from_dict(notebook())
    nbformat.validate(made)
    assert [cell.source for cell in made.cells] == list(CELLS)


def test_the_demo_compares(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    out = capfd.readouterr().out
    assert "results equal: yes" in out
    assert "%taskpar tells what ran where" in out


def test_the_demo_of_no_notebook_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", str(tmp_path / "no.ipynb")]) == 2
    assert "does not exist; nothing was run" in capsys.readouterr().err
