"""Workers that are forked from a zygote are like those that are started plainly; it may go away."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from pool_fronts import LIMIT_S, alive

from taskpar_kernel.ambient import providers
from taskpar_kernel.model.ids import Place, Ticket
from taskpar_kernel.model.messages import (
    Event,
    Finished,
    Lost,
    Output,
    Prepared,
    Ready,
    Run,
    Script,
)
from taskpar_kernel.pool import io_loop, zygote
from taskpar_kernel.pool.link import WorkerPool
from taskpar_kernel.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a zygote needs Linux")
ONE, TWO = Place(1), Place(2)


class Workers:
    """A low-level pool, and what its workers are."""

    def __init__(self, number: int = 2, **how: Any):
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.pool = WorkerPool(number, Settings(), self.events.put, **how)
        self.pool.start()
        self.pool.wait_ready(LIMIT_S)
        self._tickets = 0

    def until(self, kind: type, **wanted: object) -> Any:
        while True:
            event = self.events.get(timeout=LIMIT_S)
            if isinstance(event, kind) and all(getattr(event, k) == v for k, v in wanted.items()):
                return event

    def tell(self, worker: Place, code: str) -> str:
        """Run `code` and return what it printed."""
        self._tickets += 1
        self.pool.post(worker, Script((Run(Ticket(self._tickets), code),)))
        finished, outputs = None, list[Output]()
        while finished is None or len(outputs) < finished.outputs:
            event = self.events.get(timeout=LIMIT_S)
            if isinstance(event, Output):
                outputs.append(event)
            elif isinstance(event, Finished):
                finished = event
        assert finished.ok, finished.traceback
        return "".join(output.content.get("text", "") for output in outputs)

    def again(self, worker: Place, end: Callable[[], None]) -> Lost:
        """End a worker, and wait for the next one in its place."""
        end()
        lost: Lost = self.until(Lost, worker=worker)
        self.until(Ready, worker=worker)
        return lost

    def process(self, worker: Place) -> psutil.Process:
        return psutil.Process(self.pool.describe()[worker - 1].pid)

    def is_forked(self, worker: Place) -> bool:
        return self.process(worker).ppid() != os.getpid()

    @property
    def zygote(self) -> psutil.Process:
        return self.process(ONE).parent()


@pytest.fixture
def start() -> Iterator[Callable[..., Workers]]:
    pools: list[Workers] = []

    def begin(number: int = 2, **how: Any) -> Workers:
        pools.append(Workers(number, **how))
        return pools[-1]

    yield begin
    for one in pools:
        one.pool.close()


@pytest.fixture
def forked(start: Callable[..., Workers]) -> Workers:
    return start()


STATE = """
import atexit, gc, json, locale, os, signal, sys, threading, warnings
def descriptors():
    for fd in os.listdir("/proc/self/fd"):
        try:
            kind = os.readlink(f"/proc/self/fd/{fd}").partition(":[")[0]
        except OSError:
            continue
        yield kind if kind.startswith("anon") else kind.replace(os.path.dirname(kind), "")
