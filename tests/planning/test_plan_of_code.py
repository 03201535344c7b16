"""Code → plan, through the analysis: `taskpar_kernel.plan`."""

from __future__ import annotations

import math

import pytest

from taskpar_kernel import plan
from taskpar_kernel.analysis.api import analyse
from taskpar_kernel.errors import UsageError

FIVE_LINES = """\
datadir = '~/data'
x = datadir + 'x.csv'
y = datadir + 'y.csv'
xy = x + y
print("all done")
"""


@pytest.mark.parametrize("policy", ["heft", "online", "auto"])
def test_five_lines(policy):
    made = plan(FIVE_LINES, workers=2, costs=1.0, policy=policy).verify()
    assert made.makespan == pytest.approx(3.0, abs=0.01)
    assert list(made.graph.edges) == [(0, 1), (0, 2), (1, 3), (2, 3)]
    assert [one.where for _, one in made.graph.nodes(data="task")] == [
        f"line {number}" for number in range(1, 6)
    ]


def test_costs_are_what_the_analysis_knows_or_one_second():
    costs = [cost for _, cost in plan(FIVE_LINES).graph.nodes(data="cost_s")]
    known = [one.effects.cost_s for one in analyse(FIVE_LINES).statements]
    assert costs == [1.0 if cost is None else cost for cost in known]
    assert costs[0] == 0.0


def test_costs_by_line():
    made = plan("a = f(1)\n\nb = f(2)\n", costs={1: 3.0, 3: 0.5})
    assert [cost for _, cost in made.graph.nodes(data="cost_s")] == [3.0, 0.5]


def test_sizes_by_name():
    made = plan("a = b + 1\nc = a + 1\n", sizes={"a": 10, "b": 5}, costs=1.0)
    assert made.graph.edges[0, 1]["size_bytes"] == 10
    assert made.graph.nodes[0]["size_bytes"] == 10


def test_nothing():
    assert plan("").verify().makespan == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, "workers=0"),
        ({"workers": "many"}, "workers='many'"),
        ({"policy": "magic"}, "allowed are auto, heft, peft, online, listing, serial"),
        (
            {"costs": {6: 1.0}},
            "no statement begins on line 6; statements begin on lines 1, 2, 3, 4, 5",
        ),
        ({"costs": -1.0}, r"costs\[1\] = -1.0"),
        ({"costs": {1: math.nan}}, r"costs\[1\] = nan"),
        ({"costs": {1: "long"}}, r"costs\[1\] = 'long'"),
        ({"sizes": {"x": -1}}, r"sizes\['x'\] = -1"),
        ({"sizes": {"x": True}}, r"sizes\['x'\] = True"),
    ],
)
def test_what_is_wrong_with_the_call_is_said(arguments, message):
    with pytest.raises(UsageError, match=message):
        plan(FIVE_LINES, **arguments)


def test_code_that_does_not_parse():
    with pytest.raises(UsageError, match="line 2"):
        plan("x = 1\ny = = 2\n")


def test_calls_that_feed_no_other_run_side_by_side():
    code = """\
import numpy as np
X = np.zeros(10)
a = sorted(X)
b = sorted(X)
both = a + b
"""
    made = plan(code, costs={1: 0.1, 2: 0.1, 3: 2.0, 4: 2.0, 5: 0.1}).verify()
    assert made.makespan == pytest.approx(2.3, abs=0.01)
    assert made.placements[0].place == 0, "imports stay at home"
    assert repr(made) == str(made)
