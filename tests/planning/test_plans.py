"""Programs → plans: the published example, the troubles of earlier work, home, scripts, text."""

from __future__ import annotations

import pytest
from planning_cases import (
    CANONICAL_MODEL,
    FREE,
    canonical_graph,
    does,
    five_lines,
    graph_for,
    peft_graph,
)

from taskpar_kernel.errors import UsageError
from taskpar_kernel.planning.choose import POLICIES, choose_plan
from taskpar_kernel.planning.communication import CommunicationModel
from taskpar_kernel.planning.graph import Edge, Task, flatten, graph_of, task_graph
from taskpar_kernel.planning.policies.heft import heft
from taskpar_kernel.planning.policies.listing import listing
from taskpar_kernel.planning.policies.online import online
from taskpar_kernel.planning.policies.peft import optimistic_costs_s, peft
from taskpar_kernel.planning.policies.serial import serial
from taskpar_kernel.settings import ALLOWED

MODEL = CommunicationModel()


def places(plan):
    return [placement.place for placement in plan.placements]


def sent(plan):
    return {
        (name, one.source, one.target)
        for one in plan.transfers
        for name in one.names or (f"word of {one.task}",)
    }


def test_the_published_example():
    plan = heft(canonical_graph(), 3, CANONICAL_MODEL).verify()
    assert plan.makespan == 80.0
    assert [(one.task, one.place, one.start_s, one.end_s) for one in plan.placements] == [
        (1, 2, 0, 9),
        (2, 0, 27, 40),
        (3, 2, 9, 28),
        (4, 1, 18, 26),
        (5, 2, 28, 38),
        (6, 1, 26, 42),
        (7, 2, 38, 49),
        (8, 0, 57, 62),
        (9, 1, 56, 68),
        (10, 1, 73, 80),
    ]


def test_the_published_example_of_peft():
    flat = flatten(peft_graph())
    assert optimistic_costs_s(flat, 3, CANONICAL_MODEL) == [
        [64, 68, 86],
        [42, 39, 42],
        [27, 41, 43],
        [42, 39, 50],
        [28, 37, 28],
        [42, 39, 44],
        [13, 16, 22],
        [13, 16, 33],
        [13, 16, 20],
        [0, 0, 0],
    ]
    plan = peft(peft_graph(), 3, CANONICAL_MODEL).verify()
    assert plan.makespan == 122.0
    assert heft(peft_graph(), 3, CANONICAL_MODEL).makespan == 133.0


def test_insertion_uses_a_gap():
    # Task 2 waits at place 0 for task 1, which is elsewhere; task 3, placed last, fits in before.
    costs = [(1.0, 100.0), (200.0, 5.0), (1.0, 200.0), (2.0, 100.0)]
    tasks = [Task(number, 1.0, place_costs_s=one) for number, one in enumerate(costs)]
    graph = graph_of(tasks, [Edge(0, 2), Edge(1, 2)], home=False)
    plan = heft(graph, 2, FREE).verify()
    assert [(one.place, one.start_s) for one in plan.placements] == [(0, 0), (1, 0), (0, 5), (0, 1)]


# The troubles of earlier work: each was once wrong in a generator of parallel scripts.


@pytest.mark.parametrize("policy", ["heft", "peft", "online", "auto"])
def test_the_first_line_feeds_all_the_others(policy):
    graph = graph_for(does(writes="d"), *(does("d", f"v{n}") for n in range(6)))
    plan = choose_plan(graph, 2, policy).verify()
    assert set(places(plan)) == {0, 1, 2}
    assert plan.makespan < (3.1 if policy == "heft" else 4.1)  # serially 7


@pytest.mark.parametrize("policy", [heft, peft, online, listing])
def test_results_are_gathered_at_home(policy):
    graph = graph_for(*(does(writes=f"v{n}") for n in range(4)), sizes={"v3": 2_000_000_000})
    plan = policy(graph, 3, MODEL).verify()
    for placement, names in zip(plan.placements, ["v0", "v1", "v2", "v3"], strict=True):
        if placement.place:
            assert (names, placement.place, 0) in sent(plan)
            assert f"send {names} to home" in plan.script(placement.place)
    assert plan.makespan_s == max(
        [one.end_s for one in plan.transfers] + [one.end_s for one in plan.placements]
    )


