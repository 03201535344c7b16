"""What became of each program comes in, one table and the exit code go out.

The rule: tallies of several processes add up.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from taskpar_kernel.testing.differential.bench import Mode, Verdict
from taskpar_kernel.testing.differential.catalogue import Hazard
from taskpar_kernel.testing.differential.program import Program

LEAST_AHEAD = 0.5
"""Share of the statements that could travel which are run ahead in eager mode."""
LEAST_COMMITTED = 0.3
"""Share of all statements that are committed ahead in eager mode."""


_PLAIN = ("unsteady", "renewed", "failing_cells", "cells")
"""The numbers of a tally that are not counted by mode."""


@dataclass(slots=True)
class Count:
    """One mode's numbers. `travellers`: statements that are plain work, as the program says."""

    programs: int = 0
    statements: int = 0
    committed: int = 0
    squashed: int = 0
    travellers: int = 0
    travelled: int = 0
    differences: int = 0
    hangs: int = 0
    seconds: float = 0.0

    def add(self, other: Count) -> None:
        """Add another process's numbers."""
        for name in Count.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def ahead(self) -> float:
        """Return the share of the travellers that were run ahead."""
        return self.travelled / self.travellers if self.travellers else 0.0

    @property
    def share(self) -> float:
        """Return the share of all statements that were committed ahead."""
        return self.committed / self.statements if self.statements else 0.0


@dataclass(slots=True)
class Tally:
    """All modes' numbers, and how often each hazard was in a program."""

    modes: dict[Mode, Count] = field(default_factory=dict)
    hazards: Counter[str] = field(default_factory=Counter)
    unsteady: int = 0
    renewed: int = 0
    """Kernels replaced because a program had left something that could not be undone."""
    failing_cells: int = 0
    cells: int = 0

    def add(self, other: Tally) -> None:
        """Add another process's numbers."""
        for mode, count in other.modes.items():
            self.modes.setdefault(mode, Count()).add(count)
        self.hazards += other.hazards
        self.unsteady += other.unsteady
        self.renewed += other.renewed
        self.failing_cells += other.failing_cells
        self.cells += other.cells

    def note(self, program: Program, verdict: Verdict, seconds: float) -> None:
        """Count one program in one mode."""
        count = self.modes.setdefault(verdict.mode, Count())
        count.programs += 1
        count.seconds += seconds
        count.hangs += verdict.hung
        count.differences += bool(verdict.differences) and not verdict.hung
        if verdict.seems is None:
            return
        count.statements += verdict.seems.statements
        count.committed += verdict.seems.ahead
        count.squashed += verdict.seems.squashed
        for cell, records in enumerate(verdict.seems.records):
            for first, last in program.travelling_lines(cell):
                states = {r["state"] for r in records if first <= r["line"] <= last}
                count.travellers += bool(states)
                count.travelled += bool(states & {"committed", "squashed"})

    def save(self, path: Path) -> None:
        """Write all numbers to a file, so that the next run can go on from them."""
        whole = {
            "modes": [[mode.name, mode.workers, asdict(c)] for mode, c in self.modes.items()],
            "hazards": self.hazards,
            **{name: getattr(self, name) for name in _PLAIN},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(whole), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Tally:
        """Return the numbers of earlier runs; none if there is no such file."""
        if not path.exists():
            return cls()
        whole = json.loads(path.read_text(encoding="utf-8"))
        modes = {Mode(name, workers): Count(**count) for name, workers, count in whole["modes"]}
        plain = {name: whole[name] for name in _PLAIN}
        return cls(modes, Counter(whole["hazards"]), **plain)

    @property
    def failed(self) -> int:
        """Return how often a program differed or hung."""
        return sum(c.differences + c.hangs for c in self.modes.values())

    def is_good(self) -> bool:
        """Whether nothing differed, nothing hung, and enough was run ahead."""
        return not self.failed and not any(
            mode.name == "eager" and (c.ahead < LEAST_AHEAD or c.share < LEAST_COMMITTED)
            for mode, c in self.modes.items()
        )

    def table(self) -> str:
        """Return one line for each mode."""
        head = (
            f"{'mode':10} {'programs':>9} {'statements':>11} {'could go':>9} {'ahead':>12} "
            f"{'committed':>14} {'squashed':>9} {'differences':>12} {'hangs':>6} {'seconds':>8}"
        )
        lines = [head]
        for mode, c in sorted(self.modes.items()):
            ahead, committed = f"{c.travelled} {c.ahead:.0%}", f"{c.committed} {c.share:.0%}"
            lines.append(
                f"{mode!s:10} {c.programs:9} {c.statements:11} {c.travellers:9} {ahead:>12} "
                f"{committed:>14} {c.squashed:9} {c.differences:12} {c.hangs:6} {c.seconds:8.0f}"
            )
        failing = f"{self.failing_cells} of {self.cells} cells end in an exception"
        unsteady = f"{self.unsteady} programs were unsteady"
        return "\n".join([*lines, f"{failing}; {unsteady}; {self.renewed} kernels were renewed"])


def occurrences(tally: Tally, table: Mapping[str, Hazard]) -> str:
    """Return how many programs held each hazard, family by family."""
    families: dict[str, list[str]] = {}
    for name, hazard in table.items():
        if name in tally.hazards:
            families.setdefault(hazard.family, []).append(f"{name} {tally.hazards[name]}")
    return "\n".join(f"  {family}: {', '.join(names)}" for family, names in families.items())


def number_of_hazards(table: Iterable[Hazard]) -> int:
    """Return how many hazards there are beside plain work and the prologue."""
    return sum(not h.travels and h.name != "prologue" for h in table)
