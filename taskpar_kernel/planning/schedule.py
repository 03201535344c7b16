"""Placements come in, the transfers they entail go out; the values a plan is made of.

The rule: a value is sent to a place at most once, as soon as it exists, to everyone who needs it;
in a graph with home every outcome is also sent home, whoever else needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from taskpar_kernel.model.ids import HOME, Place, StatementId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import networkx as nx

    from taskpar_kernel.planning.communication import CommunicationModel


@dataclass(frozen=True, slots=True)
class Placement:
    """`task` runs at `place` from `start_s` to `end_s` (seconds since the cell began)."""

    task: StatementId
    place: Place
    start_s: float
    end_s: float

    @property
    def moment(self) -> tuple[float, float, StatementId]:
        """Sorts placements so that nothing comes before what it waits for."""
        return self.start_s, self.end_s, self.task


@dataclass(frozen=True, slots=True)
class Transfer:
    """`names` travel from `source` to `target`; they are part of what `task` defined.

    `task` None: inputs, there before the cell. No names: word that `task` is done, and its output.
    """

    task: StatementId | None
    names: tuple[str, ...]
    source: Place
    target: Place
    size_bytes: int
    start_s: float
    end_s: float


class PlanView(Protocol):
    """A plan for those who only look at it: checking and rendering."""

    @property
    def graph(self) -> nx.DiGraph: ...  # noqa: D102
    @property
    def places(self) -> int: ...  # noqa: D102
    @property
    def model(self) -> CommunicationModel: ...  # noqa: D102
    @property
    def policy(self) -> str: ...  # noqa: D102
    @property
    def placements(self) -> tuple[Placement, ...]: ...  # noqa: D102
    @property
    def transfers(self) -> tuple[Transfer, ...]: ...  # noqa: D102
    @property
    def makespan_s(self) -> float: ...  # noqa: D102
    @property
    def serial_s(self) -> float: ...  # noqa: D102
    @property
    def speed_up(self) -> float: ...  # noqa: D102


def transfers_of(
    graph: nx.DiGraph, model: CommunicationModel, placements: Iterable[Placement]
) -> tuple[Transfer, ...]:
    """Return what must be sent for `placements`, ordered by start, producer, target.

    A value that comes in time for all who wait for word that its task is done serves as that word.
    """
    at = {placement.task: placement for placement in placements}
    sizes, home = graph.graph["sizes"], graph.graph["home"]
    sent: dict[tuple[StatementId | None, Place], set[str]] = {}
    transfers: list[Transfer] = []
    heard_s: dict[tuple[StatementId | None, Place], float] = {}

    def send(task: StatementId | None, names: tuple[str, ...], target: Place) -> None:
        had = sent.get((task, target))
        new = names if had is None else tuple(name for name in names if name not in had)
        if had is not None and not new:
            return
        sent.setdefault((task, target), set()).update(new)
        source, start_s = (HOME, 0.0) if task is None else (at[task].place, at[task].end_s)
        size_bytes = sum([sizes.get(name, 0) for name in new])
        end_s = start_s + model.transfer_s(size_bytes)
        transfers.append(Transfer(task, new, source, target, size_bytes, start_s, end_s))

    for placement in sorted(at.values(), key=lambda one: one.moment):
        task, place = graph.nodes[placement.task]["task"], placement.place
        if not home or place != HOME:
            for source, edge in graph.pred[placement.task].items():
                if at[source].place != place:
                    send(source, edge["names"], place)
                    if not edge["names"]:
                        heard_s.setdefault((source, place), placement.start_s)
            if home and task.inputs:
                send(None, task.inputs, place)
        if home and place != HOME:
            start_s = placement.end_s
            end_s = start_s + model.transfer_s(task.size_bytes)
            transfers.append(
                Transfer(task.id, task.defines, place, HOME, task.size_bytes, start_s, end_s)
            )
    needed = _without_needless_word(transfers, heard_s)
    needed.sort(key=lambda one: (one.start_s, -1 if one.task is None else one.task, one.target))
    return tuple(needed)


def _without_needless_word(
    transfers: Iterable[Transfer], heard_s: Mapping[tuple[StatementId | None, Place], float]
) -> list[Transfer]:
    """Leave out word where a value comes before `heard_s`, the first time that it is waited for."""
    told = {
        (one.task, one.target)
        for one in transfers
        if one.names and one.end_s <= heard_s.get((one.task, one.target), 0.0)
    }
    return [one for one in transfers if one.names or (one.task, one.target) not in told]