@pytest.mark.parametrize("policy", [heft, peft, online, listing])
def test_a_variable_that_two_workers_need_is_sent_to_both(policy):
    # Line 1 must run at home; home is then busy, so both users of `d` are on workers.
    graph = graph_for(
        does(writes="d", home=True),
        does("d", "a"),
        does("d", "b"),
        does("d", "c"),
        cost_s=[1.0, 3.0, 3.0, 3.0],
    )
    plan = policy(graph, 3, MODEL).verify()
    assert {("d", 0, 1), ("d", 0, 2)} <= sent(plan)
    assert "send d to 1, 2" in plan.script(0)
    assert "receive d from home" in plan.script(1)
    assert "receive d from home" in plan.script(2)


def test_a_variable_goes_from_worker_to_worker():
    busy = does(home=True, writes="h")
    graph = graph_for(busy, does(writes="d"), does("d"), does("d"), cost_s=[9.0, 1.0, 3.0, 3.0])
    plan = heft(graph, 3, MODEL).verify()
    assert ("d", 1, 2) in sent(plan)
    assert "send d to home, 2" in plan.script(1)
    assert "receive d from 1" in plan.script(2)


def test_a_variable_is_sent_once_to_a_worker_that_uses_it_twice():
    graph = graph_for(does(home=True, writes="h"), *[does("d")] * 4, cost_s=[9.0] + [1.0] * 4)
    plan = heft(graph, 3, MODEL).verify()
    inputs = [one.target for one in plan.transfers if one.task is None]
    assert sorted(inputs) == [1, 2]


# The script of 2018.


@pytest.mark.parametrize("policy", ["heft", "peft", "online", "listing"])
def test_five_lines(policy):
    plan = choose_plan(five_lines(), 2, policy).verify()
    assert plan.makespan == pytest.approx(3.0, abs=0.01)
    assert plan.speed_up == pytest.approx(5 / 3, abs=0.01)


def test_five_lines_as_scripts():
    plan = choose_plan(five_lines(), 2, "heft")
    assert plan.script(0).splitlines() == [
        "run line 1: datadir = '~/data'",
        "send datadir to 1",
        "run line 2: x = datadir + 'x.csv'",
        "receive y from 1",
        "commit line 3: y = datadir + 'y.csv'",
        "run line 4: xy = x + y",
        "receive word of line 5 from 1",
        'commit line 5: print("all done")',
    ]
    assert plan.script(1).splitlines() == [
        'run line 5: print("all done")',
        "send word of line 5 to home",
        "receive datadir from home",
        "run line 3: y = datadir + 'y.csv'",
        "send y to home",
    ]
    assert plan.script(2) == ""


def test_five_lines_as_text():
    assert str(choose_plan(five_lines(), 2, "heft")).splitlines() == [
        "5 statements on 1 of 2 workers (heft): 3.002 s, serially 5.000 s, 1.67 times as fast",
        "",
        "line  statement              place  start s  end s  needs",
        "   1  datadir = '~/data'     home     0.000  1.000",
        "   2  x = datadir + 'x.csv'  home     1.000  2.000  datadir from line 1",
        "   3  y = datadir + 'y.csv'  1        1.000  2.001  datadir from line 1",
        "   4  xy = x + y             home     2.002  3.002  x from line 2; y from line 3",
        '   5  print("all done")      1        0.000  1.000',
        "",
        "place  0                                                        3.002 s",
        "home   [1==================][2===================][4==================]",
        "1      [5==================][3===================]·····················",
        "2      ································································",
    ]


def test_a_serial_plan_as_text():
    text = str(choose_plan(five_lines(), 2, "serial"))
    assert text.startswith("5 statements, all at home (serial): 5.000 s\n")


def test_long_and_many_lined_statements_are_cut():
    graph = graph_for(does(), does(), sources=["for x in y:\n    f(x)", "y = " + "x" * 200])
    rows = str(serial(graph, 1, MODEL)).splitlines()
    assert rows[3].split()[1:-3] == ["for", "x", "in", "y:…"]
    assert rows[4].split()[1:-3] == ["y", "=", "x" * 31 + "…"]


