"""The shell's door: the `taskpar` command. Words come in, an exit code goes out."""

from __future__ import annotations

import argparse
import sys

from taskpar_kernel import __version__


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0, or 2 for wrong usage."""
    words = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        "taskpar",
        description="A Python kernel for Jupyter that runs independent work in parallel.",
        epilog="example: taskpar install --user",
    )
    parser.add_argument("--version", action="version", version=f"taskpar_kernel {__version__}")
    parser.add_argument("command", choices=["install"], help="make the kernel known to Jupyter")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="see `taskpar install --help`")
    arguments = parser.parse_args(words)
    from taskpar_kernel.install import main as install  # jupyter_client is not light

    return install(arguments.options)
