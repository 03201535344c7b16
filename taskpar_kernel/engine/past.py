"""What home has passed comes in; what nothing ahead rests on is let go of, here and on the workers.

A loop may make far more than memory holds, one value at a time. The rule: kept is the newest value
of each name, what attempts ahead of home read and make, and what holds objects of these; the rest
is given up, once it is worth the look. Giving up too much costs time and no result: an outcome that
refers to what is gone cannot be opened, an attempt that reads it finds that it is not there, and
home runs the statement.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from taskpar_kernel.model.ids import Key
from taskpar_kernel.model.messages import Forget, Script
from taskpar_kernel.transport.segments import Segments

if TYPE_CHECKING:
    from taskpar_kernel.engine.attempts import AttemptRecord
    from taskpar_kernel.engine.dispatch import Dispatch

_WORTH_BYTES = 64e6
"""So much has come and gone before the next look, which takes a microsecond for each bundle."""
_WORTH_BUNDLES = 1000


@dataclass(slots=True)
class Past:
    """Lets go of what a cell run has passed; on the main thread, under the engine's lock."""

    dispatch: Dispatch
    _taken_bytes: int = 0
    _bytes_then: int = 0
    _bundles_then: int = 0

    def took(self, attempt: AttemptRecord) -> None:
        """An outcome was taken."""
        if attempt.finished is not None and attempt.finished.packed is not None:
            packed = attempt.finished.packed
            self._taken_bytes += packed.nbytes
            attempt.outcome.paths |= packed.paths

    def tidy(self, ahead: Iterable[AttemptRecord]) -> None:
        """Let go of what neither the present names nor the attempts `ahead` of home need."""
        ledger = self.dispatch.ledger
        come_bytes = ledger.placed_bytes + self._taken_bytes - self._bytes_then
        if come_bytes < _WORTH_BYTES and len(ledger.bundles) - self._bundles_then < _WORTH_BUNDLES:
            return
        self._bytes_then += come_bytes
        self._bundles_then = len(ledger.bundles)
        attempts = list(ahead)
        needed = [
            bundle
            for attempt in attempts
            for bundle in (*attempt.inputs, attempt.outcome, attempt.replica)
            if bundle is not None
        ]
        self._let_go_of_outcomes(frozenset(id(attempt) for attempt in attempts))
        gone = [(b.key, b.holders, b.paths) for b in ledger.prune(needed)]
        for worker in self.dispatch.pool.ready:
            keys = tuple(Key(key) for key, holders, _ in gone if worker in holders)
            if keys:
                self.dispatch.pool.post(worker, Script((Forget(keys),)))
        Segments.release(path for _, _, paths in gone for path in paths)

    def _let_go_of_outcomes(self, ahead: frozenset[int]) -> None:
        for attempt in tuple(self.dispatch.attempts.values()):
            if id(attempt) in ahead or not attempt.over:
                continue
            attempt.opened = None
            if attempt.finished is not None and attempt.finished.packed is not None:
                attempt.finished = replace(attempt.finished, packed=None)


__all__ = ["Past"]
