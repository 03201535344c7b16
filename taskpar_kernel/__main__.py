"""`python -m taskpar_kernel -f FILE` runs the kernel; `… install`, `… verify` are the commands."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Dispatch on the first argument."""
    command = sys.argv[1:2] and not sys.argv[1].startswith("-")
    if not command and any(word == "-f" or word.startswith("--") for word in sys.argv[1:]):
        from taskpar_kernel.seed import HashSeed  # before anything else is imported

        HashSeed.fix()
        if sys.path and sys.path[0] == os.getcwd():  # noqa: PTH109 - it holds strings
            del sys.path[0]  # `-m` puts it there; a notebook's own entry is ''
        from taskpar_kernel.startup import collect_rarely  # light

        collect_rarely()
        from taskpar_kernel.kernel import launch  # only with the seed fixed

        launch()
        return 0
    from taskpar_kernel.cli import main as shell  # a kernel does without it

    return shell(sys.argv[1:])


if __name__ == "__main__":
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    sys.exit(main())
