"""Run a notebook serially and in parallel, and tell every difference: `taskpar verify NOTEBOOK`.

A notebook file comes in; a line for each cell, every difference and an exit code go out: 0 equal,
1 different, 2 nothing could be compared. The rule: both kernels are of this environment and find
the same files; what differs between two *serial* runs as well is told apart, by a second one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpecManager

from taskpar_kernel.errors import TaskParError, UsageError
from taskpar_kernel.settings import check_workers
from taskpar_kernel.testing.compare import (
    CellResult,
    Difference,
    Observation,
    differences,
    differing_names,
    first_difference,
)
from taskpar_kernel.testing.folders import Copy
from taskpar_kernel.testing.notebooks import read_notebook, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbformat import NotebookNode

    from taskpar_kernel.testing.observe import KernelRun

    OnCell = Callable[[CellResult, dict[str, Any]], None]

_MODULES = {"serial": "ipykernel_launcher", "parallel": "taskpar_kernel"}
_MOST_SHOWN = 60
_WIDTH = 44
_CELL_LIMIT_S = 1200


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    notebook: Path
    folder: Path
    here: bool
    eager: bool
    workers: int | None
    limit_s: int
    since: int
    """Outputs of earlier cells are counted, not told."""


class _NotFinished(TaskParError):
    """A run broke off; what it says is told to the user."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 (equal), 1 (different) or 2 (nothing was compared)."""
    try:
        options = _options(argv)
    except SystemExit as end:  # argparse has printed its usage or help
        return int(end.code or 0)
    try:
        notebook = _read(options.notebook)
        with ExitStack() as stack:
            place = _Place(options, Path(stack.enter_context(tempfile.TemporaryDirectory())))
            return asyncio.run(_verify(notebook, place))
    except (TaskParError, OSError, RuntimeError) as error:  # also: a kernel did not start
        _say(f"taskpar verify: {error}", sys.stderr)
        return 2
    except KeyboardInterrupt:
        _say("taskpar verify: interrupted; nothing was compared", sys.stderr)
        return 2


class _Place:
    """Where and how the kernels of one verification run."""

    def __init__(self, options: Options, temporary: Path):
        self.options = options
        self.specs = _specs(temporary / "kernels")
        self._copy = None if options.here else Copy(options.folder, temporary / "run")

    def run(self, notebook: NotebookNode, kernel: str) -> KernelRun:
        """Return a kernel, not yet started, in a folder that is as it was."""
        from taskpar_kernel.testing.observe import KernelRun  # needs nbclient: see `read_notebook`

        folder = self.options.folder
        if self._copy is not None:
            self._copy.set_back()
            folder = self._copy.folder
        return KernelRun(
            notebook,
            kernel,
            folder=str(folder),
            environ=self._environ(),
            specs=self.specs,
            cell_limit_s=self.options.limit_s,
        )

    def files(self) -> dict[str, str]:
        """Return digests of the files that the last run left; none are known with `--here`."""
        return {} if self._copy is None else self._copy.digests()

    def _environ(self) -> dict[str, str]:
        found = {"TASKPAR_ENABLED": "1", "TASKPAR_EAGER": str(int(self.options.eager))}
        if self.options.workers is not None:
            found["TASKPAR_WORKERS"] = str(self.options.workers)
        return found


async def _verify(notebook: NotebookNode, place: _Place) -> int:
    number = sum(c.cell_type == "code" and bool(c.source.strip()) for c in notebook.cells)
    _say(f"{number} code cells, serially, then in parallel")
    # the first kernel lives on, idle, so that values which differ can be looked into
    async with place.run(notebook, "serial") as serial:
        try:
            one = await _observed(serial, place, _progress(number))
        except _NotFinished as broken:
            told = f"the serial run did not finish, nothing was compared: {broken}"
            raise UsageError(told) from None
        files = place.files()
        _say(f"cell  {'':{_WIDTH}} serial s parallel s  ahead")
        async with place.run(notebook, "parallel") as parallel:
            await parallel.wait_for_workers()
            try:
                two = await _observed(parallel, place, _table(one))
            except _NotFinished as broken:
                _say(f"  the parallel run did not finish, the serial one did: {broken}")
                _say("results equal: no")
                return 1
            found = [*differences(one, two), *_of_files(files, place.files())]
            found = await _explained(found, differing_names(one, two), serial, parallel)
    chance: set[str] = set()
    if found:
        _say("something differs; once more serially, to tell what differs by itself")
        chance = await _chance(place, notebook, one, files)
    return _verdict(found, chance, place.options, len(one.names), len(two.cells))


