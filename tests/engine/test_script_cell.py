"""The five-line script of 2018 and its kin as cells of a real kernel, forced ahead."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel


class Notebook:
    """A running kernel: cells go in, what they printed and the record of the last one come out."""

    def __init__(self, workers: int, *, eager: bool):
        settings = {"TASKPAR_WORKERS": str(workers), "TASKPAR_EAGER": str(int(eager))}
        self.manager, self.client = start_new_kernel(
            kernel_name="taskpar", env={**os.environ, **settings}
        )

    def run(self, cell: str) -> str:
        texts: list[str] = []

        def note(message: dict[str, Any]) -> None:
            content = message["content"]
            texts.append(content.get("text") or content.get("evalue") or "")
            texts.append(content.get("data", {}).get("text/plain", ""))

        self.client.execute_interactive(cell, output_hook=note, timeout=60)
        return "".join(texts)

    def last(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.run("%taskpar last --json"))
        return record

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


WAIT = "from taskpar_kernel.testing.ready import wait_for_workers\nwait_for_workers()"


@pytest.fixture(scope="module")
def eager() -> Iterator[Notebook]:
    notebook = Notebook(2, eager=True)
    notebook.run(WAIT)
    yield notebook
    notebook.close()


@pytest.fixture(scope="module")
def four() -> Iterator[Notebook]:
    notebook = Notebook(4, eager=False)
    notebook.run(WAIT)
    notebook.run("import time\ndef work(i):\n    time.sleep(0.4)\n    return i * i")
    yield notebook
    notebook.close()


FIVE_LINES = """\
datadir = '~/data'
x = datadir + 'x.csv'
y = datadir + 'y.csv'
xy = x + y
print("all done")"""


def test_y_travels_from_worker_2_to_worker_1_directly(eager: Notebook) -> None:
    assert eager.run(FIVE_LINES).strip() == "all done"
    record = eager.last()
    places = {s["source"].split(" ")[0]: s["place"] for s in record["statements"]}
    assert (places["x"], places["y"], places["xy"]) == ("1", "2", "1")
    moved = [(t["name"], t["source"], t["target"]) for t in record["transfers"]]
    assert ("y", "2", "1") in moved
    assert eager.run("xy") == "'~/datax.csv~/datay.csv'"


def test_a_variable_two_others_need_reaches_both(eager: Notebook) -> None:
    cell = "base = [1, 2, 3]\np = sum(base)\nq = max(base)\nr = len(base)\ns = p + q + r"
    eager.run(cell)
    assert eager.last()["committed_ahead"] >= 4
    assert eager.run("(p, q, r, s)") == "(6, 3, 3, 12)"


def test_a_first_line_that_feeds_all_the_rest(eager: Notebook) -> None:
    lines = ["first = 5", *(f"v{i} = first * {i}" for i in range(8))]
    eager.run("\n".join(lines))
    record = eager.last()
    assert {s["place"] for s in record["statements"]} >= {"1", "2"}
    values = ", ".join(f"v{i}" for i in range(8))
    assert eager.run(f"[{values}]") == "[0, 5, 10, 15, 20, 25, 30, 35]"


def overlap(record: dict[str, Any]) -> int:
    """Return how many statements ran at the same time, at the most."""
    spans = [(s["start_s"], s["end_s"]) for s in record["statements"] if "work(" in s["source"]]
    return max(sum(a <= start < b for a, b in spans) for start, _ in spans)


def test_independent_calls_run_side_by_side(four: Notebook) -> None:
    four.run("a = work(1)\nb = work(2)\nc = work(3)\nd = work(4)")
    assert overlap(four.last()) >= 3  # a worker may still be importing
    assert four.run("(a, b, c, d)") == "(1, 4, 9, 16)"


def test_iterations_that_append_run_side_by_side(four: Notebook) -> None:
    four.run("rows = []\nfor i in range(4):\n    rows.append(work(i))")
    record = four.last()
    assert overlap(record) >= 3
    assert four.run("(rows, i)") == "([0, 1, 4, 9], 3)"


def test_objects_of_a_list_are_changed_in_place_side_by_side(four: Notebook) -> None:
    four.run(
        "class Box:\n    n = 0\n    def fit(self, k):\n        self.n = work(k)\n"
        "boxes = [Box() for _ in range(3)]\nkept = list(boxes)"
    )
    four.run("for k, box in enumerate(boxes):\n    box.fit(k + 1)")
    assert four.last()["committed_ahead"] >= 1
    assert four.run("[b.n for b in kept], boxes[0] is kept[0]") == "([1, 4, 9], True)"
