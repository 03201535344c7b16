"""Compare the policies on the graphs of the flights notebook's cells, costs and sizes as measured.

The notebook is run once, serially, in this process, one top-level statement after the other; their
CPU seconds are the costs (a statement that uses several threads counts for all of them), and what
it takes to pickle a variable is its size. Then each cell is planned by each policy, as the kernel
plans it on a second run. Nothing is run in parallel.

    python benchmarks/planning_flights.py
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from taskpar_kernel.analysis.api import analyse
from taskpar_kernel.engine.sizes import size_of
from taskpar_kernel.model.ids import StatementId
from taskpar_kernel.planning.choose import DEFAULT_MODEL, POLICIES, choose_plan
from taskpar_kernel.planning.graph import TaskDetails, lower_bound_s, task_graph

if TYPE_CHECKING:
    import networkx as nx

NOTEBOOK = Path("notebooks/flights.ipynb")
SHORT_S = 0.05
"""Cells that take less are not shown."""


def measured(code: str, namespace: dict[str, Any]) -> list[float]:
    """Run the statements of a cell, and return the CPU seconds of each."""
    seconds = []
    for node in ast.parse(code).body:
        run = compile(ast.Module([node], []), "<cell>", "exec")
        begin_s = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            exec(run, namespace)
        seconds.append(time.process_time() - begin_s)
    return seconds


def cell_graph(code: str, namespace: dict[str, Any]) -> nx.DiGraph:
    """Run a cell and return its graph; like in a second run, the names it makes are known."""
    costs = measured(code, namespace)
    statements = analyse(code, namespace).statements
    effects = [(StatementId(number), one.effects) for number, one in enumerate(statements)]
    details = {
        StatementId(number): TaskDetails(costs[number], one.source, one.line)
        for number, one in enumerate(statements)
    }
    names = frozenset[str]().union(*(one.effects.reads | one.effects.writes for one in statements))
    sizes = {
        name: int(DEFAULT_MODEL.bytes_per_s * size_of(namespace[name]).pack_s)
        for name in names & namespace.keys()
    }
    return task_graph(effects, details, sizes)


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    os.environ["MPLBACKEND"] = "agg"
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    graphs = {}
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and cell.source.strip():
            graphs[index] = cell_graph(cell.source, namespace)
    for workers, cores in ((1, 2), (2, 2), (2, 3), (4, 4)):
        show(graphs, workers, cores)


def show(graphs: dict[int, nx.DiGraph], workers: int, cores: int) -> None:
    print(f"\nhome and {workers} workers on {cores} cores: seconds planned")
    print(f"{'cell':>4} {'tasks':>5} {'bound':>7} " + " ".join(f"{name:>8}" for name in POLICIES))
    sums = dict.fromkeys(POLICIES, 0.0)
    for index, graph in graphs.items():
        made = {
            name: choose_plan(graph, workers, name, cores=cores).verify().makespan
            for name in POLICIES
        }
        for name, makespan in made.items():
            sums[name] += makespan
        if made["serial"] >= SHORT_S:
            bound_s = lower_bound_s(graph, min(workers + 1, cores))
            shown = " ".join(f"{makespan:8.3f}" for makespan in made.values())
            print(f"{index:>4} {len(graph):>5} {bound_s:7.3f} {shown}")
    print(f"{'sum':>18} " + " ".join(f"{total:8.3f}" for total in sums.values()))


if __name__ == "__main__":
    main()
