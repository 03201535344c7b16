"""Plans broken on purpose → the breach is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning_cases import CANONICAL_MODEL, canonical_graph, does, graph_for

from taskpar_kernel.errors import InvariantError
from taskpar_kernel.planning.communication import CommunicationModel
from taskpar_kernel.planning.plan import Plan, plan_of
from taskpar_kernel.planning.policies.heft import heft
from taskpar_kernel.planning.schedule import Placement

MODEL = CommunicationModel(latency_s=0.5, bytes_per_s=1.0, dispatch_s=0.0)


def good() -> Plan:
    """Line 1 at home; 2 on a worker, from an input; 3 on another, from 2; 4 at home."""
    graph = graph_for(
        does(writes="a", home=True),
        does("i a", "b"),
        does("b", "c"),
        does(home=True),
        sizes={"b": 1},
    )
    return plan_of(
        graph,
        3,
        MODEL,
        "by hand",
        [
            Placement(0, 0, 0.0, 1.0),
            Placement(1, 1, 1.5, 2.5),
            Placement(2, 2, 4.0, 5.0),
            Placement(3, 0, 5.5, 6.5),
        ],
    )


def placed(plan: Plan, *changes: Placement) -> Plan:
    """The plan with other placements, its transfers left as they were."""
    new = {one.task: one for one in changes}
    placements = tuple(new.get(one.task, one) for one in plan.placements)
    return replace(plan, placements=placements)


def replaced(plan: Plan, *changes: Placement) -> Plan:
    """The plan with other placements, its transfers made to fit."""
    changed = placed(plan, *changes)
    return plan_of(plan.graph, plan.places, plan.model, plan.policy, changed.placements)


def without(plan: Plan, name: str, target: int) -> Plan:
    kept = [one for one in plan.transfers if name not in one.names or one.target != target]
    assert len(kept) == len(plan.transfers) - 1
    return replace(plan, transfers=tuple(kept))


def moved(plan: Plan, name: str, target: int, **changes: float) -> Plan:
    return replace(
        plan,
        transfers=tuple(
            replace(one, **changes) if name in one.names and one.target == target else one
            for one in plan.transfers
        ),
    )


def test_the_plan_that_is_broken_below_is_good():
    plan = good()
    assert plan.verify() is plan
    assert [(one.names, one.source, one.target, one.end_s) for one in plan.transfers] == [
        (("i",), 0, 1, 0.5),
        (("a",), 0, 1, 1.5),
        (("b",), 1, 0, 4.0),
        (("b",), 1, 2, 4.0),
        (("c",), 2, 0, 5.5),
    ]


BREACHES = {
    "a task is missing": (
        lambda plan: replace(plan, placements=plan.placements[:-1]),
        "line 4 is not placed exactly once",
    ),
    "a task is placed twice": (
        lambda plan: replace(plan, placements=(*plan.placements, Placement(3, 0, 7.0, 8.0))),
        "line 4 is not placed exactly once",
    ),
    "a task is unknown": (
        lambda plan: replace(plan, placements=(*plan.placements, Placement(9, 0, 7.0, 8.0))),
        "task 9 is placed but is not in the graph",
    ),
    "a place is unknown": (
        lambda plan: placed(plan, Placement(2, 3, 4.0, 5.0)),
        "task 2: there is no place 3",
    ),
    "a start before the cell": (
        lambda plan: placed(plan, Placement(0, 0, -1.0, 0.0)),
        "line 1 starts before the cell",
    ),
    "too little time": (
        lambda plan: placed(plan, Placement(2, 2, 4.0, 4.5)),
        "line 3 is given less time than it costs",
    ),
    "two things at once": (
        lambda plan: placed(plan, Placement(2, 1, 2.0, 3.0)),
        "1 would run line 2 and line 3 at once",
    ),
    "a transfer too early": (
        lambda plan: moved(plan, "b", 2, start_s=2.0),
        "transfer of b to 2: it begins before line 2 has ended",
    ),
    "an input sent before the cell": (
        lambda plan: moved(plan, "i", 1, start_s=-1.0),
        "transfer of i to 1: it begins before the cell",
    ),
    "a transfer too fast": (
        lambda plan: moved(plan, "b", 2, end_s=2.6),
        "transfer of b to 2: it is given less time",
    ),
    "a transfer from elsewhere": (
        lambda plan: moved(plan, "b", 2, source=0),
        "transfer of b to 2: it does not begin where the value is",
    ),
    "a transfer of nobody's": (
        lambda plan: moved(plan, "b", 2, task=9),
        "transfer of b to 2: task 9 is not in the graph",
    ),
    "a value not sent": (
        lambda plan: without(plan, "b", 2),
        "line 3 needs b of line 2, which is not sent to 2",
    ),
    "a start before the value": (
        lambda plan: replaced(plan, Placement(2, 2, 3.5, 4.5)),
        "line 3 starts before b of line 2 is at 2",
    ),
    "a start before the end": (
        lambda plan: replaced(plan, Placement(2, 1, 0.0, 1.0)),
        "line 3 starts before line 2 has ended",
    ),
    "an input not sent": (
        lambda plan: without(plan, "i", 1),
        "line 2 starts before its input i is at 1",
    ),
    "home tasks elsewhere": (
        lambda plan: replaced(plan, Placement(3, 2, 6.0, 7.0)),
        "line 4 must run at home and is placed at 2",
    ),
    "an outcome not gathered": (
        lambda plan: without(plan, "c", 0),
        "the outcome of line 3 is not gathered at home",
    ),
    "home out of order": (
        lambda plan: replaced(plan, Placement(3, 0, 1.0, 2.0)),
        "line 4 starts at home before line 3 is done and gathered",
    ),
    "home before the gathering": (
        lambda plan: replaced(plan, Placement(3, 0, 5.2, 6.2)),
        "line 4 starts at home before line 3 is done and gathered",
    ),
    "a wrong makespan": (
        lambda plan: replace(plan, makespan_s=6.0),
        "the makespan is said to be 6.000000 s, the plan ends after 6.500000 s",
    ),
}


@pytest.mark.parametrize(("breaking", "message"), BREACHES.values(), ids=BREACHES.keys())
def test_breaches_are_named(breaking, message):
    with pytest.raises(InvariantError) as caught:
        breaking(good()).verify()
    assert message in str(caught.value)


def test_word_must_reach_who_waits_for_an_effect():
    graph = graph_for(does(draws="numpy"), does(draws="numpy"))
    plan = plan_of(
        graph, 3, MODEL, "by hand", [Placement(0, 1, 0.0, 1.0), Placement(1, 2, 1.5, 2.5)]
    ).verify()
    kept = tuple(one for one in plan.transfers if one.target != 2)
    with pytest.raises(InvariantError, match="needs word of line 1, which is not sent to 2"):
        replace(plan, transfers=kept).verify()
    assert plan.script(2).splitlines()[0] == "receive word of line 1 from 1"


def test_without_home_nothing_is_gathered():
    plan = heft(canonical_graph(), 3, CANONICAL_MODEL)
    assert len(plan.transfers) < 15
    plan.verify()
