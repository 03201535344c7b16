"""A cell run over a pool that only keeps what it is given."""

from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import Any

import numpy as np

from taskpar_kernel.engine.cell import CellRun
from taskpar_kernel.engine.lookahead import Moment
from taskpar_kernel.engine.session import Session
from taskpar_kernel.model.ids import Place
from taskpar_kernel.settings import Settings


class Pool:
    """Two workers that are up and never answer."""

    ready = frozenset({Place(1), Place(2)})
    failure = ""

    def __init__(self) -> None:
        self.posts: list[Any] = []

    def post(self, worker: Place, script: Any) -> None:
        self.posts.append(script)

    def send_value(self, worker: Place, value: Any) -> None:
        pass

    def abandon(self, worker: Place, tickets: Any) -> None:
        pass


def compiled(node: Any) -> Any:
    mode = "eval" if isinstance(node, ast.Expression) else "exec"
    return compile(ast.fix_missing_locations(node), "<cell>", mode)


def cell_of(source: str, pool: Pool) -> CellRun:
    session = Session(SimpleNamespace(user_ns={"np": np, "m": np.eye(2)}), Settings(history=False))
    session.pool = pool  # type: ignore[assignment]
    lines = source.splitlines(keepends=True)
    cell = session.prepare(ast.parse(source).body, frozenset(), compiled, lines)
    assert cell is not None
    return cell


CELL = "a = np.linalg.eigvals(m)\nb = np.linalg.inv(m)\nc = np.linalg.det(m)\n"


def test_while_home_is_busy_what_is_ready_goes_out() -> None:
    pool = Pool()
    walk = (cell := cell_of(CELL, pool)).statements()
    next(walk)
    assert sum(cell.look_ahead(Moment(bold=True)) for _ in range(3)) == 2
    walk.close()


def test_a_look_ahead_that_comes_after_the_end_sends_nothing() -> None:
    pool = Pool()
    walk = (cell := cell_of(CELL, pool)).statements()
    next(walk)
    walk.close()
    cell.finish()
    assert cell.look_ahead(Moment(bold=True)) == 0
    assert not pool.posts
