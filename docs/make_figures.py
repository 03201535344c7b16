"""Run the commands whose outputs are the page of figures, and write their sections anew.

`docs/figures.md` is nothing but this table and what the commands printed; no figure is written by
hand. Sections that are not run again stay as they are.

    python docs/make_figures.py [NAME ...]
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "figures.md"
_OF_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "ARGS"}
"""What `make` says to those below it: a command of the table is called by itself."""
HEAD = """<!-- written by `make figures` from docs/make_figures.py -->

# Figures

Each section is what a command printed, on the day and the machine that stand above it.
Ratios count, taken side by side in one run; seconds are those of the machine."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the page, and the command whose output stands below it."""

    title: str
    command: str
    about: str
    shown: str = r".*"
    """What of the output is shown: a regular expression."""

    def measured(self) -> str:
        """Run the command; return the section."""
        load, begin_s = os.getloadavg()[0], time.monotonic()
        today = datetime.now(UTC).date()
        code, printed = _run(shlex.split(self.command))
        facts = (
            f"`{self.command}`, {today}, {time.monotonic() - begin_s:.0f} s; {platform.system()}, "
            f"CPython {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f} before."
        ) + (f" Exit code {code}." if code else "")
        found = re.search(self.shown, printed, re.DOTALL | re.MULTILINE)
        text = (found[0] if found else printed).strip("\n").replace(str(ROOT), ".")
        return f"## {self.title}\n\n{self.about}\n\n{facts}\n\n```text\n{text}\n```\n"


SECTIONS = {
    "demo": Section(
        "The flights notebook",
        "make demo",
        "An analysis as people write them, from start to finish. Many of its statements are calls "
        "of libraries that use all cores by themselves, and leave nothing to gain.",
        r"^cell .*^results equal: \w+",
    ),
    "bench": Section(
        "Small cells, start and memory",
        "make bench",
        "Waiting that goes side by side, a diamond of large arrays, what cells with nothing to "
        "gain cost, the line under a long cell, kernel start, and memory; each with its limit.",
    ),
    "loops": Section(
        "Loops",
        "make loops ARGS=--quick",
        "Cells as people write them (`benchmarks/loops/`), the first run and the later ones, times "
        "as fast as python3. The first figure of *ahead*: statements taken from workers in the "
        "first run; the second: in the last. What two processes on two cores can gain is below 2 "
        "where the machine gives less than two cores.",
    ),
    "equality": Section(
        "Parallel equals serial",
        "make equality ARGS='--start 3000000 --count 1000 --limit-s 90'",
        "Random programs, each in one of four modes in turn, compared in everything a user can "
        "see. *Could go*: statements that nothing holds at home.",
        r"^mode .*\d+ kernels were renewed",
    ),
    "galleries": Section(
        "Real code",
        "make galleries ARGS='--limit 6'",
        "Examples out of the source packages of libraries, compared likewise; those that are "
        "not the same twice under python3 are left out.",
        r"^\| library .*",
    ),
    "broken": Section(
        "Builds that are broken on purpose",
        "python -m pytest tests/differential/test_broken_builds.py -q -rP",
        "The tester is tested: each fault must be caught within a number of programs.",
        r"^_+ test.*",
    ),
    "conformance": Section(
        "Other kernels' tests",
        "make conformance",
        "ipykernel's and nbclient's own tests, under the stock kernel and under taskpar.",
    ),
    "eager": Section(
        "Other kernels' tests, in eager mode",
        "make conformance ARGS=--eager",
        "The same with every statement that may run ahead doing so.",
    ),
    "footprints": Section(
        "What footprints and validation add",
        "python benchmarks/footprints.py",
        "CPU time beside the statement's own, both ends together. *Busy*: home has run something "
        "unknown with that input meanwhile, so it compares it.",
    ),
    "transfers": Section(
        "Large values between workers",
        "python benchmarks/transfers.py",
        "From worker to worker until it was used there, beside a copy in warm memory; and what "
        "four workers that read one array of home's take.",
    ),
    "parts": Section(
        "Single mechanisms",
        "python benchmarks/parts.py",
        "What a mechanism takes by itself.",
    ),
    "repetitions": Section(
        "A fresh pool again and again",
        "python benchmarks/repetitions.py --count 1000",
        "A script of five lines on two workers, from start to finish, while a process of an "
        "earlier pool is alive.",
        r"^1000 [^\n]*",
    ),
    "sessions": Section(
        "First runs, with costs learned before",
        "python benchmarks/sessions.py --turns 5",
        "First runs of cells in new kernels, four workers; in brackets, how many statements ran on "
        "workers. The work is waiting.",
    ),
    "predictions": Section(
        "Plans and what happened",
        "python benchmarks/predictions.py",
        "The planned cells of the flights notebook, from the second run on.",
    ),
    "planning": Section(
        "Planning",
        "python benchmarks/planning.py",
        "Home and four workers; *scarce*: the default on four cores. Below it, the mean of "
        "makespan over lower bound of 60 random cells of 60 statements, one in ten at home.",
    ),
    "planning_flights": Section(
        "Planning the flights notebook",
        "python benchmarks/planning_flights.py",
        "Whole statements as a second run plans them, costs in CPU seconds and sizes as measured. "
        "The dear cells are loops, which go by the on-line policy of the engine.",
    ),
    "planning_saga": Section(
        "Planning, beside a library of schedulers",
        "python benchmarks/planning_saga.py",
        "Instances of anrg-saga: trees, chains, stream processing, scientific workflows, on 2, 4 "
        "and 8 like processors, with communication 0.2, 1 and 5 times computation.",
    ),
}
"""The page's sections by the word that asks for them, in the order of the page."""


def main(names: list[str]) -> int:
    """Write the sections named, or all; return 2 for a name that is none."""
    if unknown := [name for name in names if name not in SECTIONS]:
        print(f"there is no {', '.join(unknown)}; there are {', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    for name in names or SECTIONS:
        text = SECTIONS[name].measured()
        PAGE.write_text(page(sections(PAGE.read_text("utf-8")) | {name: text}), encoding="utf-8")
        print(f"wrote {SECTIONS[name].title!r} to {PAGE.relative_to(ROOT)}", flush=True)
    return 0


def sections(text: str) -> dict[str, str]:
    """Return the sections of a page by name; what is in no table is not among them."""
    names = {section.title: name for name, section in SECTIONS.items()}
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    found = {names.get(part.partition("\n")[0].removeprefix("## "), ""): part for part in parts}
    return {name: f"{part.strip()}\n" for name, part in found.items() if name}


def page(measured: Mapping[str, str]) -> str:
    """Return the page that holds these sections."""
    return "\n".join([f"{HEAD}\n", *(measured[name] for name in SECTIONS if name in measured)])


def _run(words: list[str]) -> tuple[int, str]:
    """Run a command where a user would; return its exit code and what it printed.

    Raises:
        SystemExit: it printed nothing.
    """
    environ = {k: v for k, v in os.environ.items() if k not in _OF_MAKE}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - the commands of the table above
        words, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True, check=False
    )
    if not done.stdout.strip():
        sys.exit(f"{shlex.join(words)} printed nothing; the page is as it was")
    return done.returncode, done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
