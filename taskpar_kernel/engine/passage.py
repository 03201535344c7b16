"""What home does for an attempt that changes files: let it pass the gate, make that final or not.

Theory of operation. Until home lets it pass, an attempt has changed nothing and can be dropped at
no cost. From then on home stands still until the attempt has ended, so what it reads and writes is
what the serial run reads and writes at this place. Then

    its outcome is committed                   → its journal is discarded: the effects are final
    it failed, and said so                     → its worker has taken the effects back before
    its worker is lost                         → home takes them back
    its outcome cannot be taken                → home takes them back
    home is interrupted, or waited too long    → it is interrupted; if it goes on, killed; as above

The rule: home goes on only when the effects are final or nothing is left of them.
"""

from __future__ import annotations

import queue
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from taskpar_kernel.engine.signals import deferred_interrupts
from taskpar_kernel.errors import PoolError
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.validation.verdict import changed_file
from taskpar_kernel.worker.seen import present_state
from taskpar_kernel.worker.undo import discard, journal_of, take_back, touched_by

if TYPE_CHECKING:
    from taskpar_kernel.engine.attempts import AttemptRecord
    from taskpar_kernel.engine.session import Session
    from taskpar_kernel.model.messages import FilesRead

UNDO_S = 0.4
"""How long a worker may take to end, and take back, what home interrupts; then it is killed."""


class Passage:
    """Home's side of the gate. It does not know what else an attempt depends on."""

    def __init__(self, session: Session):
        self._session = session

    def changed(self, attempt: AttemptRecord, files: FilesRead) -> Refusal | None:
        """Return which of the files the attempt looked at has changed since, or None."""
        path = changed_file(files, present_state) or self._came_and_went(files, attempt.issued_s)
        if path:
            self._session.overtaking.squashed(attempt.instance.step, attempt.issued_s)
        return (
            Refusal("squashed-files", f"the file {path} was changed in between") if path else None
        )

    def _came_and_went(self, files: FilesRead, issued_s: float) -> str:
        """Return the first file that may have been something else meanwhile, or nothing."""
        since = self._session.touched.since
        return next((path for path, state in files if since(path, state, issued_s)), "")

    def open_for(self, attempt: AttemptRecord) -> Refusal | None:
        """Let an attempt pass if the files it looked at are unchanged; return why not, or None."""
        assert attempt.gate is not None
        assert self._session.pool is not None
        why = self.changed(attempt, attempt.gate.files_read)
        if not why:
            attempt.passed = True
            self._session.pool.proceed(attempt.worker, attempt.ticket)
        return why

    def make_final(self, attempt: AttemptRecord) -> None:
        """The attempt's outcome was committed."""
        if attempt.passed:
            self._note(attempt)
            discard(self._journal(attempt))

    def take_back(self, attempt: AttemptRecord) -> None:
        """See to it that nothing is left of what a dropped attempt has done to files.

        The two orders: home looks for the journal after the worker has said that it is done, or
        after its process has ended. So they are never at work on it together.
        """
        if not attempt.passed:
            return
        with deferred_interrupts():
            self._wait_until_ended(attempt)
            self._note(attempt)
            left = attempt.finished.left if attempt.finished is not None else ""
            problems = [*filter(None, [left]), *take_back(self._journal(attempt))]
        if problems:
            line = attempt.instance.step.line
            self._session.say(
                f"taskpar: line {line} failed in a worker after it had changed files, and these "
                f"could not be put back: {'; '.join(problems)}"
            )

    def _note(self, attempt: AttemptRecord) -> None:
        there = () if attempt.finished is None else attempt.finished.taken_back
        for path, moves in (*there, *touched_by(self._journal(attempt))):
            self._session.touched.note(path, moves=moves)

    def _wait_until_ended(self, attempt: AttemptRecord) -> None:
        pool = self._session.pool
        end_s = time.monotonic() + UNDO_S
        while attempt.finished is None and not attempt.gone and pool is not None:
            if time.monotonic() > end_s:
                try:
                    pool.kill(attempt.worker)
                except PoolError:  # it is closed, and its processes have ended
                    return
                end_s += UNDO_S
            with suppress(queue.Empty):
                self._session.wake.get(timeout=UNDO_S / 10)

    def _journal(self, attempt: AttemptRecord) -> str:
        pool = self._session.pool
        return "" if pool is None else journal_of(pool.folder, attempt.ticket)
