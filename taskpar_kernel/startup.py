"""What makes a kernel's start short: the collector rests until the kernel is up.

The rule: once the kernel is up, everything is as an ordinary start leaves it.
"""

from __future__ import annotations

import gc

_RARELY = 1_000_000
_thresholds: list[int] = []


def collect_rarely() -> None:
    """Let the garbage collector rest: nearly all that a start makes is there to stay."""
    _thresholds[:] = gc.get_threshold()
    gc.set_threshold(_RARELY, *_thresholds[1:])


def collect_as_ever() -> None:
    """Undo `collect_rarely`, unless the user's own start-up files have set something else."""
    if _thresholds and gc.get_threshold()[0] == _RARELY:
        gc.set_threshold(*_thresholds)
        _thresholds.clear()
