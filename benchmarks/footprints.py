"""What footprints and validation add to a statement, in CPU seconds: one process plays both ends.

A statement is sent, run by the worker's own code, judged and taken by home's own code; what is not
the statement itself is added up: what the worker prepares, compares and marks around it, and what
home compares and writes. Copying the input into shared memory is transport and not counted; it is
done once for all statements that read it. Two kinds of turns: *quiet*, home has run nothing of its
own meanwhile, and *busy*, home has run something unknown with that input, so that it
compares its inputs, by the cheapest proof there is. A table is printed, `out/footprints.json` is
written; exit code 1 if a limit is missed.

    python benchmarks/footprints.py [--quick] [--only array,lists,large]
"""

from __future__ import annotations

import argparse
import json
import marshal
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from taskpar_kernel.commit.apply import apply, open_outcome
from taskpar_kernel.engine.ledger import Ledger
from taskpar_kernel.engine.marks import AmbientMark
from taskpar_kernel.model.effects import Effects, Touch
from taskpar_kernel.model.ids import Place, Ticket
from taskpar_kernel.model.messages import Attempt
from taskpar_kernel.transport.segments import Segments
from taskpar_kernel.worker.attempt import Attempts
from taskpar_kernel.worker.store import Store

OUT = Path("out")
WORKER = Place(1)
ANYTHING = Effects(touch=Touch.ANY, reads=frozenset({"x"}))
STATEMENT_S = 0.1
_FOR_A_WHILE = """
import time
begin_s = time.process_time()
while time.process_time() < begin_s + {seconds}:
    total = {look}
spent_s = time.process_time() - begin_s
del time, begin_s
"""


@dataclass(frozen=True, slots=True)
class Case:
    """An input, how a statement looks at it, and what may be added to one of so many seconds."""

    name: str
    make: Callable[[], Any]
    look: str
    seconds: float
    limit_s: float


def _of_10_mb(name: str, make: Callable[[], Any], look: str) -> Case:
    return Case(name, make, look, STATEMENT_S, 0.05 * STATEMENT_S)


def _forest() -> Any:
    from sklearn.ensemble import RandomForestRegressor  # only this case needs it

    rng = np.random.default_rng(0)
    return RandomForestRegressor(100, random_state=0).fit(rng.random((1000, 8)), rng.random(1000))


def _sparse() -> Any:
    import scipy.sparse  # only this case needs it

    return scipy.sparse.random(10_000, 10_000, density=0.0085, format="csr", random_state=0)


def _strings(dtype: Any) -> pd.DataFrame:
    texts = [f"text {k}" for k in range(75_000)]
    return pd.DataFrame({name: pd.Series(texts, dtype=dtype) for name in "ab"})


