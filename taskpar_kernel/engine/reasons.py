"""Explain a cell's run: its records and facts come in, `ReasonRecord`s go out, the dearest first.

Theory of operation. What home ran itself has a record; most records carry the refusal that kept
them at home. The others are judged by what the record shows: too short to gain; a loop that was
not taken apart; workers were busy with the cell meanwhile (then nothing was wrong, and nothing is
said); it reads what a dear statement before it makes; it was the only dear one. Iterations of one
step with reasons of one kind make one reason.

The rule: pure, and asked only when somebody wants to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from taskpar_kernel.analysis.together import WHILE, carried
from taskpar_kernel.engine.advice import advice_on
from taskpar_kernel.engine.facts import CellFacts, StepFact
from taskpar_kernel.engine.history import too_short
from taskpar_kernel.model.effects import Blocker
from taskpar_kernel.model.ids import StatementId
from taskpar_kernel.model.refusal import Refusal, Together
from taskpar_kernel.model.run import ReasonRecord, RunRecord, StatementRecord
from taskpar_kernel.planning.dependences import Kind, dependences

WORTH_S = 0.004
"""What takes less is too short to be sent out by itself."""
_BESIDE = 0.2
"""Share of a statement's time in which workers were busy, from which nothing was wrong."""
_SHARE = 0.05
"""Home's own part of its loops is spoken of if it took more than this share of the cell."""
STARTING = Refusal("workers-starting", "the workers were still starting")
ALONE = Refusal("alone", "nothing else in this cell takes time, so nothing could run beside it")
_UNKNOWN = Refusal("not-known-yet", "home came to it before it was known how long it takes")


def explain(
    record: RunRecord, facts: CellFacts, *, ready: bool = True, waited_s: float = 0.0
) -> tuple[ReasonRecord, ...]:
    """Return why statements of a cell ran at home or waited.

    `ready`: whether workers were up when the cell began; `waited_s`: what home waited for them.
    """
    work = _Explanation(record.statements, facts, ready)
    found = [*work.at_home(), *work.waited(waited_s), *work.own_part(record.wall_s - waited_s)]
    return in_order(_summed(found))


def in_order(reasons: Iterable[ReasonRecord]) -> tuple[ReasonRecord, ...]:
    """Return reasons with the dearest first; ties by line."""
    return tuple(sorted(reasons, key=lambda r: (-round(r.seconds, 6), r.line, r.kind)))


def reason_for(refusal: Refusal, line: int, statement: str, seconds: float) -> ReasonRecord:
    """Return the reason that a refusal is for one statement (line 0: for the cell)."""
    sentence = refusal.text.removeprefix(f"line {line}: ")
    if refusal.kind == "not-portable" and not sentence.startswith("it "):
        sentence = f"a value would not arrive as it is: {sentence}"
    return ReasonRecord(line, statement, refusal.kind, sentence, advice_on(refusal), 1, seconds)


