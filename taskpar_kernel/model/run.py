"""What is recorded of a finished cell: the value behind `%taskpar last` and `last_run()`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StatementRecord:
    """One statement instance as it went: times in seconds since the cell's start."""

    line: int
    source: str
    place: str
    """"home" or the worker's number."""
    state: str
    """"home" (ran at home), "committed" (ran ahead), "squashed" (ahead in vain, then at home)."""
    start_s: float
    end_s: float
    reason: str
    """Why it ran at home or was run again; empty when it was committed ahead."""
    reason_kind: str = ""
    """The stable name of that reason, as in `Refusal.kind`."""
    reason_names: tuple[str, ...] = ()
    times: int = 1
    """How many iterations this record sums up."""
    reads: tuple[str, ...] = ()
    """Names it was predicted to read, sorted."""
    writes: tuple[str, ...] = ()
    """Names it was predicted to bind, delete, or change the object of, sorted."""


@dataclass(frozen=True, slots=True)
class PlannedRecord:
    """Where and when the plan that was followed put a statement; seconds since the cell's start."""

    line: int
    place: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class TransferRecord:
    """One bundle of values sent; `seconds` from hand-over at the sender to arrival."""

    name: str
    source: str
    target: str
    bytes: int
    seconds: float
    start_s: float = 0.0
    """When it was handed over, since the cell's start; below 0: it was there before."""


@dataclass(frozen=True, slots=True)
class ReasonRecord:
    """Why a statement or loop ran at home or waited, and what would free it."""

    line: int
    """First line of the statement, from 1; 0: it is about the cell as a whole."""
    statement: str
    kind: str
    """A stable name: "too-short", "carried", "depends", "not-portable", "blocked-drawing", …"""
    sentence: str
    advice: str
    """What would free it; empty where nothing would."""
    times: int
    seconds: float
    """Spent at home on it; 0.0 where that is not known."""


@dataclass(frozen=True, slots=True)
class Glance:
    """How far a running cell is, for those who only look."""

    at: int
    """The statement home is at, from 1."""
    of: int
    taken: int
    """Outcomes taken from workers so far."""
    ahead: int
    """Attempts that are out."""
    busy: int
    """Workers that run one of them."""
    workers: int
    expected_s: float | None = None
    """How long the cell took the last time."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The last cell: what ran where, what moved, and what it gained."""

    wall_s: float = 0.0
    serial_s_estimate: float = 0.0
    workers: int = 0
    statements: tuple[StatementRecord, ...] = ()
    transfers: tuple[TransferRecord, ...] = ()
    ahead: int = 0
    """Attempts started on workers."""
    committed_ahead: int = 0
    squashed: int = 0
    notes: tuple[str, ...] = field(default=())
    """Lines said to the user during the cell (a lost worker, a pool that did not start)."""
    reasons: tuple[ReasonRecord, ...] = ()
    """Why statements ran at home or waited: the dearest first, ties by line."""
    planned: tuple[PlannedRecord, ...] = ()
    """The plan that was followed; empty where the on-line policy decided."""

    @property
    def speed_up(self) -> float:
        """Estimated serial seconds over wall seconds."""
        return self.serial_s_estimate / self.wall_s if self.wall_s > 0 else 1.0

    def to_json(self) -> str:
        """Return the record as one JSON object."""
        return json.dumps(asdict(self))

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain dicts and lists."""
        return asdict(self)
