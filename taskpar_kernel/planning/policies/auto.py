"""The default: the best of HEFT, PEFT and the on-line policy, for each graph anew.

None of them is best everywhere, and to ask all three takes a fraction of what a bad plan costs. The
plan bears the name of the policy it is by. Ties: HEFT, then PEFT.
"""

from __future__ import annotations

from collections.abc import Callable
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

NEARLY = 1.05
"""A makespan that is so many times the work over the cores leaves nothing to look for."""


def auto(
    graph: nx.DiGraph, places: int, model: CommunicationModel, cores: int | None = None
) -> Plan:
    """Return the plan that ends first on so many cores (None: one for each place).

    If there are fewer cores than places, HEFT and the on-line policy are also asked for plans that
    leave as many places out, unless the cores are busy nearly all the time as it is. The times of
    the plan are those without sharing: `on_cores` gives the others.
    """
    flat = flatten(graph)
    asked = [(name, policy(flat, places, model)) for name, policy in _ASKED.items()]
    if cores is None or cores >= places:
        done_s = [placed.done_s for _, placed in asked]
    else:
        done_s = [
            done_on_cores_s(flat, placed.placements(), places, model, cores) for _, placed in asked
        ]
        busy_s = sum(task.least_cost_s * task.busy for task in flat.tasks)
        if min(done_s) * cores > busy_s * NEARLY:
            fewer = [(name, _ASKED[name](flat, cores, model)) for name in ("heft", "online")]
            asked += fewer
            done_s += [placed.done_s for _, placed in fewer]
    best, placed = asked[done_s.index(min(done_s))]
    return plan_of(graph, places, model, best, placed.placements())


_ASKED: dict[str, Callable[[Flat, int, CommunicationModel], Placed]] = {
    "heft": heft_board,
    "peft": peft_board,
    "online": online_clock,
}
