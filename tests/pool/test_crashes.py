"""Workers that fail, in every way and at every moment."""

from __future__ import annotations

import marshal
import queue
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from pool_fronts import LIMIT_S

from taskpar_kernel.errors import PoolError, RemoteError, TaskParError, WorkerLost
from taskpar_kernel.model.ids import HOME, Key, Place, Ticket
from taskpar_kernel.model.messages import (
    Abandon,
    Attempt,
    Finished,
    Forget,
    Lost,
    Ready,
    Receive,
    Run,
    Script,
    Send,
    Started,
    TimedOut,
    Value,
)
from taskpar_kernel.pool.link import WorkerPool
from taskpar_kernel.pool.member import MOST_RESTARTS
from taskpar_kernel.pool.pool import Pool
from taskpar_kernel.settings import Settings
from taskpar_kernel.transport.pickling import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONE, TWO = Place(1), Place(2)

WAYS = {
    "raise": ("1 / 0", RemoteError),
    "sys.exit": ("import sys; sys.exit(3)", RemoteError),
    "os._exit": ("import os; os._exit(3)", WorkerLost),
    "kill": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", WorkerLost),
    "segfault": ("import ctypes; ctypes.string_at(0)", WorkerLost),
}


@pytest.mark.parametrize(("code", "error"), WAYS.values(), ids=WAYS.keys())
def test_failing_run(pool: Pool, code: str, error: type[TaskParError]):
    pool.run(2, "y = 1")
    run = pool.run(1, code)
    with pytest.raises(error, match="worker 1"):
        run.result(LIMIT_S)
    assert pool.run(1, "print('again')").result(LIMIT_S).stdout == "again\n"
    assert pool.gather(2, "y") == {"y": 1}


FAIL_WHILE_PACKING = """
from taskpar_kernel.worker import variables
def fail(value, pack=variables.pack):
    if value == 1:
"""


@pytest.mark.parametrize(("code", "error"), WAYS.values(), ids=WAYS.keys())
def test_failing_send(pool: Pool, code: str, error: type[TaskParError]):
    """The sender fails while it pickles: the receiver's wait ends early, with the reason."""
    pool.run(1, f"{FAIL_WHILE_PACKING}        {code}\nvariables.pack = fail\nbad = 1")
    sent = pool.send("bad", 1, 2, limit_s=LIMIT_S)
    run = pool.run(2, "bad")
    for future in (sent, run):
        with pytest.raises(TaskParError):
            future.result(LIMIT_S / 2)
    if error is WorkerLost:
        with pytest.raises(WorkerLost, match="worker 1"):
            sent.result(0)
    assert pool.run(2, "print('well')").result(LIMIT_S).stdout == "well\n"


def test_receiver_that_dies(pool: Pool):
    pool.run(1, "x = bytes(1_000_000)")
    pool.run(2, "import os; os._exit(1)")
    sent = pool.send("x", 1, 2)
    with pytest.raises(WorkerLost, match="worker 2 was lost"):
        sent.result(LIMIT_S)
    pool.send("x", 1, 2).result(LIMIT_S)
    assert pool.run(1, "print(len(x))").result(LIMIT_S).stdout == "1000000\n"


def test_all_that_waits_for_a_dead_worker_is_told(pool: Pool):
    pool.run(2, "import threading; threading.Event().wait(30)")
    run = pool.run(2, "y = 1")
    sent = pool.send("y", 2, 1, limit_s=LIMIT_S)
    blocked = pool.run(1, "z = y")
    pool.wait_ready(LIMIT_S)
    pid = pool.describe()[1].pid
    psutil.Process(pid).kill()
    with pytest.raises(WorkerLost, match="SIGKILL"):
        run.result(LIMIT_S)
    with pytest.raises(WorkerLost, match="before it sent the value"):
        sent.result(LIMIT_S / 2)
    with pytest.raises(TaskParError, match="'y' from worker 2 is missing"):
        blocked.result(LIMIT_S / 2)
    with pytest.raises(RemoteError, match="not defined"):
        pool.gather(2, "y", limit_s=LIMIT_S)


def test_gather_from_a_dying_worker(pool: Pool):
    pool.run(1, "import os; os._exit(1)")
    with pytest.raises(WorkerLost, match="exit code 1"):
        pool.gather(1, "x", limit_s=LIMIT_S)


def test_restart_gives_an_empty_worker_and_a_log_of_both(pool: Pool):
    pool.run(1, "x = 1").result(LIMIT_S)
    before = pool.describe()[0].pid
    for _ in range(5):  # asked for, so not counted as deaths
        pool.restart(1)
        with pytest.raises((RemoteError, WorkerLost)):
            pool.gather(1, "x", limit_s=LIMIT_S)
    with pytest.raises(RemoteError, match="not defined"):
        pool.gather(1, "x", limit_s=LIMIT_S)
    assert pool.describe()[0].pid != before
    assert "run x = 1" in pool.log(1)
    assert pool.log(1).count("ready") > 1


