"""Plain list scheduling, as generators of parallel scripts had it in 2018: a baseline.

Theory of operation. Statements are taken in program order. Each goes to the place where it starts
first, whatever comes after it and however long it takes there; nothing is put into a gap. Ties go
to the lower place, so to home. What stands in the way of good plans is easily seen: a place that is
free at once is taken even if the result must come back at a price, and the dear chain waits its
turn behind cheap statements that happen to be written before it.

The generators let a transfer keep both its ends busy; here it disturbs nobody, as for all policies.

Source: Sinnen 2007, "Task Scheduling for Parallel Systems", algorithm 10, DOI 10.1002/0470121173,
as in Fitzgerald's `makeParallel` for R, `scheduleTaskList`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskpar_kernel.planning.graph import flatten
from taskpar_kernel.planning.plan import Plan, plan_of
from taskpar_kernel.planning.policies.board import Board, filled, starts

if TYPE_CHECKING:
    import networkx as nx

    from taskpar_kernel.planning.communication import CommunicationModel


def listing(graph: nx.DiGraph, places: int, model: CommunicationModel) -> Plan:
    """Return the plan of plain list scheduling; O(edges + tasks * places)."""
    flat = flatten(graph)
    board = Board(flat, places, model, insertion=False)
    filled(board, range(len(flat.tasks)), starts)
    return plan_of(graph, places, model, "listing", board.placements())
