"""Time single mechanisms, each by itself: medians of milliseconds.

python benchmarks/parts.py [--only PART,PART,…]
"""

from __future__ import annotations

import argparse
import ast
import marshal
import pickle
import queue
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from pathlib import Path
from statistics import median

from taskpar_kernel.analysis.decompose import decompose
from taskpar_kernel.engine.memory.file import MOST_LINES, CostFile
from taskpar_kernel.engine.memory.identity import Identities
from taskpar_kernel.engine.touched import FilesTouched, watch
from taskpar_kernel.model.ids import HOME, Key, Place, Ticket
from taskpar_kernel.model.messages import Attempt, Script, Send, Value
from taskpar_kernel.pool.link import WorkerPool
from taskpar_kernel.pool.pool import Pool
from taskpar_kernel.settings import Settings
from taskpar_kernel.transport.pickling import pickle_value, unpickle

LIMIT_S = 60.0
Row = tuple[str, float]
"""What was timed, and the median of its milliseconds."""


def times_ms(work: Callable[[], object], times: int = 15) -> float:
    """Return the median of the milliseconds that `work` takes, after a first time."""
    work()
    taken_s = []
    for _ in range(times):
        begin_s = time.perf_counter()
        work()
        taken_s.append(time.perf_counter() - begin_s)
    return 1000 * median(taken_s)


def pools() -> Iterator[Row]:
    """From nothing to workers that are ready."""
    for number in (2, 4):
        taken_s = []
        for _ in range(7):
            begin_s = time.perf_counter()
            with Pool(number) as pool:
                pool.wait_ready(LIMIT_S)
                taken_s.append(time.perf_counter() - begin_s)
        yield f"pool of {number} ready", 1000 * median(taken_s)


def attempts() -> Iterator[Row]:
    """One no-op attempt on an idle worker: script, outcome, value."""
    events: queue.SimpleQueue[object] = queue.SimpleQueue()
    numbers, code = count(1), marshal.dumps(compile("pass", "cell", "exec"))
    pool = WorkerPool(1, Settings(), events.put)
    pool.start()

    def there_and_back() -> None:
        key = Key(next(numbers))
        attempt = Attempt(Ticket(key), key, code, "cell", ())
        pool.post(Place(1), Script((attempt, Send(key, (HOME,)))))
        while not isinstance(events.get(timeout=LIMIT_S), Value):
            pass

    try:
        pool.wait_ready(LIMIT_S)
        yield "one no-op attempt, there and back", times_ms(there_and_back, 500)
    finally:
        pool.close()


def identities() -> Iterator[Row]:
    """What it adds to a cell to know its statements again."""
    names = {"__name__": "__main__"}
    exec("def f(a, b):\n    return [a * x for x in range(b)]\nv = [1, 2, 3]", names)
    tree = ast.parse("".join(f"w{i} = f(v, {i}) + f(v, 2)\n" for i in range(300)))
    tops = decompose(tree.body, names)
    yield "300 statements taken apart", times_ms(lambda: decompose(tree.body, names))
    yield "300 statements given their tags", times_ms(lambda: Identities(tops, names, b"key"))


def cost_file() -> Iterator[Row]:
    """The file of learned costs, when it is full and when it is not."""
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        for lines in (300, MOST_LINES):
            texts = {
                b"%032x" % i: b"%032x " % i + chance.randbytes(80).hex().encode()
                for i in range(lines)
            }
            file = CostFile(Path(folder) / str(lines))
            file.open()
            yield (
                f"cost file of {lines} lines written",
                times_ms(lambda f=file, t=texts: f.merge(t, max)),
            )
            yield f"cost file of {lines} lines read", times_ms(file.open)


def plain() -> Iterator[Row]:
    """Large plain containers: words and the counter of their pairs."""
    chance = random.Random(4)
    parts = ["ka", "lo", "mi", "ten", "ra", "sol", "ver", "ni", "pu", "dor"]
    words = ["".join(chance.choices(parts, k=chance.randint(2, 4))) for _ in range(40_000)]
    value = {"words": words, "pairs": Counter(pairwise(words))}
    placed = pickle_value(value).place()
    what = f"{len(words)} words and {len(value['pairs'])} pairs"
    yield f"{what} pickled", times_ms(lambda: pickle_value(value))
    yield f"{what} rebuilt", times_ms(lambda: unpickle(placed))
    yield f"{what} by pickle alone", times_ms(lambda: pickle.dumps(value, 5))


def files() -> Iterator[Row]:
    """1,000 files opened for writing, while a cell runs ahead and while none does."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, str(number)) for number in range(1000)]

        def write() -> None:
            for path in paths:
                path.open("w").close()

        yield "1,000 files opened for writing", times_ms(write)
        watch(FilesTouched())
        yield "the same, noted", times_ms(write)
        watch(None)


PARTS = {part.__name__: part for part in (pools, attempts, identities, cost_file, plain, files)}


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    names = parser.parse_args().only.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"--only: no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    print(f"{'milliseconds, medians':45}")
    for name in names:
        for what, taken_ms in PARTS[name]():
            print(f"{what:45} {taken_ms:10.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
