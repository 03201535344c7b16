"""The command line: `python -m taskpar_kernel.testing.differential --help`.

Exit code 0: no difference, no hang, enough run ahead; 1: not so; 2: wrong use.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import inf
from multiprocessing import get_context
from pathlib import Path

from taskpar_kernel.testing.differential.bench import Mode
from taskpar_kernel.testing.differential.catalogue import Hazard, hazards
from taskpar_kernel.testing.differential.program import make_program
from taskpar_kernel.testing.differential.run import Finding, Runner
from taskpar_kernel.testing.differential.tally import Tally, number_of_hazards, occurrences


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    seeds: range
    modes: tuple[Mode, ...]
    table: dict[str, Hazard]
    jobs: int
    most: int
    limit_s: float
    every: bool
    seconds: float
    first: bool
    out: Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    table = hazards()
    try:
        table = chosen(table, set(_words(arguments.only)), set(_words(arguments.known)))
    except KeyError as unknown:
        parser.error(f"there is no hazard {unknown}; --list names them")
    if arguments.list:
        for name, hazard in table.items():
            _say(f"{hazard.family}: {name}")
        _say(f"{number_of_hazards(table.values())} hazards")
        return 0
    options = _options(arguments, table)
    if arguments.show:
        _say("\n---\n".join(make_program(arguments.seed, table).sources))
        return 0
    begin_s = time.perf_counter()
    tally, findings = _run(options)
    _write(findings, options.out)
    _say(tally.table())
    _say(f"{number_of_hazards(table.values())} hazards; programs with each:")
    _say(occurrences(tally, table))
    _say(f"{time.perf_counter() - begin_s:.0f} s in all")
    if arguments.tally is not None:
        whole = Tally.load(arguments.tally)
        whole.add(tally)
        whole.save(arguments.tally)
        _say(f"with all earlier runs of {arguments.tally}:\n{whole.table()}")
    return 0 if tally.is_good() else 1


def _run(options: Options) -> tuple[Tally, list[Finding]]:
    """Share the seeds out to the processes, and add up what they tell."""
    shares = [options.seeds[i :: options.jobs] for i in range(options.jobs)]
    shares = [share for share in shares if share]
    if len(shares) == 1:
        return _share(options, shares[0])
    tally, findings = Tally(), []
    with ProcessPoolExecutor(len(shares), mp_context=get_context("spawn")) as pool:
        for part, found in pool.map(partial(_share, options), shares):
            tally.add(part)
            findings += found
    return tally, findings


def _share(options: Options, seeds: range) -> tuple[Tally, list[Finding]]:
    runner = Runner(
        options.table,
        options.modes,
        _say,
        options.most,
        options.limit_s,
        options.every,
        options.seconds,
        options.first,
    )
    runner.run(seeds)
    return runner.tally, runner.findings


def _write(findings: Sequence[Finding], out: Path) -> None:
    """Leave each finding as a file; findings of earlier runs of the same seeds are replaced."""
    for finding in findings:
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"seed-{finding.program.seed}-{finding.mode}.txt"
        path.write_text(finding.text(), encoding="utf-8")


def chosen(table: Mapping[str, Hazard], only: set[str], known: set[str]) -> dict[str, Hazard]:
    """Return the hazards named, or in a family named; plain work and the prologue always.

    Raises:
        KeyError: a name is neither a hazard's nor a family's.
    """
    families = {hazard.family for hazard in table.values()}
    for name in sorted(only | known):
        if name not in table and name not in families:
            raise KeyError(name)
    return {
        name: hazard
        for name, hazard in table.items()
        if hazard.travels
        or name == "prologue"
        or ((not only or only & {name, hazard.family}) and not known & {name, hazard.family})
    }


def _options(given: argparse.Namespace, table: dict[str, Hazard]) -> Options:
    seeds = range(given.start, given.start + given.count)
    if given.seed is not None:
        seeds = range(given.seed, given.seed + 1)
    modes = [
        Mode(name, int(workers))
        for name in _words(given.modes)
        for workers in _words(given.workers)
    ]
    return Options(
        seeds,
        tuple(modes),
        table,
        given.jobs,
        given.most,
        given.limit_s,
        given.every,
        given.seconds,
        given.first,
        given.out,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m taskpar_kernel.testing.differential",
        description="Run random programs under python3 and taskpar, and compare everything.",
    )
    add = parser.add_argument
    add("--count", type=int, default=300, help="how many programs (300)")
    add("--start", type=int, default=0, help="the first seed (0)")
    add("--seed", type=int, help="run the program of this seed alone")
    add("--modes", default="eager,normal", help="eager, normal or both (both)")
    add("--workers", default="2", help="numbers of workers: 2,4 (2)")
    add("--only", default="", help="these hazards or families alone, with commas between")
    add("--known", default="", help="leave these hazards or families out")
    add("--jobs", type=int, default=1, help="processes that share the programs out (1)")
    add("--most", type=int, default=20, help="shrink so many differences a process (20)")
    add("--limit-s", type=float, default=20.0, help="seconds a cell may take (20)")
    add("--every", action="store_true", help="each program in each mode, not in one of them")
    add("--seconds", type=float, default=inf, help="begin no program later than that")
    add("--first", action="store_true", help="stop at the first difference")
    add("--tally", type=Path, help="add the numbers to those in this file, and tell the sum")
    add("--out", type=Path, default=Path("out/equality"), help="folder for what is found")
    add("--list", action="store_true", help="name the hazards, and stop")
    add("--show", action="store_true", help="print the program of --seed, and stop")
    return parser


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _say(line: str) -> None:
    print(line, flush=True)
