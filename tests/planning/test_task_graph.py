"""Effects and costs → graph, ranks, critical path, lower bound."""

from __future__ import annotations

import pytest
from planning_cases import (
    CANONICAL_MODEL,
    FREE,
    canonical_graph,
    does,
    five_lines,
    graph_for,
    program,
)

from taskpar_kernel.errors import InvariantError
from taskpar_kernel.planning.communication import CommunicationModel
from taskpar_kernel.planning.graph import (
    Edge,
    Task,
    critical_path,
    graph_of,
    lower_bound_s,
    task_graph,
    upward_ranks,
)


def test_nodes_and_edges_carry_what_a_drawing_needs():
    graph = graph_for(
        does(writes="x", draws="numpy"),
        does("x y", "z", draws="numpy"),
        does(draws="numpy", home=True),
        cost_s=[2.0, 3.0, 0.5],
        sizes={"x": 100, "y": 10, "z": 1},
    )
    assert list(graph) == [0, 1, 2]
    node = dict(graph.nodes[1])
    task = node.pop("task")
    assert node == {
        "cost_s": 3.0,
        "home": False,
        "label": "statement 2",
        "line": 2,
        "size_bytes": 1,
    }
    assert (task.inputs, task.defines, task.size_bytes) == (("y",), ("z",), 1)
    assert graph.nodes[2]["home"]
    assert dict(graph.edges[0, 1]) == {
        "names": ("x",),
        "kind": "flow",
        "effects": ("numpy",),
        "size_bytes": 100,
    }
    assert dict(graph.edges[1, 2]) == {
        "names": (),
        "kind": "effect",
        "effects": ("numpy",),
        "size_bytes": 0,
    }


def test_anti_and_output_dependences_do_not_constrain():
    graph = graph_for(does(writes="a"), does("a"), does(writes="a"))
    assert list(graph.edges) == [(0, 1)]


def test_a_statement_of_unknown_cost_counts_one_second():
    assert task_graph(program(does())).nodes[0]["cost_s"] == 1.0


@pytest.mark.parametrize(
    ("tasks", "edges"),
    [
        ([Task(1, 1.0), Task(0, 1.0)], []),
        ([Task(0, 1.0), Task(0, 1.0)], []),
        ([Task(0, 1.0), Task(1, 1.0)], [Edge(1, 0)]),
        ([Task(0, 1.0)], [Edge(0, 0)]),
        ([Task(0, 1.0)], [Edge(0, 1)]),
    ],
)
def test_program_order_is_kept(tasks, edges):
    with pytest.raises(InvariantError):
        graph_of(tasks, edges)


def test_published_upward_ranks():
    ranks = upward_ranks(canonical_graph(), 3, CANONICAL_MODEL)
    published = [108.0, 77.0, 80.0, 80.0, 69.0, 63.333, 42.667, 35.667, 44.333, 14.667]
    assert [round(ranks[number], 3) for number in range(1, 11)] == published


def test_ranks_know_that_home_walks_in_order():
    graph = graph_for(does(), does(), does(home=True), does(), cost_s=[1.0, 2.0, 4.0, 8.0])
    assert upward_ranks(graph, 2, FREE) == {0: 5.0, 1: 6.0, 2: 4.0, 3: 8.0}
    gather = CommunicationModel(latency_s=0.5, bytes_per_s=1e9, dispatch_s=0.0)
    assert upward_ranks(graph, 2, gather) == {0: 5.5, 1: 6.5, 2: 4.0, 3: 8.0}


def test_critical_path_of_the_five_lines():
    assert critical_path(five_lines()) == ([0, 1, 3], 3.0)
    assert lower_bound_s(five_lines(), 3) == 3.0
    assert lower_bound_s(five_lines(), 1) == 5.0


def test_critical_path_knows_that_home_walks_in_order():
    graph = graph_for(does(), does(home=True), does(), does(home=True))
    assert critical_path(graph) == ([0, 1, 3], 3.0)


def test_critical_path_of_nothing():
    assert critical_path(task_graph([])) == ([], 0.0)
    assert lower_bound_s(task_graph([]), 3) == 0.0
