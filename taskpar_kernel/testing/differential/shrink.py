"""A program that fails comes in, the smallest that still fails goes out.

Theory of operation. Something is left out: a cell, a fragment, a run of statements (half of all,
then a quarter, down to one), a line inside a statement. What can be left out while the failure
persists stays out. Then cells are joined. All this is done again until nothing more can go, or the
tries are used up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from taskpar_kernel.testing.differential.program import Program, Statement

Fails = Callable[[Program], bool]
_TRIES = 200


def shrink(program: Program, fails: Fails, tries: int = _TRIES) -> Program:
    """Return the smallest program found; `fails` is asked at most `tries` times."""
    shrinker = _Shrinker(program, fails, tries)
    before = -1
    while before != shrinker.size and shrinker.tries > 0:
        before = shrinker.size
        shrinker.leave_out(lambda number, _: number)
        shrinker.leave_out(lambda _, statement: statement.fragment)
        shrinker.halve()
        shrinker.join()
        shrinker.lines()
    return shrinker.program


@dataclass(slots=True)
class _Shrinker:
    """The smallest failing program so far, and how many tries are left."""

    program: Program
    fails: Fails
    tries: int

    @property
    def size(self) -> int:
        """Return how many lines and cells there are."""
        return sum(cell.count("\n") + 2 for cell in self.program.sources)

    def leave_out(self, group: Callable[[int, Statement], int]) -> None:
        """Leave out all statements of one group, group by group, the last first."""
        places = dict(_places(self.program))
        for number in sorted({group(c, s) for (c, _), s in places.items()}, reverse=True):
            gone = [s for (c, _), s in _places(self.program) if group(c, s) == number]
            self._without(gone)

    def halve(self) -> None:
        """Leave out runs of statements, shorter and shorter ones, from the end."""
        size = max(1, len(list(_places(self.program))) // 2)
        while size:
            left = [s for _, s in _places(self.program)]
            for begin in range(len(left) - size, -size, -size):
                self._without(left[max(0, begin) : begin + size])
            size //= 2

    def join(self) -> None:
        """Make one cell of two, the last first."""
        for number in range(len(self.program.cells) - 2, -1, -1):
            cells = self.program.cells
            joined = cells[number] + cells[number + 1]
            self._keep(replace(self.program, cells=(*cells[:number], joined, *cells[number + 2 :])))

    def lines(self) -> None:
        """Leave out lines of statements that have several, but for the first."""
        for place, statement in list(_places(self.program)):
            lines = statement.text.split("\n")
            for index in range(len(lines) - 1, 0, -1):
                fewer = lines[:index] + lines[index + 1 :]
                put = replace(statement, text="\n".join(fewer))
                if self._keep(_with(self.program, place, put)):
                    lines = fewer

    def _without(self, gone: Iterable[Statement]) -> bool:
        left_out = set(map(id, gone))
        cells = (tuple(s for s in cell if id(s) not in left_out) for cell in self.program.cells)
        return self._keep(replace(self.program, cells=tuple(cell for cell in cells if cell)))

    def _keep(self, candidate: Program) -> bool:
        """Take the candidate if it is another one, and fails."""
        if self.tries <= 0 or not candidate.cells or candidate.cells == self.program.cells:
            return False
        self.tries -= 1
        if not self.fails(candidate):
            return False
        self.program = candidate
        return True


def _places(program: Program) -> Iterator[tuple[tuple[int, int], Statement]]:
    for number, cell in enumerate(program.cells):
        for index, statement in enumerate(cell):
            yield (number, index), statement


def _with(program: Program, place: tuple[int, int], statement: Statement) -> Program:
    cell = list(program.cells[place[0]])
    cell[place[1]] = statement
    cells = program.cells
    return replace(program, cells=(*cells[: place[0]], tuple(cell), *cells[place[0] + 1 :]))
