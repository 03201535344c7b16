"""One law: whatever a random program does, taskpar does what ipykernel does."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskpar_kernel.testing.differential.command import main

PROGRAMS = 120
"""So many run in about a minute on two cores; `make equality` runs more, with four workers, too."""


@pytest.mark.timeout(600)
def test_random_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--count", str(PROGRAMS), "--jobs", "2", "--most", "2", "--out", str(tmp_path)])
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
