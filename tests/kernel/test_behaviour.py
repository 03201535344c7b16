"""What users do with a kernel besides running cells: interrupt it, ask it, kill its workers."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from taskpar_kernel.testing.fronts import Front
from taskpar_kernel.testing.seen import Seen

INTERRUPT_S = 1.0
SLEEPS = "import time\ndef nap(s):\n    time.sleep(s)\n    return s\n"
BUSY = """
def busy(n, s=1):
    t = 0
    for i in range(n):
        t += i * s
    return t
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("behaviour") / "cwd"


@pytest.fixture(scope="module", params=["normal", "eager"])
def kernel(request: pytest.FixtureRequest, folder: Path) -> Iterator[Front]:
    eager = {"TASKPAR_EAGER": "1"} if request.param == "eager" else {}
    with Front("taskpar", folder, TASKPAR_WORKERS="2", **eager) as front:
        yield front


@pytest.fixture
def front(kernel: Front) -> Front:
    kernel.reset()
    wait_for_workers(kernel)
    return kernel


@pytest.fixture(scope="module")
def plain(folder: Path) -> Iterator[Front]:
    with Front("python3", folder, TASKPAR_WORKERS="2") as front:
        yield front


def wait_for_workers(front: Front, limit_s: float = 60.0) -> None:
    end_s = time.monotonic() + limit_s
    while len(workers(front)) < 2:
        assert time.monotonic() < end_s, "the workers did not come up"
        threading.Event().wait(0.05)


def workers(front: Front) -> dict[int, int]:
    """Return the process id of each worker that is ready, by its number."""
    found = front.evaluate(
        "(lambda e: [(m.number, m.pid) for m in e.pool.describe() if m.state == 'ready']"
        " if e.pool else [])(get_ipython().door.session)"
    )
    return dict(found)


def children(front: Front) -> list[psutil.Process]:
    assert front.manager is not None
    return psutil.Process(front.manager.provisioner.process.pid).children(recursive=True)


def interrupted(front: Front, code: str, when: Callable[[], bool]) -> tuple[Seen, float]:
    """Interrupt `code` once `when` holds; return what it showed, and the seconds since then."""
    assert front.manager is not None
    identity = front.send(code)
    end_s = time.monotonic() + 20
    while not when():
        assert time.monotonic() < end_s, "the cell did not get to where it was to be interrupted"
        threading.Event().wait(0.01)
    front.manager.interrupt_kernel()
    begin_s = time.monotonic()
    seen = front.collect(identity, limit_s=20)
    return seen, time.monotonic() - begin_s


def good(seen: Seen) -> Seen:
    assert seen.status == "ok", seen
    return seen


def result(seen: Seen) -> str:
    assert seen.status == "ok", seen
    kind, content = seen.outputs[-1]
    assert kind == "execute_result", seen
    text: str = content[0]["text/plain"]
    return text


# Defects ----------------------------------------------------------------------------------------


def test_an_error_after_the_cell_costs_nothing(front: Front) -> None:
    good(front.run(SLEEPS))
    broken = "get_ipython().door.session._forget = lambda cell: 1 / 0\n"
    seen = good(front.run(f"{broken}a = nap(0.05)\nb = nap(0.05)\n(a, b)"))
    assert any("(0.05, 0.05)" in str(shown) for shown in seen.outputs)
    assert "an error of its own after the cell (ZeroDivisionError" in seen.text("stderr")
    assert front.last() is not None
    good(front.run("del get_ipython().door.session._forget"))
    assert result(front.run("a = nap(0.05)\nb = nap(0.05)\na + b")) == "0.1"


# What goes ahead --------------------------------------------------------------------------------


PICKS = """
import time
import numpy as np
big = np.arange(120_000.0).reshape(6000, 20)
folds = np.array_split(np.random.default_rng(3).permutation(6000), 8)
class Model:
    def fit(self, a):
        time.sleep(0.05)
        self.total = float(a.sum())
def score(model, a):
    time.sleep(0.01)
    return float(a.sum()) * model.total
"""


