"""HEFT: heterogeneous earliest finish time, with insertion, and with home as a place of its own.

Theory of operation. Tasks are taken by falling upward rank: how long everything that waits for them
still takes, transfers included. Each goes to the place where it ends first; a gap between two tasks
already placed there is used if it is long enough (insertion).

Home adds four rules. (1) What runs at home starts only when all before it in program order is
finished and gathered. Ranks know that each task is before every later one that must run at home,
so those before it are placed before it, and its start is exact. (2) A task that may travel can be
placed at home only if all before it are placed, for the same reason. (3) Places are compared by
when the outcome is *at home*, since every outcome has to get there. (4) Rule 2 leaves home idle
where ranks and program order disagree; so the tasks are also taken in program order, which offers
each of them to home, and the better of the two plans is returned (the first, if they are equal): on
random cells and one worker 1.24 instead of 1.66 times the lower bound. A graph without home has
none of these rules, and this is HEFT as published.

Source: Topcuoglu, Hariri, Wu 2002, "Performance-effective and low-complexity task scheduling for
heterogeneous computing", DOI 10.1109/71.993206, section 4.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskpar_kernel.planning.graph import Flat, flat_ranks, flatten
from taskpar_kernel.planning.plan import Plan, plan_of
from taskpar_kernel.planning.policies.board import Board, ends_at_home, filled

if TYPE_CHECKING:
    import networkx as nx

    from taskpar_kernel.planning.communication import CommunicationModel

RANK_DIGITS = 9
"""Ranks are equal if they agree to a nanosecond: sums of floats in another order differ by less."""


def heft(graph: nx.DiGraph, places: int, model: CommunicationModel) -> Plan:
    """Return the HEFT plan; O(edges + tasks * (places + gaps))."""
    board = heft_board(flatten(graph), places, model)
    return plan_of(graph, places, model, "heft", board.placements())


def heft_board(flat: Flat, places: int, model: CommunicationModel) -> Board:
    """Return the tasks of a flattened graph as HEFT places them."""
    ranks = [round(rank, RANK_DIGITS) for rank in flat_ranks(flat, places, model)]
    in_order = range(len(ranks))
    orders = [sorted(in_order, key=lambda number: (-ranks[number], number))]
    if flat.home:
        # Home alone can take tasks in program order only.
        orders = [*(orders if places > 1 else []), list(in_order)]
    boards = [filled(Board(flat, places, model), order, ends_at_home) for order in orders]
    return min(boards, key=lambda board: board.done_s)
