"""Why something was not run ahead, or an outcome not taken: the engine says it, reports tell it.

The rule: `kind` is stable and meant for programs, `text` is one clause in plain words.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason: its kind ("depends", "not-portable"), what is said, and the names it is about."""

    kind: str
    text: str
    names: tuple[str, ...] = ()
    line: int = 0
    """Where in the cell the cause stands, from 1; 0: nowhere in particular."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Together:
    """A loop that was not taken apart, and why its iterations stay together."""

    line: int
    end_line: int
    text: str
    refusal: Refusal
