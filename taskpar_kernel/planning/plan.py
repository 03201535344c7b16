"""A graph and its placements come in, a `Plan` goes out: what runs where and when, what is sent.

The rule: a plan is a frozen value that carries its own graph and model, so that it can be checked
and explained without whoever made it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskpar_kernel.model.ids import HOME, Place
from taskpar_kernel.planning.schedule import Placement, Transfer, transfers_of
from taskpar_kernel.planning.text import plan_text, script_text
from taskpar_kernel.planning.verify import check

if TYPE_CHECKING:
    from collections.abc import Iterable

    import networkx as nx

    from taskpar_kernel.planning.communication import CommunicationModel


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """What runs where and when, and what is sent; times in seconds since the cell began.

    Printing it gives a table of the statements and a lane for each place.
    """

    graph: nx.DiGraph = field(compare=False)
    places: int
    """Number of places, home included."""
    model: CommunicationModel
    policy: str
    placements: tuple[Placement, ...]
    """In program order."""
    transfers: tuple[Transfer, ...]
    """By start, then producer, then target."""
    makespan_s: float
    """When the last outcome is at home."""

    @property
    def makespan(self) -> float:
        """Seconds until the last outcome is at home."""
        return self.makespan_s

    @property
    def serial_s(self) -> float:
        """Seconds it takes with everything at home, in order."""
        return float(sum(task.cost_at_s(HOME) for _, task in self.graph.nodes(data="task")))

    @property
    def speed_up(self) -> float:
        """Serial seconds over planned seconds; 1.0 for a plan that takes no time."""
        return self.serial_s / self.makespan_s if self.makespan_s > 0 else 1.0

    @property
    def is_parallel(self) -> bool:
        """Whether more than one place has work."""
        return len({placement.place for placement in self.placements}) > 1

    def verify(self) -> Plan:
        """Check every dependence, place and transfer; return the plan itself.

        Raises:
            InvariantError: the plan cannot be carried out; the message names the breach.
        """
        check(self)
        return self

    def script(self, place: Place | int) -> str:
        """Return the instructions of one place (0: home), one a line, in order."""
        return script_text(self, place)

    def __str__(self) -> str:
        return plan_text(self)

    __repr__ = __str__


def plan_of(
    graph: nx.DiGraph,
    places: int,
    model: CommunicationModel,
    policy: str,
    placements: Iterable[Placement],
) -> Plan:
    """Return the plan that follows from `placements`: transfers and makespan are worked out."""
    in_order = tuple(sorted(placements, key=lambda one: one.task))
    transfers = transfers_of(graph, model, in_order)
    ends_s = [placement.end_s for placement in in_order]
    if graph.graph["home"]:
        ends_s += [transfer.end_s for transfer in transfers if transfer.target == HOME]
    return Plan(graph, places, model, policy, in_order, transfers, max(ends_s, default=0.0))
