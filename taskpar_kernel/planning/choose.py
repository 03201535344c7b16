"""A task graph comes in, the plan to follow goes out: a policy's, or serial where that is as good.

The rule: a plan is parallel only if it is predicted to gain at least 5 % on the serial one, since
predictions are no better than that and serial has no risk.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from taskpar_kernel.errors import UsageError
from taskpar_kernel.planning.communication import CommunicationModel
from taskpar_kernel.planning.grain import coarsen, refine
from taskpar_kernel.planning.graph import lower_bound_s
from taskpar_kernel.planning.policies.heft import heft
from taskpar_kernel.planning.policies.listing import listing
from taskpar_kernel.planning.policies.online import online
from taskpar_kernel.planning.policies.peft import peft
from taskpar_kernel.planning.policies.serial import serial

if TYPE_CHECKING:
    from collections.abc import Mapping

    import networkx as nx

    from taskpar_kernel.planning.plan import Plan
    from taskpar_kernel.planning.policies.interface import Policy

POLICIES: Mapping[str, Policy] = MappingProxyType(
    {"heft": heft, "peft": peft, "online": online, "listing": listing, "serial": serial}
)
AUTO = "auto"
"""The name for "the best of heft, peft and online"."""
LEAST_GAIN = 1.05
DEFAULT_MODEL = CommunicationModel()


def policies_named(policy: str) -> tuple[Policy, ...]:
    """Return what a policy's name stands for, or raise `UsageError` with the names allowed."""
    if policy == AUTO:
        return heft, peft, online
    if policy not in POLICIES:
        raise UsageError(
            f"policy={policy!r}: allowed are {', '.join([AUTO, *POLICIES])}; nothing was started"
        )
    return (POLICIES[policy],)


def choose_plan(
    graph: nx.DiGraph,
    workers: int,
    policy: str = AUTO,
    model: CommunicationModel = DEFAULT_MODEL,
) -> Plan:
    """Return the best plan of `graph` for home and this many workers.

    Chains and tiny tasks are grouped first. Serial is returned where the policies gain less than
    5 %, and without asking them where even the lower bound does.

    Raises:
        UsageError: there is no such policy.
    """
    candidates, places = policies_named(policy), workers + 1
    alone = serial(graph, places, model)
    if candidates == (serial,) or lower_bound_s(graph, places) * LEAST_GAIN >= alone.makespan_s:
        return alone
    grains = coarsen(graph, model.grain_s)
    plans = [refine(candidate(grains.graph, places, model), grains) for candidate in candidates]
    best = min(plans, key=lambda plan: plan.makespan_s)
    return best if best.makespan_s * LEAST_GAIN <= alone.makespan_s else alone
