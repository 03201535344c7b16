"""Cheap iterations of a loop come in one by one, and go out together as chunks of one grain.

Going out and coming back costs a fraction of a millisecond, so what takes less than some
milliseconds is worth it only in company. The rule: the parts of a chunk read the same beside the
targets of the loops around them, make nothing that another statement ahead of home waits for, and
are predicted to change no object; if one does, the chunk fails as a whole.
"""

from __future__ import annotations

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
_MOST = 96
_EAGER = 3
"""Parts of a chunk in eager mode, where costs do not count."""


class Chunks:
    """The chunks that one scan puts together."""

    def __init__(self, dispatch: Dispatch, loads: Loads, *, idle: bool):
        self._dispatch = dispatch
        self._loads = loads
        self._idle = idle
        self._open: dict[UnitId, Chunk] = {}
        self.sent = 0

    def takes(self, instance: Instance, sources: dict[str, Source]) -> bool:
        """Take the instance into a chunk, if it is one for that; send the chunk if it is full."""
        step = instance.step
        size = self._size(step)
        if not instance.bound or size < 2 or not isinstance(step, Unit):
            return False
        varying = {n: s for n, s in sources.items() if n in instance.bound}
        fixed = {n: s for n, s in sources.items() if n not in instance.bound}
        if not all(isinstance(s, Known) for s in sources.values()):
            return False
        chunk = self._open.get(step.id)
        if chunk is not None and not _same(chunk.sources, fixed):
            self._send(self._open.pop(step.id))
            chunk = None
        if chunk is None:
            chunk = self._open[step.id] = Chunk(fixed)
        chunk.instances.append(instance)
        chunk.items.append({n: s.value for n, s in varying.items() if isinstance(s, Known)})
        if len(chunk.instances) >= size:
            self._send(self._open.pop(step.id))
        return True

    def flush(self) -> None:
        """Send what is left at the end of the window."""
        while self._open:
            self._send(self._open.popitem()[1])

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
        if not _SHORTEST_S <= cost_s <= _LONGEST_S or most_s > _UNEVEN * _LONGEST_S:
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
