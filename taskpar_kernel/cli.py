"""The shell's door: the `taskpar` command. Words come in, an exit code goes out.

The rule: a command's module is imported when it is called; the kernel imports this one too.
"""

from __future__ import annotations

import argparse
import sys

from taskpar_kernel import __version__

COMMANDS = {
    "install": "make the kernel known to Jupyter",
    "verify": "run a notebook serially and in parallel, and compare",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return what the command returns, 2 for wrong usage."""
    words = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        "taskpar",
        description="A Python kernel for Jupyter that runs independent work in parallel.",
        epilog="examples: taskpar install --user; taskpar verify notebook.ipynb",
    )
    parser.add_argument("--version", action="version", version=f"taskpar_kernel {__version__}")
    told = "; ".join(f"{name}: {what}" for name, what in COMMANDS.items())
    parser.add_argument("command", choices=list(COMMANDS), help=told)
    parser.add_argument("options", nargs=argparse.REMAINDER, help="see `taskpar COMMAND --help`")
    arguments = parser.parse_args(words)
    if arguments.command == "verify":
        from taskpar_kernel.testing.verify import main as command  # asyncio, jupyter_client
    else:
        from taskpar_kernel.install import main as command  # jupyter_client is not light

    return command(arguments.options)