mask = os.umask(0)
os.umask(mask)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps(dict(
    descriptors=sorted(descriptors()),
    argv=[a for a in sys.argv if "/taskpar-" not in a],
    orig_argv=[a for a in sys.orig_argv if "/taskpar-" not in a],
    flags=list(sys.flags), path=sys.path, main=sorted(vars(sys.modules["__main__"])),
    environment={k: v for k, v in os.environ.items() if k != "JPY_PARENT_PID"},
    parent=int(os.environ["JPY_PARENT_PID"]) == os.getppid(),
    folder=os.getcwd(), umask=mask, session=os.getsid(0) == os.getpgid(0) == os.getpid(),
    signals={s.name: str(signal.getsignal(s)).partition(" at ")[0] for s in signal.Signals},
    status={k: status[k] for k in status if k.startswith("Sig") or k in ("Threads", "Groups")},
    collects=[gc.isenabled(), gc.get_threshold()],
    threads=sorted(t.name for t in threading.enumerate()),
    atexit=atexit._ncallbacks(), locale=locale.setlocale(locale.LC_ALL),
    limits=open("/proc/self/limits").read(),
    filters=[str(f) for f in warnings.filters], recursion=sys.getrecursionlimit(),
    streams=[[s.name, s.encoding, s.errors, s.line_buffering, s.write_through, s.seekable()]
             for s in (sys.__stdin__, sys.__stdout__, sys.__stderr__)],
    hooks=[str(type(h)) for h in (sys.excepthook, sys.displayhook)],
    modules=sorted(m for m in sys.modules if not m.startswith("taskpar_kernel")),
    niceness=os.nice(0), affinity=sorted(os.sched_getaffinity(0)),
    oom=open("/proc/self/oom_score_adj").read(),
)))
"""


def test_a_forked_worker_finds_what_a_plain_one_does(
    start: Callable[..., Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_USER", "wörter")
    told = [
        json.loads(workers.tell(ONE, STATE).strip())
        for workers in (start(1), start(1, forks=False))
    ]
    forked, plain = told
    assert forked["parent"]
    assert forked["environment"]["OF_THE_USER"] == "wörter"
    assert forked == plain


def test_workers_are_children_of_one_zygote(forked: Workers, start: Callable[..., Workers]) -> None:
    assert forked.is_forked(ONE)
    assert forked.process(ONE).ppid() == forked.process(TWO).ppid()
    assert forked.zygote.ppid() == os.getpid()
    assert forked.zygote.num_threads() == 1
    assert os.getsid(forked.zygote.pid) == forked.zygote.pid
    assert not start(1, forks=False).is_forked(ONE)


def test_each_draws_its_own_random_numbers_and_hashes_alike(forked: Workers) -> None:
    code = "import random\nprint(random.random())"
    assert forked.tell(ONE, code) != forked.tell(TWO, code)
    code = "print(hash('word'))"
    assert forked.tell(ONE, code) == forked.tell(TWO, code)


LAST_WORDS = """
import os
files = {f: os.path.realpath(f"/proc/self/fd/{f}") for f in os.listdir("/proc/self/fd")}
errors = next(int(f) for f, path in files.items() if path.endswith(".err"))
os.write(errors, b"at first\\nat last\\n")
os._exit(4)
"""
ENDS = {
    "ended with exit code 3": "import os; os._exit(3)",
    "ended by SIGKILL": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "ended by SIGSEGV": "import ctypes; ctypes.string_at(0)",
    "ended with exit code 4: at last": LAST_WORDS,
}


@pytest.mark.parametrize("forks", [True, False], ids=["forked", "plain"])
@pytest.mark.parametrize(("why", "code"), ENDS.items(), ids=range(len(ENDS)))
def test_how_a_worker_ended_is_told(
    start: Callable[..., Workers], why: str, code: str, forks: bool
) -> None:
    workers = start(1, forks=forks)
    post = Script((Run(Ticket(1), code),))
    lost = workers.again(ONE, lambda: workers.pool.post(ONE, post))
    assert lost.why.startswith(why), lost.why
    assert workers.is_forked(ONE) == forks


@pytest.mark.parametrize("forks", [True, False], ids=["forked", "plain"])
def test_what_a_worker_leaves_ends_with_it(
    start: Callable[..., Workers], wait_until: Callable[..., float], forks: bool
) -> None:
    workers = start(1, forks=forks)
    code = "import subprocess\nprint(subprocess.Popen(['sleep', '1000']).pid)"
    left = int(workers.tell(ONE, code))
    assert alive(left)
    workers.again(ONE, lambda: workers.pool.kill(ONE))
    wait_until(lambda: not alive(left))


def test_a_restarted_worker_is_forked_again_and_no_zombie_stays(
    forked: Workers, wait_until: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SET_LATER", "yes")
    for _ in range(3):
        forked.again(ONE, lambda: forked.pool.restart(ONE))
    assert forked.is_forked(ONE)
    assert forked.tell(ONE, "import os\nprint(os.environ['SET_LATER'])") == "yes\n"
    wait_until(lambda: len(forked.zygote.children()) == 2)


CHANGES: dict[str, Callable[[pytest.MonkeyPatch, Path], object]] = {
    "PYTHONPATH": lambda patch, folder: patch.setenv("PYTHONPATH", str(folder), os.pathsep),
    "LANG": lambda patch, _: patch.setenv("LANG", "C"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_only_a_start_can_take_over_makes_it_plain(
    forked: Workers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: Callable[..., object]
) -> None:
    change(monkeypatch, tmp_path)
    forked.again(ONE, lambda: forked.pool.restart(ONE))
    assert not forked.is_forked(ONE)


def test_a_changed_umask_makes_it_plain(forked: Workers) -> None:
    before = os.umask(0o027)
    try:
        forked.again(ONE, lambda: forked.pool.restart(ONE))
    finally:
        os.umask(before)
    assert not forked.is_forked(ONE)
    assert forked.tell(ONE, "import os\nprint(os.umask(0o022))") == f"{0o027}\n"


def test_workers_end_with_their_zygote_and_are_started_plainly(forked: Workers) -> None:
    old = [forked.process(ONE), forked.process(TWO)]
    forked.zygote.kill()
    for _ in old:
        assert forked.until(Lost).why == "ended by SIGKILL"
    forked.pool.wait_ready(LIMIT_S)
    assert not any(alive(process.pid) for process in old)
    assert not forked.is_forked(ONE)
    assert forked.tell(TWO, "print(1)") == "1\n"


def test_a_worker_that_is_up_before_home_knows_its_pid() -> None:
    """Its first word is in the inbox when home hears from the zygote that it was forked."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    pause = threading.Event()

    def keep_home_from_listening() -> None:
        log, end_s = Path(pool.folder, "w1-2.log"), time.monotonic() + LIMIT_S / 3
        while not (log.exists() and "ready" in log.read_text()) and time.monotonic() < end_s:
            pause.wait(0.005)
        pause.wait(0.05)  # it is on its way

    def listen(event: Event) -> None:
        events.put(event)
        if isinstance(event, Lost):
            pool.call_later(0.01, keep_home_from_listening)

    pool = WorkerPool(1, Settings(), listen)
    pool.start()
    pool.wait_ready(LIMIT_S)
    pool.restart(ONE)
    while not isinstance(events.get(timeout=LIMIT_S), Lost):
        pass
    pool.wait_ready(LIMIT_S)
    pool.close()


