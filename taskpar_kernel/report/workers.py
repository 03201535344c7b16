"""Conditions of the workers come in, a table goes out: text, and HTML for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from taskpar_kernel.report.markup import html_table, paragraphs, table

NONE = "no workers: the pool is not running"
_HEAD = ("worker", "pid", "state", "memory", "up", "holds")
_MODULES_TOLD = 6


def workers_text(conditions: Iterable[Any], modules: Sequence[str] = ()) -> str:
    """Return a line for each worker; `modules` are those all of them have imported ahead."""
    rows = _rows(conditions, modules)
    return table(_HEAD, rows) if rows else NONE


def workers_html(conditions: Iterable[Any], modules: Sequence[str] = ()) -> str:
    """Return the same as an HTML table."""
    rows = _rows(conditions, modules)
    if not rows:
        return paragraphs([NONE])
    return html_table("The workers", _HEAD, rows, ("worker", "pid", "memory", "up"))


def _rows(conditions: Iterable[Any], modules: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        (
            str(c.number),
            str(c.pid or ""),
            c.state,
            f"{c.memory_bytes / 1e6:.0f} MB",
            f"{c.up_s:.0f} s",
            _holds(modules) if c.state == "ready" else "",
        )
        for c in conditions
    ]


def _holds(modules: Sequence[str]) -> str:
    """Say what a worker has between two cells: values are let go of when a cell ends."""
    if not modules:
        return "no values, no modules of the notebook"
    more = f" and {len(modules) - _MODULES_TOLD} more" if len(modules) > _MODULES_TOLD else ""
    return f"no values; imported: {', '.join(modules[:_MODULES_TOLD])}{more}"
