"""Results of items come in, JSON and a table for people go out.

The rule: one file for each item, written when it is done, so that a run that was broken off goes on
where it stood; the totals are made from these files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SLOW_RATIO, SLOW_FROM_S = 1.3, 1.0


@dataclass(slots=True)
class Result:
    """What came of one item. `left_out` is why it was not compared, or ''."""

    library: str
    item: str
    version: str
    cells: int = 0
    left_out: str = ""
    but_for: list[str] = field(default_factory=list)
    """Names whose values two serial runs do not give alike: these are not compared."""
    serial_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    """By mode."""
    ahead: dict[str, int] = field(default_factory=dict)
    differences: dict[str, list[str]] = field(default_factory=dict)
    slow: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By mode, if it took 1.3 times the serial time: the dearest statements."""

    @property
    def differs(self) -> bool:
        """Whether any mode differed."""
        return any(self.differences.values())

    def line(self, modes: Iterable[str]) -> str:
        """Return the line for people."""
        head = f"{self.library:13} {self.item.rpartition('/')[2]:44.44}"
        if self.left_out:
            return f"{head} left out: {self.left_out[:120]}"
        text = f"{head} {self.serial_s:6.1f} s"
        text += f" (but for {len(self.but_for)} names)" if self.but_for else ""
        for mode in modes:
            if mode in self.seconds:
                found = len(self.differences[mode])
                verdict = f"{found} DIFFERENCES" if found else "equal"
                text += (
                    f"  {mode} {self.seconds[mode]:6.1f} s {self.ahead[mode]:4d} ahead {verdict}"
                )
        return text


class Store:
    """The folder of results."""

    def __init__(self, folder: Path):
        self._folder = folder

    def _path(self, library: str, item: str) -> Path:
        return self._folder / "results" / library / f"{item.replace('/', '--')}.json"

    def find(self, library: str, item: str, version: str) -> Result | None:
        """Return an earlier result for the same version of the library."""
        path = self._path(library, item)
        if not path.is_file():
            return None
        result = Result(**json.loads(path.read_text(encoding="utf-8")))
        return result if result.version == version else None

    def keep(self, result: Result) -> None:
        """Write one result."""
        path = self._path(result.library, result.item)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")

    def all(self) -> list[Result]:
        """Return all results, by library and item."""
        paths = sorted((self._folder / "results").glob("*/*.json"))
        return [Result(**json.loads(path.read_text(encoding="utf-8"))) for path in paths]

    def summarise(self, modes: Sequence[str]) -> None:
        """Write `galleries.json` and `galleries.md` from all results there are."""
        results = self.all()
        text = json.dumps([asdict(r) for r in results], indent=1)
        (self._folder / "galleries.json").write_text(text + "\n", encoding="utf-8")
        lines = [*totals(results, modes), "", *_differences(results), *_slow(results)]
        lines += _left_out(results)
        (self._folder / "galleries.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def totals(results: Sequence[Result], modes: Sequence[str]) -> list[str]:
    """Return a markdown table with one row for each library, and one for all."""
    titles = ["library", "items compared", "but for some names", "left out", "serial s"]
    titles += [f"{mode} {what}" for mode in modes for what in ("s", "ahead", "items that differ")]
    rows = [titles, ["---"] * len(titles)]
    for library in sorted({r.library for r in results}):
        of_it = [r for r in results if r.library == library]
        rows.append(_row(f"{library} {of_it[0].version}", of_it, modes))
    rows.append(_row("all", results, modes))
    return [f"| {' | '.join(row)} |" for row in rows]


def _row(title: str, results: Sequence[Result], modes: Sequence[str]) -> list[str]:
    done = [r for r in results if not r.left_out]
    row = [
        title,
        str(len(done)),
        str(sum(bool(r.but_for) for r in done)),
        str(len(results) - len(done)),
    ]
    row.append(f"{sum(r.serial_s for r in done):.1f}")
    for mode in modes:
        row.append(f"{sum(r.seconds.get(mode, 0) for r in done):.1f}")
        row.append(str(sum(r.ahead.get(mode, 0) for r in done)))
        row.append(str(sum(bool(r.differences.get(mode)) for r in done)))
    return row


def _differences(results: Sequence[Result]) -> list[str]:
    lines = []
    for result in results:
        for mode, found in result.differences.items():
            if found:
                lines += [f"## {result.library} {result.item}, {mode}", "", "```", *found, "```"]
    return [*lines, ""] if lines else ["No differences.", ""]


def _slow(results: Sequence[Result]) -> list[str]:
    slow = [(r, mode) for r in results for mode in r.slow]
    if not slow:
        return []
    title = f"## Items that took over {SLOW_RATIO} times the serial time and over {SLOW_FROM_S} s"
    lines = [title, ""]
    for r, mode in slow:
        lines.append(f"- {r.library} {r.item}, {mode}: {r.serial_s:.1f} s, {r.seconds[mode]:.1f} s")
        for s in r.slow[mode]:
            what = s["source"].splitlines()[0][:60]
            lines.append(f"  - {s['seconds']:.2f} s `{what}` {s['state']}: {s['reason']}")
    return [*lines, ""]


def _left_out(results: Sequence[Result]) -> list[str]:
    lines = [f"- {r.library} {r.item}: {r.left_out}" for r in results if r.left_out]
    return ["## Left out", "", *(line.replace("\n", " ")[:300] for line in lines)]
