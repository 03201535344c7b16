"""A task graph comes in, a coarser one goes out, and a plan of that is turned back.

Theory of operation. A group is a stretch of neighbours in program order, none of which must run
at home. Stretches of a topological order never depend on one another in a circle, and home meets
groups in the order in which it meets their members; so a plan of the groups becomes a plan of the
members by laying them out one after another in the group's time, and whatever a member sends goes
out no later than planned.

A statement joins the group before it when that costs no parallelism worth having:

1. it needs only the group and the group feeds only it (a chain, however dear);
2. both are tiny, and it waits for the same as the group does;
3. the group is tiny and feeds only it;
4. it is tiny and needs only the group.

Tiny: less than the grain, the group's tiny members taken together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskpar_kernel.planning.dependences import Kind
from taskpar_kernel.planning.graph import Edge, Flat, Task, flatten, graph_of
from taskpar_kernel.planning.plan import Plan, plan_of
from taskpar_kernel.planning.schedule import Placement

if TYPE_CHECKING:
    import networkx as nx

    from taskpar_kernel.model.ids import StatementId


@dataclass(frozen=True, slots=True)
class Grains:
    """A coarse graph, and what it was made from; a group bears the id of its first member."""

    graph: nx.DiGraph
    fine: nx.DiGraph
    members: dict[StatementId, tuple[Task, ...]]


def coarsen(graph: nx.DiGraph, grain_s: float) -> Grains:
    """Group the tasks of `graph` to at least `grain_s` seconds where that is free; O(edges)."""
    flat = flatten(graph)
    groups: list[_Group] = []
    for number, task in enumerate(flat.tasks):
        group = groups[-1] if groups else None
        if group is None or not group.welcomes(flat, number, grain_s):
            group = _Group(fixed=task.home or bool(task.place_costs_s))
            groups.append(group)
        group.add(flat, number, grain_s)
    members = {
        flat.tasks[group.numbers[0]].id: tuple(flat.tasks[number] for number in group.numbers)
        for group in groups
    }
    if len(members) == len(flat.tasks):
        return Grains(graph, graph, members)
    return Grains(_coarse_graph(graph, members), graph, members)


def refine(plan: Plan, grains: Grains) -> Plan:
    """Turn a plan of the groups into one of their members; O(tasks + edges).

    A hand-over is paid once for a group: its first member bears it.
    """
    if grains.graph is grains.fine:
        return plan
    placements = []
    for placement in plan.placements:
        tasks = grains.members[placement.task]
        if len(tasks) == 1:
            placements.append(placement)
            continue
        work_s = sum(task.cost_s for task in tasks)
        start_s, overhead_s = placement.start_s, placement.end_s - placement.start_s - work_s
        for task in tasks:
            # Not past the group's end, even by a rounding error: another group may begin there.
            end_s = min(start_s + max(overhead_s, 0.0) + task.cost_s, placement.end_s)
            placements.append(Placement(task.id, placement.place, start_s, end_s))
            start_s, overhead_s = end_s, 0.0
    return plan_of(grains.fine, plan.places, plan.model, plan.policy, placements)


@dataclass(slots=True)
class _Group:
    """A stretch of tasks by position, with what it waits for and what waits for it."""

    fixed: bool
    numbers: list[int] = field(default_factory=list)
    needs: set[int] = field(default_factory=set)
    feeds: set[int] = field(default_factory=set)
    work_s: float = 0.0
    tiny_s: float = 0.0

    def welcomes(self, flat: Flat, number: int, grain_s: float) -> bool:
        task = flat.tasks[number]
        if self.fixed or task.home or task.place_costs_s:
            return False
        before = {source for source, _ in flat.before[number]}
        outside = {source for source in before if source < self.numbers[0]}
        inside = len(outside) < len(before)
        feeds_only_it = self.feeds == {number}
        tiny = self.tiny_s + task.cost_s <= grain_s
        if feeds_only_it and not outside:
            return True
        if tiny and self.work_s <= grain_s:
            return outside <= self.needs if inside else outside == self.needs
        if feeds_only_it and self.work_s <= grain_s:
            return True
        return tiny and inside and not outside

    def add(self, flat: Flat, number: int, grain_s: float) -> None:
        cost_s = flat.tasks[number].cost_s
        self.numbers.append(number)
        first = self.numbers[0]
        self.needs |= {source for source, _ in flat.before[number] if source < first}
        self.feeds.discard(number)
        self.feeds |= {target for target, _ in flat.after[number]}
        self.work_s += cost_s
        if cost_s <= grain_s:
            self.tiny_s += cost_s


def _coarse_graph(graph: nx.DiGraph, members: dict[StatementId, tuple[Task, ...]]) -> nx.DiGraph:
    group_of = {task.id: group for group, tasks in members.items() for task in tasks}
    sizes = graph.graph["sizes"]
    coarse = []
    for tasks in members.values():
        if len(tasks) == 1:
            coarse.append(tasks[0])
            continue
        defines = tuple(sorted({name for task in tasks for name in task.defines}))
        work_s = sum(task.cost_s for task in tasks)
        busy_s = sum(task.cost_s * task.busy for task in tasks)
        coarse.append(
            Task(
                tasks[0].id,
                work_s,
                label=tasks[0].label,
                line=tasks[0].line,
                size_bytes=max(
                    sum(sizes.get(name, 0) for name in defines),
                    *(task.size_bytes for task in tasks),
                ),
                inputs=tuple(sorted({name for task in tasks for name in task.inputs})),
                defines=defines,
                busy=busy_s / work_s if work_s > 0 else 1.0,
            )
        )
    names: dict[tuple[StatementId, StatementId], set[str]] = {}
    for source, target, edge in graph.edges(data=True):
        first, second = group_of[source], group_of[target]
        if first != second:
            names.setdefault((first, second), set()).update(edge["names"])
    edges = [
        Edge(first, second, tuple(sorted(needed)), Kind.FLOW if needed else Kind.EFFECT)
        for (first, second), needed in names.items()
    ]
    return graph_of(coarse, edges, sizes, home=graph.graph["home"])
