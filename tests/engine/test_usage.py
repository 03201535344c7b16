"""How many cores a stretch of work uses, also where others take them from it."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

import taskpar_kernel.usage
from taskpar_kernel.usage import SHORTEST_S, Usage


@pytest.mark.parametrize(
    ("wall_s", "own_s", "process_s", "least", "most"),
    [
        (1.0, 1.0, 1.0, 1.0, 1.0),
        (1.0, 0.5, 0.5, 1.0, 1.0),  # others have taken half of the time
        (1.0, 1.0, 2.0, 2.0, 2.0),
        (1.0, 0.5, 1.0, 2.0, 2.0),  # two threads that got half of the time each
        (1.0, 0.0, 1.9, 1.5, 2.0),  # it only waits for two others
        (1.0, 0.0, 0.0, 0.0, 0.0),  # it waits
        (1.0, 0.05, 0.05, 0.0, 0.3),
        (1.0, 0.0, 60.0, 2.0, 2.0),  # more than there are
    ],
)
def test_cores(
    monkeypatch: pytest.MonkeyPatch,
    wall_s: float,
    own_s: float,
    process_s: float,
    least: float,
    most: float,
) -> None:
    spent = SimpleNamespace(wall=100.0, own=3.0, process=50.0)
    clocks = SimpleNamespace(
        monotonic=lambda: spent.wall,
        process_time=lambda: spent.process,
        thread_time=lambda: spent.own,
        pthread_getcpuclockid=lambda _: 7,
        clock_gettime=lambda _: spent.own,
    )
    monkeypatch.setattr(taskpar_kernel.usage, "time", clocks)
    monkeypatch.setattr(taskpar_kernel.usage, "usable_cores", lambda: 2)
    usage = Usage()
    usage.begin(1.0)
    spent.wall += wall_s
    spent.own += own_s
    spent.process += process_s + 0.5
    found = usage.cores(1.5)
    assert found is not None
    assert least <= round(found, 9) <= most


def test_another_thread_can_ask() -> None:
    usage = Usage()
    usage.begin()
    end_s = time.thread_time() + 0.05
    while time.thread_time() < end_s:
        sum(range(1000))
    found: list[float | None] = []
    other = threading.Thread(target=lambda: found.append(usage.cores()))
    other.start()
    other.join()
    assert (found[0] or 0) > 0.1  # of a thread that has not worked, nothing could be told


def test_too_short_to_tell() -> None:
    usage = Usage()
    usage.begin()
    assert SHORTEST_S > 0
    assert usage.cores() is None
