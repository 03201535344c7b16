"""The text of a cell comes in, a `Plan` goes out: `taskpar_kernel.plan`, for users and for tests.

The rule: nothing is run and nothing is started; what is wrong with the call is a `UsageError`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from taskpar_kernel.analysis.api import analyse
from taskpar_kernel.errors import UsageError
from taskpar_kernel.model.ids import StatementId
from taskpar_kernel.planning.choose import choose_plan, policy_named
from taskpar_kernel.planning.graph import TaskDetails, task_graph
from taskpar_kernel.settings import check_workers

if TYPE_CHECKING:
    from taskpar_kernel.planning.plan import Plan

UNKNOWN_COST_S = 1.0


def plan(
    code: str,
    workers: int = 2,
    costs: Mapping[int, float] | float | None = None,
    sizes: Mapping[str, int] | None = None,
    policy: str = "heft",
) -> Plan:
    """Plan how `code` would run on home and `workers` workers, without running anything.

    Args:
        code: the text of a cell.
        workers: number of workers beside home, from 1.
        costs: seconds by the line on which a statement begins (from 1), or one number for all
            statements. Where it is silent, what the analysis knows of the statement's cost counts,
            and one second where it knows nothing.
        sizes: bytes by variable name, for inputs and results; 0 where it is silent.
        policy: "heft", "peft", "online", "listing", "serial", or "auto" for the best of the first
            three.

    Returns:
        The plan; serial if the policy gains less than 5 %. `print` it, or ask for its `makespan`,
        its `script(place)`, or to `verify()` it.

    Raises:
        UsageError: the code is not Python, or an argument is not allowed.
    """
    workers = check_workers(workers)
    policy_named(policy)
    _check_numbers("sizes", sizes or {}, "bytes")
    statements = analyse(code).statements
    given = _costs_by_line(costs, {statement.line for statement in statements})
    details, effects = {}, []
    for number, statement in enumerate(statements):
        known_s = statement.effects.cost_s
        cost_s = given.get(statement.line, UNKNOWN_COST_S if known_s is None else known_s)
        details[StatementId(number)] = TaskDetails(cost_s, statement.source, statement.line)
        effects.append((StatementId(number), statement.effects))
    return choose_plan(task_graph(effects, details, sizes), workers, policy)


def _costs_by_line(
    costs: Mapping[int, float] | float | None, lines: set[int]
) -> Mapping[int, float]:
    if costs is None:
        return {}
    if not isinstance(costs, Mapping):
        costs = dict.fromkeys(lines, costs)
    _check_numbers("costs", costs, "seconds")
    for line in costs:
        if line not in lines:
            begins = ", ".join(str(one) for one in sorted(lines)) or "none"
            raise UsageError(
                f"costs: no statement begins on line {line!r}; statements begin on lines {begins}"
            )
    return {line: float(cost) for line, cost in costs.items()}


def _check_numbers(what: str, numbers: Mapping[str, int] | Mapping[int, float], unit: str) -> None:
    for key, number in numbers.items():
        if (
            isinstance(number, bool)
            or not isinstance(number, int | float)
            or not 0 <= number < math.inf
        ):
            raise UsageError(
                f"{what}[{key!r}] = {number!r}: a number of {unit}, 0 or more, is allowed"
            )
