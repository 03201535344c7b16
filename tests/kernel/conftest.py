from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from table import Notebook

from taskpar_kernel.testing.fronts import Front
from taskpar_kernel.testing.seen import Seems

MODES = {"normal": {}, "eager": {"TASKPAR_EAGER": "1"}}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebooks") / "cwd"


@pytest.fixture(scope="session")
def serially(folder: Path) -> Iterator[Callable[[Notebook], Seems]]:
    """What plain ipykernel makes of a notebook; each is run once."""
    known: dict[str, Seems] = {}
    with Front("python3", folder) as front:

        def run(notebook: Notebook) -> Seems:
            if str(notebook) not in known:
                known[str(notebook)] = _run(front, notebook)
            return known[str(notebook)]

        yield run


@pytest.fixture(scope="session", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def in_parallel(mode: str, folder: Path) -> Iterator[Callable[[Notebook], Seems]]:
    """What taskpar makes of it, in one mode."""
    with Front("taskpar", folder, TASKPAR_WORKERS="2", **MODES[mode]) as front:
        yield lambda notebook: _run(front, notebook)


def _run(front: Front, notebook: Notebook) -> Seems:
    try:
        return front.notebook(list(notebook.cells))
    except BaseException:
        front.restart()
        raise
    finally:
        if notebook.alone:
            front.restart()
