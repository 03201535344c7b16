"""Serial policy: everything at home, in program order; what other plans are measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskpar_kernel.model.ids import HOME
from taskpar_kernel.planning.plan import Plan, plan_of
from taskpar_kernel.planning.schedule import Placement

if TYPE_CHECKING:
    import networkx as nx

    from taskpar_kernel.planning.communication import CommunicationModel


def serial(graph: nx.DiGraph, places: int, model: CommunicationModel) -> Plan:
    """Return the plan that runs everything at home, in program order; O(tasks)."""
    now_s, placements = 0.0, []
    for number, task in graph.nodes(data="task"):
        end_s = now_s + task.cost_at_s(HOME)
        placements.append(Placement(number, HOME, now_s, end_s))
        now_s = end_s
    return plan_of(graph, places, model, "serial", placements)
