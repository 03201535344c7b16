"""Sizes come in, seconds go out: what it costs to move a value and to hand over a task.

The rule: within one place a value costs nothing; between two places it takes a latency and its size
over the bandwidth. Transfers do not disturb one another, nor the work of either end.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommunicationModel:
    """Costs of being in two places, measured on local sockets and shared memory."""

    latency_s: float = 0.0005
    bytes_per_s: float = 2e9
    dispatch_s: float = 0.0005
    """Time a worker is busy with being told to run something, for each task or group of tasks."""

    def transfer_s(self, size_bytes: int) -> float:
        """Return the seconds from sending to arrival at another place."""
        return self.latency_s + size_bytes / self.bytes_per_s

    @property
    def grain_s(self) -> float:
        """Work below this is not worth a hand-over: a worker would be busy with overhead mostly."""
        return 4 * (self.latency_s + self.dispatch_s)
