"""Programs and how many of their statements are taken from a worker, in a compact notation.

    setup
    ==
    statements, one after the other
    == what is looked at in the end == why the last refused statement was refused (a pattern)

A case without a reason is one whose statements are all taken. The laboratory itself compares each
case with its serial run; what is said here is only whether the statements travelled.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    setup: str
    code: str
    probe: str
    why: str

    def __str__(self) -> str:
        return " ; ".join(self.code.split("\n"))[:60]


def cases(text: str) -> list[Case]:
    found = []
    for block in text.strip().split("\n---\n"):
        setup, code = block.split("\n==\n")
        *lines, last = code.split("\n")
        parts = [part.strip() for part in last.split("== ")]
        found.append(Case(setup, "\n".join(lines), parts[1], parts[2] if len(parts) > 2 else ""))
    return found
