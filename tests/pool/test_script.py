"""Scripts through the public API: real subkernels, real sockets."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pool_fronts import LIMIT_S, alive

from taskpar_kernel.errors import PoolError, ReceiveTimeout, RemoteError, UsageError
from taskpar_kernel.pool.pool import Pool
from taskpar_kernel.transport.files import File, files_in

if TYPE_CHECKING:
    from collections.abc import Callable


def lines(log: str) -> list[str]:
    """The log without times."""
    stripped = (re.sub(r"^[\d.]+ [\d.]+ ", "", line) for line in log.splitlines())
    return [re.sub(r" \([\d.]+ ms\)$", "", line) for line in stripped]


def test_five_line_script(pool: Pool):
    """The first line feeds all others; x is made on 1, y on 2, and y travels 2 → 1 directly."""
    pool.run(1, "datadir = 'data'")
    pool.send("datadir", 1, 2)
    pool.run(1, "x = datadir + '/x.csv'")
    pool.run(2, "y = datadir + '/y.csv'")
    pool.send("y", 2, 1)
    pool.run(1, "xy = x + y")
    shown = pool.run(1, "print(xy)")
    assert shown.result(LIMIT_S).stdout == "data/x.csvdata/y.csv\n"
    assert lines(pool.log(1))[2:] == [
        "run datadir = 'data'",
        "send datadir to worker 2",
        "run x = datadir + '/x.csv'",
        "receive y from worker 2",
        "run xy = x + y",
        "run print(xy)",
    ]
    assert lines(pool.log(2))[2:] == [
        "receive datadir from worker 1",
        "run y = datadir + '/y.csv'",
        "send y to worker 1",
    ]


def test_gather_and_put(pool: Pool):
    pool.put((1, 2), a=[1], b="two")
    pool.run(2, "a.append(b)")
    assert pool.gather(2, ("a", "b")) == {"a": [1, "two"], "b": "two"}
    assert pool.gather(1, "a", limit_s=LIMIT_S) == {"a": [1]}


def test_variable_that_several_workers_need():
    with Pool(3) as pool:
        pool.run(1, "v = [1, 2]")
        sent = pool.send("v", 1, (2, 3))
        pool.run(2, "v.append(3)")
        pool.run(3, "v.append(4)")
        assert sent.result(LIMIT_S) is None
        assert [pool.gather(w, "v")["v"] for w in (1, 2, 3)] == [[1, 2], [1, 2, 3], [1, 2, 4]]


def test_order_is_the_posting_order(pool: Pool):
    for i in range(50):
        pool.run(1, f"x = {i}")
        pool.send("x", 1, 2)
        pool.run(2, "seen = globals().get('seen', []) + [x]")
    assert pool.gather(2, "seen", limit_s=LIMIT_S)["seen"] == list(range(50))


def test_worker_sends_to_itself(pool: Pool):
    pool.run(1, "x = [1]; before = x")
    pool.send("x", 1, 1)
    pool.run(1, "same = x is before")
    assert pool.gather(1, ("x", "same")) == {"x": [1], "same": False}


def test_large_arrays(pool: Pool):
    pool.run(1, "import numpy as np; a = np.arange(5_000_000.0); b = np.asfortranarray(np.eye(50))")
    pool.send("a", 1, 2)
    pool.send("b", 1, 2)
    pool.run(2, "a[0] = 7; total = a.sum(); fortran = b.flags.f_contiguous")
    there = pool.gather(2, ("total", "fortran", "a"), limit_s=LIMIT_S)
    expected = np.arange(5_000_000.0)
    expected[0] = 7
    assert there["total"] == expected.sum()
    assert there["fortran"]
    assert (there["a"] == expected).all()
    assert there["a"].flags.writeable
    assert pool.gather(1, "a")["a"][0] == 0


MEGABYTE = "import numpy as np; big = np.full(131072, {})"


def shared(pool: Pool) -> list[File]:
    return [file for file in files_in(pool._link.segments) if file.nbytes]  # but for the lock


def test_large_values_travel_in_shared_memory_that_is_used_again(pool: Pool):
    """A receiver that binds the next value lets go of the one before: two files take turns."""
    for number in range(6):
        pool.run(1, MEGABYTE.format(number))
        pool.send("big", 1, 2).result(LIMIT_S)
        pool.run(2, "big += 10").result(LIMIT_S)
        assert {f.is_free for f in shared(pool)} == {True}
        gathered = pool.gather(2, "big")["big"], pool.gather(1, "big")["big"]
        assert [set(array.tolist()) for array in gathered] == [{number + 10.0}, {float(number)}]
        del gathered
    assert len(shared(pool)) <= 5


def test_a_value_for_several_is_written_once(pool: Pool):
    pool.run(1, MEGABYTE.format(1)).result(LIMIT_S)
    pool.put((1, 2, 1), big=np.full(131072, 2.0))
    pool.run(2, "big[0] = 0").result(LIMIT_S)
    assert pool.gather(1, "big")["big"].sum() == 2 * 131072
    (file,) = {f.inode: f for f in shared(pool) if f.name.startswith("free-api")}.values()
    assert file.nbytes == 131072 * 8


def test_without_shared_memory_values_travel_in_messages():
    with Pool(2, shared_mb=0) as pool:
        pool.run(1, MEGABYTE.format(3))
        pool.send("big", 1, 2)
        pool.run(2, "big[0] = 0")
        assert pool.gather(2, "big")["big"].sum() == 3 * 131071
        assert shared(pool) == []


def test_functions_use_the_receivers_globals(pool: Pool):
    pool.run(1, "k = 1\ndef f(x): return x + k")
    pool.send("f", 1, 2)
    pool.run(2, "k = 10")
    pool.run(2, "y = f(1)")
    assert pool.gather(2, "y") == {"y": 11}


def test_run_result_has_all_that_was_written(pool: Pool):
    code = """
