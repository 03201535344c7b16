"""PEFT: predict earliest finish time; HEFT's successor, which looks ahead at the cost of a table.

Theory of operation. The table of optimistic costs says, for each task and place, how long what
waits for the task takes at least if the task runs there: the worst of its successors, each at the
place that is best for it. Of the tasks that are ready, the one with the greatest mean of its row is
taken, and put where its end and the table's entry together are least: a place that ends it a little
later is chosen if its successors gain more. A gap is used if it is long enough.

Where all places are alike the rows are constant, and what is left is HEFT with a rank that counts
no transfers. With home they are not: what must run at home draws what it reads towards home. As in
`heft`, every task is before each later one that must run at home, outcomes are gathered there, and
tasks are also taken in program order, the better of the two plans being returned.

Source: Arabnejad, Barbosa 2014, "List scheduling algorithm for heterogeneous systems by an
optimistic cost table", DOI 10.1109/TPDS.2013.57, sections 4.1 and 4.2.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from taskpar_kernel.model.ids import HOME
from taskpar_kernel.planning.graph import Flat, flatten
from taskpar_kernel.planning.plan import Plan, plan_of
from taskpar_kernel.planning.policies.board import Board, Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import networkx as nx

    from taskpar_kernel.planning.communication import CommunicationModel

RANK_DIGITS = 9
"""As in `heft`."""


def peft(graph: nx.DiGraph, places: int, model: CommunicationModel) -> Plan:
    """Return the PEFT plan; O(edges * kinds² + tasks * (log tasks + places + gaps)).

    Kinds of places: as many as there are places where they differ, else home and worker.
    """
    board = peft_board(flatten(graph), places, model)
    return plan_of(graph, places, model, "peft", board.placements())


def peft_board(flat: Flat, places: int, model: CommunicationModel) -> Board:
    """Return the tasks of a flattened graph as PEFT places them."""
    table = optimistic_costs_s(flat, places, model)
    boards = []
    if places > 1 or not flat.home:
        board = Board(flat, places, model)
        boards.append(_filled(board, _by_rank(flat, table, board), table))
    if flat.home:
        boards.append(_filled(Board(flat, places, model), range(len(table)), table))
    return min(boards, key=lambda one: one.done_s)


def optimistic_costs_s(flat: Flat, places: int, model: CommunicationModel) -> list[list[float]]:
    """Return, for each task and place, the least seconds from its end to that of the cell.

    Workers that are alike share one entry: rows are as long as there are kinds of places.
    """
    kinds = _kinds(flat, places)
    table: list[list[float]] = [[]] * len(flat.tasks)
    next_home: int | None = None
    for number in range(len(flat.tasks) - 1, -1, -1):
        task = flat.tasks[number]
        later = [(one, model.transfer_s(size_bytes)) for one, size_bytes in flat.after[number]]
        if next_home is not None:
            later.append((next_home, model.transfer_s(task.size_bytes)))
        row = []
        for kind in range(kinds):
            away = flat.home and kind != HOME
            least_s = model.transfer_s(task.size_bytes) if away else 0.0
            for one, transfer_s in later:
                least_s = max(least_s, _best_s(flat, table, one, kind, transfer_s, model))
            row.append(least_s)
        table[number] = row
        if flat.home and task.home:
            next_home = number
    return table


def _filled(board: Board, order: Iterable[int], table: list[list[float]]) -> Board:
    for number in order:
        board.put(number, _cell_ends_first(table[number]))
    return board


def _cell_ends_first(row: list[float]) -> Key:
    last = len(row) - 1

    def key(place: int, _start_s: float, end_s: float, _home_s: float, /) -> float:
        return end_s + row[min(last, place)]

    return key


def _by_rank(flat: Flat, table: list[list[float]], board: Board) -> Iterator[int]:
    """Give the tasks by falling rank, each when all that it waits for is on `board`."""
    ranks = [round(sum(row) / len(row), RANK_DIGITS) for row in table]
    waits_for = [len(before) for before in flat.before]
    ready: list[tuple[float, int]] = []
    for number, task in enumerate(flat.tasks):
        if not waits_for[number] and not (flat.home and task.home):
            heapq.heappush(ready, (-ranks[number], number))
    placed = 0
    while placed < len(ranks):
        # Home tasks are not among the ready ones: their turn is when all before them is placed.
        at = board.walked
        number = at if flat.home and flat.tasks[at].home else heapq.heappop(ready)[1]
        yield number
        placed += 1
        for later, _ in flat.after[number]:
            waits_for[later] -= 1
            if not waits_for[later] and not (flat.home and flat.tasks[later].home):
                heapq.heappush(ready, (-ranks[later], later))


def _kinds(flat: Flat, places: int) -> int:
    """Return how many kinds of places there are; the last one stands for all above it."""
    if any(task.place_costs_s for task in flat.tasks):
        return places
    return min(places, 2) if flat.home else 1


def _best_s(
    flat: Flat,
    table: list[list[float]],
    number: int,
    kind: int,
    transfer_s: float,
    model: CommunicationModel,
) -> float:
    """Return the least seconds from the end of a task at `kind` to that of the cell by `number`.

    `transfer_s`: what it takes to bring what `number` reads of the task to another place.
    """
    task, row = flat.tasks[number], table[number]
    if flat.home and task.home:
        return (0.0 if kind == HOME else transfer_s) + task.cost_at_s(HOME) + row[HOME]
    return min(
        (0.0 if other == kind else transfer_s)
        + (model.dispatch_s if flat.home and other != HOME else 0.0)
        + task.cost_at_s(other)
        + row[other]
        for other in range(len(row))
    )
