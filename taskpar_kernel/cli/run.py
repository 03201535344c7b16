"""`taskpar run FILE`: a notebook or a script comes in; its outputs and an exit code go out.

The rule: what is wrong with the call is told before anything runs, with exit code 2; a cell that
raises ends the run with exit code 1, and what was done before it is kept.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from taskpar_kernel.cli.kernels import add_options, kernel_arguments
from taskpar_kernel.errors import TaskParError, UsageError
from taskpar_kernel.testing.notebooks import seconds

INTERRUPTED = 130
"""What shells expect of a program that SIGINT ended."""
_EXAMPLES = """examples:
  taskpar run analysis.ipynb                       outputs as text
  taskpar run analysis.ipynb -o done.ipynb         outputs in a copy of the notebook
  taskpar run script.py --workers 4 -- data.csv    words after -- are the script's own
  taskpar run analysis.ipynb --TaskPar.policy=heft

exit code: 0 done, 1 a cell raised, 2 nothing was run"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    own, rest = words, []
    if "--" in words:
        own, rest = words[: words.index("--")], words[words.index("--") + 1 :]
    parser = _parser()
    try:
        given, others = parser.parse_known_args(own)
    except SystemExit as end:  # argparse has printed its usage or help
        return int(end.code or 0)
    try:
        arguments = kernel_arguments(given, others)
        _check(given, rest)
        return _run(given, arguments, rest)
    except (TaskParError, OSError, RuntimeError) as error:  # also: a kernel did not start
        print(f"taskpar run: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("taskpar run: interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(given: argparse.Namespace, arguments: list[str], rest: list[str]) -> int:
    if _is_script(given.file):
        from taskpar_kernel.cli.scripts import run_script  # jupyter_client only

        return run_script(given.file, rest, arguments, given.timeout)
    from taskpar_kernel.cli.notebooks import run_notebook  # nbclient too

    return run_notebook(given.file, given.output, arguments, given.timeout)


def _check(given: argparse.Namespace, rest: list[str]) -> None:
    """Raise `UsageError` for a call that could not end well."""
    path, out = given.file, given.output
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise UsageError(f"{path} {what}; nothing was run")
    if _is_script(path) and out is not None:
        raise UsageError("-o is for notebooks: a script's outputs go to the terminal")
    if not _is_script(path) and rest:
        raise UsageError(f"words after -- are for scripts, not for a notebook: {' '.join(rest)}")
    if out is None:
        return
    folder = out.absolute().parent
    writable = os.access(out, os.W_OK) if out.exists() else os.access(folder, os.W_OK)
    if out.is_dir() or not writable:
        raise UsageError(f"{out} cannot be written; nothing was run")


def _is_script(path: Path) -> bool:
    return path.suffix.lower() in {".py", ".ipy"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="taskpar run",
        description="Run a notebook, or a script (.py; cells begin at lines '# %%'), in parallel.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a notebook or a script")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="save the notebook with its outputs here"
    )
    parser.add_argument("--timeout", type=seconds, metavar="S", help="seconds for each cell")
    add_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