def test_an_unknown_place_has_no_script():
    with pytest.raises(UsageError, match="workers 1 to 2"):
        choose_plan(five_lines(), 2).script(3)


# Home.


@pytest.mark.parametrize("policy", [heft, peft, online, listing])
def test_home_walks_the_cell_in_order(policy):
    graph = graph_for(
        does(writes="a"), does(writes="b"), does(home=True), does(), cost_s=[2.0, 3.0, 1.0, 2.0]
    )
    plan = policy(graph, 3, FREE).verify()
    show = plan.placements[2]
    assert (show.place, show.start_s) == (0, 3.0)
    assert plan.placements[3].start_s < 3.0, "what follows need not wait for home"


@pytest.mark.parametrize("policy", list(POLICIES.values()))
def test_home_tasks_stay_at_home(policy):
    graph = graph_for(*[does(home=True)] * 4)
    assert places(policy(graph, 3, MODEL).verify()) == [0, 0, 0, 0]


@pytest.mark.parametrize("policy", [heft, peft, online, listing])
def test_large_values_keep_work_at_home(policy):
    # Reading takes longer to send than to use: two seconds for four gigabytes.
    graph = graph_for(
        does("big", "a"),
        does("a", "b"),
        cost_s=[0.2, 0.2],
        sizes={"big": 4_000_000_000, "a": 4_000_000_000},
    )
    chosen = choose_plan(graph, 2, policy.__name__)
    assert chosen.policy == "serial"


@pytest.mark.parametrize("name", POLICIES)
def test_nothing_to_plan(name):
    plan = choose_plan(task_graph([]), 2, name).verify()
    assert (plan.makespan, plan.speed_up, plan.placements) == (0.0, 1.0, ())
    assert str(plan).startswith("0 statements, all at home (serial): 0.000 s")


@pytest.mark.parametrize("name", POLICIES)
def test_statements_that_cost_nothing(name):
    plan = choose_plan(graph_for(*[does()] * 5, cost_s=0.0), 2, name).verify()
    assert (plan.policy, plan.makespan, plan.speed_up) == ("serial", 0.0, 1.0)


# Which plan is chosen.


def test_serial_is_chosen_where_parallel_gains_too_little():
    chain = graph_for(does(writes="a"), *[does(changes="a")] * 5)
    assert choose_plan(chain, 4).policy == "serial"
    nearly = graph_for(does(writes="a"), does(writes="b"), cost_s=[1.0, 0.04])
    assert choose_plan(nearly, 4).policy == "serial"
    enough = graph_for(does(writes="a"), does(writes="b"), cost_s=[1.0, 0.1])
    assert choose_plan(enough, 4).policy != "serial"


def test_tiny_statements_are_not_worth_a_worker():
    assert choose_plan(graph_for(*[does()] * 4, cost_s=0.0002), 2).policy == "serial"


def test_many_tiny_statements_are():
    graph = graph_for(*(does("x", f"v{n}") for n in range(300)), cost_s=0.0002)
    plan = choose_plan(graph, 2).verify()
    assert plan.speed_up > 1.5


def test_auto_takes_the_better_of_the_policies():
    graph = graph_for(*(does(writes=f"v{n}") for n in range(7)), cost_s=[1, 1, 1, 1, 1, 1, 5])
    auto = choose_plan(graph, 2, "auto")
    assert auto.makespan == min(choose_plan(graph, 2, name).makespan for name in POLICIES)


def test_settings_allow_every_policy():
    assert tuple(POLICIES) == ALLOWED["policy"]


def test_an_unknown_policy():
    with pytest.raises(UsageError, match="allowed are auto, heft, peft, online, listing, serial"):
        choose_plan(five_lines(), 2, "magic")


def test_nothing_is_placed_around_a_task_that_takes_no_time():
    # Task 1 takes no time and waits until 1.0 at place 0; task 2, placed last, would span it.
    costs = [(100.0, 1.0), (0.0, 100.0), (1.5, 40.0)]
    tasks = [Task(number, 1.0, place_costs_s=one) for number, one in enumerate(costs)]
    plan = heft(graph_of(tasks, [Edge(0, 1)], home=False), 2, FREE).verify()
    assert [(one.place, one.start_s) for one in plan.placements] == [(1, 0), (0, 1), (0, 1)]
