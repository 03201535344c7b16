"""An attempt's footprint and what home has now come in, a verdict goes out.

The rule: prediction does not count here. An outcome is good if what the attempt read is what home
has at this moment, and if its inputs were complete; otherwise the statement runs at home.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskpar_kernel.model.messages import FilesRead, FileState

MISSING = object()


def same_value(now: Any, then: Any) -> bool:  # noqa: PLR0911 - one kind after the other
    """Whether a program that read `then` would have done the same with `now`.

    Objects with an identity must be the same object; for the few immutable types whose copies no
    program can tell apart, an equal value of the same type is enough.
    """
    if now is then:
        return True
    kind = type(now)
    if kind is not type(then):
        return False
    if kind in (int, str, bytes, bool):
        return bool(now == then)
    if kind is float:
        return bool(now == then) and math.copysign(1.0, now) == math.copysign(1.0, then)
    if kind is tuple:
        return len(now) == len(then) and all(map(same_value, now, then))
    if kind.__module__ == "numpy" and hasattr(kind, "dtype") and kind.__name__ != "ndarray":
        return bool(now.dtype == then.dtype) and bool(now.tobytes() == then.tobytes())
    return False


def stale_name(reads: Iterable[tuple[str, Any]], namespace: Mapping[str, Any]) -> str:
    """Return the first name whose value is not the one that was sent, or an empty string.

    `reads` are pairs of a name and the object that was sent for it.
    """
    for name, then in reads:
        if not same_value(namespace.get(name, MISSING), then):
            return name
    return ""


def changed_file(
    read: FilesRead,
    state: Callable[[str, FileState], FileState],
) -> str:
    """Return the first file looked at that is not as it was then, or an empty string.

    `state` finds the present state of a path, in the way in which the given one was found.
    """
    for path, then in read:
        if state(path, then) != then:
            return path
    return ""
