"""The shell's door: the `taskpar` command. Words come in, an exit code goes out.

The rule: a command's module is imported when it is called. Exit codes: 0 all went well, 1 what was
asked for did not (a cell raised, results differ, something is wrong here), 2 the call is wrong.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from taskpar_kernel import __version__

COMMANDS = {
    "run": ("taskpar_kernel.cli.run", "run a notebook or a script in parallel"),
    "verify": (
        "taskpar_kernel.testing.verify",
        "run a notebook serially and in parallel, and compare",
    ),
    "demo": ("taskpar_kernel.cli.demo", "see what it does, on a small notebook of its own"),
    "install": ("taskpar_kernel.install", "make the kernel known to Jupyter"),
    "doctor": ("taskpar_kernel.doctor", "look at versions, shared memory, left-overs; self-test"),
}
"""Name → the module whose `main` it is, and what it is for."""
EXAMPLES = """examples:
  taskpar run analysis.ipynb -o done.ipynb   run a notebook, save it with its outputs
  taskpar run script.py --workers 4          run a script; cells begin at lines "# %%"
  taskpar verify analysis.ipynb              compare a serial with a parallel run
  taskpar install --user                     make "Python 3 (taskpar)" selectable in Jupyter
  taskpar COMMAND --help                     the options of a command
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return what the command returns, 2 for wrong usage."""
    words = sys.argv[1:] if argv is None else argv
    told = "\n".join(f"  {name:8} {what}" for name, (_, what) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        "taskpar",
        description="A Python kernel for Jupyter that runs independent work in parallel, with "
        f"exactly the serial result.\n\ncommands:\n{told}",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"taskpar_kernel {__version__}")
    parser.add_argument("command", choices=list(COMMANDS), metavar="COMMAND")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="see taskpar COMMAND --help")
    if not words:
        parser.print_help(sys.stderr)
        return 2
    arguments = parser.parse_args(words)
    module, _ = COMMANDS[arguments.command]
    code: int = import_module(module).main(arguments.options)
    return code
