"""The default: the best of HEFT, PEFT and the on-line policy, for each graph anew.

None of them is best everywhere, and to ask all three takes a fraction of what a bad plan costs. The
plan bears the name of the policy it is by. Ties: HEFT, then PEFT.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING

from taskpar_kernel.planning.communication import CommunicationModel
from taskpar_kernel.planning.graph import Flat, flatten
from taskpar_kernel.planning.plan import Plan, plan_of
from taskpar_kernel.planning.policies.heft import heft_board
from taskpar_kernel.planning.policies.online import online_clock
from taskpar_kernel.planning.policies.peft import peft_board
from taskpar_kernel.planning.sharing import done_on_cores_s

if TYPE_CHECKING:
    import networkx as nx

    from taskpar_kernel.planning.policies.interface import Placed


def auto(
    graph: nx.DiGraph, places: int, model: CommunicationModel, cores: int | None = None
) -> Plan:
    """Return the plan that ends first on so many cores (None: one for each place).

    If there are fewer cores than places, HEFT and the on-line policy are also asked for plans that
    leave as many places out. The times of the plan are those without sharing: `on_cores` gives the
    others.
    """
    flat = flatten(graph)
    asked: list[tuple[float, str, Placed]] = []
    for name, policy in _ASKED.items():
        placed = policy(flat, places, model)
        done_s = placed.done_s
        if cores is not None and cores < places:
            done_s = done_on_cores_s(flat, placed.placements(), places, model, cores)
        asked.append((done_s, name, placed))
    if cores is not None and cores < places:
        for name in ("heft", "online"):
            placed = _ASKED[name](flat, cores, model)
            asked.append((placed.done_s, name, placed))
    _, best, placed = min(asked, key=itemgetter(0))
    return plan_of(graph, places, model, best, placed.placements())


_ASKED: dict[str, Callable[[Flat, int, CommunicationModel], Placed]] = {
    "heft": heft_board,
    "peft": peft_board,
    "online": online_clock,
}
