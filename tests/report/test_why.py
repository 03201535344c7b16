"""`%taskpar why` as users see it: its text, HTML and JSON, and real kernels in both modes."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from taskpar_kernel.engine.session import Session, last_run
from taskpar_kernel.model.run import ReasonRecord, RunRecord
from taskpar_kernel.report.why import MOST_ROWS, NOTHING, why_html, why_json, why_text
from taskpar_kernel.settings import Settings
from taskpar_kernel.testing.fronts import Front

REASON = ReasonRecord(7, "x = f(x) < 2", "carried", "each iteration uses `x`", "make it", 3, 1.5)
RECORD = RunRecord(reasons=(REASON, replace(REASON, line=0, seconds=0.0, advice="")))


def test_a_quiet_cell_gets_one_line() -> None:
    assert why_text(RunRecord()) == NOTHING
    assert why_html(RunRecord()) == f"<p>{NOTHING}</p>"
    assert why_json(RunRecord()) == "[]"


def test_text_has_line_statement_cost_reason_and_advice() -> None:
    head, first, second = why_text(RECORD).splitlines()
    assert " ".join(head.split()) == "line statement at home why what would free it"
    assert first == "7     x = f(x) < 2  1.500 s  each iteration uses `x`  make it"
    assert second == "      x = f(x) < 2           each iteration uses `x`"


def test_html_is_a_plain_escaped_table() -> None:
    html = why_html(RECORD)
    assert html.count("<tr>") == 3
    assert "x = f(x) &lt; 2" in html
    assert not any(word in html for word in ("<script", "<style", "class=", "href"))


def test_json_is_the_reasons_as_in_last() -> None:
    assert json.loads(why_json(RECORD)) == json.loads(RECORD.to_json())["reasons"]


def test_many_reasons_are_cut() -> None:
    many = RunRecord(reasons=tuple(replace(REASON, line=i) for i in range(MOST_ROWS + 5)))
    assert why_text(many).splitlines()[-1] == "… and 5 more"
    assert "… and 5 more" in why_html(many)


@pytest.mark.parametrize(
    ("code", "wall_s", "kind"),
    [
        ("a = np.linalg.inv(m)\nb = np.linalg.det(m)", 0.2, "workers-starting"),
        ("a = np.linalg.inv(m)\nb = np.linalg.det(m)", 0.001, "too-short"),
        ("a = np.linalg.inv(m)", 0.2, "alone"),
    ],
)
def test_a_cell_before_the_workers_is_told_whether_it_missed_them(
    code: str, wall_s: float, kind: str
) -> None:
    namespace = {"np": np, "m": np.eye(2)}
    session = Session(SimpleNamespace(user_ns=namespace), Settings(history=False))
    session.ran_early(ast.parse("1").body, 0.0, "1")
    session.ran_early(ast.parse(code).body, wall_s, code)
    (reason,) = last_run().reasons
    assert reason.kind == kind


# Real kernels -------------------------------------------------------------------------------------

PRELUDE = """
import random, threading, time
def nap(s, *more):
    time.sleep(s)
    return s
class Model:
    def fit(self, s):
        self.s = nap(s)
def numbers():
    yield from (1, 2, 3)
class Held:
    pass
held = Held(); held.lock = threading.Lock(); lock = threading.Lock()
x = 0.02; y = 1; model = Model(); gen = numbers(); xs = [1, 2, 3]
"""
NO_LOCKS = "cannot be pickled: TypeError: cannot pickle '_thread.lock' object"
CARRIED = "each iteration uses `{}` of the one before (line {})"
CASES = [
    ("for i in xs:\n    x = nap(x, i)\n", (1, "carried", CARRIED.format("x", 2))),
    ("for i in xs:\n    model.fit(0.02)\n", (1, "carried-object", CARRIED.format("model", 2))),
    (
        "for i in gen:\n    nap(0.02)\n",
        (1, "iterable", "the loop goes through `gen`, a generator, which only home may advance"),
    ),
    (
        "for i in xs:\n    nap(random.random() / 20 + 0.01)\n",
        (
            1,
            "random-draw",
            "line 2: `random.random()` draws from the shared generator of `random`, in order",
        ),
    ),
    (
        "a = nap(0.03)\nb = nap(0.03, lock)\n",
        (2, "blocked-handle", "`lock` makes or uses an open handle, generator, iterator or lock"),
    ),
    (
        "a = nap(0.06)\nb = nap(0.03, held)\n",
        (
            2,
            "not-portable",
            f"a value would not arrive as it is: {NO_LOCKS}",
        ),
    ),
    ("a = nap(0.03)\nb = nap(a)\n", (2, "depends", "line 1 makes `a`, which line 2 reads")),
    (
        "a = nap(0.03)\nb = nap(0.03)\nc = nap(a + b)\n",
        (3, "depends", "line 2 makes `b`, which line 3 reads"),
    ),
    (
        "import weakref\na = nap(0.01)\nb = nap(0.01)\n",
        (0, "cell-lifetimes", "line 1: weak references show how long objects live"),
    ),
]


@pytest.fixture(scope="module", params=["normal", "eager"])
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("why") / "cwd"
    eager = {"TASKPAR_EAGER": "1"} if request.param == "eager" else {}
    with Front("taskpar", folder, TASKPAR_WORKERS="2", **eager) as front:
        yield front


@pytest.mark.parametrize(("code", "says"), CASES, ids=[c.split("\n")[-2] for c, _ in CASES])
def test_a_kernel_explains_a_cell(front: Front, code: str, says: tuple[int, str, str]) -> None:
    front.reset()
    front.wait_for_workers()
    assert front.run(PRELUDE).status == "ok"
    assert front.run(code).status == "ok"
    told = json.loads(front.run("%taskpar why --json").text())
    assert says in [(r["line"], r["kind"], r["sentence"]) for r in told], told
    assert [r["seconds"] for r in told] == sorted((r["seconds"] for r in told), reverse=True)
    last = json.loads(front.run("%taskpar last --json").text())
    assert last["reasons"] == told
    assert all((s["reason_kind"] != "") == (s["reason"] != "") for s in last["statements"])
    shown = front.run("%taskpar why").outputs
    assert any(k == "display_data" and "<table>" in c[0]["text/html"] for k, c in shown)


def test_a_cell_in_which_all_goes_well_is_quiet(front: Front) -> None:
    front.reset()
    front.wait_for_workers()
    assert front.run(PRELUDE).status == "ok"
    assert front.run("a = nap(0.2)\nb = nap(0.2)").status == "ok"
    assert front.run("%taskpar why --text").text() == NOTHING + "\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%taskpar why --frob", ("why", "--frob")),
        ("%taskpar why now", ("why", "now")),
        ("%taskpar why --json --text", ("why", "--text")),
        ("%taskpar wy", ("wy", "why", "last")),
    ],
)
def test_wrong_words_are_one_line(front: Front, line: str, words: tuple[str, ...]) -> None:
    seen = front.run(line)
    told = seen.text("stderr")
    assert seen.status == "error"
    assert all(word in told for word in words), told
    assert len(told.splitlines()) == 1


def test_before_any_cell_it_says_so_in_one_line(tmp_path: Path) -> None:
    with Front("taskpar", tmp_path / "cwd", TASKPAR_WORKERS="2") as front:
        seen = front.run("%taskpar why")
        assert seen.status == "error"
        assert seen.text("stderr").strip().endswith("no cell has run under taskpar yet")
        assert len(seen.text("stderr").splitlines()) == 1
