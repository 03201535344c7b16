"""Programs → groups."""

from __future__ import annotations

import random

import pytest
from planning_cases import does, graph_for

from taskpar_kernel.planning.communication import CommunicationModel
from taskpar_kernel.planning.grain import coarsen, refine
from taskpar_kernel.planning.policies.heft import heft
from taskpar_kernel.planning.policies.online import online

TINY, DEAR = 0.001, 1.0
GRAIN_S = 0.004

CASES = {
    "a chain, however dear": (
        [does(writes="a"), does("a", "b"), does("b", "c")],
        [DEAR] * 3,
        "0 1 2",
    ),
    "no chain where two need it": (
        [does(writes="a"), does("a", "b"), does("a", "c")],
        [DEAR] * 3,
        "0|1|2",
    ),
    "no chain where it needs two": (
        [does(writes="a"), does(writes="b"), does("a b", "c")],
        [DEAR] * 3,
        "0|1|2",
    ),
    "tiny ones side by side, to the grain": (
        [does(writes=f"v{n}") for n in range(6)],
        [TINY] * 6,
        "0 1 2 3|4 5",
    ),
    "tiny ones that wait for different things": (
        [does(writes="a"), does(writes="b"), does("a", "c"), does("b", "d"), does("c"), does("d")],
        [DEAR, DEAR, TINY, TINY, DEAR, DEAR],
        "0|1|2|3|4|5",
    ),
    "a tiny one before the only one it feeds": (
        [does(writes="a"), does(writes="b"), does("a b", "c")],
        [DEAR, TINY, DEAR],
        "0|1 2",
    ),
    "a tiny one after the one it needs": (
        [does(writes="a"), does("a", "b"), does("a", "c"), does("b")],
        [DEAR, TINY, DEAR, DEAR],
        "0 1|2|3",
    ),
    "not ever more tiny ones after a dear one": (
        [does(writes="a"), *[does("a")] * 6, does("a")],
        [DEAR, *[TINY] * 6, DEAR],
        "0 1 2 3 4|5 6|7",
    ),
    "home tasks stand alone": (
        [does(writes="a"), does("a", home=True), does(writes="b"), does(writes="c")],
        [TINY] * 4,
        "0|1|2 3",
    ),
}


@pytest.mark.parametrize(("effects", "costs_s", "expected"), CASES.values(), ids=CASES.keys())
def test_groups_of(effects, costs_s, expected):
    members = coarsen(graph_for(*effects, cost_s=costs_s), GRAIN_S).members
    groups = [" ".join(str(task.id) for task in tasks) for tasks in members.values()]
    assert "|".join(groups) == expected


def test_a_group_has_the_borders_of_its_members():
    effects = [does("i", "a"), does("a j", "b"), does("b", "c"), does("b")]
    coarse = coarsen(graph_for(*effects, sizes={"a": 1, "b": 9}), GRAIN_S).graph
    assert list(coarse.edges(data="size_bytes")) == [(0, 2, 9), (0, 3, 9)]
    task = coarse.nodes[0]["task"]
    assert (task.inputs, task.defines, task.size_bytes) == (("i", "j"), ("a", "b"), 10)
    assert task.cost_s == 2.0


def test_nothing_to_group_changes_nothing():
    graph = graph_for(does(), does(), cost_s=DEAR)
    grains = coarsen(graph, GRAIN_S)
    assert grains.graph is graph
    plan = heft(graph, 3, CommunicationModel())
    assert refine(plan, grains) is plan


def test_members_share_one_hand_over():
    model = CommunicationModel()
    graph = graph_for(*(does(writes=f"v{n}") for n in range(40)), cost_s=TINY)
    grains = coarsen(graph, model.grain_s)
    grouped = refine(heft(grains.graph, 3, model), grains).verify()
    single = heft(graph, 3, model).verify()
    assert grouped.makespan < single.makespan
    assert [one.task for one in grouped.placements] == list(range(40))


def test_members_stay_within_their_group_whatever_is_rounded():
    # Ends of members are sums of floats; one that takes no time must not slip into the next group.
    model = CommunicationModel()
    for seed in range(40):
        chance = random.Random(seed)
        effects, costs_s = [], []
        for number in range(40):
            reads = f"v{chance.randrange(max(0, number - 12), number)}" if number > 1 else ""
            effects.append(does(reads, f"v{number}", home=chance.random() < 0.1))
            costs_s.append(chance.choice([0.0, 0.001, 0.1, 1.0, 2.0]))
        grains = coarsen(graph_for(*effects, cost_s=costs_s), model.grain_s)
        for places in (2, 3):
            for policy in (heft, online):
                refine(policy(grains.graph, places, model), grains).verify()
