"""The one interface of all policies, and of what they have placed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import networkx as nx

    from taskpar_kernel.planning.communication import CommunicationModel
    from taskpar_kernel.planning.plan import Plan
    from taskpar_kernel.planning.schedule import Placement


class Policy(Protocol):
    """Decides where and when each task of a graph runs.

    A policy keeps every order that `Plan.verify` checks, is deterministic, and breaks ties by
    program order, then by place.
    """

    def __call__(self, graph: nx.DiGraph, places: int, model: CommunicationModel, /) -> Plan:
        """Return a plan of `graph` for this many places, home included."""
        ...


class Placed(Protocol):
    """What a policy has placed, before a plan is made of it."""

    @property
    def done_s(self) -> float:
        """When everything is done, and at home if there is one."""
        ...

    def placements(self) -> list[Placement]:
        """Return where and when each task runs, in program order."""
        ...