@dataclass(frozen=True)
class _Explanation:
    statements: Sequence[StatementRecord]
    facts: CellFacts
    ready: bool
    _positions: dict[tuple[int, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, fact in enumerate(self.facts.steps):
            self._positions.setdefault((fact.line, fact.text), number)

    # What home ran -------------------------------------------------------------------------------

    def at_home(self) -> Iterator[ReasonRecord]:
        for record in self.statements:
            if record.state == "committed":
                continue
            refusal = self._refusal(record)
            if refusal is not None:
                reason = reason_for(refusal, record.line, record.source, seconds(record))
                yield replace(reason, times=record.times)

    def _refusal(self, record: StatementRecord) -> Refusal | None:
        said = Refusal(record.reason_kind, record.reason, record.reason_names)
        position = self._positions.get((record.line, record.source))
        fact = None if position is None else self.facts.steps[position]
        if seconds(record) < WORTH_S * record.times and record.state != "squashed":
            home = fact is not None and (fact.refusal is not None or fact.trivial)
            return None if home else too_short(seconds(record) / record.times)
        kept = self._kept_together(record, fact)
        if kept is not None and (kept.refusal is not WHILE or not said.kind):
            return kept.refusal
        if position is not None and (said.kind == "depends" or record.state == "squashed"):
            found = self._carried(position)
            if found is None and said.kind == "depends":
                names = (*said.names, *self._read_from_dear(record))
                found = self._depends(position, names)
            return found or said
        if said.kind:
            return said
        if self._busy_beside(record) or position is None:
            return None
        return self._inferred(record, position)

    def _inferred(self, record: StatementRecord, position: int) -> Refusal | None:
        """Return why nothing ran beside a dear statement that nothing kept at home."""
        before = self._dear_before(record)
        found = self._carried(position) or self._made_in_loop(position)
        if found is not None:
            return found
        names = self._read_from_dear(record)
        if names:
            return self._depends(position, names)
        if len(self._dear) == 1 and record.times == 1:
            return ALONE
        if not before:
            return None  # home has to run something too
        if not self.ready:
            return STARTING
        return self._behind_clock(position, before[-1]) or _UNKNOWN

    def _kept_together(self, record: StatementRecord, fact: StepFact | None) -> Together | None:
        """Return the first loop in a statement that was not taken apart for a reason."""
        if fact is None:
            return None
        for kept in self.facts.together:
            same = (kept.line, kept.end_line) == (record.line, fact.end_line)
            around = record.line <= kept.line and kept.end_line <= fact.end_line
            inside = same or (fact.whole and around)
            if inside and kept.refusal.kind != "trivial":
                return kept
        return None

    @cached_property
    def _dear(self) -> list[StatementRecord]:
        found = (r for r in self.statements if seconds(r) >= WORTH_S * r.times)
        return sorted(found, key=lambda r: (r.end_s, r.line))

    def _top(self, record: StatementRecord) -> int:
        position = self._positions.get((record.line, record.source))
        return -1 if position is None else self.facts.steps[position].top

    def _busy_beside(self, record: StatementRecord) -> bool:
        """Whether workers made something that was taken while home ran this."""
        shared_s = sum(
            max(0.0, min(r.end_s, record.end_s) - max(r.start_s, record.start_s))
            for r in self.statements
            if r.state == "committed"
        )
        return shared_s > _BESIDE * seconds(record)

    def _behind_clock(self, position: int, before: StatementRecord) -> Refusal | None:
        first = self._positions.get((before.line, before.source), -1) + 1
        for fact in self.facts.steps[first:position]:
            if any(reason.blocker is Blocker.CLOCK for reason in fact.effects.home):
                text = f"line {fact.line} reads the clock, and nothing that is timed overtakes it"
                return Refusal("behind-clock", text, (), fact.line)
        return None

    # Dependences ---------------------------------------------------------------------------------

    def _read_from_dear(self, record: StatementRecord) -> tuple[str, ...]:
        """Return the names that a statement reads from dear ones that ended before it began."""
        top = self._top(record)
        found = self._flows.get(top, {})
        sources = {self._top(other) for other in self._dear_before(record)} - {top}
        names = frozenset[str]().union(*(found.get(source, frozenset()) for source in sources))
        return tuple(sorted(names))

    def _dear_before(self, record: StatementRecord) -> list[StatementRecord]:
        return [r for r in self._dear if r.end_s <= record.start_s + 1e-9]

    @cached_property
    def _flows(self) -> dict[int, dict[int, frozenset[str]]]:
        numbered = [(StatementId(i), effects) for i, effects in enumerate(self.facts.tops)]
        flows: dict[int, dict[int, frozenset[str]]] = {}
        for edge in dependences(numbered).of(Kind.FLOW):
            flows.setdefault(edge.target, {})[edge.source] = edge.names
        return flows

    def _depends(self, position: int, names: Sequence[str]) -> Refusal | None:
        """Return which step is the last that makes or changes one of the names a step reads."""
        found = (self._in_loop(position, n) or self._before(position, n) for n in names)
        return max(filter(None, found), key=lambda refusal: refusal.line, default=None)

    def _in_loop(self, position: int, name: str) -> Refusal | None:
        """Return that the loop around a step makes what it reads, earlier in the same iteration."""
        fact = self.facts.steps[position]
        makers = [other for number, other in self._makers(fact, name) if number < position]
        return _flow(makers[-1], fact, name) if makers else None

    def _made_in_loop(self, position: int) -> Refusal | None:
        """Return which dear step, earlier in the same iteration, makes what a step reads."""
        dear = {(record.line, record.source) for record in self._dear}
        for name in sorted(self.facts.steps[position].effects.reads):
            makers = self._makers(self.facts.steps[position], name)
            earlier = [maker for number, maker in makers if number < position]
            if earlier and (earlier[-1].line, earlier[-1].text) in dear:
                return _flow(earlier[-1], self.facts.steps[position], name)
        return None

    def _carried(self, position: int) -> Refusal | None:
        """Return that the loop around a step makes what it reads, in the iteration before."""
        fact = self.facts.steps[position]
        for name in sorted(fact.effects.reads | fact.effects.changes):
            makers = self._makers(fact, name)
            if makers and all(number >= position for number, _ in makers):
                return carried(name, makers[-1][1].effects, makers[-1][1].line)
        return None

    def _makers(self, fact: StepFact, name: str) -> list[tuple[int, StepFact]]:
        """Return the steps, with their positions, of the loop around a step that make `name`."""
        return [
            (number, other)
            for number, other in enumerate(self.facts.steps)
            if fact.loops and other.loops[: len(fact.loops)] == fact.loops and name in other.makes
        ]

    def _before(self, position: int, name: str) -> Refusal | None:
        fact = self.facts.steps[position]
        sources = [s for s, names in self._flows.get(fact.top, {}).items() if name in names]
        steps = [f for f in self.facts.steps[:position] if f.top in sources]
        makers = [f for f in steps if name in f.makes] or steps
        return _flow(makers[-1], fact, name) if makers else None

    # What waited, and what was home's own part ---------------------------------------------------

    def waited(self, waited_s: float) -> Iterator[ReasonRecord]:
        """Tell of what ran ahead, but with nothing beside it that home could do."""
        if waited_s < WORTH_S:
            return
        for record in self._dear:
            position = self._positions.get((record.line, record.source))
            if record.state == "committed" and position is not None:
                refusal = self._waiting(record, position)
                if refusal is not None:
                    yield reason_for(refusal, record.line, record.source, 0.0)

    def _waiting(self, record: StatementRecord, position: int) -> Refusal | None:
        kept = self._kept_together(record, self.facts.steps[position])
        if kept is not None:
            return kept.refusal
        names = self._read_from_dear(record)
        if names:
            return self._depends(position, names)
        return ALONE if len(self._dear) == 1 else None

    def own_part(self, busy_s: float) -> Iterator[ReasonRecord]:
        """Tell of home's own steps in loops, which are not timed one by one, if they took long."""
        home_s = sum(seconds(r) for r in self.statements if r.state != "committed")
        own_s = busy_s - home_s
        steps = [f for f in self.facts.steps if f.loops and f.refusal and not f.trivial]
        blocked = [f for f in steps if f.refusal and f.refusal.kind != "in-order"]
        if own_s < max(WORTH_S, _SHARE * busy_s):
            return
        for fact in blocked:
            assert fact.refusal is not None
            yield reason_for(fact.refusal, fact.line, fact.text, own_s / len(blocked))


def seconds(record: StatementRecord) -> float:
    """Return how long a statement ran, in seconds."""
    return record.end_s - record.start_s


def _flow(maker: StepFact, reader: StepFact, name: str) -> Refusal | None:
    if maker.line == reader.line:
        return None
    verb = "makes" if name in maker.effects.writes else "changes"
    text = f"line {maker.line} {verb} `{name}`, which line {reader.line} reads"
    return Refusal("depends", text, (name,), maker.line)


def _summed(reasons: Iterable[ReasonRecord]) -> Iterator[ReasonRecord]:
    """Make one reason of those that the iterations of one step have in common."""
    groups: dict[tuple[int, str, str], list[ReasonRecord]] = {}
    for reason in reasons:
        groups.setdefault((reason.line, reason.statement, reason.kind), []).append(reason)
    for same in groups.values():
        times, total_s = sum(r.times for r in same), sum(r.seconds for r in same)
        sentence = same[0].sentence
        if same[0].kind == "too-short":
            sentence = too_short(total_s / times).text + (" each" if times > 1 else "")
        if times > 1:
            sentence = f"{times} iterations: {sentence}"
        yield replace(same[0], sentence=sentence, times=times, seconds=total_s)
