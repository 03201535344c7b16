"""One law: whatever a random program does, taskpar does what ipykernel does."""

from __future__ import annotations

import pytest

from taskpar_kernel.testing.differential.bench import Mode
from taskpar_kernel.testing.differential.catalogue import hazards
from taskpar_kernel.testing.differential.run import Runner

PROGRAMS = 100
"""So many run in the time a test may take; `make equality` runs more."""
SHARES = 3


@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", range(SHARES))
def test_random_programs(share: int) -> None:
    said: list[str] = []
    runner = Runner(hazards(), (Mode("eager", 2), Mode("normal", 2)), said.append, most=2)
    runner.run(range(share * PROGRAMS, (share + 1) * PROGRAMS))
    assert runner.tally.is_good(), "\n".join([*said, runner.tally.table()])
