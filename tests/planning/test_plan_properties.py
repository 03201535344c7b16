"""What holds for every graph, policy and number of places."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_cases import program
from planning_strategies import cells, models, plain_graphs, policies, some_effects

from taskpar_kernel.errors import InvariantError
from taskpar_kernel.planning.choose import LEAST_GAIN, POLICIES, choose_plan
from taskpar_kernel.planning.communication import CommunicationModel
from taskpar_kernel.planning.dependences import Kind, dependences
from taskpar_kernel.planning.grain import coarsen, refine
from taskpar_kernel.planning.graph import (
    critical_path,
    lower_bound_s,
    upward_ranks,
)
from taskpar_kernel.planning.policies.serial import serial

SLACK = 1 + 1e-9


@given(cells(), policies, st.integers(0, 5), models)
@settings(max_examples=300, deadline=None)
def test_every_plan_can_be_carried_out(graph, name, workers, model):
    policy, places = POLICIES[name], workers + 1
    plan = policy(graph, places, model).verify()
    assert plan.makespan * SLACK >= lower_bound_s(graph, places)
    grains = coarsen(graph, model.grain_s)
    coarse = policy(grains.graph, places, model).verify()
    fine = refine(coarse, grains).verify()
    assert fine.makespan <= coarse.makespan * SLACK
    chosen = choose_plan(graph, workers, name, model).verify()
    assert chosen.policy == "serial" or chosen.makespan * LEAST_GAIN <= chosen.serial_s


@given(plain_graphs(), policies, models)
@settings(max_examples=150, deadline=None)
def test_every_plan_without_home_can_be_carried_out(graph, name, model):
    plan = POLICIES[name](graph, 3, model).verify()
    assert plan.makespan * SLACK >= lower_bound_s(graph, 3)
    assert choose_plan(graph, 2, name, model).verify().makespan <= plan.serial_s * SLACK


@given(cells(), models)
@settings(max_examples=50, deadline=None)
def test_serial_is_the_sum_of_costs_and_sends_nothing(graph, model):
    plan = serial(graph, 3, model)
    costs = sum(cost for _, cost in graph.nodes(data="cost_s"))
    # one adds up as it goes along, the other as `sum` does, which is more exact from 3.12 on
    assert plan.makespan == pytest.approx(plan.serial_s, rel=1e-12)
    assert plan.serial_s == pytest.approx(costs, rel=1e-12)
    assert plan.transfers == ()


@given(st.one_of(cells(), plain_graphs()), st.sampled_from(["heft", "peft", "online"]), models)
@settings(max_examples=100, deadline=None)
def test_the_default_is_no_worse_than_what_it_asks(graph, name, model):
    assert POLICIES["auto"](graph, 3, model).makespan <= POLICIES[name](graph, 3, model).makespan


@given(cells(), policies, st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_plans_are_deterministic(graph, name, workers):
    again = graph.copy()
    assert choose_plan(graph, workers, name) == choose_plan(again, workers, name)
    assert str(choose_plan(graph, workers, name)) == str(choose_plan(again, workers, name))


@given(cells(), policies, st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_no_number_of_workers_makes_it_slower_than_serial(graph, name, workers):
    assert (
        choose_plan(graph, workers, name).makespan
        <= serial(graph, 1, CommunicationModel()).makespan
    )


@given(cells(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_plan_without_one_of_its_transfers_is_broken(graph, data):
    # so it has none that nobody needs
    plan = POLICIES["online"](graph, 3, CommunicationModel())
    if plan.transfers:
        missing = data.draw(st.integers(0, len(plan.transfers) - 1))
        kept = plan.transfers[:missing] + plan.transfers[missing + 1 :]
        with pytest.raises(InvariantError):
            replace(plan, transfers=kept).verify()


@given(cells(), policies)
@settings(max_examples=100, deadline=None)
def test_scripts_do_each_thing_once(graph, name):
    plan = POLICIES[name](graph, 3, CommunicationModel())
    lines = [(place, line) for place in range(3) for line in plan.script(place).splitlines()]
    assert sum(line.startswith("run ") for _, line in lines) == len(plan.placements)
    assert sum(line.startswith("receive ") for _, line in lines) == len(plan.transfers)
    sends = [line for _, line in lines if line.startswith("send ")]
    assert sum(line.split(" to ")[-1].count(",") + 1 for line in sends) == len(plan.transfers)


@given(cells(), policies)
@settings(max_examples=100, deadline=None)
def test_scripts_never_wait_for_one_another_in_a_circle(graph, name):
    # Carry the scripts out: a receive waits until its send has been done somewhere.
    plan = POLICIES[name](graph, 3, CommunicationModel())
    names = {place: "home" if place == 0 else str(place) for place in range(3)}
    scripts = {names[place]: plan.script(place).splitlines() for place in range(3)}
    posted: list[tuple[str, str, str]] = []
    going = True
    while going:
        going = False
        for place, lines in scripts.items():
            while lines:
                word, _, rest = lines[0].partition(" ")
                if word == "send":
                    what, _, targets = rest.rpartition(" to ")
                    posted += [(what, place, target) for target in targets.split(", ")]
                elif word == "receive":
                    what, _, source = rest.rpartition(" from ")
                    if (what, source, place) not in posted:
                        break
                    posted.remove((what, source, place))
                lines.pop(0)
                going = True
    assert not any(scripts.values())
    assert not posted


@given(cells(), models)
@settings(max_examples=100, deadline=None)
def test_ranks_fall_along_edges_and_cover_the_critical_path(graph, model):
    ranks = upward_ranks(graph, 3, model)
    assert all(ranks[one] >= ranks[two] for one, two in graph.edges)
    path, length_s = critical_path(graph)
    assert path == sorted(path)
    assert max(ranks.values(), default=0.0) * SLACK >= length_s


@given(st.lists(some_effects, max_size=14))
@settings(max_examples=200, deadline=None)
def test_a_read_depends_on_the_last_definition(effects):
    found = dependences(program(*effects))
    flows = {(edge.source, edge.target): edge.names for edge in found.of(Kind.FLOW)}
    last: dict[str, int] = {}
    for number, one in enumerate(effects):
        for name in one.reads:
            if name in last:
                assert name in flows.get((last[name], number), ())
            elif name not in found.inputs[number]:
                # Changed through another name since: then something before it defines it.
                assert any(target == number and name in why for (_, target), why in flows.items())
        for name in found.defines[number]:
            last[name] = number
    assert all(edge.source < edge.target for edge in found.edges)
    assert set(string.ascii_lowercase) >= {name for one in found.inputs.values() for name in one}