def test_what_cheap_steps_pick_out_of_an_input_is_no_copy(front: Front) -> None:
    good(front.run(PICKS))
    cell = (
        "scores = []\nfor i in range(8):\n    test = folds[i]\n"
        "    train = np.concatenate([folds[j] for j in range(8) if j != i])\n    model = Model()\n"
        "    model.fit(big[train])\n    scores.append(score(model, big[test]))\nsum(scores)"
    )
    first = result(front.run(cell))
    assert result(front.run(cell)) == first
    record = front.last()
    assert record is not None
    assert not any("copies" in s["reason"] for s in record["statements"]), record


# Interrupts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "x = 1\nmark('in')\ntime.sleep(30)\ny = 2",
        "x = 1\na = nap(0.01)\nb = [mark('in'), nap(30)]\nc = nap(30)\ny = 2",
        "x = 1\nfor i in range(50):\n    mark('in')\n    z = nap(1)\ny = 2",
        "x = 1\nfor i in range(50):\n    z = marked_nap(5)\ny = 2",
        "x = 1\na = marked_nap(30)\nb = marked_nap(30)\ny = 2",
        "x = 1\nmark('in')\nwhile True:\n    pass\ny = 2",
    ],
    ids=["home", "expression", "loop", "loop-of-calls", "worker", "endless"],
)
def test_interrupt_within_a_second(front: Front, folder: Path, code: str) -> None:
    path = folder / "mark"
    path.unlink(missing_ok=True)
    prelude = (
        # with: Python clears an interrupt that strikes while it closes a file by itself
        f"{SLEEPS}def mark(t):\n    with open({str(path)!r}, 'w') as f:\n        f.write(t)\n"
        f"def marked_nap(s):\n    global started\n    nap(0.3)\n    nap(s)\n    return s\n"
    )
    good(front.run(prelude))
    begin_s = time.monotonic()
    waits = "marked" in code

    def there() -> bool:
        # A signal that comes just before a system call begins does not end it: Python looks for
        # signals before and after, not in between. So not in the moment in which the sleep begins.
        if waits or not path.exists():
            return waits and time.monotonic() - begin_s > 1.0
        return time.time() - path.stat().st_mtime > 0.1

    seen, took_s = interrupted(front, code, there)
    assert seen.error is not None, seen
    assert seen.error[0] == "KeyboardInterrupt"
    assert took_s < INTERRUPT_S
    assert result(front.run("x, 'y' in dir()")) == "(1, False)"
    assert result(front.run("a = nap(0.01); b = nap(0.01); a + b")) == "0.02"


def test_interrupt_twice_in_a_row(front: Front) -> None:
    good(front.run(SLEEPS))
    for _ in range(2):
        begin_s = time.monotonic()
        seen, took_s = interrupted(
            front, "a = nap(20)\nb = nap(20)", lambda b=begin_s: time.monotonic() - b > 0.5
        )
        assert seen.error is not None, seen
        assert seen.error[0] == "KeyboardInterrupt"
        assert took_s < INTERRUPT_S
    assert result(front.run("1 + 1")) == "2"


def test_a_caught_interrupt_goes_on(front: Front) -> None:
    good(front.run(SLEEPS))
    begin_s = time.monotonic()
    code = (
        "try:\n    a = nap(20)\nexcept KeyboardInterrupt:\n    a = 'stopped'\nb = nap(0.01)\n(a, b)"
    )
    seen, took_s = interrupted(front, code, lambda: time.monotonic() - begin_s > 0.5)
    assert result(seen) == "('stopped', 0.01)"
    assert took_s < INTERRUPT_S + 0.5


def test_interrupt_of_an_awaiting_cell(front: Front) -> None:
    begin_s = time.monotonic()
    seen, took_s = interrupted(
        front,
        "import asyncio\nx = 1\nawait asyncio.sleep(20)",
        lambda: time.monotonic() - begin_s > 0.5,
    )
    assert seen.error is not None, seen
    assert took_s < 2 * INTERRUPT_S
    assert result(front.run("x")) == "1"


# Outputs are live -------------------------------------------------------------------------------


