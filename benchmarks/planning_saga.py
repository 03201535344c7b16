"""Compare the policies with the scheduling library anrg-saga, on its own families of instances.

The library gets an environment of its own (`out/saga/venv`, made by the first call: it brings some
hundred megabytes) and schedules each instance with all its algorithms; that takes a quarter of an
hour and is kept in `out/saga/instances.jsonl`. Here the same instances are planned by `choose_plan`
with each policy, every plan is verified, and means of makespan ratios are printed for each family:
to the library's HEFT, and to the best of its algorithms for that instance.

    python benchmarks/planning_saga.py [--each 2] [--anew]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import venv
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskpar_kernel.model.ids import StatementId
from taskpar_kernel.planning.choose import POLICIES, choose_plan
from taskpar_kernel.planning.communication import CommunicationModel
from taskpar_kernel.planning.graph import Edge, Task, graph_of

if TYPE_CHECKING:
    import networkx as nx

FOLDER = Path("out/saga")
NEEDED = ("anrg-saga==2.0.2", "wfcommons==1.0")
"""Later wfcommons write another format than this anrg-saga reads."""
MODEL = CommunicationModel(latency_s=0.0, bytes_per_s=1.0, dispatch_s=0.0)
"""Sizes are seconds."""
ALL = "all"


def python_of_saga() -> Path:
    """Return the interpreter of the library's environment, which is made if there is none."""
    python = FOLDER / "venv" / "bin" / "python"
    if not (FOLDER / "venv" / ".installed").exists():
        print(f"making {FOLDER / 'venv'}", file=sys.stderr)
        venv.create(FOLDER / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *NEEDED], check=True)
        (FOLDER / "venv" / ".installed").touch()
    return python


def instances(each: int, *, anew: bool) -> list[dict[str, Any]]:
    kept = FOLDER / "instances.jsonl"
    if anew or not kept.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        script = Path(__file__).with_name("planning_saga_instances.py")
        unfinished = kept.with_suffix(".part")
        with unfinished.open("w") as out:
            command = [python_of_saga(), script, "--each", str(each)]
            subprocess.run(command, stdout=out, check=True)
        unfinished.rename(kept)
    return [json.loads(line) for line in kept.read_text().splitlines()]


def graph(instance: dict[str, Any]) -> nx.DiGraph:
    tasks = [Task(StatementId(number), cost) for number, cost in enumerate(instance["tasks"])]
    sizes = {f"v{one}_{two}": size for one, two, size in instance["edges"]}
    edges = [
        Edge(StatementId(one), StatementId(two), (f"v{one}_{two}",))
        for one, two, _ in instance["edges"]
    ]
    return graph_of(tasks, edges, sizes, home=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=2, help="graphs for each family and setting")
    parser.add_argument("--anew", action="store_true", help="make new instances")
    options = parser.parse_args()
    names = [*POLICIES, "their best"]
    to_heft: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    to_best: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    failed: dict[str, int] = defaultdict(int)
    for instance in instances(options.each, anew=options.anew):
        theirs = instance["makespans"]
        for name, makespan in theirs.items():
            failed[name] += makespan is None
        best = min(makespan for makespan in theirs.values() if makespan is not None)
        made, places = graph(instance), instance["places"]
        ours = {
            name: choose_plan(made, places - 1, name, MODEL).verify().makespan for name in POLICIES
        }
        for name, makespan in (ours | {"their best": best}).items():
            for family in (instance["family"], ALL):
                to_heft[family][name].append(makespan / theirs["HEFT"])
                to_best[family][name].append(makespan / best)
    show("makespan over that of anrg-saga's HEFT", to_heft, names)
    show(f"makespan over the best of its {len(failed)} algorithms", to_best, names)
    for name in sorted(failed, key=lambda one: -failed[one]):
        if failed[name]:
            print(f"{name}: {failed[name]} schedules failed or cannot be carried out")


def show(title: str, ratios: dict[str, dict[str, list[float]]], names: list[str]) -> None:
    print(f"{title}\n{'family':<16} {'n':>4} " + " ".join(f"{name:>10}" for name in names))
    for family in [*(one for one in ratios if one != ALL), ALL]:
        count = len(ratios[family][names[0]])
        means = (f"{statistics.mean(ratios[family][name]):>10.3f}" for name in names)
        print(f"{family:<16} {count:>4} " + " ".join(means))
    print()


if __name__ == "__main__":
    main()
