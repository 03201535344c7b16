"""The notebooks under test: text files, one for each group.

A line `=== name` begins a notebook, a line `---` a cell. After `=== name (alone)`, which
changes what the probe does not put back, the kernel is started anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "notebooks"


@dataclass(frozen=True, slots=True)
class Notebook:
    """One little program as its cells."""

    group: str
    name: str
    cells: tuple[str, ...]
    alone: bool = False

    def __str__(self) -> str:
        return f"{self.group}/{self.name}"


def notebooks() -> list[Notebook]:
    """Return every notebook, in the order of the files."""
    return [n for path in sorted(FOLDER.glob("*.txt")) for n in _parse(path)]


def _parse(path: Path) -> list[Notebook]:
    found = []
    for part in ("\n" + path.read_text(encoding="utf-8")).split("\n=== ")[1:]:
        title, _, body = part.partition("\n")
        name, _, option = title.strip().partition(" ")
        assert option in {"", "(alone)"}, f"{path.name}: {title!r}"
        assert "\n===" not in body, f"{path.name}, {title!r}: `---` begins a cell"
        cells = tuple(c.strip("\n") for c in ("\n" + body).split("\n---\n"))
        found.append(Notebook(path.stem, name.replace(" ", "-"), cells, bool(option)))
    return found