def test_output_is_live_for_the_statement_whose_turn_it_is(front: Front) -> None:
    good(front.run(SLEEPS))
    front.wait_for_workers()
    seen_at: dict[str, float] = {}
    begin_s = time.monotonic()

    def note(message: dict[str, object]) -> None:
        if message["msg_type"] == "stream":
            text = str(message["content"]["text"])  # type: ignore[index]
            for word in ("first", "second", "third"):
                if word in text:
                    seen_at.setdefault(word, time.monotonic() - begin_s)

    code = (
        "print('first')\na = nap(0.8)\nb = nap(0.8)\nprint('second')\nc = nap(0.8)\nprint('third')"
    )
    good(front.run(code, on_output=note))
    assert list(seen_at) == ["first", "second", "third"]
    assert seen_at["first"] < 0.6
    assert seen_at["second"] < seen_at["third"]


def test_a_function_that_prints_is_seen_while_it_runs(front: Front) -> None:
    good(
        front.run(
            "import time\ndef steps(n):\n    for i in range(n):\n        print('step', i)\n"
            "        time.sleep(0.4)\n    return n\ndef nap(s): time.sleep(s); return s"
        )
    )
    times: list[float] = []
    good(
        front.run(
            "a = steps(4)\nb = nap(0.5)\nc = nap(0.5)",
            on_output=lambda m: times.append(time.monotonic()) if m["msg_type"] == "stream" else 0,
        )
    )
    assert len(times) >= 2, "all of it came at once"
    assert times[-1] - times[0] > 0.5


def test_every_long_cell_has_a_line_that_goes_again(folder: Path) -> None:
    waits = "while time.monotonic() < end_s:\n    pass\n"
    cells = {
        "the first of the session": "import time\nend_s = time.monotonic() + 1.5\n" + waits,
        "nothing in it can go out": "end_s = time.monotonic() + 1.5\n" + waits,
        "it patches a module": "end_s = time.monotonic() + 1.5\ntime.known = 1\n" + waits,
        "its statements go out": SLEEPS + "a = nap(1.5)\nb = nap(1.5)\n",
        "over within a second": "a = 1\n",
    }
    shown = {}
    with Front("taskpar", folder, TASKPAR_WORKERS="2", TASKPAR_PROGRESS="on") as front:
        for what, cell in cells.items():
            sent: list[tuple[str, dict[str, str]]] = []

            def note(
                message: dict[str, Any], sent: list[tuple[str, dict[str, str]]] = sent
            ) -> None:
                if message["msg_type"].endswith("display_data"):
                    sent.append((message["msg_type"], message["content"]["data"]))

            good(front.run(cell, on_output=note))
            shown[what] = sent
            wait_for_workers(front)
    assert shown.pop("over within a second") == []
    for what, sent in shown.items():
        kinds = [kind for kind, _ in sent]
        assert kinds == ["display_data"] + ["update_display_data"] * (len(kinds) - 1), what
        assert sent[0][1]["text/plain"].startswith("taskpar 1 s · statement "), what
        assert sent[-1][1] == {}, what


# Workers that die -------------------------------------------------------------------------------


@pytest.mark.parametrize("victims", [1, 2])
def test_a_killed_worker_costs_time_only(front: Front, victims: int) -> None:
    good(front.run(SLEEPS + "r0 = nap(0.05)"))
    before = workers(front)
    code = "a = nap(1.5)\nb = nap(1.5)\nc = nap(1.5)\nprint(a, b)\n(a, b, c)"
    identity = front.send(code)
    threading.Event().wait(0.6)
    for pid in list(before.values())[:victims]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    seen = front.collect(identity, limit_s=30)
    assert result(seen) == "(1.5, 1.5, 1.5)"
    assert seen.text() == "1.5 1.5\n"
    lines = seen.text("stderr").splitlines()
    assert len(lines) <= victims + 1, lines
    assert all(line.startswith("taskpar: worker ") for line in lines), lines
    wait_for_workers(front)
    assert not set(workers(front).values()) & set(list(before.values())[:victims])
    assert result(front.run("a = nap(0.1); b = nap(0.1); a + b")) == "0.2"


