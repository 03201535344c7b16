"""Make instances of anrg-saga's families and schedule them with all its algorithms; JSON comes out.

Runs in an environment that has anrg-saga, started by `benchmarks/planning_saga.py`; it knows
nothing of this package. Processors are alike (speed 1) and so are the links between them, which are
set for a ratio of communication to computation (mean edge over mean task). One instance a line:

    {"family", "places", "ratio", "tasks": [cost], "edges": [[from, to, seconds]], "makespans"}

with the tasks in a topological order, and the makespan of each algorithm; null: it failed, or its
schedule breaks a dependence, or runs two tasks at once in one place. What failed is told on stderr.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import scipy.stats
from saga import Network, Schedule, TaskGraph
from saga.pisa import SCHEDULERS
from saga.schedulers.data import random as trees
from saga.schedulers.data import riotbench, wfcommons
from saga.utils import random_graphs

SLACK = 1e-6
"""Sums of floats in another order may differ by this much."""
WORKFLOWS = (
    *("blast", "bwa", "cycles", "epigenomics", "genome"),
    *("montage", "seismology", "soykb", "srasearch"),
)


def weight(*_: object) -> float:
    """Mean 1, deviation 1/3, from 0 to 2: what the library's own default is described to be.

    As written there (`max(min(1e-9, x), 2)`) all weights are 2; those are the families "… equal".
    """
    return min(max(1e-9, random.gauss(1, 1 / 3)), 2)


class Uniform:
    """From 0.1 to 1, the library's own default, whose samples its graphs no longer take."""

    @staticmethod
    def sample() -> float:
        return random.uniform(0.1, 1.0)


def families() -> dict[str, Callable[[], TaskGraph]]:
    """Return, by name, what draws one task graph."""
    made: dict[str, Callable[[], TaskGraph]] = {}
    for name, drawn in {
        "": {"get_task_weight": weight, "get_dependency_weight": weight},
        " equal": {},
    }.items():
        made |= {
            f"in_trees{name}": lambda w=drawn: trees.gen_in_trees(1, _levels(), _branches(), **w)[
                0
            ],
            f"out_trees{name}": lambda w=drawn: trees.gen_out_trees(1, _levels(), _branches(), **w)[
                0
            ],
            f"chains{name}": lambda w=drawn: trees.gen_parallel_chains(
                1, random.randint(2, 5), random.randint(2, 5), **w
            )[0],
        }
    made |= {
        "etl": lambda: riotbench.get_etl_task_graphs(1)[0],
        "predict": lambda: riotbench.get_predict_task_graphs(1)[0],
        "stats": lambda: riotbench.get_stats_task_graphs(1)[0],
        "train": lambda: riotbench.get_train_task_graphs(1)[0],
        "diamond": lambda: random_graphs.get_diamond_dag(Uniform),
        "fork": lambda: random_graphs.get_fork_dag(Uniform),
        "branching": lambda: random_graphs.get_branching_dag(_levels(), _branches(), Uniform),
    }
    made |= {name: partial(_workflow, name) for name in WORKFLOWS}
    return made


def _levels() -> int:
    return random.randint(2, 4)


def _branches() -> int:
    return random.randint(2, 3)


def _workflow(name: str) -> TaskGraph:
    """Return one of the smallest: for hundreds of tasks the library takes minutes."""
    return wfcommons.get_workflows(1, name, max_size_multiplier=1)[0]


def network(graph: TaskGraph, places: int, ratio: float) -> Network:
    """Return processors of speed 1; within one of them a value is there at once."""
    names = [f"N{number}" for number in range(places)]
    mean_cost = sum(task.cost for task in graph.tasks) / len(graph.tasks)
    mean_size = sum(edge.size for edge in graph.dependencies) / len(graph.dependencies)
    speed = mean_size / (ratio * mean_cost)
    links = [
        (one, two, float("inf") if one == two else speed)
        for one in names
        for two in names
        if one <= two
    ]
    return Network.create([(name, 1.0) for name in names], links)


def instance(family: str, graph: TaskGraph, places: int, ratio: float) -> dict[str, object]:
    net = network(graph, places, ratio)
    order = graph.topological_sort()
    position = {task.name: number for number, task in enumerate(order)}
    speed = next(edge.speed for edge in net.edges if edge.source != edge.target)
    makespans: dict[str, float | None] = {}
    for name, scheduler in SCHEDULERS.items():
        try:
            schedule = scheduler.schedule(net, graph)
            check(schedule, graph, speed)
            makespans[name] = float(schedule.makespan)
        except Exception as why:  # noqa: BLE001  (a failure of theirs is a result)
            makespans[name] = None
            print(f"{family}: {name} failed: {type(why).__name__}: {why}", file=sys.stderr)
    return {
        "family": family,
        "places": places,
        "ratio": ratio,
        "tasks": [task.cost for task in order],
        "edges": sorted(
            [position[e.source], position[e.target], e.size / speed] for e in graph.dependencies
        ),
        "makespans": makespans,
    }


def check(schedule: Schedule, graph: TaskGraph, speed: float) -> None:
    """Raise AssertionError if `schedule` cannot be carried out."""
    placed = {task.name: task for tasks in schedule.mapping.values() for task in tasks}
    assert len(placed) == len(graph.tasks), "not all tasks are placed"
    for task in graph.tasks:
        one = placed[task.name]
        assert one.end - one.start >= task.cost * (1 - SLACK) - SLACK, f"{task.name} is cut short"
    for edge in graph.dependencies:
        first, second = placed[edge.source], placed[edge.target]
        away_s = 0.0 if first.node == second.node else edge.size / speed
        needs_s = first.end + away_s
        assert second.start >= needs_s * (1 - SLACK) - SLACK, f"{edge.target} starts too early"
    for tasks in schedule.mapping.values():
        in_order = sorted(tasks, key=lambda one: (one.start, one.end))
        for first, second in pairwise(in_order):
            assert second.start >= first.end * (1 - SLACK) - SLACK, "two tasks at once"


def main() -> None:
    scipy.stats.trapz = scipy.stats.trapezoid  # its new name, which wfcommons 1.1 does not know
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=2, help="graphs for each family and setting")
    parser.add_argument("--seed", type=int, default=2018)
    parser.add_argument("--only", default="", help="families, separated by commas")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    for family, draw in families().items():
        if options.only and family not in options.only.split(","):
            continue
        random.seed(f"{options.seed} {family}")
        np.random.seed(random.randrange(2**32))
        for places in (2, 4, 8):
            for ratio in (0.2, 1.0, 5.0):
                for _ in range(options.each):
                    print(json.dumps(instance(family, draw(), places, ratio)), flush=True)


if __name__ == "__main__":
    main()