async def _observed(run: KernelRun, place: _Place, on_cell: OnCell) -> Observation:
    """Run the notebook; return what was seen.

    Raises:
        _NotFinished: A cell took too long, or the kernel died.
    """
    from nbclient.exceptions import CellTimeoutError, DeadKernelError  # see `read_notebook`

    last = 0

    def count(result: CellResult, record: dict[str, Any]) -> None:
        nonlocal last
        last = result.index
        on_cell(result, record)

    try:
        return await run.observe(count)
    except CellTimeoutError:
        limit = f"{place.options.limit_s} s"
        raise _NotFinished(f"a cell after cell {last} took over {limit}") from None
    except (DeadKernelError, RuntimeError) as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # nbclient takes an interrupt for a dead kernel
            raise asyncio.CancelledError from None
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _NotFinished(f"the kernel ended after cell {last}: {why}") from None


async def _explained(
    found: Sequence[Difference], names: Sequence[str], serial: KernelRun, parallel: KernelRun
) -> list[Difference]:
    """Add to each name that differs the first place inside its value that does."""
    if not names:
        return list(found)
    left, right = await serial.detail(names), await parallel.detail(names)
    first = {f"name {n}": first_difference(left[n], right[n]) for n in names}
    return [
        replace(d, what=f"{d.what}, first at\n    {first[d.where]}") if d.where in first else d
        for d in found
    ]


async def _chance(
    place: _Place, notebook: NotebookNode, one: Observation, files: dict[str, str]
) -> set[str]:
    """Return where a second serial run differs from the first."""
    async with place.run(notebook, "serial") as run:
        try:
            again = await _observed(run, place, lambda *_: None)
        except _NotFinished:
            return set()
        return {d.where for d in [*differences(one, again), *_of_files(files, place.files())]}


def _of_files(one: dict[str, str], two: dict[str, str]) -> list[Difference]:
    found = []
    for name in sorted(one.keys() | two.keys()):
        left, right = one.get(name), two.get(name)
        if left != right:
            told = [digest or "no such file" for digest in (left, right)]
            found.append(Difference(f"file {name}", f"{told[0]} and {told[1]}"))
    return found


def _verdict(
    found: Sequence[Difference], chance: set[str], options: Options, names: int, cells: int
) -> int:
    """Print what differs, and the last line; return the exit code."""
    told = [d for d in found if _cell_of(d) >= options.since]
    _say(f"compared: {cells} cells, {names} names{'' if options.here else ', files'}")
    for difference in told[:_MOST_SHOWN]:
        own = " (so do two serial runs)" if difference.where in chance else ""
        _say(f"  {difference}{own}")
    if len(told) > _MOST_SHOWN:
        _say(f"  … and {len(told) - _MOST_SHOWN} more")
    if len(told) < len(found):
        _say(f"  {len(found) - len(told)} differences in earlier cells; --all tells them")
    if found and all(d.where in chance for d in found):
        _say("  two serial runs differ in all of this: the notebook itself is not deterministic")
    _say(f"results equal: {'no' if found else 'yes'}")
    return 1 if found else 0


def _cell_of(difference: Difference) -> float:
    """Return the number of the cell a difference is in; names and files belong to the last."""
    words = difference.where.split()
    return int(words[1]) if words[0] == "cell" else float("inf")


# Lines for people -----------------------------------------------------------------------------


