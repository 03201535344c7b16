from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from pool_fronts import LIMIT_S, Front

from taskpar_kernel.pool.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(2) as two:
        yield two


@pytest.fixture
def wait_until() -> Callable[..., float]:
    """Wait for a condition; returns the seconds that took, or fails."""
    pause = threading.Event()

    def wait(condition: Callable[[], object], limit_s: float = LIMIT_S) -> float:
        start_s = time.monotonic()
        while not condition():
            if time.monotonic() - start_s > limit_s:
                pytest.fail(f"waited {limit_s} s in vain")
            pause.wait(0.01)
        return time.monotonic() - start_s

    return wait


@pytest.fixture
def front() -> Iterator[Callable[..., Front]]:
    fronts: list[Front] = []

    def start(*codes: str, forks: bool = True) -> Front:
        fronts.append(Front(*codes, forks=forks))
        return fronts[-1]

    yield start
    for one in fronts:
        one.close()
