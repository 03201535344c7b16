"""What was observed of one statement, and its form in a file: records ↔ lines of text, pure.

A record belongs to a *code*; seconds in it belong to a *scale* (see `identity`). The rules: values
are replaced and never changed in place, so that another thread may write a record while home goes
on; and a line holds numbers, flags and tags, no name and no text of the notebook.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from taskpar_kernel.errors import WireError

LAST = 8
"""Of so many observations the least counts: what disturbs a run (a first call, another process,
the look-ahead thread) only ever makes it longer."""
MOST_SCALES = 4
"""Of so many scales the seconds are kept, the last ones."""


@dataclass(frozen=True, slots=True)
class Times:
    """The last observations of one statement at one scale, in seconds, the latest one last."""

    here: tuple[float, ...] = ()
    """At home."""
    away: tuple[float, ...] = ()
    """On workers, of outcomes that were taken."""
    taking: tuple[float, ...] = ()
    """How long home was busy with judging and taking an outcome."""
    cores: tuple[float, ...] = ()
    """How many cores runs used, wherever they were."""
    alone: float | None = None
    """Seconds of the fastest run at home: others were disturbed by something."""

    def seconds(self) -> tuple[float, ...]:
        """Return all observations of a run."""
        return self.here + self.away


@dataclass(slots=True)
class Learned:
    """What was observed of one statement; whoever changes it replaces whole members."""

    times: dict[str, Times] = field(default_factory=dict)
    """By scale, the latest one last."""
    changes: frozenset[str] = frozenset()
    """The names whose objects it was seen to change in place."""
    tags: frozenset[str] = frozenset()
    """The same from earlier sessions, as tags."""
    single: bool = False
    """Several runs of it cannot go out together."""
    apart: bool = False
    """It is a block, and better run as the units it consists of."""
    vain: int = 0
    """In so many cells in a row that ran it ahead, that was in vain until it was given up."""
    branch: int = 0
    """Above 0: home came to it lately, which stands in a branch."""
    debt: int = 0
    """For so many instances it stays behind possible writers once it reads a file too early."""

    def at(self, scale: str) -> Times:
        """Return what was observed at this scale."""
        return self.times.get(scale, _NOTHING)

    def put(self, scale: str, times: Times) -> None:
        """Take in what was observed at this scale; it is the latest now, and the oldest goes."""
        kept = {known: value for known, value in self.times.items() if known != scale}
        kept[scale] = times
        self.times = dict(tuple(kept.items())[-MOST_SCALES:])


_NOTHING = Times()


def added(values: tuple[float, ...], value: float) -> tuple[float, ...]:
    """Return the last observations, with one more."""
    return (*values, value)[-LAST:]


def merged(theirs: Learned, mine: Learned) -> Learned:
    """Return what two kernels have learned of one statement; of what both have, `mine` counts."""
    times = {k: v for k, v in theirs.times.items() if k not in mine.times} | mine.times
    return replace(
        mine,
        times=dict(tuple(times.items())[-MOST_SCALES:]),
        tags=theirs.tags | mine.tags,
        single=theirs.single or mine.single,
        apart=theirs.apart or mine.apart,
    )


# As text ------------------------------------------------------------------------------------------


def to_line(learned: Learned) -> str:
    """Return a record as one line; names that are no tags yet are not in it."""
    times = {
        scale: [*map(_rounded, (t.here, t.away, t.taking, t.cores, _listed(t.alone)))]
        for scale, t in tuple(learned.times.items())
    }
    flags = [learned.single, learned.apart, learned.vain, learned.branch, learned.debt]
    parts = [times, sorted(learned.tags), [int(flag) for flag in flags]]
    return json.dumps(parts, separators=(",", ":"))


def _rounded(seconds: Iterable[float]) -> list[float]:
    return [float(f"{value:.4g}") for value in seconds]


def from_line(line: str) -> Learned:
    """Return the record that a line tells.

    Raises:
        WireError: it tells none.
    """
    try:
        times, tags, (single, apart, vain, branch, debt) = json.loads(line)
        return Learned(
            {str(scale): _times(found) for scale, found in times.items()},
            tags=frozenset(map(str, tags)),
            single=bool(single),
            apart=bool(apart),
            vain=int(vain),
            branch=int(branch),
            debt=int(debt),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise WireError(f"a line of the learned costs cannot be read ({error})") from None


def _listed(value: float | None) -> tuple[float, ...]:
    return () if value is None else (value,)


def _times(found: Any) -> Times:
    here, away, taking, cores, alone = (tuple(map(_second, values[-LAST:])) for values in found)
    return Times(here, away, taking, cores, alone[0] if alone else None)


def _second(value: Any) -> float:
    seconds = float(value)
    if not 0.0 <= seconds < 1e9:
        raise ValueError(f"{seconds} seconds")
    return seconds


__all__ = ["LAST", "Learned", "Times", "added", "from_line", "merged", "to_line"]
