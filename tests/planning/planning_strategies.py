"""Random programs, graphs and models, for the properties of plans."""

from __future__ import annotations

from hypothesis import strategies as st
from planning_cases import does, program

from taskpar_kernel.model.ids import StatementId
from taskpar_kernel.planning.choose import POLICIES
from taskpar_kernel.planning.communication import CommunicationModel
from taskpar_kernel.planning.graph import Edge, Task, TaskDetails, graph_of, task_graph

NAMES = "abcde"

names = st.lists(st.sampled_from(NAMES), max_size=2, unique=True).map(" ".join)
rarely = st.integers(0, 7).map(lambda number: number == 0)
some_effects = st.builds(
    does,
    names,
    names,
    changes=names,
    aliases=st.lists(
        st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).map(":".join), max_size=1
    ).map(" ".join),
    draws=rarely.map(lambda yes: "numpy" if yes else ""),
    home=rarely,
    files_read=rarely,
    files_written=rarely,
)
costs = st.sampled_from([0.0, 1e-4, 1e-3, 0.01, 0.3, 1.0, 2.5])
sizes = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0, 1000, 10**8, 10**10]))
models = st.sampled_from(
    [
        CommunicationModel(),
        CommunicationModel(latency_s=0.0, bytes_per_s=float("inf"), dispatch_s=0.0),
        CommunicationModel(latency_s=0.25, bytes_per_s=1e9, dispatch_s=0.125),
    ]
)


@st.composite
def cells(draw):
    """Graphs with home, of programs."""
    effects = draw(st.lists(some_effects, max_size=14))
    details = {
        StatementId(number): TaskDetails(draw(costs), "x", number + 1)
        for number in range(len(effects))
    }
    return task_graph(program(*effects), details, draw(sizes))


@st.composite
def plain_graphs(draw):
    """Graphs without home, whose tasks cost something else at each of three places."""
    count = draw(st.integers(1, 10))
    edges = [
        Edge(one, two, (f"v{one}_{two}",)[: draw(st.integers(0, 1))])
        for two in range(count)
        for one in range(two)
        if draw(rarely)
    ]
    tasks = [
        Task(number, 1.0, place_costs_s=draw(st.tuples(costs, costs, costs)))
        for number in range(count)
    ]
    return graph_of(
        tasks, edges, {name: 10**8 for edge in edges for name in edge.names}, home=False
    )


policies = st.sampled_from(sorted(POLICIES))
