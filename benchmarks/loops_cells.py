"""The cells of `benchmarks/loops/`: a folder of small files comes in, `Cell`s go out.

A file says in its first line what it is, then `# parallel` or `# serial`, then, if it wants another
number of workers than two, `# workers: N`. Its parts are headed `# %% setup`, `# %% cell`, and, for
parallel ones, `# %% joblib` and `# %% dask`: the same work as people write it for these libraries,
with `JOBS` for the number of processes.

The rule: setup and cell are ordinary notebook code, written with no thought of parallelism.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "loops"
_HEAD = re.compile(r"^# %% (\w+)$", re.MULTILINE)
_WORKERS = re.compile(r"^# workers: (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell with what has to run before it; `peers` holds its code by library."""

    name: str
    title: str
    parallel: bool
    workers: int | None
    setup: str
    code: str
    peers: dict[str, str]


def cells(names: Sequence[str] = ()) -> list[Cell]:
    """Return the cells of these names, or all, sorted by name.

    Raises:
        ValueError: there is no cell of that name.
    """
    found = {path.stem: path for path in sorted(FOLDER.glob("*.py"))}
    if unknown := [name for name in names if name not in found]:
        raise ValueError(f"no cell {', '.join(unknown)}; there are {', '.join(found)}")
    return [read(found[name]) for name in names or found]


def read(path: Path) -> Cell:
    """Return the cell of one file."""
    head, *rest = _HEAD.split(path.read_text(encoding="utf-8"))
    parts = {name: text.strip() + "\n" for name, text in zip(rest[::2], rest[1::2], strict=True)}
    lines = head.splitlines()
    if lines[1] not in {"# parallel", "# serial"}:
        raise ValueError(f"{path.name}: its second line says neither parallel nor serial")
    workers = _WORKERS.search(head)
    return Cell(
        path.stem,
        lines[0].removeprefix("# "),
        lines[1] == "# parallel",
        int(workers[1]) if workers else None,
        parts.pop("setup"),
        parts.pop("cell"),
        parts,
    )
