"""What the I/O thread shares with the others: calls go in, a snapshot of the workers comes out.

The rule: everything here is safe from any thread and returns at once; all other state of a pool
belongs to the I/O thread.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from taskpar_kernel.model.ids import Place
    from taskpar_kernel.settings import Settings


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pool is made of."""

    workers: int
    settings: Settings
    python: str
    cwd: str
    forks: bool = True
    """Workers are forked from a zygote where that is possible."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker at one moment: `state` starting, ready, gone or failed; `up_s` seconds ready."""

    number: Place
    pid: int
    state: str
    memory_bytes: int
    up_s: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the I/O thread last published about one worker."""

    incarnation: int
    state: str
    pid: int = 0
    since_s: float = 0.0


@dataclass(slots=True)
class Shared:
    """Calls for the I/O thread, and what it published last."""

    folder: Path
    snapshots: dict[Place, Snapshot]
    ready: frozenset[Place] = frozenset()
    failure: str = ""
    changed: threading.Condition = field(default_factory=threading.Condition)
    _calls: deque[Callable[[], None]] = field(default_factory=deque)
    _wake: Callable[[], object] | None = None

    def submit(self, call: Callable[[], None]) -> None:
        """Have `call` made on the I/O thread, after all that were submitted before."""
        self._calls.append(call)
        wake = self._wake
        if wake is not None:
            wake()

    def serve(self, wake: Callable[[], object] | None) -> None:
        """On the I/O thread: call `wake` for each new call from now on (None: never again)."""
        self._wake = wake
        if wake is not None:
            wake()

    def take_calls(self) -> None:
        """On the I/O thread: make the calls that wait."""
        while self._calls:
            call = self._calls.popleft()
            try:
                call()
            except Exception:  # noqa: BLE001 - the edge: one bad call must not stop the others
                _log.exception("a call to the pool's I/O thread failed")

    def publish(self, place: Place, snapshot: Snapshot) -> None:
        """On the I/O thread: let the others see a worker's new state."""
        with self.changed:
            self.snapshots[place] = snapshot
            self.ready = frozenset(p for p, s in self.snapshots.items() if s.state == "ready")
            self.changed.notify_all()

    def fail(self, why: str) -> None:
        """On the I/O thread: say that not all workers will come up."""
        with self.changed:
            self.failure = self.failure or why
            self.changed.notify_all()