@pytest.mark.parametrize(
    "death",
    [
        "import os; os._exit(3)",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import ctypes; ctypes.string_at(0)",
        "raise SystemExit(2)",
        "import sys; sys.exit()",
    ],
    ids=["exit", "kill", "segfault", "system-exit", "sys-exit"],
)
def test_a_statement_deadly_for_a_worker_only(front: Front, death: str) -> None:
    """Home's pid is not the worker's: there the function does nothing."""
    assert front.manager is not None
    home = front.manager.provisioner.process.pid
    good(
        front.run(
            f"def risky(x):\n    import os\n    if os.getpid() != {home}:\n        {death}\n"
            "    return x\n"
        )
    )
    seen = front.run("a = risky(1)\nb = risky(2)\nc = [risky(i) for i in range(2)]\n(a, b, c)")
    assert result(seen) == "(1, 2, [0, 1])"


# Pools that do not start ------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["interpreter", "time"])
def test_no_pool_means_one_warning_and_a_serial_kernel(
    folder: Path, tmp_path: Path, missing: str
) -> None:
    environ = {"TASKPAR_WORKERS": "2", "TASKPAR_EAGER": "1"}
    if missing == "time":
        environ["TASKPAR_START_LIMIT_S"] = "0.001"
    else:
        (tmp_path / "sitecustomize.py").write_text("import sys; sys.executable = '/no/python'")
        environ["PYTHONPATH"] = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    with Front("taskpar", folder, **environ) as front:
        first = front.run("def f(x): return x + 1\na = f(1)\nb = f(2)\nprint(a + b)")
        second = front.run("c = f(a)\nd = f(b)\nc + d")
        assert first.text() == "5\n"
        assert result(second) == "7"
        warned = [
            line
            for seen in (first, second)
            for line in seen.text("stderr").splitlines()
            if "taskpar" in line
        ]
        assert len(warned) == 1, (first, second)
        assert "serially" in warned[0]


@pytest.mark.parametrize(
    ("name", "value"), [("WORKERS", "0"), ("WORKERS", "x"), ("EAGER", "maybe")]
)
def test_a_wrong_setting_is_named_before_anything_starts(
    folder: Path, name: str, value: str, capfd: pytest.CaptureFixture[str]
) -> None:
    front = Front("taskpar", folder, **{f"TASKPAR_{name}": value})
    with pytest.raises(RuntimeError, match="died"):
        front.start()
    front.stop()
    text = capfd.readouterr().err
    assert f"TASKPAR_{name}" in text or f"workers='{value}'" in text
    assert "nothing was started" in text


# The queue --------------------------------------------------------------------------------------


def test_queued_cells_are_aborted_after_an_error(front: Front, plain: Front) -> None:
    found = []
    for kernel in (plain, front):
        cells = ["x = 1", "y = int('no')", "x = 2", "x = 3"]
        identities = [kernel.send(c, stop_on_error=True) for c in cells]
        found.append([kernel.collect(i, limit_s=20).status for i in identities[:2]])
        replies = {i: reply(kernel, i) for i in identities[2:]}
        found[-1] += list(replies.values())
        assert result(kernel.run("x")) == "1"
    assert found[0] == found[1] == ["ok", "error", "aborted", "aborted"]


def reply(kernel: Front, identity: str) -> str:
    assert kernel.client is not None
    while True:
        message = kernel.client.get_shell_msg(timeout=20)
        if message["parent_header"].get("msg_id") == identity:
            return str(message["content"]["status"])


def test_queued_cells_run_in_order(front: Front) -> None:
    good(front.run(f"{BUSY}log = []"))
    cells = [f"v{i} = busy(20000, {i}); log.append({i})" for i in range(6)]
    identities = [front.send(c) for c in cells]
    for identity in identities:
        good(front.collect(identity))
    assert result(front.run("log, v5 == busy(20000, 5)")) == "([0, 1, 2, 3, 4, 5], True)"


LINKS = """
total = 0
squares = {}
for i in range(40):
    total += i
    squares[i] = i * i
    if i == 30:
        continue
    last = i
"""


def test_a_chain_of_changes_in_place_is_taken_link_by_link(front: Front) -> None:
    """What one outcome changed, the next one may change: none is in vain because of it."""
    front.wait_for_workers()
    good(front.run(LINKS))
    record = front.last()
    assert record is not None
    reasons = [s["reason"] for s in record["statements"] if s["state"] == "squashed"]
    assert "what it changes was changed in between" not in reasons
    assert result(front.run("len(squares), squares[39], last")) == "(40, 1521, 39)"


