"""One law: whatever a random program does, taskpar does what ipykernel does."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskpar_kernel.testing.differential.command import main
from taskpar_kernel.testing.fronts import Front

PROGRAMS = 300
"""So many take some 90 s on two cores that do nothing else; `make equality` runs more."""


@pytest.mark.timeout(900)
def test_random_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--count", str(PROGRAMS), "--workers", "2,4", "--jobs", "2", "--most", "2"]
    code = main([*few, "--out", str(tmp_path)])
    told = [path.read_text(encoding="utf-8") for path in sorted(tmp_path.iterdir())]
    assert code == 0, "\n".join([*told, capsys.readouterr().out])


def test_a_program_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "7", "--show"]) == 0
    first = capsys.readouterr().out
    assert main(["--seed", "7", "--show"]) == 0
    assert capsys.readouterr().out == first
    assert "\n---\n" in first


def test_hazards_can_be_left_out_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--only", "loops", "--known", "loop-break"]) == 0
    listed = capsys.readouterr().out
    assert "loops: loop-else\n" in listed
    assert "loop-break" not in listed
    assert "aliases:" not in listed


def test_an_unknown_hazard_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--known", "no-such-hazard"])
    assert ended.value.code == 2
    assert "no-such-hazard" in capsys.readouterr().err


def test_numbers_of_several_runs_add_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sums = ["--tally", str(tmp_path / "sums.json")]
    few = ["--only", "aliases", "--modes", "normal", "--count", "2", "--out", str(tmp_path / "out")]
    assert main([*few, *sums]) == 0
    assert main([*few, *sums, "--start", "2"]) == 0
    last = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in last if line.startswith("normal-2")] == list("2224")


def test_no_program_is_begun_when_the_time_is_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--seconds", "0", "--modes", "normal", "--out", str(tmp_path)]) == 0
    assert "normal-2" not in capsys.readouterr().out


def test_what_cannot_be_undone_is_told(tmp_path: Path) -> None:
    with Front("python3", tmp_path / "cwd") as front:
        front.run("import os; a = [1]; os.environ['LEFT'] = '1'; os.chdir('/')")
        assert front.reset() == []
        front.run("import math; math.sqrt = len")
        assert front.reset() == ["stdlib"]
