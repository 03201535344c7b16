"""Run the example galleries of libraries under python3 and under taskpar, and compare.

An item is one script or notebook out of a library's source package. It runs twice under python3,
to find whether it is deterministic, then under taskpar, as it comes and eager. What is compared is
what `taskpar_kernel.testing` compares (outputs, names, values, aliases, ambient state), and the
files written. Exit code 1: an item differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from items import notebook_of
from results import SLOW_FROM_S, SLOW_RATIO, Result, Store, totals
from sources import Library, items_of, libraries, unpacked, unsuited
from trial import MODES, Place, Trial, compared, run

_DEAREST = 6


@dataclass(frozen=True, slots=True)
class Bench:
    """What all items share."""

    cache: Path
    place: Place
    store: Store
    modes: tuple[str, ...]
    limit_s: float


def main() -> int:
    """Run the command line."""
    options = _options()
    cache = options.cache.resolve()
    modes = tuple(options.mode or MODES)
    with tempfile.TemporaryDirectory(prefix="galleries-") as folder:
        place = Place(Path(folder) / "item", cache / "caches")
        bench = Bench(cache, place, Store(cache), modes, options.time_limit)
        done = [_done(bench, *chosen, again=options.again) for chosen in _chosen(options, cache)]
    differ = [result for result in done if result.differs]
    bench.store.summarise(modes)
    for line in totals(bench.store.all(), modes):
        say(line)
    for result in differ:
        say(f"differs: {result.library} {result.item}")
    say(f"galleries: {'no' if differ else 'yes'}; all results are in {options.cache}/galleries.md")
    return int(bool(differ))


def _chosen(options: argparse.Namespace, cache: Path) -> Iterator[tuple[Library, str]]:
    """Yield the items asked for; with a limit, spread evenly over each library."""
    table = libraries()
    for name in options.library or table:
        library = table[name]
        found = items_of(library, unpacked(library, cache))
        if options.item:
            found = [i for i in found if any(fnmatch(i, f"*{w}*") for w in options.item)]
        if options.limit and len(found) > options.limit:
            found = [found[i * len(found) // options.limit] for i in range(options.limit)]
        yield from ((library, item) for item in found)


def _done(bench: Bench, library: Library, item: str, *, again: bool) -> Result:
    """Return the result of an item: an earlier one, or that of running it now."""
    result = bench.store.find(library.name, item, library.version)
    known = result is not None and (result.left_out or set(bench.modes) <= result.seconds.keys())
    if result is None or not known or again:
        result = _judge(bench, library, item)
        bench.store.keep(result)
        say(result.line(bench.modes))
        for mode, found in result.differences.items():
            for text in found[:8]:
                say(f"    {mode}: {text[:600]}")
    return result


def _judge(bench: Bench, library: Library, item: str) -> Result:
    result = Result(library.name, item, library.version, left_out=unsuited(library, item))
    script = unpacked(library, bench.cache) / item
    if result.left_out:
        return result
    try:
        notebook = notebook_of(script)
    except (SyntaxError, ValueError) as error:
        result.left_out = f"cannot be read: {error}"
        return result
    result.cells = len(notebook.cells) - 1

    def tried(mode: str, limit_s: float) -> Trial:
        return run(notebook, script, bench.place, mode, limit_s)

    one = tried("serial", bench.limit_s)
    result.left_out = one.ended or (f"raises {one.raised}" if one.raised else "")
    if result.left_out:
        return result
    other = tried("serial", bench.limit_s)
    seeded = not compared(one, other, seeded=True)
    chance = {} if seeded else compared(one, other, seeded=False)
    for where, text in chance.items():
        if not where.startswith("name "):
            result.left_out = f"not deterministic: {where}: {text[:200]}"
            return result
    result.but_for = list(chance)
    result.serial_s = min(one.seconds, other.seconds)
    for mode in bench.modes:
        trial = tried(mode, bench.limit_s + 5 * result.serial_s)
        _note(result, mode, trial, compared(one, trial, seeded=seeded))
    return result


def _note(result: Result, mode: str, trial: Trial, found: Mapping[str, str]) -> None:
    result.seconds[mode], result.ahead[mode] = trial.seconds, trial.ahead
    kept = {where: text for where, text in found.items() if where not in result.but_for}
    result.differences[mode] = [f"{where}: {text}" for where, text in kept.items()]
    if mode == "normal" and trial.seconds > max(SLOW_FROM_S, SLOW_RATIO * result.serial_s):
        result.slow[mode] = _dearest(trial.records)


def _dearest(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    every = [s for record in records for s in record.get("statements", ())]
    every.sort(key=lambda s: s["start_s"] - s["end_s"])
    return [
        {
            "line": s["line"],
            "source": s["source"][:120] or "?",
            "seconds": s["end_s"] - s["start_s"],
            "state": s["state"],
            "place": s["place"],
            "reason": s["reason"],
        }
        for s in every[:_DEAREST]
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("out/galleries"))
    parser.add_argument("--library", choices=list(libraries()), action="append")
    parser.add_argument("--item", action="append", metavar="TEXT", help="part of its path")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N items of each library")
    parser.add_argument("--mode", choices=list(MODES), action="append", help="default: both")
    parser.add_argument("--time-limit", type=float, default=60.0, metavar="S")
    parser.add_argument("--again", action="store_true", help="do not reuse earlier results")
    return parser.parse_args()


def say(line: str) -> None:
    """Print one line at once."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
