"""`taskpar demo`: a small notebook, or yours, under python3 and under taskpar, compared."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

CELLS = (
    """\
import math, time

def simulate(seed, steps=400_000):
    value, total = seed + 0.5, 0.0
    for _ in range(steps):
        value = 3.9 * value * (1 - value) if 0 < value < 1 else math.modf(abs(value))[0] or 0.1
        total += value
    return total / steps

def download(seconds):
    time.sleep(seconds)
    return f"{seconds} s"
""",
    """\
a = download(1.0)
b = download(1.2)
c = download(0.8)
print(a, b, c)
""",
    """\
means = []
for seed in range(8):
    means.append(simulate(seed / 10))
print([round(m, 4) for m in means])
""",
    """\
best = max(simulate(s / 7) for s in range(6))
print(round(best, 4))
""",
)
"""Waiting, a loop, and a generator: what runs side by side with no change to the code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0 (equal), 1 (different) or 2 (wrong use)."""
    parser = argparse.ArgumentParser(
        prog="taskpar demo",
        description="Run a notebook under python3, then under taskpar; tell times and differences.",
    )
    parser.add_argument(
        "notebook", nargs="?", type=Path, help="a notebook; default: a small one of four cells"
    )
    try:
        options = parser.parse_args(argv)
    except SystemExit as end:  # argparse has printed its usage or help
        return int(end.code or 0)
    missing = [name for name in ("nbclient", "nbformat") if find_spec(name) is None]
    if missing:
        told = " and ".join(missing)
        print(f"taskpar demo: it needs {told}; say pip install nbclient nbformat", file=sys.stderr)
        return 2
    from taskpar_kernel.testing.verify import main as verify  # asyncio, jupyter_client

    if options.notebook is not None:
        return verify([str(options.notebook)])
    print("four cells: definitions, three waits, a loop, a generator\n", flush=True)
    with TemporaryDirectory(prefix="taskpar-demo-") as folder:
        path = Path(folder) / "demo.ipynb"
        path.write_text(json.dumps(notebook()), encoding="utf-8")
        code = verify([str(path)])
    print("\nin Jupyter, pick the kernel 'Python 3 (taskpar)'; %taskpar tells what ran where")
    return code


def notebook() -> dict[str, object]:
    """Return the demo's notebook."""
    cells: list[dict[str, object]] = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{number}",
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(CELLS)
    ]
    spec = {"name": "taskpar", "display_name": "Python 3 (taskpar)", "language": "python"}
    metadata = {"kernelspec": spec}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


if __name__ == "__main__":
    sys.exit(main())
