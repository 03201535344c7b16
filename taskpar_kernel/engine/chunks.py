"""Cheap iterations of a loop come in one by one, and go out together as chunks of one grain.

Going out and coming back costs a fraction of a millisecond, so what takes less than some
milliseconds is worth it only in company. The rule: the parts of a chunk read the same beside the
targets of the loops around them, make nothing that another statement ahead of home waits for, and
are predicted to change no object; if one does, the chunk fails as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from taskpar_kernel.engine.dispatch import Chunk, Dispatch
from taskpar_kernel.engine.sources import Blocked, Known, Source
from taskpar_kernel.model.steps import HomeStep, Unit

if TYPE_CHECKING:
    from taskpar_kernel.engine.loads import Loads
    from taskpar_kernel.engine.stream import Instance
    from taskpar_kernel.model.ids import UnitId

GRAIN_S = 0.03
"""How long a chunk takes, about: going out and back is then some hundredths of it."""
_LONGEST_S = 0.02
"""A unit that takes longer goes out by itself."""
_UNEVEN = 5
"""So does one of which a run took so many times as long: others would have to wait for it."""
_SHORTEST_S = 0.00015
"""Taking one part of a chunk costs home a third of this."""
_SURELY_S = 0.001
"""If a run was seen to take less than that, they must take so much on average."""
_SHORTEST_CHUNK_S = 0.008
"""The last of a loop are shared out as long as each worker gets so much."""
_MOST = 96
_EAGER = 3
"""Parts of a chunk in eager mode, where costs do not count."""


@dataclass(slots=True)
class _Line:
    """The chunks of one unit that are being put together: one that is full, and one that is not.

    The full one is kept back until there is another, so that the last two can share what there is.
    """

    size: int
    kept: Chunk | None
    open: Chunk

    def ends(self, workers: int, cost_s: float) -> list[Chunk]:
        """Return the last chunks of the line, of about one length.

        As many as there are workers, as long as each is worth a journey.
        """
        chunks = [chunk for chunk in (self.kept, self.open) if chunk is not None]
        instances = [each for chunk in chunks for each in chunk.instances]
        items = [each for chunk in chunks for each in chunk.items]
        worth = min(workers, int(len(instances) * cost_s / _SHORTEST_CHUNK_S))
        number = max(1, len(chunks), worth)
        ends = [len(instances) * n // number for n in range(number + 1)]
        return [
            Chunk(self.open.sources, instances[a:b], items[a:b]) for a, b in pairwise(ends) if a < b
        ]


class Chunks:
    """The chunks that one scan puts together."""

    def __init__(self, dispatch: Dispatch, loads: Loads, *, idle: bool):
        self._dispatch = dispatch
        self._loads = loads
        self._idle = idle
        self._lines: dict[UnitId, _Line] = {}
        self.sent = 0

    def takes(self, instance: Instance, sources: dict[str, Source]) -> bool:
        """Take the instance into a chunk, if it is one for that; send what is full by then."""
        step = instance.step
        size = self._size(step)
        if not instance.bound or size < 2 or not isinstance(step, Unit):
            return False
        varying = {n: s for n, s in sources.items() if n in instance.bound}
        fixed = {n: s for n, s in sources.items() if n not in instance.bound}
        if not all(isinstance(s, Known) for s in sources.values()):
            return False
        line = self._lines.get(step.id)
        if line is not None and not _same(line.open.sources, fixed):
            self._end(self._lines.pop(step.id))
            line = None
        if line is None:
            line = self._lines[step.id] = _Line(size, None, Chunk(fixed))
        elif len(line.open.instances) >= line.size:
            if line.kept is not None:
                self._send(line.kept)
            line.kept, line.open = line.open, Chunk(fixed)
        line.open.instances.append(instance)
        line.open.items.append({n: s.value for n, s in varying.items() if isinstance(s, Known)})
        return True

    def flush(self) -> None:
        """Send what is left at the end of the window."""
        while self._lines:
            self._end(self._lines.popitem()[1])

    def _end(self, line: _Line) -> None:
        cost_s = self._dispatch.costs.typical(line.open.instances[0].step) or 0.0
        workers = 1 if self._dispatch.settings.eager else len(self._loads.places)
        for chunk in line.ends(workers, cost_s):
            self._send(chunk)

    def _size(self, step: Unit | HomeStep) -> int:
        """Return how many runs of a step make one grain; 1: it does not go out in chunks."""
        costs = self._dispatch.costs
        effects = step.effects
        if costs.changes(step) or effects.prints or effects.draws:
            return 1
        if effects.files_read or effects.files_written:
            return 1
        if not costs.may_chunk(step) or not self._dispatch.pays(step):
            return 1
        if self._dispatch.settings.eager:
            return _EAGER
        cost_s, most_s = costs.typical(step) or 0.0, costs.most(step) or 0.0
        shortest_s = _SHORTEST_S if (costs.known(step) or 0.0) >= _SHORTEST_S else _SURELY_S
        if not shortest_s <= cost_s <= _LONGEST_S or most_s > _UNEVEN * _LONGEST_S:
            return 1
        return min(_MOST, int(GRAIN_S / cost_s) + 1)

    def _send(self, chunk: Chunk) -> None:
        try:
            self._dispatch.send_chunk(chunk, self._loads, idle=self._idle)
            self.sent += 1
        except Blocked as why:
            for instance in chunk.instances:
                instance.refused = why.refusal


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(one[n].value is other[n].value for n in one)
