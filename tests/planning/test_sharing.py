"""Plans on fewer cores than places: what is side by side is slowed down, nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_cases import FREE, does, graph_for, program
from planning_strategies import cells, models, plain_graphs, policies

from taskpar_kernel.planning.choose import LEAST_GAIN, POLICIES, choose_plan
from taskpar_kernel.planning.graph import TaskDetails, task_graph
from taskpar_kernel.planning.policies.heft import heft
from taskpar_kernel.planning.policies.serial import serial
from taskpar_kernel.planning.sharing import on_cores

SLACK = 1 + 1e-9


def test_three_places_on_two_cores():
    plan = heft(graph_for(does(writes="a"), does(writes="b"), does(writes="c")), 3, FREE)
    assert {one.place for one in plan.placements} == {0, 1, 2}
    shared = on_cores(plan, 2).verify()
    assert [(one.start_s, one.end_s) for one in shared.placements] == [(0, 1.5)] * 3


def test_who_is_left_alone_goes_at_full_speed():
    graph = graph_for(does(writes="a"), does(writes="b"), does(writes="c"), cost_s=[1.0, 1.0, 3.0])
    shared = on_cores(heft(graph, 3, FREE), 2).verify()
    # Three at two thirds of the speed for 1.5 s; the longest has 2 s of work left then.
    assert sorted(one.end_s for one in shared.placements) == pytest.approx([1.5, 1.5, 3.5])


def test_home_that_only_waits_takes_no_core():
    # Home runs a, whose reader waits for b and c on the workers.
    graph = graph_for(
        does(writes="a", home=True),
        does("a", "b"),
        does("a", "c"),
        does("b c", home=True),
        cost_s=[1.0, 2.0, 2.0, 1.0],
    )
    plan = heft(graph, 3, FREE)
    assert on_cores(plan, 2).makespan == plan.makespan == 4.0


def sleeps(count, busy=0.0):
    statements = program(*(does(writes=f"v{n}") for n in range(count)))
    details = {number: TaskDetails(0.5, busy=busy) for number, _ in statements}
    return task_graph(statements, details)


@pytest.mark.parametrize("name", ["auto", "heft", "peft", "online", "listing"])
def test_what_only_waits_needs_no_core(name):
    plan = choose_plan(sleeps(8), 8, name, cores=2).verify()
    assert plan.makespan == pytest.approx(0.5, rel=0.01)
    assert len({one.place for one in plan.placements}) == 8


def test_what_computes_half_of_its_time():
    # Four at half of two cores' worth each fit; eight take the cores twice over, but only half of
    # their time is stretched.
    assert choose_plan(sleeps(4, 0.5), 4, cores=2).makespan == pytest.approx(0.5, rel=0.01)
    shared = on_cores(heft(sleeps(8, 0.5), 9, FREE), 2).verify()
    assert shared.makespan == pytest.approx(0.5 * (1 + 0.5 * (4 / 2 - 1)))


def test_a_plan_that_leaves_a_worker_out_is_considered():
    # Sending `big` takes 0.2 s to each place, and three places are no faster than two.
    graph = graph_for(
        *(does("big", f"v{n}") for n in range(4)), cost_s=1.0, sizes={"big": 400_000_000}
    )
    plan = choose_plan(graph, 2, "heft", cores=2).verify()
    assert plan.places == 3
    assert {one.place for one in plan.placements} == {0, 1}
    assert plan.script(2) == ""


def test_one_core_is_serial():
    graph = graph_for(*(does(writes=f"v{n}") for n in range(6)))
    assert choose_plan(graph, 4, cores=1).policy == "serial"
    assert choose_plan(graph, 4, cores=2).makespan == pytest.approx(3.0, abs=0.01)
    assert choose_plan(graph, 4, cores=9) == choose_plan(graph, 4)


@given(st.one_of(cells(), plain_graphs()), policies, models, st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_a_plan_on_fewer_cores_can_be_carried_out(graph, name, model, cores):
    plan = POLICIES[name](graph, 3, model)
    shared = on_cores(plan, cores).verify()
    assert [one.place for one in shared.placements] == [one.place for one in plan.placements]
    work_s = sum(one.end_s - one.start_s for one in plan.placements)
    assert shared.makespan * SLACK >= work_s / cores
    if cores == 3:
        assert shared == plan


@given(cells(), policies, st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_chosen_plans_gain_on_few_cores_too(graph, name, workers, cores):
    plan = choose_plan(graph, workers, name, cores=cores).verify()
    alone = serial(graph, workers + 1, plan.model)
    assert plan.policy == "serial" or plan.makespan * LEAST_GAIN <= alone.makespan
    assert plan.makespan * cores * SLACK >= alone.makespan
