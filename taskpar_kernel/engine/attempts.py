"""What home knows of each attempt: events from the workers come in, its state goes out.

Events arrive on the I/O thread; each is one assignment or append, and wakes whoever waits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskpar_kernel.model.ids import Place, Ticket
from taskpar_kernel.model.messages import AtGate, Finished, Output

if TYPE_CHECKING:
    from taskpar_kernel.commit.apply import Opened
    from taskpar_kernel.engine.ledger import Bundle
    from taskpar_kernel.engine.stream import Instance


@dataclass(slots=True, eq=False)
class AttemptRecord:
    """One attempt, from the moment it is sent out until it is committed or dropped."""

    ticket: Ticket
    instance: Instance
    worker: Place
    outcome: Bundle
    reads: tuple[tuple[str, Bundle], ...]
    modules: tuple[tuple[str, object], ...]
    ambient: dict[str, object]
    inputs: tuple[Bundle, ...]
    """Every bundle its prelude or its code reads."""
    made: tuple[str, ...]
    """Names it reads as its prelude made them."""
    replica: Bundle | None
    parts: tuple[Instance, ...] = ()
    """The instances of a chunk, in program order; empty: it is one statement's attempt."""
    items: Bundle | None = None
    """What the parts of a chunk read beside `reads`."""
    opened: Opened | None = None
    """A chunk's outcome, once its first part was taken."""
    issued_s: float = field(default_factory=time.monotonic)
    posting_s: float = 0.0
    """CPU seconds it took home to send it out, its inputs with it."""
    weighed: bool = False
    """Whether it is known what it cost beside its work."""
    ends_s: float = 0.0
    """When it is expected to have ended, in monotonic seconds."""
    started_s: float | None = None
    gate: AtGate | None = None
    """What it said when it came to the gate, if it did."""
    passed: bool = False
    """Whether home has let it pass the gate: what it does to files happens."""
    gone: bool = False
    """Whether the process that ran it has ended."""
    finished: Finished | None = None
    outputs: list[Output] = field(default_factory=list)
    shown: int = 0
    """How many of `outputs` were shown live."""
    lost: str = ""
    """How its worker ended, if it did."""
    dropped: bool = False

    @property
    def waits(self) -> bool:
        """Whether it waits at the gate."""
        return self.gate is not None and not self.passed and not self.over

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.dropped or bool(self.lost) or self.finished is not None

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The statement instances it runs."""
        return self.parts or (self.instance,)

    @property
    def complete(self) -> bool:
        """Whether it is finished and all of its output is here."""
        return self.finished is not None and len(self.outputs) >= self.finished.outputs
