"""`python -m taskpar_kernel -f FILE` runs the kernel; `… install` makes it known to Jupyter."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Dispatch on the first argument."""
    if sys.argv[1:2] == ["install"]:
        from taskpar_kernel.install import main as install  # jupyter_client is not light

        return install(sys.argv[2:])
    if any(
        word in {"-f", "--help", "--help-all", "--version"} or word.startswith("--")
        for word in sys.argv[1:]
    ):
        from taskpar_kernel.seed import HashSeed  # before anything else is imported

        HashSeed.fix()
        if sys.path and sys.path[0] == os.getcwd():  # noqa: PTH109 - it holds strings
            del sys.path[0]  # `-m` puts it there; a notebook's own entry is ''
        from taskpar_kernel.kernel import launch  # only with the seed fixed

        launch()
        return 0
    from taskpar_kernel.cli import main as shell

    return shell(sys.argv[1:])


if __name__ == "__main__":
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    sys.exit(main())
