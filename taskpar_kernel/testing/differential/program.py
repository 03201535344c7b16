"""A seed comes in, a program goes out: cells of statements, each of which knows its fragment.

The rule: one seed and one table of hazards give one program, on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from taskpar_kernel.testing.differential.catalogue import Hazard
from taskpar_kernel.testing.differential.templates import Scope

_PROLOGUE = "prologue"
_STEPS = {"9": 0.6, "4_000": 0.12, "40_000": 0.12, "150_000": 0.16}
"""How long a piece of work takes, in steps of some 50 ns, and how many programs have work so long.

In normal mode, what takes milliseconds runs ahead by itself, and what takes less in chunks.
"""
_ENDS = 0.15
"""How many cells may hold a fragment that raises."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Some lines that stay together. `fragment` numbers the fragments of a program."""

    text: str
    hazard: str
    fragment: int
    travels: bool


@dataclass(frozen=True, slots=True)
class Program:
    """A notebook made of a seed. `stains`: see `catalogue`."""

    seed: int
    cells: tuple[tuple[Statement, ...], ...]
    stains: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the text of each cell."""
        return tuple("\n".join(s.text for s in cell) for cell in self.cells)

    @property
    def hazards(self) -> tuple[str, ...]:
        """Return the hazards in it, each once, sorted."""
        names = {s.hazard for cell in self.cells for s in cell if not s.travels}
        return tuple(sorted(names - {_PROLOGUE}))

    def travelling_lines(self, cell: int) -> list[tuple[int, int]]:
        """Return first and last line of each statement of a cell that is plain work."""
        found, line = [], 1
        for statement in self.cells[cell]:
            end = line + statement.text.count("\n")
            if statement.travels:
                found.append((line, end))
            line = end + 1
        return found


def make_program(seed: int, table: Mapping[str, Hazard]) -> Program:
    """Return the program of `seed`, with hazards of `table`."""
    return _Maker(seed, table).program()


class _Maker:
    """Makes one program."""

    def __init__(self, seed: int, table: Mapping[str, Hazard]):
        self._seed = seed
        self._random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._scope = Scope(self._random, seed)
        usual = [h for h in table.values() if h.name != _PROLOGUE]
        self._work = [h for h in usual if h.travels]
        self._others = [h for h in usual if not h.travels and "ends" not in h.words]
        self._ends = [h for h in usual if "ends" in h.words]
        self._prologue = table[_PROLOGUE]
        self._fragments = 0
        self._stains = False

    def program(self) -> Program:
        """Return the whole: a prologue, then two to four cells."""
        steps = self._random.choices(tuple(_STEPS), tuple(_STEPS.values()))[0]
        text = self._prologue.text.replace("STEPS", steps)
        cells = [self._fragment(self._prologue, text)]
        self._scope.settle()
        cells += [self._cell() for _ in range(self._random.randint(2, 4))]
        return Program(self._seed, tuple(map(tuple, cells)), self._stains)

    def _cell(self) -> list[Statement]:
        drawn = self._draw(self._others, self._random.randint(2, 4))
        alone = [h for h in drawn if "alone" in h.words]
        if alone:
            return self._fragment(alone[0], alone[0].text)
        raises = bool(self._ends) and self._random.random() < _ENDS
        drawn += self._draw(self._ends, 1) if raises else []
        drawn += self._draw(self._work, self._random.randint(2, 4))
        cell = self._interleaved([self._fragment(h, h.text) for h in drawn])
        if raises:
            self._scope.forget()
        else:
            self._scope.settle()
        return cell

    def _draw(self, table: Sequence[Hazard], number: int) -> list[Hazard]:
        if not table:
            return []
        return self._random.choices(table, [h.weight for h in table], k=number)

    def _fragment(self, hazard: Hazard, text: str) -> list[Statement]:
        self._fragments += 1
        self._stains |= "stains" in hazard.words
        return [
            Statement(lines, hazard.name, self._fragments, hazard.travels)
            for lines in self._scope.fill(text)
        ]

    def _interleaved(self, fragments: list[list[Statement]]) -> list[Statement]:
        """Return all statements, each fragment's in its order."""
        turns = [i for i, fragment in enumerate(fragments) for _ in fragment]
        self._random.shuffle(turns)
        parts = [iter(fragment) for fragment in fragments]
        return [next(parts[turn]) for turn in turns]
