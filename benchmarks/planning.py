"""Time the planning of cells of 10 to 1,000 statements, and measure how good the plans are.

Times are medians of milliseconds of CPU time, for home and four workers; "scarce": the default on
four cores. Quality is the mean of makespan over lower bound, 1.0 at best.

`python benchmarks/planning.py`; nothing is run in parallel, no process is started.
"""

from __future__ import annotations

import random
import statistics
import time
from typing import TYPE_CHECKING

from taskpar_kernel.model.effects import Blocker, Effects, Reason
from taskpar_kernel.model.ids import StatementId
from taskpar_kernel.planning.choose import DEFAULT_MODEL, POLICIES, choose_plan
from taskpar_kernel.planning.graph import TaskDetails, lower_bound_s, task_graph

if TYPE_CHECKING:
    from collections.abc import Callable

    import networkx as nx

ROUNDS = 9
Program = list[tuple[StatementId, Effects]]


def loop(count: int) -> Program:
    """Iterations of three statements: draw, fit what was drawn, show the score at home."""
    stays = (Reason(Blocker.DRAWING, "plot", 1),)
    body = [
        Effects(writes=frozenset("x"), draws=frozenset({"numpy"})),
        Effects(reads=frozenset({"x", "data"}), writes=frozenset("m")),
        Effects(reads=frozenset({"m", "scores"}), changes=frozenset({"scores"}), home=stays),
    ]
    return [(StatementId(number), body[number % 3]) for number in range(count)]


def independent(count: int) -> Program:
    """Statements that all read the same input."""
    return [
        (StatementId(number), Effects(frozenset({"data"}), frozenset({f"v{number}"})))
        for number in range(count)
    ]


def tangled(count: int) -> Program:
    """Each statement reads up to three names defined at random before it."""
    chance = random.Random(2018)
    return [
        (
            StatementId(number),
            Effects(
                frozenset(f"v{chance.randrange(number)}" for _ in range(min(number, 3))),
                frozenset({f"v{number}"}),
            ),
        )
        for number in range(count)
    ]


def median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times) * 1000


def build(statements: Program, cost_s: float) -> nx.DiGraph:
    details = {number: TaskDetails(cost_s, "x = f(y)", number + 1) for number, _ in statements}
    return task_graph(statements, details)


def random_cell(seed: int, count: int = 60) -> nx.DiGraph:
    """Each statement reads up to two of the last twelve results; one in ten must run at home."""
    chance = random.Random(seed)
    stays = (Reason(Blocker.DRAWING, "plot", 1),)
    statements, details = [], {}
    for number in range(count):
        first = max(0, number - 12)
        reads = {
            f"v{chance.randrange(first, number)}"
            for _ in range(chance.randrange(3) if number else 0)
        }
        home = stays if chance.random() < 0.1 else ()
        one = Effects(frozenset(reads), frozenset({f"v{number}"}), home=home)
        statements.append((StatementId(number), one))
        details[number] = TaskDetails(
            chance.choice([0, 0.001, 0.1, 1, 2]), f"s{number}", number + 1
        )
    return task_graph(statements, details)


def show_quality() -> None:
    names = " ".join(f"{name:>7}" for name in POLICIES)
    print(f"\n{'workers':>7} {'cores':>5}  {names}  times the lower bound")
    graphs = [random_cell(seed) for seed in range(60)]
    for workers, cores in ((1, 2), (2, 2), (2, 3), (4, 4), (4, 5)):
        means = (
            statistics.mean(
                choose_plan(graph, workers, policy, cores=cores).makespan_s
                / lower_bound_s(graph, cores)
                for graph in graphs
            )
            for policy in POLICIES
        )
        print(f"{workers:>7} {cores:>5}  " + " ".join(f"{mean:7.3f}" for mean in means))


def main() -> None:
    show_times()
    show_quality()


def show_times() -> None:
    names = " ".join(f"{name:>7}" for name in POLICIES)
    print(
        f"{'program':<12} {'count':>5} {'cost s':>7}  {'graph':>7} {names}  scarce  ms of CPU time"
    )
    for shape in (loop, independent, tangled):
        for count in (10, 100, 1000):
            for cost_s in (1.0, 0.001):
                statements = shape(count)
                graph = build(statements, cost_s)
                parts = [median_ms(lambda s=statements, c=cost_s: build(s, c))]
                parts += [
                    median_ms(lambda g=graph, p=policy: choose_plan(g, 4, p, DEFAULT_MODEL))
                    for policy in POLICIES
                ]
                parts.append(median_ms(lambda g=graph: choose_plan(g, 4, cores=4)))
                shown = " ".join(f"{part:7.2f}" for part in parts)
                print(f"{shape.__name__:<12} {count:>5} {cost_s:>7}  {shown}")


if __name__ == "__main__":
    main()