import os, subprocess, sys
for i in range(3000):
    print(i, flush=i % 100 == 0)
os.write(1, b"descriptor\\n")
subprocess.run(["echo", "child"])
get_ipython().system("echo magic")
print("error", file=sys.stderr)
"""
    result = pool.run(1, code).result(LIMIT_S)
    written = result.stdout.split()
    assert written[:3000] == [str(i) for i in range(3000)]
    assert sorted(written[3000:]) == ["child", "descriptor", "magic"]
    assert result.stderr == "error\n"
    assert 0 < result.seconds < LIMIT_S


def test_many_flushed_lines_are_not_dropped(pool: Pool):
    result = pool.run(1, "for i in range(5000): print(i, flush=True)").result(LIMIT_S)
    assert result.stdout.split() == [str(i) for i in range(5000)]


def test_top_level_await_magics_and_input(pool: Pool):
    code = "import asyncio\nawait asyncio.sleep(0)\nwhere = %pwd\nprint('there')"
    assert pool.run(1, code).result(LIMIT_S).stdout == "there\n"
    assert pool.gather(1, "where") == {"where": str(Path.cwd())}
    with pytest.raises(RemoteError, match="StdinNotImplementedError"):
        pool.run(1, "input()").result(LIMIT_S)


def test_error_carries_the_remote_traceback(pool: Pool):
    with pytest.raises(RemoteError, match="ZeroDivisionError") as caught:
        pool.run(1, "x = 0\n1 / x").result(LIMIT_S)
    assert caught.value.ename == "ZeroDivisionError"
    assert "1 / x" in caught.value.traceback
    assert "\x1b" not in str(caught.value)
    assert pool.run(1, "print('well')").result(LIMIT_S).stdout == "well\n"


def test_name_that_does_not_exist(pool: Pool):
    with pytest.raises(RemoteError, match="'nothing' is not defined on worker 1") as caught:
        pool.gather(1, "nothing", limit_s=LIMIT_S)
    assert caught.value.ename == "NameError"


def test_send_that_fails_ends_the_receive_and_the_next_run(pool: Pool):
    pool.run(1, "y = 'old'")
    sent = pool.send("y", 2, 1)
    run = pool.run(1, "z = y")
    with pytest.raises(RemoteError, match="'y' is not defined on worker 2"):
        sent.result(LIMIT_S)
    with pytest.raises(ReceiveTimeout, match="'y' from worker 2 is missing: NameError"):
        run.result(LIMIT_S)
    assert pool.run(1, "print(y)").result(LIMIT_S).stdout == "old\n"


def test_value_that_cannot_travel(pool: Pool):
    pool.run(1, "import threading; lock = threading.Lock()")
    sent = pool.send("lock", 1, 2)
    with pytest.raises(RemoteError, match="'lock' cannot travel"):
        sent.result(LIMIT_S)
    with pytest.raises(RemoteError, match="'lock' cannot travel"):
        pool.gather(1, "lock", limit_s=LIMIT_S)


def test_receive_limit_names_peer_and_variable(pool: Pool):
    release = "import pathlib, threading; threading.Event().wait(30)"
    pool.run(2, release)
    sent = pool.send("y", 2, 1, limit_s=0.2)
    run = pool.run(1, "y")
    with pytest.raises(ReceiveTimeout, match="worker 1 did not receive 'y' from worker 2"):
        sent.result(LIMIT_S)
    with pytest.raises(ReceiveTimeout, match=r"'y' from worker 2 .* within 0\.2 s"):
        run.result(LIMIT_S)
    assert pool.run(1, "print(1)").result(LIMIT_S).stdout == "1\n"


def test_gather_limit_names_peer_and_variable(pool: Pool):
    pool.run(1, "import threading; threading.Event().wait(30)")
    with pytest.raises(ReceiveTimeout, match=r"worker 1 did not send 'y' within 0\.2 s"):
        pool.gather(1, "y", limit_s=0.2)


def test_interrupt_reaches_user_code_only(pool: Pool, wait_until: Callable[..., float]):
    pool.wait_ready(LIMIT_S)
    pool.interrupt(1)
    run = pool.run(1, "print('up', flush=True)\nimport time\ntime.sleep(30)")
    wait_until(lambda: run.done() or pool.interrupt(1))
    with pytest.raises(RemoteError, match="KeyboardInterrupt"):
        run.result(0)
    assert pool.run(1, "print('well')").result(LIMIT_S).stdout == "well\n"


def test_interrupt_of_code_that_awaits(pool: Pool, wait_until: Callable[..., float]):
    pool.wait_ready(LIMIT_S)
    run = pool.run(1, "import asyncio\nawait asyncio.sleep(30)")
    wait_until(lambda: run.done() or pool.interrupt(1))
    with pytest.raises(RemoteError, match=r"KeyboardInterrupt|interrupted|CancelledError"):
        run.result(0)
    assert pool.run(1, "print('well')").result(LIMIT_S).stdout == "well\n"


def test_children_of_a_worker_end_with_it(pool: Pool, wait_until: Callable[..., float]):
    code = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid)"
    child = int(pool.run(1, code).result(LIMIT_S).stdout)
    assert alive(child)
    pool.run(1, "import os; os._exit(1)")
    wait_until(lambda: not alive(child))


def test_sender_that_exits_cleanly_has_sent(pool: Pool):
    pool.run(2, "y = bytes(20_000_000)")
    sent = pool.send("y", 2, 1)
    pool.run(2, "exit()")
    assert sent.result(LIMIT_S) is None
    pool.run(1, "n = len(y)")
    assert pool.gather(1, "n") == {"n": 20_000_000}


def test_calls_from_several_threads(pool: Pool):
    futures = []

    def call(number: int) -> None:
        futures.extend(pool.run(1 + i % 2, f"print({number})") for i in range(20))

    threads = [threading.Thread(target=call, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results = [f.result(LIMIT_S).stdout for f in futures]
    assert sorted(results) == sorted(f"{n}\n" for n in range(4) for _ in range(20))


BAD_CALLS = {
    "worker 0": lambda p: p.run(0, "x"),
    "worker 3": lambda p: p.run(3, "x"),
    "worker True": lambda p: p.run(True, "x"),
    "worker text": lambda p: p.run("1", "x"),
    "code": lambda p: p.run(1, 5),
    "no target": lambda p: p.send("x", 1, ()),
    "target": lambda p: p.send("x", 1, (2, 9)),
    "name": lambda p: p.send("a.b", 1, 2),
    "gather": lambda p: p.gather(1, "a b"),
    "log": lambda p: p.log(5),
}


def test_bad_calls_are_refused_clearly(pool: Pool):
    for what, call in BAD_CALLS.items():
        with pytest.raises(UsageError, match="nothing was"):
            pytest.fail(f"{what}: {call(pool)}")


@pytest.mark.parametrize("n", [0, -1, "x", 2.5, True, 10_000])
def test_bad_sizes_are_refused_before_anything_starts(n: object):
    before = threading.active_count()
    with pytest.raises(UsageError, match="whole number from 1"):
        Pool(n)
    assert threading.active_count() == before


def test_unknown_setting():
    with pytest.raises(UsageError, match="unknown setting colour"):
        Pool(2, colour="red")


def test_close_ends_what_is_open(pool: Pool):
    pool.run(1, "import threading; threading.Event().wait(30)")
    run = pool.run(1, "x = 1")
    sent = pool.send("x", 1, 2)
    pool.close()
    pool.close()
    for future in (run, sent):
        with pytest.raises(PoolError, match="closed"):
            future.result(0)
    with pytest.raises(PoolError, match="closed"):
        pool.run(1, "x = 1")
