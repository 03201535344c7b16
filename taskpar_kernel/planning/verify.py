"""A plan comes in; nothing goes out, or an `InvariantError` that names the breach.

The rule: this module trusts nothing that a policy or `schedule` computed. It knows only the graph,
the model of costs, and what home is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from taskpar_kernel.errors import InvariantError
from taskpar_kernel.model.ids import HOME, Place, StatementId
from taskpar_kernel.planning.graph import place_name

if TYPE_CHECKING:
    from taskpar_kernel.planning.graph import Task
    from taskpar_kernel.planning.schedule import Placement, PlanView, Transfer

SLACK_S = 1e-9
"""Sums of floats in another order may differ by this much."""


def check(plan: PlanView) -> None:
    """Check that `plan` can be carried out as it stands; O(tasks * places + edges).

    Raises:
        InvariantError: what is wrong, with the statement and the place.
    """
    _check_placed_once(plan)
    _check_durations(plan)
    _check_places_do_one_thing(plan)
    _check_transfers_possible(plan)
    _check_dependences(plan)
    if plan.graph.graph["home"]:
        _check_inputs(plan)
        _check_home(plan)
    _check_makespan(plan)


def _tasks(plan: PlanView) -> dict[StatementId, Task]:
    return dict(plan.graph.nodes(data="task"))


def _at(plan: PlanView) -> dict[StatementId, Placement]:
    return {placement.task: placement for placement in plan.placements}


def _late(first_s: float, second_s: float) -> bool:
    return first_s > second_s + SLACK_S * max(1.0, abs(second_s))


def _check_placed_once(plan: PlanView) -> None:
    times = Counter(placement.task for placement in plan.placements)
    for number, task in _tasks(plan).items():
        if times.pop(number, 0) != 1:
            raise InvariantError(f"{task.where} is not placed exactly once")
    if times:
        raise InvariantError(f"task {min(times)} is placed but is not in the graph")
    for placement in plan.placements:
        if not 0 <= placement.place < plan.places:
            raise InvariantError(f"task {placement.task}: there is no place {placement.place}")


def _check_durations(plan: PlanView) -> None:
    tasks = _tasks(plan)
    for placement in plan.placements:
        task = tasks[placement.task]
        if placement.start_s < 0:
            raise InvariantError(f"{task.where} starts before the cell does")
        if _late(placement.start_s + task.cost_at_s(placement.place), placement.end_s):
            raise InvariantError(f"{task.where} is given less time than it costs")


def _check_places_do_one_thing(plan: PlanView) -> None:
    tasks = _tasks(plan)
    busy: dict[Place, Placement] = {}
    for placement in sorted(plan.placements, key=lambda one: one.moment):
        before = busy.get(placement.place)
        if before is not None and _late(before.end_s, placement.start_s):
            where = place_name(plan.graph, placement.place)
            first, second = tasks[before.task].where, tasks[placement.task].where
            raise InvariantError(f"{where} would run {first} and {second} at once")
        busy[placement.place] = placement


def _check_transfers_possible(plan: PlanView) -> None:
    at, tasks, sizes = _at(plan), _tasks(plan), plan.graph.graph["sizes"]
    for transfer in plan.transfers:
        names, target = ", ".join(transfer.names) or "word", transfer.target
        what = f"transfer of {names} to {place_name(plan.graph, target)}"
        if transfer.task is None:
            source, ready_s = HOME, 0.0
        elif transfer.task in at:
            source, ready_s = at[transfer.task].place, at[transfer.task].end_s
        else:
            raise InvariantError(f"{what}: task {transfer.task} is not in the graph")
        if transfer.source != source:
            raise InvariantError(f"{what}: it does not begin where the value is")
        if _late(ready_s, transfer.start_s):
            where = "the cell" if transfer.task is None else tasks[transfer.task].where
            raise InvariantError(f"{what}: it begins before {where} has ended")
        least_bytes = sum(sizes.get(name, 0) for name in transfer.names)
        if _late(transfer.start_s + plan.model.transfer_s(least_bytes), transfer.end_s):
            raise InvariantError(f"{what}: it is given less time than it takes")


def _arrivals(plan: PlanView) -> dict[tuple[StatementId | None, Place], list[Transfer]]:
    arrivals = defaultdict(list)
    for transfer in plan.transfers:
        arrivals[transfer.task, transfer.target].append(transfer)
    return arrivals


def _check_dependences(plan: PlanView) -> None:
    at, tasks, arrivals = _at(plan), _tasks(plan), _arrivals(plan)
    for source, target, edge in plan.graph.edges(data=True):
        first, second = at[source], at[target]
        if first.place == second.place:
            if _late(first.end_s, second.start_s):
                raise InvariantError(
                    f"{tasks[target].where} starts before {tasks[source].where} has ended"
                )
            continue
        if plan.graph.graph["home"] and second.place == HOME:
            continue  # whole outcomes are gathered there: see _check_home
        had = {
            name: transfer.end_s
            for transfer in reversed(arrivals.get((source, second.place), []))
            for name in (*transfer.names, "")
        }
        for name in edge["names"] or ("",):
            if name not in had:
                raise InvariantError(
                    f"{tasks[target].where} needs {name or 'word'} of {tasks[source].where}, "
                    f"which is not sent to {place_name(plan.graph, second.place)}"
                )
            if _late(had[name], second.start_s):
                raise InvariantError(
                    f"{tasks[target].where} starts before {name or 'word'} of "
                    f"{tasks[source].where} is at {place_name(plan.graph, second.place)}"
                )


def _check_inputs(plan: PlanView) -> None:
    tasks, arrivals = _tasks(plan), _arrivals(plan)
    for placement in plan.placements:
        task = tasks[placement.task]
        if placement.place == HOME:
            continue
        coming = arrivals.get((None, placement.place), [])
        for name in task.inputs:
            ends_s = [transfer.end_s for transfer in coming if name in transfer.names]
            if not ends_s or _late(min(ends_s), placement.start_s):
                where = place_name(plan.graph, placement.place)
                raise InvariantError(f"{task.where} starts before its input {name} is at {where}")


def _check_home(plan: PlanView) -> None:
    """Home walks the cell in order: what runs there comes after all before it is gathered."""
    tasks, arrivals = _tasks(plan), _arrivals(plan)
    gathered_s, last = 0.0, None
    for placement in sorted(plan.placements, key=lambda one: one.task):
        task = tasks[placement.task]
        if placement.place == HOME:
            if last is not None and _late(gathered_s, placement.start_s):
                raise InvariantError(
                    f"{task.where} starts at home before {tasks[last].where} is done and gathered"
                )
            done_s = placement.end_s
        else:
            if task.home:
                where = place_name(plan.graph, placement.place)
                raise InvariantError(f"{task.where} must run at home and is placed at {where}")
            defines = set(task.defines)
            home = [
                transfer.end_s
                for transfer in arrivals.get((task.id, HOME), [])
                if defines <= set(transfer.names)
            ]
            if not home:
                raise InvariantError(f"the outcome of {task.where} is not gathered at home")
            done_s = min(home)
        if last is None or done_s > gathered_s:
            gathered_s, last = done_s, placement.task


def _check_makespan(plan: PlanView) -> None:
    ends_s = [placement.end_s for placement in plan.placements]
    ends_s += [transfer.end_s for transfer in plan.transfers if transfer.target == HOME]
    if abs(max(ends_s, default=0.0) - plan.makespan_s) > SLACK_S * max(1.0, plan.makespan_s):
        raise InvariantError(
            f"the makespan is said to be {plan.makespan_s:.6f} s, the plan ends after "
            f"{max(ends_s, default=0.0):.6f} s"
        )
