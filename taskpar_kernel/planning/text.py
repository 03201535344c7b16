"""A plan comes in, text for people goes out: a table, a lane for each place, a script for one.

The rule: text alone must do; columns line up in a fixed-width font and nothing depends on colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskpar_kernel.errors import UsageError
from taskpar_kernel.model.ids import HOME, Place, StatementId
from taskpar_kernel.planning.graph import place_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskpar_kernel.planning.graph import Task
    from taskpar_kernel.planning.schedule import PlanView, Transfer

LANE_COLUMNS = 64
LABEL_COLUMNS = 36


def plan_text(plan: PlanView) -> str:
    """Return headline, table of statements in program order, and the lanes."""
    return "\n".join([_headline(plan), "", *_table(plan), "", *_lanes(plan)])


def script_text(plan: PlanView, place: Place | int) -> str:
    """Return what `place` does, one instruction a line, in order.

    Raises:
        UsageError: there is no such place in the plan.
    """
    if not 0 <= place < plan.places:
        raise UsageError(
            f"place={place!r}: the plan has home (0) and the workers 1 to {plan.places - 1}"
        )
    tasks = dict(plan.graph.nodes(data="task"))
    walks = place == HOME and plan.graph.graph["home"]
    outgoing: dict[StatementId | None, list[Transfer]] = {}
    incoming: dict[StatementId | None, list[Transfer]] = {}
    for transfer in plan.transfers:
        if transfer.source == place:
            outgoing.setdefault(transfer.task, []).append(transfer)
        if transfer.target == place:
            user = transfer.task if walks else _first_user(plan, tasks, transfer)
            incoming.setdefault(user, []).append(transfer)
    lines = _sends(plan, outgoing.get(None, []))
    for placement in sorted(plan.placements, key=lambda one: one.task if walks else one.moment):
        task = tasks[placement.task]
        if walks or placement.place == place:
            lines += [_receive(plan, transfer) for transfer in incoming.get(task.id, [])]
        if placement.place == place:
            lines.append(f"run {_named(task)}")
            lines += _sends(plan, outgoing.get(task.id, []))
        elif walks:
            lines.append(f"commit {_named(task)}")
    return "\n".join(lines)


def _first_user(plan: PlanView, tasks: dict[StatementId, Task], transfer: Transfer) -> StatementId:
    """Return the task that waits for `transfer` first at its target."""
    users = []
    for placement in plan.placements:
        if placement.place != transfer.target:
            continue
        if transfer.task is None:
            needs: Sequence[str] | None = tasks[placement.task].inputs
        else:
            edge = plan.graph.pred[placement.task].get(transfer.task)
            needs = None if edge is None else edge["names"]
        if needs is not None and set(transfer.names) <= set(needs):
            users.append(placement)
    return min(users, key=lambda one: one.moment).task


def _receive(plan: PlanView, transfer: Transfer) -> str:
    return f"receive {_what(plan, transfer)} from {place_name(plan.graph, transfer.source)}"


def _sends(plan: PlanView, transfers: list[Transfer]) -> list[str]:
    """Return one line for each set of names, with all its targets."""
    targets: dict[str, list[Place]] = {}
    for transfer in transfers:
        targets.setdefault(_what(plan, transfer), []).append(transfer.target)
    return [
        f"send {what} to {', '.join(place_name(plan.graph, place) for place in sorted(places))}"
        for what, places in targets.items()
    ]


def _what(plan: PlanView, transfer: Transfer) -> str:
    if transfer.names or transfer.task is None:
        return ", ".join(transfer.names)
    return f"word of {plan.graph.nodes[transfer.task]['task'].where}"


def _named(task: Task) -> str:
    return f"{task.where}: {_first_line(task.label, 72)}" if task.label else task.where


def _first_line(text: str, columns: int) -> str:
    first, _, rest = text.strip().partition("\n")
    first = first.rstrip()
    if rest or len(first) > columns:
        return first[: columns - 1] + "…"
    return first


def _headline(plan: PlanView) -> str:
    count = len(plan.placements)
    workers = plan.places - 1 if plan.graph.graph["home"] else plan.places
    used = len(
        {one.place for one in plan.placements} - ({HOME} if plan.graph.graph["home"] else set())
    )
    statements = "1 statement" if count == 1 else f"{count} statements"
    if plan.graph.graph["home"] and not used:
        return f"{statements}, all at home ({plan.policy}): {plan.makespan_s:.3f} s"
    return (
        f"{statements} on {used} of {workers} workers ({plan.policy}): {plan.makespan_s:.3f} s, "
        f"serially {plan.serial_s:.3f} s, {plan.speed_up:.2f} times as fast"
    )


def _table(plan: PlanView) -> list[str]:
    tasks = dict(plan.graph.nodes(data="task"))
    rows = [("line", "statement", "place", "start s", "end s", "needs")]
    for placement in sorted(plan.placements, key=lambda one: one.task):
        task = tasks[placement.task]
        rows.append(
            (
                str(task.line or task.id),
                _first_line(task.label, LABEL_COLUMNS),
                place_name(plan.graph, placement.place),
                f"{placement.start_s:.3f}",
                f"{placement.end_s:.3f}",
                _needs(plan, tasks, placement.task),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    to_right = (True, False, False, True, True, False)
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, to_right, strict=True)
        ).rstrip()
        for row in rows
    ]


def _needs(plan: PlanView, tasks: dict[StatementId, Task], number: StatementId) -> str:
    parts = []
    for source, edge in plan.graph.pred[number].items():
        what = ", ".join(edge["names"] + edge["effects"]) or "order"
        parts.append(f"{what} from {tasks[source].where}")
    if tasks[number].home and plan.graph.graph["home"]:
        parts.append("must run at home")
    return "; ".join(parts)


def _lanes(plan: PlanView) -> list[str]:
    """Return a row for each place; a bar spans a statement's time and begins with its line."""
    if plan.makespan_s <= 0:
        return []
    tasks = dict(plan.graph.nodes(data="task"))
    end = f"{plan.makespan_s:.3f} s"
    width = max(len("place"), *(len(place_name(plan.graph, place)) for place in range(plan.places)))
    lines = [f"{'place'.ljust(width)}  0{end.rjust(LANE_COLUMNS - 1)}"]
    for place in range(plan.places):
        cells = ["·"] * LANE_COLUMNS
        for placement in sorted(plan.placements, key=lambda one: one.moment):
            if placement.place != place:
                continue
            first = round(placement.start_s / plan.makespan_s * LANE_COLUMNS)
            last = round(placement.end_s / plan.makespan_s * LANE_COLUMNS)
            task, room = tasks[placement.task], last - first - 2
            if room >= 0:
                cells[first:last] = f"[{str(task.line or task.id).ljust(room, '=')[:room]}]"
            elif room == -1:
                cells[first] = "|"
        lines.append(f"{place_name(plan.graph, place).ljust(width)}  {''.join(cells)}")
    return lines
