"""Little programs, written as what the analysis would say of them, for the tests of planning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskpar_kernel.model.effects import Blocker, Effects, Reason, Touch
from taskpar_kernel.model.ids import StatementId
from taskpar_kernel.planning.communication import CommunicationModel
from taskpar_kernel.planning.graph import Edge, Task, TaskDetails, graph_of, task_graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    import networkx as nx

FREE = CommunicationModel(latency_s=0.0, bytes_per_s=float("inf"), dispatch_s=0.0)
"""Being in two places costs nothing."""

Program = list[tuple[StatementId, Effects]]


def does(
    reads: str = "",
    writes: str = "",
    *,
    changes: str = "",
    deletes: str = "",
    aliases: str = "",
    draws: str = "",
    home: bool = False,
    **more: bool | Touch,
) -> Effects:
    """Effects in short: names separated by blanks, aliases as "new:old"."""
    return Effects(
        reads=frozenset(reads.split()) | frozenset(changes.split()) - frozenset(writes.split()),
        writes=frozenset(writes.split()),
        changes=frozenset(changes.split()),
        deletes=frozenset(deletes.split()),
        aliases=frozenset(tuple(pair.split(":")) for pair in aliases.split()),
        draws=frozenset(draws.split()),
        home=(Reason(Blocker.UNKNOWN, "it", 1),) if home else (),
        **more,
    )


def program(*effects: Effects) -> Program:
    return [(StatementId(number), one) for number, one in enumerate(effects)]


def graph_for(
    *effects: Effects,
    cost_s: float | list[float] = 1.0,
    sizes: Mapping[str, int] | None = None,
    sources: list[str] | None = None,
) -> nx.DiGraph:
    """Graph of a program whose statements stand on lines 1, 2, …"""
    costs = cost_s if isinstance(cost_s, list) else [cost_s] * len(effects)
    labels = sources or [f"statement {number + 1}" for number in range(len(effects))]
    details = {
        StatementId(number): TaskDetails(costs[number], labels[number], number + 1)
        for number in range(len(effects))
    }
    return task_graph(program(*effects), details, sizes)


FIVE_LINES = [
    ("datadir = '~/data'", does(writes="datadir")),
    ("x = datadir + 'x.csv'", does("datadir", "x")),
    ("y = datadir + 'y.csv'", does("datadir", "y")),
    ("xy = x + y", does("x y", "xy")),
    ('print("all done")', does(prints=True)),
]
"""The script of 2018 that its generator could not run in parallel."""


def five_lines() -> nx.DiGraph:
    return graph_for(*(one for _, one in FIVE_LINES), sources=[text for text, _ in FIVE_LINES])


CANONICAL_COSTS = [
    (14, 16, 9),
    (13, 19, 18),
    (11, 13, 19),
    (13, 8, 17),
    (12, 13, 10),
    (13, 16, 9),
    (7, 15, 11),
    (5, 11, 14),
    (18, 12, 20),
    (21, 7, 16),
]
CANONICAL_EDGES = {
    (1, 2): 18,
    (1, 3): 12,
    (1, 4): 9,
    (1, 5): 11,
    (1, 6): 14,
    (2, 8): 19,
    (2, 9): 16,
    (3, 7): 23,
    (4, 8): 27,
    (4, 9): 23,
    (5, 9): 13,
    (6, 8): 15,
    (7, 10): 17,
    (8, 10): 11,
    (9, 10): 13,
}
CANONICAL_MODEL = CommunicationModel(latency_s=0.0, bytes_per_s=1.0, dispatch_s=0.0)


def canonical_graph() -> nx.DiGraph:
    """The example of Topcuoglu, Hariri, Wu 2002 (figure 2): ten tasks, three places, no home."""
    return _published(CANONICAL_COSTS, CANONICAL_EDGES)


PEFT_COSTS = [
    (22, 21, 36),
    (22, 18, 18),
    (32, 27, 43),
    (7, 10, 4),
    (29, 27, 35),
    (26, 17, 24),
    (14, 25, 30),
    (29, 23, 36),
    (15, 21, 8),
    (13, 16, 33),
]
PEFT_EDGES = {
    (1, 2): 17,
    (1, 3): 31,
    (1, 4): 29,
    (1, 5): 13,
    (1, 6): 7,
    (2, 8): 3,
    (2, 9): 30,
    (3, 7): 16,
    (4, 8): 11,
    (4, 9): 7,
    (5, 9): 57,
    (6, 8): 5,
    (7, 10): 9,
    (8, 10): 42,
    (9, 10): 7,
}


def peft_graph() -> nx.DiGraph:
    """The example of Arabnejad, Barbosa 2014: ten tasks, three places, no home."""
    return _published(PEFT_COSTS, PEFT_EDGES)


def _published(
    place_costs_s: list[tuple[float, ...]], transfers: dict[tuple[int, int], int]
) -> nx.DiGraph:
    tasks = [
        Task(StatementId(number), sum(costs) / len(costs), place_costs_s=costs)
        for number, costs in enumerate(place_costs_s, 1)
    ]
    edges = [Edge(StatementId(one), StatementId(two), (f"v{one}_{two}",)) for one, two in transfers]
    sizes = {f"v{one}_{two}": size for (one, two), size in transfers.items()}
    return graph_of(tasks, edges, sizes, home=False)