# The magic --------------------------------------------------------------------------------------


def test_commands(front: Front) -> None:
    good(front.run(f"{BUSY}a = busy(1000); b = busy(1000)\na + b"))
    last = front.run("%taskpar last --json", store_history=False)
    record = json.loads(good(last).text())
    assert {"wall_s", "statements", "ahead", "committed_ahead", "squashed"} <= record.keys()
    assert good(front.run("%taskpar last --text")).text()
    shown = good(front.run("%taskpar last")).outputs
    assert any(k == "display_data" and "text/html" in c[0] for k, c in shown)
    text = good(front.run("%taskpar workers --text")).text()
    assert text.strip()
    good(front.run("%taskpar off"))
    assert result(front.run("c = busy(10); d = busy(10); c + d")) == "90"
    good(front.run("%taskpar on"))
    assert result(front.run("c = busy(10); d = busy(10); c - d")) == "0"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%taskpar frobnicate", ("frobnicate", "on", "off", "workers", "last")),
        ("%taskpar on now", ("on", "now")),
        ("%taskpar last --jsn", ("--jsn",)),
        ("%%taskpar --workers 0\n1", ("--workers", "0")),
        ("%%taskpar --workers x\n1", ("--workers", "x")),
        ("%%taskpar --frob\n1", ("--frob",)),
        ("%%taskpar --workers\n1", ("--workers",)),
    ],
)
def test_wrong_words_are_named(front: Front, line: str, words: tuple[str, ...]) -> None:
    before = workers(front)
    seen = front.run(line)
    told = seen.text("stderr") + (" ".join(seen.error[:2]) if seen.error else "")
    assert seen.status == "error", seen
    assert all(word in told for word in words), told
    assert len([t for t in told.splitlines() if t.strip()]) <= 3
    assert "Traceback" not in told
    assert workers(front) == before
    assert result(front.run("1 + 1")) == "2"


def test_extension_in_a_plain_kernel(folder: Path) -> None:
    with Front("python3", folder, TASKPAR_EAGER="1") as front:
        good(front.run(f"%load_ext taskpar_kernel\n{BUSY}"))
        good(front.run("%load_ext taskpar_kernel"))
        cell = (
            "a = busy(3000)\nb = busy(4000)\nprint(a < b)\nfor i in range(3):\n    c = busy(i)\nc"
        )
        seen = front.run(f"%%taskpar --workers 2\n{cell}")
        assert (seen.text(), result(seen)) == ("True\n", "1")
        record = json.loads(good(front.run("%taskpar last --json")).text())
        assert record["workers"] == 2
        assert record["committed_ahead"] > 0
        serial = front.run(f"%%taskpar --serial\n{cell}")
        assert (serial.text(), result(serial)) == ("True\n", "1")
        error = front.run("%%taskpar\nx = 1\ny = busy('z')\nz = 3")
        assert error.error is not None
        assert any("line 3" in line for line in error.error[2])
        assert result(front.run("x, 'z' in dir()")) == "(1, False)"
        wrong = front.run("%%taskpar --workers 0\nq = 1")
        assert wrong.status == "error"
        assert result(front.run("'q' in dir()")) == "False"
        good(front.run("%unload_ext taskpar_kernel"))
        gone = front.run("%taskpar last")
        assert "taskpar" in gone.text("stderr") + str(gone.error)
        assert result(front.run("busy(3)")) == "3"
        good(front.run("%load_ext taskpar_kernel"))
        assert result(front.run("%%taskpar\na = busy(3)\nb = busy(4)\na + b")) == "9"


def test_extension_that_is_unloaded_leaves_no_process(folder: Path) -> None:
    with Front("python3", folder, TASKPAR_EAGER="1") as front:
        good(front.run(f"%load_ext taskpar_kernel\n{BUSY}"))
        good(front.run("%%taskpar --workers 2\na = busy(3)\nb = busy(4)\na + b"))
        assert children(front)
        good(front.run("%unload_ext taskpar_kernel"))
        end_s = time.monotonic() + 10
        while children(front):
            assert time.monotonic() < end_s, children(front)
            threading.Event().wait(0.05)