CASES = {
    "array": _of_10_mb(
        "array of 10 MB", lambda: np.random.default_rng(0).random(1_250_000), "float(x.sum())"
    ),
    "frame": _of_10_mb(
        "frame of 10 MB",
        lambda: pd.DataFrame(np.random.default_rng(0).random((125_000, 10))),
        "float(x[3].sum())",
    ),
    "objects": _of_10_mb("frame of object strings", lambda: _strings(object), "x['a'][3]"),
    "words": _of_10_mb("frame of strings", lambda: _strings("str"), "x['a'][3]"),
    "lists": _of_10_mb(
        "list of 300,000 floats",
        lambda: np.random.default_rng(0).random(300_000).tolist(),
        "sum(x[:1000])",
    ),
    "strings": _of_10_mb(
        "list of 150,000 strings", lambda: [f"string {k:9d}" for k in range(150_000)], "len(x[10])"
    ),
    "rows": _of_10_mb(
        "10,000 lists of 30 floats",
        lambda: [[k + n / 31 for n in range(30)] for k in range(10_000)],
        "x[3][1]",
    ),
    "tuples": _of_10_mb(
        "60,000 tuples", lambda: [(k, f"name {k}", k / 3) for k in range(60_000)], "x[10][0]"
    ),
    "lookup": _of_10_mb(
        "dict of 80,000 floats", lambda: {f"key {k}": k / 7 for k in range(80_000)}, "x['key 10']"
    ),
    "records": _of_10_mb(
        "30,000 dicts of three",
        lambda: [{"id": k, "name": f"name {k}", "value": k / 3} for k in range(30_000)],
        "x[3]['id']",
    ),
    "instances": _of_10_mb(
        "20,000 instances",
        lambda: [argparse.Namespace(a=k, b=f"name {k}", c=k / 3) for k in range(20_000)],
        "x[3].a",
    ),
    "arrays": _of_10_mb(
        "dict of 10,000 arrays",
        lambda: {k: np.full(128, float(k)) for k in range(10_000)},
        "x[3][1]",
    ),
    "forest": _of_10_mb("forest of 100 trees", _forest, "len(x.estimators_)"),
    "sparse": _of_10_mb("sparse matrix of 10 MB", _sparse, "x.nnz"),
    "large": Case(
        "array of 800 MB",
        lambda: np.zeros(100_000_000) + 1.0,
        "float(x[::512].sum())",
        STATEMENT_S,
        0.015,
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """What is added to one statement, in milliseconds of CPU time, medians."""

    case: str
    turn: str
    worker_ms: float
    home_ms: float
    limit_ms: float
    samples: int

    @property
    def added_ms(self) -> float:
        """Both ends together."""
        return self.worker_ms + self.home_ms

    @property
    def kept(self) -> bool:
        """Whether the limit is kept."""
        return self.added_ms <= self.limit_ms


class _Silent:
    """Statements here print nothing."""

    def begin(self, ticket: Ticket, is_own: Any = None) -> None:
        """Do nothing."""

    def end(self, _ticket: Ticket) -> int:
        """Nothing was shown."""
        return 0


def measure(case: Case, times: int, folder: str) -> list[Row]:
    """Run a case's statement again and again on one input, in quiet and in busy turns."""
    segments, store = Segments(folder, "h"), Store()
    ledger = Ledger(count(1), segments, AmbientMark())
    attempts = Attempts(store, Segments(folder, "w"), _Silent(), None, folder)
    namespace = {"x": case.make()}
    text = _FOR_A_WHILE.format(seconds=case.seconds, look=case.look)
    code = marshal.dumps(compile(text, "<statement>", "exec"))
    spent: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for turn in range(2 * times + 2):
        busy = turn % 2 == 1
        bundle = ledger.bundles_for(namespace, WORKER)["x"]
        assert bundle.packed is not None
        if bundle.key not in store:
            store.put(bundle.key, bundle.packed)
        ambient, _, sent = ledger.ambient_key()
        if sent is not None and ambient not in store:
            assert sent.packed is not None
            store.put(ambient, sent.packed)
        outcome = ledger.expect(ledger.next_key(), WORKER)
        attempt = Attempt(
            Ticket(turn + 1), outcome.key, code, "it", (("x", bundle.key),), (), ambient
        )
        begin_s = time.process_time()
        finished = attempts.carry_out(attempt)
        worker_s = time.process_time() - begin_s
        assert finished.ok, finished.why
        assert finished.packed is not None
        if busy:
            ledger.before_home(ANYTHING, namespace)
            ledger.after_home(ANYTHING, namespace)
        begin_s = time.process_time()
        assert ledger.unchanged(bundle)
        ledger.ambient_mark()
        opened = open_outcome(finished.packed, segments, ledger.resolve)
        apply(opened, {})
        ledger.take_in(outcome, opened)
        if turn > 1:  # the first of each kind unpacks the input
            home_s = time.process_time() - begin_s
            spent[busy].append((worker_s - opened.names["spent_s"], home_s))
        attempts.forget((outcome.key,))
    return [
        Row(
            case.name,
            "busy" if busy else "quiet",
            1e3 * median(w for w, _ in found),
            1e3 * median(h for _, h in found),
            1e3 * case.limit_s,
            len(found),
        )
        for busy, found in spent.items()
    ]


def show(row: Row) -> None:
    """Print one line of the table."""
    verdict = "yes" if row.kept else "NO"
    print(
        f"{row.case:24} {row.turn:6} {row.worker_ms:9.2f} {row.home_ms:9.2f} {row.added_ms:9.2f} "
        f"≤ {row.limit_ms:5.1f} {verdict:4} n={row.samples}",
        flush=True,
    )


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--only", default=",".join(CASES), help="cases, with commas between")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := [n for n in names if n not in CASES]:
        parser.error(f"--only: no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    print(f"{'milliseconds of CPU time':24} {'':6} {'worker':>9} {'home':>9} {'added':>9}")
    rows = []
    for name in names:
        folder = tempfile.mkdtemp(prefix="taskpar", dir="/dev/shm")
        try:
            for row in measure(CASES[name], 5 if options.quick else 15, folder):
                rows.append(row)
                show(row)
        finally:
            shutil.rmtree(folder)
    OUT.mkdir(exist_ok=True)
    text = json.dumps([asdict(row) for row in rows], indent=1)
    (OUT / "footprints.json").write_text(text, encoding="utf-8")
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    # An attempt's names are those of `__main__`: this module's own must be elsewhere; and it is no
    # module of the user's, whose state would be compared.
    import footprints

    del sys.modules["footprints"]
    sys.exit(footprints.main())
