"""A cell whose costs are known comes in, the place of each statement goes out: the static policy.

The first run of a cell goes by the on-line policy (`Lookahead` alone). From the second run on, when
every dear statement was timed, the cell is planned as a whole. The rule: a plan only says where a
statement goes and what stays home; what is ready, and what is committed, is decided as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from taskpar_kernel.engine.costs import Costs
from taskpar_kernel.engine.sizes import size_of
from taskpar_kernel.model.effects import Blocker, Effects, Reason
from taskpar_kernel.model.ids import Place, StatementId, UnitId
from taskpar_kernel.model.run import PlannedRecord
from taskpar_kernel.model.steps import TopLevel, Unit
from taskpar_kernel.planning.choose import choose_plan
from taskpar_kernel.planning.graph import TaskDetails, task_graph
from taskpar_kernel.settings import usable_cores

_BYTES_PER_S = 2e9
"""At which the plan's transfers go: what takes longer to pickle counts as so much larger."""
LEAST_UNITS = 3
"""With fewer whole statements than this there is nothing to plan."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan as the engine follows it, and as it is recorded; empty: there is none."""

    places: dict[UnitId, Place] = field(default_factory=dict)
    records: tuple[PlannedRecord, ...] = ()


def planned(
    tops: Sequence[TopLevel],
    costs: Costs,
    namespace: Mapping[str, Any],
    workers: int,
    policy: str,
) -> Planned:
    """Return the planned place of each statement that may travel; empty: go by the on-line policy.

    Raises:
        UsageError: the policy has no such name.
    """
    whole = {i: top.steps[0] for i, top in enumerate(tops) if _is_whole(top)}
    known = [costs.estimate(step) for step in whole.values() if isinstance(step, Unit)]
    if len(known) < LEAST_UNITS or None in known or len(whole) < len(tops) // 2:
        return Planned()
    statements = [
        (StatementId(i), top.effects if i in whole else _at_home(top.effects))
        for i, top in enumerate(tops)
    ]
    details = {
        StatementId(i): TaskDetails(
            _seconds(top, costs), top.steps[0].text, top.steps[0].line, _busy(top, costs)
        )
        for i, top in enumerate(tops)
    }
    read = frozenset[str]().union(*(top.effects.reads for top in tops)) & namespace.keys()
    sizes = {name: int(_BYTES_PER_S * size_of(namespace[name]).pack_s) for name in read}
    graph = task_graph(statements, details, sizes)
    plan = choose_plan(graph, workers, policy, cores=usable_cores())
    if not plan.is_parallel:
        return Planned()
    places = {p.task: p.place for p in plan.placements}
    records = tuple(
        PlannedRecord(details[p.task].line, str(p.place or "home"), p.start_s, p.end_s)
        for p in plan.placements
    )
    at = {step.id: places[StatementId(i)] for i, step in whole.items() if StatementId(i) in places}
    return Planned(at, records)


def _is_whole(top: TopLevel) -> bool:
    first = top.steps[0]
    return len(top.steps) == 1 and isinstance(first, Unit) and first.node is top.node


def _at_home(effects: Effects) -> Effects:
    return replace(effects, home=effects.home or (Reason(Blocker.CONTROL, "", 0),))


def _seconds(top: TopLevel, costs: Costs) -> float:
    estimates = [costs.estimate(s) for s in top.steps if not hasattr(s, "body")]
    return sum(e for e in estimates if e is not None)


def _busy(top: TopLevel, costs: Costs) -> float:
    """Return the share of its time in which a statement uses a core: a sleep uses none."""
    cores = [costs.threads(s) for s in top.steps if not hasattr(s, "body")]
    return min(1.0, max((n for n in cores if n is not None), default=1.0))
