"""Dependences and costs come in, a task graph (networkx) and its measures go out.

The graph is also what the user asks for and draws, so nodes and edges carry plain attributes. The
rule: nodes are statement ids, added in program order, and every edge goes from an earlier to a
later one; program order is therefore a topological order, and ties break by it.

A graph *with home* (`graph.graph["home"]`) has place 0 as the process that walks the cell: inputs
live there, outcomes are gathered there, and what runs there starts only when everything before it
in program order is finished and gathered. Without home all places are alike, as in the literature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx

from taskpar_kernel.errors import InvariantError
from taskpar_kernel.model.ids import HOME
from taskpar_kernel.planning.dependences import Kind, dependences

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from taskpar_kernel.model.effects import Effects
    from taskpar_kernel.model.ids import Place, StatementId
    from taskpar_kernel.planning.communication import CommunicationModel


@dataclass(frozen=True, slots=True)
class Task:
    """One statement (or a group of them) as planning sees it."""

    id: StatementId
    cost_s: float
    home: bool = False
    """It must run at home."""
    label: str = ""
    line: int = 0
    """First line in the cell, from 1; 0: none."""
    size_bytes: int = 0
    """Size of all it defines."""
    inputs: tuple[str, ...] = ()
    """Names whose value from before the cell it reads."""
    defines: tuple[str, ...] = ()
    place_costs_s: tuple[float, ...] = ()
    """Seconds at each place, where places differ; empty: `cost_s` everywhere."""
    busy: float = 1.0
    """Share of its time in which it uses a core: 1 computes, 0 only waits (a sleep, a download)."""

    def cost_at_s(self, place: int) -> float:
        """Return the seconds it takes at `place`."""
        return self.place_costs_s[place] if self.place_costs_s else self.cost_s

    @property
    def least_cost_s(self) -> float:
        """Return the seconds it takes at the place that is fastest for it."""
        return min(self.place_costs_s, default=self.cost_s)

    @property
    def where(self) -> str:
        """Return what a reader of a plan calls it: its line, or its number."""
        return f"line {self.line}" if self.line else f"task {self.id}"


@dataclass(frozen=True, slots=True)
class Edge:
    """`target` must come after `source`; `names` are the variables that flow along it.

    An order without variables (an effect) has none, and says in `effects` what causes it.
    """

    source: StatementId
    target: StatementId
    names: tuple[str, ...] = ()
    kind: Kind = Kind.FLOW
    effects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskDetails:
    """What is known of one statement beside its effects."""

    cost_s: float = 1.0
    label: str = ""
    line: int = 0
    busy: float = 1.0


def task_graph(
    statements: Sequence[tuple[StatementId, Effects]],
    details: Mapping[StatementId, TaskDetails] | None = None,
    sizes: Mapping[str, int] | None = None,
    aliases: Iterable[tuple[str, str]] = (),
) -> nx.DiGraph:
    """Build the graph (with home) of `statements`, which are in program order.

    Args:
        statements: id and predicted effects of each.
        details: cost, text and line of each; one second where it is silent.
        sizes: name → bytes, for inputs and results alike; 0 where it is silent.
        aliases: pairs of names that share an object before the first statement.

    Returns:
        A graph whose edges are the flow and effect dependences.
    """
    details, sizes = details or {}, sizes or {}
    found = dependences(statements, aliases)
    tasks = []
    for statement, effects in statements:
        known = details.get(statement, TaskDetails())
        defines = tuple(sorted(found.defines[statement]))
        tasks.append(
            Task(
                statement,
                known.cost_s,
                home=not effects.travels,
                label=known.label,
                line=known.line,
                size_bytes=sum(sizes.get(name, 0) for name in defines),
                inputs=tuple(sorted(found.inputs[statement])),
                defines=defines,
                busy=known.busy,
            )
        )
    merged: dict[tuple[StatementId, StatementId], dict[Kind, tuple[str, ...]]] = {}
    for edge in found.of(Kind.FLOW, Kind.EFFECT):
        merged.setdefault((edge.source, edge.target), {})[edge.kind] = tuple(sorted(edge.names))
    edges = [
        Edge(
            source, target, kinds.get(Kind.FLOW, ()), next(iter(kinds)), kinds.get(Kind.EFFECT, ())
        )
        for (source, target), kinds in merged.items()
    ]
    return graph_of(tasks, edges, sizes)


def graph_of(
    tasks: Iterable[Task],
    edges: Iterable[Edge],
    sizes: Mapping[str, int] | None = None,
    *,
    home: bool = True,
) -> nx.DiGraph:
    """Build a graph from `tasks`, in program order, and `edges`.

    Raises:
        InvariantError: ids do not rise, or an edge does not go from an earlier to a later task.
    """
    sizes = dict(sizes or {})
    graph = nx.DiGraph(home=home, sizes=sizes)
    last = None
    for task in tasks:
        if last is not None and task.id <= last:
            raise InvariantError(f"{task.where}: tasks are not given in program order")
        last = task.id
        graph.add_node(
            task.id,
            task=task,
            cost_s=task.cost_s,
            home=task.home,
            label=task.label,
            line=task.line,
            size_bytes=task.size_bytes,
        )
    for edge in edges:
        if edge.source >= edge.target or not {edge.source, edge.target} <= graph.nodes.keys():
            raise InvariantError(f"edge {edge.source} → {edge.target} is not from earlier to later")
        graph.add_edge(
            edge.source,
            edge.target,
            names=edge.names,
            kind=edge.kind.value,
            effects=edge.effects,
            size_bytes=sum(sizes.get(name, 0) for name in edge.names),
        )
    return graph


@dataclass(frozen=True, slots=True)
class Flat:
    """A graph as plain lists, by position in program order: what inner loops run on.

    networkx takes about a microsecond to look up one attribute, a list index a fiftieth of it.
    """

    tasks: list[Task]
    before: list[list[tuple[int, int]]]
    """For each task: (position, bytes) of the edges that end in it."""
    after: list[list[tuple[int, int]]]
    """For each task: (position, bytes) of the edges that begin in it."""
    input_bytes: list[int]
    """For each task: size of what it reads from before the cell; -1: nothing."""
    home: bool


def flatten(graph: nx.DiGraph) -> Flat:
    """Return `graph` as lists; O(nodes + edges)."""
    tasks: list[Task] = [task for _, task in graph.nodes(data="task")]
    position = {task.id: number for number, task in enumerate(tasks)}
    before: list[list[tuple[int, int]]] = [[] for _ in tasks]
    after: list[list[tuple[int, int]]] = [[] for _ in tasks]
    for source, target, size_bytes in graph.edges(data="size_bytes"):
        before[position[target]].append((position[source], size_bytes))
        after[position[source]].append((position[target], size_bytes))
    sizes = graph.graph["sizes"]
    input_bytes = [
        sum(sizes.get(name, 0) for name in task.inputs) if task.inputs else -1 for task in tasks
    ]
    return Flat(tasks, before, after, input_bytes, graph.graph["home"])


def upward_ranks(
    graph: nx.DiGraph, places: int, model: CommunicationModel
) -> dict[StatementId, float]:
    """Return, for each task, the seconds from its start to the end of all that waits for it.

    Costs are means over places, transfers are counted in full, as HEFT has it. In a graph with home
    every task is also before each later task that must run there.

    Source: Topcuoglu, Hariri, Wu 2002, DOI 10.1109/71.993206, section 4.1.
    """
    flat = flatten(graph)
    return {
        task.id: rank
        for task, rank in zip(flat.tasks, flat_ranks(flat, places, model), strict=True)
    }


def flat_ranks(flat: Flat, places: int, model: CommunicationModel) -> list[float]:
    """Return the upward ranks of a flattened graph, in program order; O(tasks * places + edges)."""
    ranks = [0.0] * len(flat.tasks)
    dispatch_s = model.dispatch_s * (places - 1) / places
    next_home_s: float | None = None
    for number in range(len(flat.tasks) - 1, -1, -1):
        task = flat.tasks[number]
        at_home = flat.home and task.home
        tail_s = 0.0
        for later, size_bytes in flat.after[number]:
            tail_s = max(tail_s, model.transfer_s(size_bytes) + ranks[later])
        if flat.home and next_home_s is not None:
            gather_s = 0.0 if at_home else model.transfer_s(task.size_bytes)
            tail_s = max(tail_s, gather_s + next_home_s)
        if at_home:
            ranks[number] = next_home_s = task.cost_at_s(HOME) + tail_s
        else:
            costs = task.place_costs_s
            ranks[number] = (
                (sum(costs) / len(costs) if costs else task.cost_s) + dispatch_s + tail_s
            )
    return ranks


def critical_path(graph: nx.DiGraph) -> tuple[list[StatementId], float]:
    """Return the longest path, and its seconds of work without transfers; ties by program order."""
    reach_s: dict[StatementId, float] = {}
    source: dict[StatementId, StatementId | None] = {}
    farthest: StatementId | None = None
    for number, task in graph.nodes(data="task"):
        before = list(graph.pred[number])
        if graph.graph["home"] and task.home and farthest is not None:
            before.append(farthest)  # home has walked past everything before it
        source[number] = max(before, key=lambda one: (reach_s[one], -one), default=None)
        reach_s[number] = task.least_cost_s + max((reach_s[one] for one in before), default=0.0)
        if farthest is None or reach_s[number] > reach_s[farthest]:
            farthest = number
    path: list[StatementId] = []
    step = farthest
    while step is not None:
        path.append(step)
        step = source[step]
    return path[::-1], 0.0 if farthest is None else reach_s[farthest]


def lower_bound_s(graph: nx.DiGraph, places: int, cores: int | None = None) -> float:
    """Return seconds that no plan on this many places can beat: critical path, work over places.

    `cores`: what uses a core has so many to share; None: one for each place.
    """
    tasks = [task for _, task in graph.nodes(data="task")]
    work_s: float = sum(task.least_cost_s for task in tasks)
    busy_s: float = sum(task.least_cost_s * task.busy for task in tasks)
    return max(critical_path(graph)[1], work_s / places, busy_s / (cores or places))


def place_name(graph: nx.DiGraph, place: Place | int) -> str:
    """Return what a reader calls a place: "home", or its number."""
    return "home" if place == HOME and graph.graph["home"] else str(place)
