"""One worker as home sees it: its present process, what waits to be sent to it, and its deaths.

Theory of operation. A member is in one of four states:

    starting ──Ready and its outputs subscribed──▶ ready
    starting, ready ──process ended──▶ gone ──launch──▶ starting (next incarnation)
    gone ──too many deaths, or it cannot be started──▶ failed

What is posted to a member that is not ready waits in its outbox, in order. What was posted to a
process that ended is dropped with it: the incarnation tells which that is. The rule: all of this
happens on the I/O thread.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskpar_kernel.model.ids import Place
    from taskpar_kernel.pool.provisioning import Subkernel
    from taskpar_kernel.transport.sockets import Frames, Reader, Sockets, Writer

STARTING, READY, GONE, FAILED = "starting", "ready", "gone", "failed"
MOST_RESTARTS = 10
RESTART_WINDOW_S = 30.0


@dataclass(slots=True)
class Member:
    """The state of one worker. It decides nothing: `io_loop` calls it."""

    place: Place
    incarnation: int = 1
    state: str = STARTING
    process: Subkernel | None = None
    address: str = ""
    outputs: Reader | None = None
    since_s: float = 0.0
    asked_to_end: str = ""
    given: bool = False
    """Something else than an import was posted to the present process."""
    _writer: Writer | None = None
    _outbox: list[Frames] = field(default_factory=list)
    _deaths_s: deque[float] = field(default_factory=deque)

    def connect(self, sockets: Sockets, address: str) -> Reader:
        """Open the way to the process that says it is up; return the reader of its outputs."""
        assert self.process is not None
        self.address = address
        self._writer = sockets.outbox(address)
        self.outputs = sockets.subscription(self.process.iopub)
        return self.outputs

    def become_ready(self, news: list[Frames]) -> None:
        """Send `news`, then what has waited; from now on everything goes directly."""
        self.state = READY
        self.since_s = time.monotonic()
        waiting, self._outbox = self._outbox, []
        for frames in (*news, *waiting):
            self.send(frames)

    def send(self, frames: Frames) -> None:
        """Send one message, or keep it until the worker is ready."""
        if self.state == READY:
            assert self._writer is not None
            self._writer.send(frames)
        elif self.state != FAILED:
            self._outbox.append(frames)

    def lose(self, *, expected: bool) -> bool:
        """Drop what belongs to the process that ended; return whether another may be started."""
        for end in (self._writer, self.outputs):
            if end is not None:
                end.close()
        self._writer = self.outputs = self.process = None
        self._outbox.clear()
        self.address, self.given = "", False
        self.asked_to_end = ""
        self.state = GONE
        self.incarnation += 1
        if expected:
            return True
        now_s = time.monotonic()
        self._deaths_s.append(now_s)
        while self._deaths_s and now_s - self._deaths_s[0] > RESTART_WINDOW_S:
            self._deaths_s.popleft()
        return len(self._deaths_s) <= MOST_RESTARTS