# The low-level pool ---------------------------------------------------------------------------


class Events(queue.SimpleQueue):
    def until(self, kind: type, limit_s: float = LIMIT_S, **wanted: object) -> object:
        """Return the next event of this kind with these fields; others are dropped."""
        while True:
            event = self.get(timeout=limit_s)
            if isinstance(event, kind) and all(getattr(event, k) == v for k, v in wanted.items()):
                return event


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def link(events: Events) -> Iterator[WorkerPool]:
    pool = WorkerPool(2, Settings(), events.put)
    pool.start()
    yield pool
    pool.close()


def attempt(ticket: int, code: str, *reads: tuple[str, Key]) -> Attempt:
    compiled = marshal.dumps(compile(code, f"s{ticket}", "exec"))
    return Attempt(Ticket(ticket), Key(1000 + ticket), compiled, f"s{ticket}", reads)


def bundle(key: Key, **names: object) -> Value:
    return Value(key, HOME, pack((names, [], ())))


def test_lost_within_a_fifth_of_a_second_and_replaced(link: WorkerPool, events: Events):
    first = events.until(Ready, worker=ONE)
    link.wait_ready(LIMIT_S)
    assert link.ready == {ONE, TWO}
    link.kill(ONE)
    lost = events.until(Lost, worker=ONE)
    assert (lost.incarnation, lost.final, lost.why) == (1, False, "ended by SIGKILL")
    assert link.incarnation(ONE) == 2
    second = events.until(Ready, worker=ONE)
    assert second.pid != first.pid
    assert second.address != first.address
    link.post(TWO, Script((Run(Ticket(1), "x = 5"), Send(Key(5), (ONE,), "x"))))
    link.post(ONE, Script((Receive(Key(5), TWO, LIMIT_S, "x"), Run(Ticket(2), "print(x)"))))
    assert events.until(Finished, ticket=2).ok


def test_sender_that_exits_before_the_receiver_is_up(link: WorkerPool, events: Events):
    """Home takes over what the sender still held for a worker without an address."""
    link.wait_ready(LIMIT_S)
    link.kill(ONE)
    events.until(Lost, worker=ONE)
    leave = Run(Ticket(2), "exit()")
    link.post(TWO, Script((Run(Ticket(1), "x = 5"), Send(Key(5), (ONE,), "x"), leave)))
    link.post(ONE, Script((Receive(Key(5), TWO, LIMIT_S, "x"), Run(Ticket(3), "print(x)"))))
    finished = events.until(Finished, ticket=3)
    assert finished.ok, finished.why
    assert "send x to worker 1" in link.log(TWO)


def test_worker_that_keeps_dying_is_given_up(link: WorkerPool, events: Events):
    for number in range(MOST_RESTARTS + 1):
        events.until(Ready, worker=ONE)
        link.kill(ONE)
        lost = events.until(Lost, worker=ONE)
        assert lost.final == (number == MOST_RESTARTS)
    assert "worker 1 cannot be kept running" in link.failure
    assert [c.state for c in link.describe()] == ["failed", "ready"]
    link.post(ONE, Script((Run(Ticket(1), "x = 1"),)))
    assert events.until(Lost, worker=ONE).final
    with pytest.raises(PoolError, match="cannot be kept running"):
        link.wait_ready(LIMIT_S)


def test_attempts_read_bundles_and_pass_outcomes_on(link: WorkerPool, events: Events):
    link.send_value(ONE, bundle(Key(1), a=20))
    link.post(
        ONE,
        Script(
            (
                Receive(Key(1), HOME, LIMIT_S),
                attempt(1, "b = a + 1", ("a", Key(1))),
                Send(Key(1001), (TWO,)),
            )
        ),
    )
    link.post(
        TWO,
        Script(
            (Receive(Key(1001), ONE, LIMIT_S), attempt(2, "c = b * 2", ("b", Key(1001)))),
        ),
    )
    assert events.until(Started, ticket=2).worker == TWO
    finished = events.until(Finished, ticket=2)
    assert finished.ok, finished.why
    link.post(TWO, Script((Send(Key(1002), (HOME,)), Forget((Key(1002),)))))
    assert isinstance(events.until(Value, key=Key(1002)), Value)


def test_abandoned_attempts_do_not_start(link: WorkerPool, events: Events):
    link.post(ONE, Script((Receive(Key(1), TWO, LIMIT_S), attempt(1, "b = a", ("a", Key(1))))))
    link.post(ONE, Script((attempt(2, "c = 1"),)))
    link.abandon(ONE, [Ticket(1)])
    ended = {event.ticket: event for event in (events.until(Finished), events.until(Finished))}
    assert (ended[1].ok, ended[1].why) == (False, "abandoned")
    assert ended[2].ok, "which may go first, while the other one waits for its value"
    assert Abandon((Ticket(1),)) is not None


