"""One law: whatever a notebook does, under taskpar it does what it does in plain ipykernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from table import Notebook, notebooks

from taskpar_kernel.testing.seen import Seems, differences

Run = Callable[[Notebook], Seems]
TABLE = notebooks()


@dataclass(slots=True)
class Tally:
    """How many statements the notebooks so far had, and how many came from workers."""

    notebooks: int = 0
    statements: int = 0
    ahead: int = 0


@pytest.fixture(scope="session")
def tally() -> Iterator[dict[str, Tally]]:
    tallies: dict[str, Tally] = {"normal": Tally(), "eager": Tally()}
    yield tallies
    for mode, t in tallies.items():
        if t.statements:
            print(f"\n{mode}: {t.notebooks} notebooks, {t.ahead} of {t.statements} ahead")


@pytest.mark.parametrize("notebook", TABLE, ids=str)
def test_parallel_is_serial(
    notebook: Notebook, mode: str, serially: Run, in_parallel: Run, tally: dict[str, Tally]
) -> None:
    serial = serially(notebook)
    tally[mode].notebooks += 1
    parallel = in_parallel(notebook)
    tally[mode].statements += parallel.statements
    tally[mode].ahead += parallel.ahead
    found = differences(serial, parallel)
    assert not found, "\n".join([*found, "statements:", *parallel.reasons])
    records = [s for statements in parallel.records for s in statements]
    untold = [s for s in records if s["state"] == "squashed" and not s["reason"]]
    assert not untold, untold


def test_a_good_share_runs_ahead_in_eager_mode(mode: str, tally: dict[str, Tally]) -> None:
    """A machine that runs everything at home would pass every test above."""
    counted = tally[mode]
    if mode != "eager" or counted.notebooks < len(TABLE):
        return
    share = counted.ahead / counted.statements
    assert share > 0.3, f"{counted.ahead} of {counted.statements} statements: {share:.2f}"