def _progress(number: int) -> OnCell:
    done = 0

    def on_cell(result: CellResult, _record: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        _say(f"serially: {done} of {number}  {_text(result.source):{_WIDTH}} {result.seconds:8.2f}")

    return on_cell


def _table(serial: Observation) -> OnCell:
    known = {cell.index: cell for cell in serial.cells}

    def on_cell(result: CellResult, record: dict[str, Any]) -> None:
        before = known[result.index]
        alike = not differences(Observation("", (before,)), Observation("", (result,)))
        _say(
            f"{result.index:4d}  {_text(result.source):{_WIDTH}} {before.seconds:8.2f} "
            f"{result.seconds:10.2f} {record.get('committed_ahead', '-'):>6}  "
            f"{'equal' if alike else 'OUTPUTS DIFFER'}"
        )

    return on_cell


def _text(source: str) -> str:
    lines = [s for line in source.splitlines() if (s := line.strip()) and not s.startswith("#")]
    line = (lines or source.split("\n"))[0]
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _say(line: str, stream: Any = None) -> None:
    print(line, file=stream or sys.stdout, flush=True)


# What comes in --------------------------------------------------------------------------------


def _read(path: Path) -> NotebookNode:
    """Return the notebook, with an empty cell before it, so that its cells count from 1.

    Raises:
        UsageError: There is no notebook that could be run, or nbclient is not installed.
    """
    notebook = read_notebook(path)
    import nbformat  # `read_notebook` has told if it is missing

    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = without_own_magics(cell.source)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(""))  # type: ignore[no-untyped-call]
    return notebook


def without_own_magics(source: str) -> str:
    """Return a cell without `%%taskpar` and `%taskpar` lines, which stock ipykernel does not know.

    The other lines keep their numbers.
    """
    own = ("%%taskpar", "%taskpar", "%load_ext taskpar_kernel", "%unload_ext taskpar_kernel")
    lines = source.split("\n")
    if source.split()[:2] in (["%%taskpar", "plan"], ["%%taskpar", "graph"]):
        return "\n" * (len(lines) - 1)  # it tells of its text, and runs nothing
    for index, line in enumerate(lines):
        words = " ".join(line.split()) + " "
        if words.startswith(tuple(f"{w} " for w in own)):
            indent = line[: len(line) - len(line.lstrip())]
            lines[index] = f"{indent}pass" if indent else ""
    return "\n".join(lines)


def _specs(folder: Path) -> KernelSpecManager:
    """Write two kernelspecs for this interpreter, so that none needs to be installed."""
    spec: dict[str, Any]
    for name, module in _MODULES.items():
        (folder / name).mkdir(parents=True)
        argv = [sys.executable, "-m", module, "-f", "{connection_file}"]
        argv.append("--HistoryManager.hist_file=:memory:")  # the user's history stays as it is
        spec = {"argv": argv, "display_name": name, "language": "python"}
        spec["metadata"] = {"supported_encryption": ["curve"]}
        (folder / name / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    return KernelSpecManager(kernel_dirs=[str(folder)])


def _options(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="taskpar verify",
        description="Run a notebook serially (stock ipykernel) and in parallel (taskpar), and "
        "tell every difference in outputs, names, values, aliases, options and files.",
        epilog="Exit code: 0 equal, 1 different, 2 nothing could be compared.",
    )
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--eager", action="store_true", help="run ahead all that may")
    parser.add_argument("--workers", type=_workers, metavar="N", help="size of the pool")
    parser.add_argument(
        "--timeout", type=seconds, default=_CELL_LIMIT_S, metavar="S", help="seconds for each cell"
    )
    parser.add_argument(
        "--here",
        action="store_true",
        help="run in the notebook's own folder, twice; else in a copy of it, made for each run",
    )
    parser.add_argument("--folder", type=Path, help="its folder, if it is another")
    parser.add_argument("--since", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    folder = (given.folder or given.notebook.parent).resolve()
    return Options(
        given.notebook,
        folder,
        given.here,
        given.eager,
        given.workers,
        given.timeout,
        given.since,
    )


def _workers(text: str) -> int:
    try:
        return check_workers(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
