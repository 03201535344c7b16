"""Seeds come in; a tally and findings go out. One call is one process's share of a run.

The rule: a difference counts only after the reference gave the same twice; it is tried again in
fresh kernels, shrunk, and written down.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from multiprocessing import parent_process
from pathlib import Path

from taskpar_kernel.testing.differential.bench import (
    Bench,
    Mode,
    NoKernelError,
    UnsteadyError,
    Verdict,
)
from taskpar_kernel.testing.differential.catalogue import Hazard
from taskpar_kernel.testing.differential.program import Program, make_program
from taskpar_kernel.testing.differential.shrink import shrink
from taskpar_kernel.testing.differential.tally import Tally
from taskpar_kernel.testing.seen import differences

Say = Callable[[str], None]
_CELL = re.compile(r"^cell \d+")
_TELL = 250
"""After so many programs a line tells how far the run is."""
_AGAIN = 3
"""How often a difference that comes and goes is tried."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: the program that was made, the smallest that shows it, and what differs."""

    program: Program
    mode: Mode
    smallest: Program
    differences: tuple[str, ...]
    steady: bool
    """Whether it was seen again in fresh kernels."""

    def text(self) -> str:
        """Return it for people."""
        steady = "" if self.steady else " (seen once; not again in fresh kernels)"
        cells = "\n---\n".join(self.smallest.sources)
        found = "\n".join(self.differences)
        hazards = ", ".join(self.smallest.hazards)
        return (
            f"seed {self.program.seed}, {self.mode}{steady}; hazards: {hazards}\n"
            f"{cells}\n===\n{found}\n"
        )


@dataclass(slots=True)
class Runner:
    """Runs programs on one bench. `most` findings are shrunk; the others are counted.

    `every`: each program runs in each mode; else the programs take the modes in turn, by seed.
    `seconds`: no program is begun later than that. `first`: nor after the first difference.
    """

    table: Mapping[str, Hazard]
    modes: tuple[Mode, ...]
    say: Say
    most: int = 20
    limit_s: float = 20.0
    every: bool = False
    seconds: float = inf
    first: bool = False
    tally: Tally = field(default_factory=Tally)
    findings: list[Finding] = field(default_factory=list)

    def run(self, seeds: Iterable[int]) -> None:
        """Run the program of each seed."""
        end_s, parent = time.perf_counter() + self.seconds, parent_process()
        with (
            tempfile.TemporaryDirectory(prefix="taskpar") as place,
            Bench(Path(place) / "cwd", self.limit_s) as bench,
        ):
            for number, seed in enumerate(seeds, 1):
                if time.perf_counter() > end_s or (self.first and self.tally.failed):
                    break
                if parent is not None and not parent.is_alive():
                    break  # who asked was ended, and nobody will read what is found
                try:
                    self._one(bench, make_program(seed, self.table))
                except NoKernelError as error:  # a machine too busy to start one says nothing
                    self.tally.unsteady += 1
                    self.say(f"seed {seed}: {error}")
                if number % _TELL == 0:
                    self.say(f"{number} programs, the last of seed {seed}")
            self.tally.renewed += bench.renewed

    def _modes(self, seed: int) -> tuple[Mode, ...]:
        return self.modes if self.every else (self.modes[seed % len(self.modes)],)

    def _one(self, bench: Bench, program: Program) -> None:
        try:
            serial = bench.serially(program.sources)
        except UnsteadyError:
            self.tally.unsteady += 1
            self.say(f"seed {program.seed}: the reference did not come to an end")
            return
        self.tally.hazards.update(program.hazards)
        self.tally.cells += len(serial.cells)
        self.tally.failing_cells += sum(cell.error is not None for cell in serial.cells)
        for mode in self._modes(program.seed):
            begin_s = time.perf_counter()
            verdict = bench.compare(serial, program.sources, mode)
            seconds = time.perf_counter() - begin_s
            if verdict.differences and not verdict.hung:
                again = bench.serially(program.sources)
                if differences(serial, again):
                    self.tally.unsteady += 1
                    self.say(f"seed {program.seed}: unsteady; {differences(serial, again)[0]}")
                    break
            self.tally.note(program, verdict, seconds)
            if verdict.differences:
                self._found(bench, program, verdict)
            if program.stains:
                bench.renew(mode)
        if program.stains:
            bench.renew()

    def _found(self, bench: Bench, program: Program, verdict: Verdict) -> None:
        mode = verdict.mode
        known = self._known(program, mode)
        if known is not None or len(self.findings) >= self.most:
            like = f", perhaps as seed {known.program.seed}" if known else ""
            self.say(f"seed {program.seed}, {mode}: {verdict.differences[0][:200]}{like}")
            return
        bench.renew(mode)
        bench.renew()
        last, tries, kinds = list(verdict.differences), 0, _kinds(verdict.differences)

        def fails(candidate: Program) -> bool:
            nonlocal tries
            tries += 1
            try:
                found = _differences(bench, candidate, mode, tries)
            except UnsteadyError:
                return False
            if not kinds & _kinds(found):
                return False
            last[:] = found
            return True

        steady = any(fails(program) for _ in range(_AGAIN))
        smallest = shrink(program, fails) if steady else program
        finding = Finding(program, mode, smallest, tuple(last), steady)
        self.findings.append(finding)
        self.say(finding.text())

    def _known(self, program: Program, mode: Mode) -> Finding | None:
        """Return a finding whose hazards are all in this program, if there is one."""
        present = set(program.hazards)
        for finding in self.findings:
            needed = set(finding.smallest.hazards)
            if finding.steady and needed and needed <= present and finding.mode.name == mode.name:
                return finding
        return None


def _kinds(found: Sequence[str]) -> set[str]:
    """Return what kinds of differences these are, so that shrinking does not end at another one."""
    return {_CELL.sub("cell", line.partition(":")[0]) for line in found}


def _differences(bench: Bench, program: Program, mode: Mode, tries: int) -> list[str]:
    """Return what differs. Each try has modules of its own: a worker imports a name once."""
    seed = program.seed
    cells = [c.replace(f"mod_{seed}_", f"mod_{seed}_{tries}_") for c in program.sources]
    return list(bench.compare(bench.serially(cells), cells, mode).differences)
