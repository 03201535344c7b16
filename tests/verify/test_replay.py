"""`%taskpar verify` in a live kernel: the session is run again beside it and stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskpar_kernel.testing.fronts import Front

LIMIT_S = 60


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    with Front("taskpar", tmp_path / "cwd", TASKPAR_WORKERS="2") as front:
        yield front


def test_before_any_cell(front: Front) -> None:
    seen = front.run("%taskpar verify", limit_s=LIMIT_S)
    assert "no cell was run before" in seen.text("stderr")


def test_the_session_is_run_again_and_stays_as_it_is(front: Front) -> None:
    front.run("counter = [0]")
    front.run("counter[0] += 1\nopen('out.txt', 'a').write('x')\nprint(counter)")
    seen = front.run("%taskpar verify --workers 2 --eager", limit_s=LIMIT_S)
    assert seen.status == "ok"
    assert seen.text().splitlines()[-1] == "results equal: yes"
    assert front.run("print(counter, open('out.txt').read())").text() == "[1] x\n"


def test_only_the_last_cell_unless_all_are_asked_for(front: Front) -> None:
    front.run("import os\nprint(os.getpid())")
    front.run("x = 1")
    last = front.run("%taskpar verify", limit_s=LIMIT_S).text()
    assert "cell 1 stdout" not in last
    assert "1 differences in earlier cells" in last
    every = front.run("%taskpar verify --all", limit_s=LIMIT_S).text()
    assert "cell 1 stdout" in every


def test_wrong_use_is_told(front: Front) -> None:
    front.run("x = 1")
    seen = front.run("%taskpar verify --workers none", limit_s=LIMIT_S)
    assert "the number of workers is a whole number" in seen.text() + seen.text("stderr")
