"""A task graph comes in, the plan to follow goes out: a policy's, or serial where that is as good.

The rule: a plan is parallel only if it is predicted to gain at least 5 % on the serial one, since
predictions are no better than that and serial has no risk.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from taskpar_kernel.errors import UsageError
from taskpar_kernel.planning.communication import CommunicationModel
from taskpar_kernel.planning.grain import coarsen, refine
from taskpar_kernel.planning.graph import lower_bound_s
from taskpar_kernel.planning.policies.auto import auto
from taskpar_kernel.planning.policies.heft import heft
from taskpar_kernel.planning.policies.listing import listing
from taskpar_kernel.planning.policies.online import online
from taskpar_kernel.planning.policies.peft import peft
from taskpar_kernel.planning.policies.serial import serial
from taskpar_kernel.planning.sharing import on_cores

if TYPE_CHECKING:
    from collections.abc import Mapping

    import networkx as nx

    from taskpar_kernel.planning.plan import Plan
    from taskpar_kernel.planning.policies.interface import Policy

POLICIES: Mapping[str, Policy] = MappingProxyType(
    {
        "auto": auto,
        "heft": heft,
        "peft": peft,
        "online": online,
        "listing": listing,
        "serial": serial,
    }
)
AUTO = "auto"
"""The name of the default."""
LEAST_GAIN = 1.05
DEFAULT_MODEL = CommunicationModel()


def policy_named(policy: str) -> Policy:
    """Return the policy of this name, or raise `UsageError` with the names allowed."""
    if policy not in POLICIES:
        raise UsageError(
            f"policy={policy!r}: allowed are {', '.join(POLICIES)}; nothing was started"
        )
    return POLICIES[policy]


def choose_plan(
    graph: nx.DiGraph,
    workers: int,
    policy: str = AUTO,
    model: CommunicationModel = DEFAULT_MODEL,
    cores: int | None = None,
) -> Plan:
    """Return the policy's plan of `graph` for home and this many workers, or the serial one.

    Chains and tiny tasks are grouped first. Serial is returned where the policy gains less than
    5 %, and without asking it where even the lower bound does.

    Args:
        graph: what is to be planned.
        workers: number of workers beside home.
        policy: a name of `POLICIES`.
        model: what hand-overs and transfers cost.
        cores: how many of home and workers can compute at the same time; None: all of them. If it
            is fewer, a plan that leaves workers out is considered as well.

    Raises:
        UsageError: there is no such policy.
    """
    policed, places = policy_named(policy), workers + 1
    cores = places if cores is None else min(cores, places)
    alone = serial(graph, places, model)
    if policed is serial or lower_bound_s(graph, places, cores) * LEAST_GAIN >= alone.makespan_s:
        return alone
    grains = coarsen(graph, model.grain_s)
    if policed is auto:
        plans = [auto(grains.graph, places, model, cores)]
    else:
        plans = [
            replace(policed(grains.graph, number, model), places=places)
            for number in sorted({cores, places})
        ]
    best = min(
        (on_cores(refine(plan, grains), cores) for plan in plans), key=lambda one: one.makespan_s
    )
    return best if best.makespan_s * LEAST_GAIN <= alone.makespan_s else alone
