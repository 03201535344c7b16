"""Text files of hazards come in, a table goes out; the files stand in `hazards/`, one a family.

A file is a list of fragments. A line `=== name words…` begins one. The words say: `weight=3` (see
`USUAL`), `ends` (it raises, so the cell ends there), `alone` (it needs a cell of its own), `stains`
(the kernel is started anew afterwards), `travels` (plain work that may be run ahead). `templates`
says what stands for names and numbers in a fragment.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "hazards"
USUAL = 4
"""How often a hazard is drawn whose header does not say; the others are relative to it."""
_WORDS = frozenset({"ends", "alone", "stains", "travels"})


@dataclass(frozen=True, slots=True)
class Hazard:
    """One kind of fragment. `weight` is how often it is drawn, beside the others."""

    name: str
    family: str
    text: str
    weight: int = USUAL
    words: frozenset[str] = frozenset()

    @property
    def travels(self) -> bool:
        """Whether it is plain work."""
        return "travels" in self.words


def hazards() -> dict[str, Hazard]:
    """Return the table, by name, in the order of the files.

    Raises:
        ValueError: a name stands twice, or a header has a word that is not known.
    """
    table: dict[str, Hazard] = {}
    for path in sorted(FOLDER.glob("*.txt")):
        for hazard in _parse(path):
            if hazard.name in table:
                raise ValueError(f"{path.name}: the hazard {hazard.name!r} stands twice")
            table[hazard.name] = hazard
    return table


def _parse(path: Path) -> list[Hazard]:
    found = []
    for part in ("\n" + path.read_text(encoding="utf-8")).split("\n=== ")[1:]:
        title, _, body = part.partition("\n")
        name, *words = title.split()
        weight = next((int(w[7:]) for w in words if w.startswith("weight=")), USUAL)
        rest = frozenset(w for w in words if not w.startswith("weight="))
        if not rest <= _WORDS:
            raise ValueError(f"{path.name}: {title!r} has a word that is not known")
        found.append(Hazard(name, path.stem, body.strip("\n"), weight, rest))
    return found
