"""Conditions of the workers come in, a text table goes out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def workers_text(conditions: Iterable[Any]) -> str:
    """Return one line for each worker: number, process id, state, memory, time up."""
    rows: list[tuple[str, ...]] = [
        (
            str(c.number),
            str(c.pid or ""),
            c.state,
            f"{c.memory_bytes / 1e6:.0f} MB",
            f"{c.up_s:.0f} s",
        )
        for c in conditions
    ]
    if not rows:
        return "no workers: the pool is not running"
    return table(("worker", "pid", "state", "memory", "up"), rows)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return rows of text aligned in columns under `head`."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    ]
    return "\n".join(lines)
