"""The default: the best of HEFT, PEFT and the on-line policy, for each graph anew.

None of them is best everywhere, and to ask all three takes a fraction of what a bad plan costs. The
plan bears the name of the policy it is by. Ties: HEFT, then PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskpar_kernel.planning.graph import flatten
from taskpar_kernel.planning.plan import Plan, plan_of
from taskpar_kernel.planning.policies.heft import heft_board
from taskpar_kernel.planning.policies.online import online_clock
from taskpar_kernel.planning.policies.peft import peft_board

if TYPE_CHECKING:
    import networkx as nx

    from taskpar_kernel.planning.communication import CommunicationModel
    from taskpar_kernel.planning.policies.interface import Placed


def auto(graph: nx.DiGraph, places: int, model: CommunicationModel) -> Plan:
    """Return the plan of the shortest makespan; takes as long as the three together."""
    flat = flatten(graph)
    placed: dict[str, Placed] = {
        "heft": heft_board(flat, places, model),
        "peft": peft_board(flat, places, model),
        "online": online_clock(flat, places, model),
    }
    best = min(placed, key=lambda name: placed[name].done_s)
    return plan_of(graph, places, model, best, placed[best].placements())
