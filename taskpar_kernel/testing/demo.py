"""Run a notebook under two kernels and compare: `python -m taskpar_kernel.testing.demo`.

A notebook comes in; one line for each cell goes out while it works, then totals and the verdict.
The rule: "results equal: yes" comes only after names, values, aliases and outputs were compared.
Exit code 0 is yes, 1 is no, 2 is wrong use.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from nbconvert import HTMLExporter

from taskpar_kernel.testing.compare import (
    CellResult,
    Observation,
    differences,
    differing_names,
    first_difference,
)
from taskpar_kernel.testing.observe import KernelRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MOST_SHOWN = 40
_TEXT_WIDTH = 44


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    notebook: Path
    serial: str
    parallel: str
    out: Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 (equal), 1 (not equal) or 2 (wrong use)."""
    try:
        options = _options(argv)
    except SystemExit as end:  # argparse has printed its usage or help
        return int(end.code or 0)
    known = KernelSpecManager().find_kernel_specs()
    for kernel in (options.serial, options.parallel):
        if kernel not in known:
            names = ", ".join(sorted(known))
            _say(f"no kernel {kernel!r} is installed here; known are {names}", sys.stderr)
            return 2
    if not options.notebook.is_file():
        _say(f"there is no notebook {options.notebook}; nothing was run", sys.stderr)
        return 2
    return asyncio.run(_demo(options))


async def _demo(options: Options) -> int:
    notebook = nbformat.read(options.notebook, as_version=4)  # type: ignore[no-untyped-call]
    folder = str(options.notebook.resolve().parent)
    number = sum(c.cell_type == "code" and bool(c.source.strip()) for c in notebook.cells)
    kernels = f"under {options.serial}, then under {options.parallel}"
    _say(f"{options.notebook}: {number} code cells, {kernels}")
    # the first kernel lives on, idle, so that values which differ can be looked into
    async with KernelRun(notebook, options.serial, folder=folder) as serial:
        one = await serial.observe(_progress(options.serial, number))
        async with KernelRun(notebook, options.parallel, folder=folder) as parallel:
            _say(f"\ncell{'serial s':>{_TEXT_WIDTH + 12}} {'parallel s':>10} {'ahead':>6}")
            two = await parallel.observe(_table(one))
            found = [str(d) for d in differences(one, two)]
            found += await _details(serial, parallel, differing_names(one, two))
        _totals(one, two)
        _leave(parallel, options)
    for line in found[:_MOST_SHOWN]:
        _say(f"  {line}")
    if len(found) > _MOST_SHOWN:
        _say(f"  … and {len(found) - _MOST_SHOWN} more")
    _say(f"results equal: {'no' if found else 'yes'}")
    return 1 if found else 0


async def _details(one: KernelRun, two: KernelRun, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    left, right = await one.detail(names), await two.detail(names)
    return [f"  {name} first at: {first_difference(left[name], right[name])}" for name in names]


def _progress(kernel: str, number: int) -> Callable[[CellResult, dict[str, Any]], None]:
    done = 0

    def on_cell(result: CellResult, _record: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        text = f"{_text(result.source):{_TEXT_WIDTH}} {result.seconds:8.2f} s"
        _say(f"{kernel}: {done:2d} of {number}  {text}")

    return on_cell


def _table(serial: Observation) -> Callable[[CellResult, dict[str, Any]], None]:
    seconds = {cell.index: cell.seconds for cell in serial.cells}
    done = 0

    def on_cell(result: CellResult, record: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        ahead = record.get("committed_ahead", "-")
        again = f"  {record['squashed']} run again" if record.get("squashed") else ""
        _say(
            f"{done:4d}  {_text(result.source):{_TEXT_WIDTH}} {seconds[result.index]:9.2f} "
            f"{result.seconds:10.2f} {ahead:>6}{again}"
        )

    return on_cell


def _totals(one: Observation, two: Observation) -> None:
    serial, parallel = (sum(c.seconds for c in run.cells) for run in (one, two))
    _say(f"      {'in all':{_TEXT_WIDTH}} {serial:9.2f} {parallel:10.2f}")
    ratio = f"{serial / parallel:.2f} times as fast"
    _say(f"\n{one.kernel}: {serial:.1f} s, {two.kernel}: {parallel:.1f} s, {ratio}")
    _say(f"compared: {len(two.cells)} cells, {len(two.names)} names")


def _leave(run: KernelRun, options: Options) -> None:
    """Write the executed notebook and its HTML copy."""
    options.out.mkdir(parents=True, exist_ok=True)
    executed = options.out / f"{options.notebook.stem}.ipynb"
    nbformat.write(run.notebook, executed)  # type: ignore[no-untyped-call]
    exporter: Any = HTMLExporter
    page, _ = exporter(embed_images=True).from_notebook_node(run.notebook)
    executed.with_suffix(".html").write_text(page, encoding="utf-8")
    _say(f"executed notebook: {executed}, as HTML: {executed.with_suffix('.html')}")


def _text(source: str) -> str:
    """Return a line that tells a cell: its first one that is neither import nor comment."""
    lines = [line for line in source.splitlines() if line.strip()]
    telling = [w for w in lines if not w.startswith(("import ", "from ", "#", " ", ")"))]
    line = (telling or lines)[0]
    return line if len(line) <= _TEXT_WIDTH else f"{line[: _TEXT_WIDTH - 1]}…"


def _options(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m taskpar_kernel.testing.demo", description=__doc__
    )
    parser.add_argument("--notebook", type=Path, default=Path("notebooks/flights.ipynb"))
    parser.add_argument(
        "--kernel",
        action="append",
        metavar="NAME",
        help="give it twice: the reference, then the kernel compared (python3, taskpar)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out"), help="folder for the executed notebook"
    )
    given = parser.parse_args(argv)
    kernels = given.kernel or ["python3", "taskpar"]
    if len(kernels) != 2:
        parser.error("--kernel: give two, the reference and the one compared")
    return Options(given.notebook, kernels[0], kernels[1], given.out)


def _say(line: str, stream: Any = None) -> None:
    print(line, file=stream or sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
