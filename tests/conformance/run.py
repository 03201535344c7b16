"""Run ipykernel's and nbclient's own test suites under the stock kernel and under taskpar.

The suites are downloaded as sdists of the installed versions and never committed. A folder
`kernels/python3` on JUPYTER_PATH shadows the stock kernel with ours, so the suites need no change.
Exit code 1: a test passes under the stock kernel only (or a suite did not run).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import time
import xml.etree.ElementTree as ET
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

SUITES = ("ipykernel", "nbclient")
PYTEST = (
    *("-q", "-p", "no:cacheprovider", "-o", "addopts=", "--timeout=60"),
    *("-o", "asyncio_default_fixture_loop_scope=function"),
)
SPEC = Path(__file__).resolve().parents[2] / "kernelspec" / "kernel.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the tests of one suite went under one kernel."""

    passed: frozenset[str]
    skipped: frozenset[str]
    failed: frozenset[str]
    seconds: float

    def __str__(self) -> str:
        counts = (
            f"{len(self.passed)} passed, {len(self.skipped)} skipped, {len(self.failed)} failed"
        )
        return f"{counts} in {self.seconds:.0f} s"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("out/conformance"))
    parser.add_argument("--suite", choices=SUITES, action="append", help="default: both")
    parser.add_argument(
        "--eager", action="store_true", help="TASKPAR_EAGER=1: all that may goes ahead"
    )
    parser.add_argument(
        "--stock-only", action="store_true", help="count the stock kernel's passes only"
    )
    parser.add_argument("-k", dest="select", help="pytest's -k")
    options = parser.parse_args()
    cache = options.cache.resolve()
    lost = False
    for suite in options.suite or SUITES:
        folder = sdist(suite, cache)
        stock = run(suite, folder, cache, None, eager=False, select=options.select)
        if not stock.passed:
            say(f"{suite}: no test passes under the stock kernel; the suite did not run")
            lost = True
        if options.stock_only:
            continue
        ours = run(suite, folder, cache, SPEC, eager=options.eager, select=options.select)
        lost |= report(suite, stock, missing(suite, folder, cache, stock, ours, options), ours)
    say(f"conformance: {'no' if lost else 'yes'}")
    return int(lost)


def report(suite: str, stock: Outcome, only_stock: list[str], ours: Outcome) -> bool:
    """Say how the two compare; return whether ours lost a test."""
    say(f"{suite} {version(suite)}: stock {stock}; taskpar {ours}")
    for test in only_stock:
        say(f"  passes under the stock kernel only: {test}")
    for test in sorted(ours.passed - stock.passed):
        say(f"  passes under taskpar only: {test}")
    return bool(only_stock)


def missing(
    suite: str,
    folder: Path,
    cache: Path,
    stock: Outcome,
    ours: Outcome,
    options: argparse.Namespace,
) -> list[str]:
    """Return the tests that ours lost, after each had a second try alone; a second try is said."""
    lost = sorted(stock.passed - ours.passed)
    if not lost:
        return []
    say(f"{suite}: {len(lost)} passed under the stock kernel only; once more, under taskpar alone:")
    for test in lost:
        say(f"  {test}")
    names = " or ".join(sorted({test.rpartition("::")[2].partition("[")[0] for test in lost}))
    again = run(suite, folder, cache, SPEC, eager=options.eager, select=names)
    return [test for test in lost if test not in again.passed]


def sdist(suite: str, cache: Path) -> Path:
    """Return the unpacked sdist of the installed version; download it if it is not there."""
    name = f"{suite}-{version(suite)}"
    folder = cache / name
    if folder.is_dir():
        return folder
    say(f"downloading the sdist of {name}")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", suite]
    subprocess.run([*pip, "--dest", str(cache), f"{suite}=={version(suite)}"], check=True)
    with tarfile.open(cache / f"{name}.tar.gz") as archive:
        archive.extractall(cache, filter="data")
    return folder


def run(
    suite: str, folder: Path, cache: Path, spec: Path | None, *, eager: bool, select: str | None
) -> Outcome:
    """Run a suite under the kernel of `spec`, or under the stock one."""
    kernel = "taskpar" if spec else "stock"
    say(f"{suite}: running its tests under the {kernel} kernel …")
    results, log = cache / f"{suite}-{kernel}.xml", cache / f"{suite}-{kernel}.log"
    results.unlink(missing_ok=True)
    environ = environment(cache, kernel, spec, eager=eager)
    command = [sys.executable, "-m", "pytest", "tests", *PYTEST, f"--junit-xml={results}"]
    command += ["-k", select] if select else []
    begin = time.monotonic()
    with log.open("w", encoding="utf-8") as stream:
        subprocess.run(
            command, cwd=folder, env=environ, stdout=stream, stderr=subprocess.STDOUT, check=False
        )
    end_left_overs(environ["IPYTHONDIR"])
    if not results.is_file():
        raise SystemExit(f"{suite} under {kernel}: pytest wrote no results; its output is in {log}")
    outcome = read(results, time.monotonic() - begin)
    say(f"{suite}: {kernel}: {outcome}")
    return outcome


def end_left_overs(folder: str) -> None:
    """End what a suite has started and left, known by its folder: some tests leave debuggers."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("IPYTHONDIR") == folder:
                process.kill()


def environment(cache: Path, kernel: str, spec: Path | None, *, eager: bool) -> dict[str, str]:
    """Return the environment of a run: its own folders, and our kernel under python3's name."""
    home = cache / f"home-{kernel}"
    environ = {name: text for name, text in os.environ.items() if not name.startswith("TASKPAR_")}
    environ["TASKPAR_HISTORY"] = "0"  # no run rests on what one before it has learned
    environ |= {"IPYTHONDIR": str(home / "ipython"), "JUPYTER_RUNTIME_DIR": str(home / "runtime")}
    environ |= {"JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_DATA_DIR": str(home / "data")}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    environ.pop("JUPYTER_PATH", None)
    for name in ("ipython", "runtime", "config", "data"):
        (home / name).mkdir(parents=True, exist_ok=True)
    if spec is not None:
        shadow = home / "shadow" / "kernels" / "python3"
        shadow.mkdir(parents=True, exist_ok=True)
        ours = json.loads(spec.read_text(encoding="utf-8"))
        ours["argv"][0] = sys.executable
        (shadow / "kernel.json").write_text(json.dumps(ours), encoding="utf-8")
        environ["JUPYTER_PATH"] = str(home / "shadow")
        if eager:
            environ["TASKPAR_EAGER"] = "1"
    return environ


def read(results: Path, seconds: float) -> Outcome:
    """Read pytest's JUnit file; a test that ran several times counts as its last run."""
    states: dict[str, str] = {}
    for case in ET.parse(results).iter("testcase"):
        kinds = {child.tag for child in case}
        state = (
            "failed"
            if kinds & {"failure", "error"}
            else "skipped"
            if "skipped" in kinds
            else "passed"
        )
        states[f"{case.get('classname')}::{case.get('name')}"] = state
    found = {
        state: frozenset(test for test, s in states.items() if s == state)
        for state in ("passed", "skipped", "failed")
    }
    return Outcome(found["passed"], found["skipped"], found["failed"], seconds)


def say(line: str) -> None:
    """Print one line at once."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
