"""Values on their way: postings and arrivals come in, out comes who waits in vain.

When a process dies, those who wait for what it was to send are told. The rule: pure bookkeeping by
key, so a process that takes a dead one's place is never blamed for, nor credited with, what the
other was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskpar_kernel.model.ids import Key, Place


@dataclass(frozen=True, slots=True)
class Missing:
    """`target` waits for `key` from `source`, which will not send it."""

    key: Key
    source: Place
    target: Place
    name: str


class Transfers:
    """What was asked of whom and has not arrived."""

    def __init__(self) -> None:
        self._open: dict[tuple[Key, Place], tuple[Place, str]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def asked(self, key: Key, source: Place, targets: Iterable[Place], name: str) -> None:
        """`source` was asked to send `key` to `targets`."""
        for target in targets:
            self._open[key, target] = (source, name)

    def ended(self, key: Key, target: Place) -> None:
        """`key` is at `target`, or `target` has stopped waiting for it."""
        self._open.pop((key, target), None)

    def forget_target(self, target: Place) -> None:
        """Nobody at `target` waits any more."""
        for pair in [pair for pair in self._open if pair[1] == target]:
            del self._open[pair]

    def of_source(self, source: Place) -> list[Missing]:
        """Return what `source` was asked for and has not arrived, in the order of asking."""
        return [
            Missing(key, source, target, name)
            for (key, target), (asked, name) in self._open.items()
            if asked == source
        ]

    def still_open(self, missing: Missing) -> bool:
        """Whether that value has not arrived since."""
        return self._open.get((missing.key, missing.target), (None,))[0] == missing.source
