"""The errors this package raises; each class says whose fault it is.

Nothing comes in, only exception types go out. The rule: a message names what failed, which
statement or worker, what happened to the data, and what to do.
"""

from __future__ import annotations


class TaskParError(Exception):
    """Root of all errors of this package."""


class UsageError(TaskParError, ValueError):
    """The user's call, option or setting is wrong; nothing was started or changed."""


class RemoteError(TaskParError):
    """The user's code raised on a worker; the message carries the worker's traceback text."""

    def __init__(self, message: str, *, ename: str = "", evalue: str = "", traceback: str = ""):
        super().__init__(message)
        self.ename = ename
        self.evalue = evalue
        self.traceback = traceback


class WorkerLost(TaskParError):
    """A worker's process ended before it answered; what only it held is lost."""


class ReceiveTimeout(TaskParError, TimeoutError):
    """A value did not arrive within its limit; the message names the peer and the variable."""


class PoolError(TaskParError):
    """The pool could not start, or is closed."""


class WireError(TaskParError):
    """A message could not be read: foreign, truncated, or of another version."""


class NotPortable(TaskParError):
    """A value would not survive the journey exactly, so it does not travel."""


class Hurried(TaskParError):
    """Home is waiting for its turn: what the look-ahead had begun is given up; nothing is lost."""


class InvariantError(TaskParError):
    """Our own state is broken; a defect of this package, never of the user's code."""