def test_what_a_worker_leaves_ends_with_the_zygote(
    forked: Workers, wait_until: Callable[..., float]
) -> None:
    code = "import subprocess\nprint(subprocess.Popen(['sleep', '1000']).pid)"
    left = int(forked.tell(ONE, code))
    forked.zygote.kill()
    wait_until(lambda: not alive(left))


def test_a_zygote_that_does_not_answer(
    forked: Workers, wait_until: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that it forks too late is ended; those it has are not."""
    monkeypatch.setattr(zygote, "ANSWER_LIMIT_S", 0.2)
    asleep, other = forked.zygote, forked.process(TWO)
    asleep.suspend()
    forked.again(ONE, lambda: forked.pool.kill(ONE))
    assert not forked.is_forked(ONE)
    asleep.resume()
    wait_until(lambda: asleep.children() == [other])
    assert forked.tell(TWO, "print(1)") == "1\n"


INTERPRETERS = {
    "fails": 'if [ "$2" = --zygote ]; then exit 1; fi',
    "hangs": 'if [ "$2" = --zygote ]; then exec sleep 1000; fi',
}


@pytest.mark.parametrize("line", INTERPRETERS.values(), ids=INTERPRETERS.keys())
def test_a_zygote_that_does_not_come_up(
    start: Callable[..., Workers], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(zygote, "READY_LIMIT_S", 0.5)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n{line}\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)
    workers = start(2, python=str(python))
    assert not workers.is_forked(ONE)
    assert workers.tell(TWO, "print(1)") == "1\n"
    assert len(psutil.Process().children(recursive=True)) >= 2


def test_nothing_is_left_when_the_pool_is_closed(forked: Workers) -> None:
    processes = [forked.zygote, *forked.zygote.children()]
    forked.pool.close()
    assert not any(process.is_running() for process in processes)


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.2, 0.3, 0.4])
def test_closing_while_it_starts(after_s: float, caplog: pytest.LogCaptureFixture) -> None:
    before = psutil.Process().children(recursive=True)
    pool = WorkerPool(2, Settings(), lambda _: None)
    pool.start()
    time.sleep(after_s)
    pool.close()
    assert psutil.Process().children(recursive=True) == before
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_terminal_or_an_interrupt_of_home_does_not_reach_it(forked: Workers) -> None:
    with suppress(ProcessLookupError):
        os.killpg(forked.zygote.pid, signal.SIGINT)
    forked.again(ONE, lambda: forked.pool.restart(ONE))
    assert forked.is_forked(ONE)


# Libraries that it imports --------------------------------------------------------------------


LIBRARY = """
import os, sys
mode, here, path = os.environ.get("LOOKS_MODE"), os.getcwd(), list(sys.path)
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a library `looks`; importing it is worth a worker however fast it is."""
    monkeypatch.setattr(io_loop, "WORTH_S", 0.0)
    (tmp_path / "looks.py").write_text(LIBRARY)
    return tmp_path


def around(folder: Path) -> dict[str, Any]:
    """Return home's folder, path and environment as they are while it imports."""
    state = providers.around_imports()
    environ = {**state["environ"], "LOOKS_MODE": "fast"}
    return state | {"cwd": str(folder), "path": [str(folder), *sys.path], "environ": environ}


IMPORTED = "import sys\nprint('looks' in sys.modules)"


def test_workers_that_were_given_nothing_are_forked_anew_with_it(
    forked: Workers, library: Path
) -> None:
    plain = forked.tell(TWO, f"{SURROUNDINGS}\n{IMPORTED}")  # and so it was given something
    forked.pool.prepare(("looks", "nowhere"), around(library))
    assert forked.until(Prepared).replaced == (ONE,)
    assert forked.until(Lost, worker=ONE).why == "it was restarted"
    forked.until(Ready, worker=ONE)
    assert forked.is_forked(ONE)
    assert forked.tell(TWO, IMPORTED) == "False\n"
    assert forked.tell(ONE, SURROUNDINGS) == plain.replace("False\n", "")
    assert forked.tell(ONE, IMPORTED) == "True\n"
    code = "import looks\nprint(looks.mode, looks.here, looks.path[0])"
    assert forked.tell(ONE, code) == f"fast {library} {library}\n"


SURROUNDINGS = """
import os, sys
of_pytest = os.environ.pop("PYTEST_CURRENT_TEST")
print(os.getcwd(), sys.path, sorted(os.environ.items()))
"""


def test_an_import_that_is_quick_replaces_nobody(forked: Workers, library: Path, monkeypatch):
    monkeypatch.setattr(io_loop, "WORTH_S", LIMIT_S)
    forked.pool.prepare(("looks",), around(library))
    assert forked.until(Prepared).replaced == ()


def test_without_a_zygote_nobody_is_replaced(start: Callable[..., Workers], library: Path) -> None:
    workers = start(1, forks=False)
    workers.pool.prepare(("looks",), around(library))
    assert workers.until(Prepared).replaced == ()


SPOILING = {
    "a thread": "import threading\nthreading.Timer(1000, print).start()",
    "a library that does not stand it": "import sys\nsys.modules['torch'] = sys",
}


@pytest.mark.parametrize("text", SPOILING.values(), ids=SPOILING.keys())
def test_what_keeps_a_zygote_from_forking_makes_starts_plain(
    forked: Workers, library: Path, text: str
) -> None:
    (library / "looks.py").write_text(text)
    forked.pool.prepare(("looks",), around(library))
    assert forked.until(Prepared).replaced == ()
    forked.again(ONE, lambda: forked.pool.restart(ONE))
    assert not forked.is_forked(ONE)
    assert forked.tell(TWO, IMPORTED) == "False\n"


def test_a_zygote_that_dies_of_an_import(forked: Workers, library: Path) -> None:
    (library / "looks.py").write_text("import os\nos._exit(3)")
    forked.pool.prepare(("looks",), around(library))
    assert forked.until(Prepared).replaced == ()
    for _ in (ONE, TWO):
        forked.until(Lost)
    for _ in (ONE, TWO):
        forked.until(Ready)
    assert forked.tell(TWO, IMPORTED) == "False\n"


USES = """
import numpy, threading
from sklearn.ensemble import RandomForestClassifier
table = numpy.arange(640_000.0).reshape(800, 800) % 7
product = table @ table
forest = RandomForestClassifier(n_estimators=8, n_jobs=2, random_state=1)
given, wanted = table[:, :20], table[:, 30] > 3
print(product.sum(), forest.fit(given, wanted).score(given, wanted))
"""


def test_libraries_with_threads_work_in_forked_workers(
    forked: Workers, start: Callable[..., Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(io_loop, "WORTH_S", 0.0)
    forked.pool.prepare(("numpy", "sklearn.ensemble"), around(Path.cwd()))
    assert forked.until(Prepared).replaced == (ONE, TWO)
    for _ in (ONE, TWO):
        forked.until(Ready)
    assert forked.is_forked(ONE)
    draw = "import numpy\nprint(numpy.random.rand())"
    assert forked.tell(ONE, draw) != forked.tell(TWO, draw)
    results = [
        forked.tell(ONE, USES),
        forked.tell(TWO, USES),
        start(1, forks=False).tell(ONE, USES),
    ]
    assert len(set(results)) == 1
    forked.again(ONE, lambda: forked.pool.restart(ONE))
    assert forked.is_forked(ONE)
