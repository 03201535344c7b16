"""What a kernel was like before the first notebook; `begin` fills it, `state` and `reset` read it.

The rule: filled once in each process.
"""

from __future__ import annotations

from typing import Any


class Kept:
    """What was found. Slots: a digest of modules beside a notebook stops at them."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self.found[name]

    def update(self, **found: object) -> None:
        """Remember these, too."""
        self.found.update(found)


KEPT = Kept()