# What ipykernel does besides running cells --------------------------------------------------------


def test_completion_inspection_and_history(front: Front) -> None:
    client = front.client
    assert client is not None
    good(front.run(f"{BUSY}some_name = busy(10)\nother = busy(20)"))
    answer = client.complete("some_n", reply=True, timeout=20)["content"]
    assert "some_name" in answer["matches"]
    answer = client.inspect("busy", reply=True, timeout=20)["content"]
    assert answer["found"]
    assert "def busy" in answer["data"]["text/plain"] or "busy" in answer["data"]["text/plain"]
    client.is_complete("for i in x:")
    assert client.get_shell_msg(timeout=20)["content"]["status"] == "incomplete"
    answer = client.history(hist_access_type="tail", n=1, output=False, reply=True, timeout=20)
    assert "some_name" in answer["content"]["history"][-1][-1]


def test_input(front: Front) -> None:
    cell = "def f(x): return x\na = f(1)\nn = input('name? ')\nb = f(n)\nm = input()\n(a, b, m)"
    assert result(front.run(cell, answers=("Ada", "x"))) == "(1, 'Ada', 'x')"
    loop = "got = []\nfor i in range(2):\n    s = input(f'{i}? ')\n    got.append(f(s))\ngot"
    assert result(front.run(loop, answers=("p", "q"))) == "['p', 'q']"


def test_silent_and_unstored_cells(front: Front) -> None:
    good(front.run("def f(x): return x\na = f(1)\na"))
    count = good(front.run("a = f(2); b = f(3)\na", silent=True)).count
    unstored = front.run("c = f(4)\nc", store_history=False)
    after = front.run("(a, b, c)")
    assert result(after) == "(2, 3, 4)"
    assert after.count == 2
    assert count in {1, 2}
    assert unstored.status == "ok"


def test_user_expressions(front: Front) -> None:
    client = front.client
    assert client is not None
    answer = client.execute(
        "def f(x): return x\na = f(5)\nb = f(6)",
        user_expressions={"v": "a + b", "bad": "1 / 0"},
        reply=True,
        timeout=20,
    )["content"]["user_expressions"]
    assert answer["v"]["data"]["text/plain"] == "11"
    assert answer["bad"]["ename"] == "ZeroDivisionError"


def test_a_subshell_answers_while_a_cell_runs(front: Front) -> None:
    client = front.client
    assert client is not None
    good(front.run(SLEEPS + "x = 5"))
    identity = control(front, "create_subshell_request", {})["subshell_id"]
    long = front.send("a = nap(1.5)\nb = nap(1.5)\n(a, b)")
    message = client.session.msg(
        "execute_request",
        {"code": "x + 1", "silent": False, "store_history": False, "user_expressions": {"v": "x"},
         "allow_stdin": False, "stop_on_error": False},
    )  # fmt: skip
    message["header"]["subshell_id"] = identity
    begin_s = time.monotonic()
    client.shell_channel.send(message)
    answered = reply(front, message["header"]["msg_id"])
    took_s = time.monotonic() - begin_s
    assert answered == "ok"
    assert took_s < 1.2
    reply(front, long)
    control(front, "delete_subshell_request", {"subshell_id": identity})
    assert result(front.run("a + b")) == "3.0"


def control(front: Front, kind: str, content: dict[str, object]) -> dict[str, str]:
    client = front.client
    assert client is not None
    message = client.session.msg(kind, content)
    client.control_channel.send(message)
    while True:
        answer = client.get_control_msg(timeout=20)
        if answer["parent_header"].get("msg_id") == message["header"]["msg_id"]:
            assert answer["content"]["status"] == "ok", answer["content"]
            found: dict[str, str] = answer["content"]
            return found


def test_a_restart_leaves_no_worker(folder: Path) -> None:
    with Front("taskpar", folder, TASKPAR_WORKERS="2", TASKPAR_EAGER="1") as front:
        good(front.run(f"{BUSY}a = busy(3); b = busy(4)"))
        old = children(front)
        assert len(old) >= 2
        assert front.manager is not None
        front.manager.shutdown_kernel()
        _, alive = psutil.wait_procs(old, timeout=5)
        assert not alive