def test_attempt_whose_value_does_not_come(link: WorkerPool, events: Events):
    link.post(ONE, Script((Receive(Key(1), TWO, 0.1), attempt(1, "b = a", ("a", Key(1))))))
    missed = events.until(TimedOut)
    assert (missed.key, missed.source, missed.worker, missed.why) == (1, TWO, ONE, "")
    finished = events.until(Finished, ticket=1)
    assert not finished.ok
    assert "value 1 is not here" in finished.why


def test_attempt_that_is_given_up_is_interrupted(link: WorkerPool, events: Events):
    link.post(ONE, Script((attempt(1, "while True: pass"),)))
    events.until(Started, ticket=1)
    link.abandon(ONE, [Ticket(1)])
    finished = events.until(Finished, ticket=1)
    assert (finished.ok, finished.why) == (False, "interrupted")
    link.post(ONE, Script((attempt(2, "x = 1"),)))
    assert events.until(Finished, ticket=2).ok


def test_attempt_that_swallows_the_first_interrupt(link: WorkerPool, events: Events):
    code = "try:\n    while True: pass\nexcept KeyboardInterrupt:\n    while True: pass"
    link.post(ONE, Script((attempt(1, code), attempt(2, "x = 1"))))
    events.until(Started, ticket=1)
    link.abandon(ONE, [Ticket(1)])
    assert not events.until(Finished, ticket=1).ok
    assert events.until(Finished, ticket=2).ok


def test_interrupt_that_comes_late_ends_nothing(link: WorkerPool, events: Events):
    link.post(ONE, Script((attempt(1, "x = 1"),)))
    assert events.until(Finished, ticket=1).ok
    link.post(ONE, Script((attempt(2, "y = sum(range(10_000_000))"),)))
    events.until(Started, ticket=2)
    link.abandon(ONE, [Ticket(1)])
    link.interrupt(ONE)
    assert events.until(Finished, ticket=2).ok


def test_attempt_that_was_given_up_before_it_came_does_not_start(link: WorkerPool, events: Events):
    link.abandon(ONE, [Ticket(1)])
    link.post(ONE, Script((attempt(1, "x = 1"), attempt(2, "y = 1"))))
    finished = events.until(Finished, ticket=1)
    assert (finished.ok, finished.why) == (False, "abandoned")
    assert events.until(Finished, ticket=2).ok


def test_listener_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture):
    events = Events()

    def listen(event: object) -> None:
        events.put(event)
        raise ValueError("a defect of the listener")

    pool = WorkerPool(1, Settings(), listen)
    pool.start()
    pool.post(ONE, Script((Run(Ticket(1), "x = 1"),)))
    assert events.until(Finished, ticket=1).ok
    pool.close()
    assert "a defect of the listener" in caplog.text


def test_bad_interpreter_is_told_not_raised(events: Events, tmp_path: Path):
    pool = WorkerPool(2, Settings(), events.put, python=str(tmp_path / "no-python"))
    pool.start()
    assert events.until(Lost).final
    assert "no-python" in pool.failure
    with pytest.raises(PoolError, match=r"0 of 2 workers are up.*no-python"):
        pool.wait_ready(LIMIT_S)
    pool.close()


def test_start_limit(events: Events, tmp_path: Path):
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o700)
    pool = WorkerPool(1, Settings(start_limit_s=0.2), events.put, python=str(slow))
    pool.start()
    assert events.until(Lost).why == "it was not ready within 0.2 s"
    pool.close()


def test_failing_start_says_why(events: Events, tmp_path: Path):
    broken = tmp_path / "broken"
    broken.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'raise ImportError(\"no luck\")'\n")
    broken.chmod(0o700)
    pool = WorkerPool(1, Settings(), events.put, python=str(broken))
    pool.start()
    while not events.until(Lost).final:
        pass
    assert "ImportError: no luck" in pool.failure
    pool.close()


def test_start_costs_the_caller_nothing(events: Events):
    """Posting before anything is up is fine; so is closing."""
    pool = WorkerPool(2, Settings(), events.put)
    pool.start()
    pool.post(ONE, Script((Run(Ticket(1), "x = 1"),)))
    assert not pool.ready
    assert events.until(Finished, ticket=1).ok
    pool.close()
    early = WorkerPool(2, Settings(), events.put)
    early.start()
    early.close()
    assert not Path(early.folder).exists()
    never = WorkerPool(2, Settings(), events.put)
    never.close()


def test_no_worker_outlives_close(wait_until: Callable[..., float]):
    pool = Pool(2)
    pool.wait_ready(LIMIT_S)
    processes = [psutil.Process(c.pid) for c in pool.describe()]
    pool.run(1, "import ctypes; ctypes.PyDLL(None).sleep(30)")
    pool.run(2, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    pool.close()
    assert not any(p.is_running() for p in processes)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
