"""The process of a worker: `python taskpar_kernel/worker/__main__.py -f CONNECTION_FILE …`.

With `--zygote DESCRIPTOR` instead it is the process that workers are forked from, and from the fork
on each of them is as if it had been started with a connection file here.

The rule: first of all, make sure that the system ends this process with its parent. Also by the
path of this file, because then nothing in the user's folder can shadow a module that the start
needs.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> bool:
    """Ask the system to kill this process when the thread that started it ends; True if it will.

    Two orders: the parent ends after the request (the kernel kills us), or before it (nothing will
    come any more, but our parent is another one by then).
    """
    if sys.platform != "linux":
        return False
    parent = int(os.environ.get("JPY_PARENT_PID") or os.getppid())
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        return False
    if os.getppid() != parent:
        os._exit(0)
    return True


def _import_own_package() -> None:
    """Import the package this file belongs to, whatever else is installed, and tidy `sys.path`.

    Home and its workers must be of one version. What Python put in front of the path is dropped;
    the shell puts '' in, as in any kernel.
    """
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - before any import
    root = os.path.dirname(os.path.dirname(here))  # noqa: PTH120
    if sys.path and sys.path[0] in {here, "", os.getcwd()}:  # noqa: PTH109
        del sys.path[0]
    sys.path.insert(0, root)
    import taskpar_kernel  # noqa: F401 - only now is it the right one

    del sys.path[0]


def _without_debugger() -> None:
    """Import ipykernel without its debugger: 0.05 s and 9 MB less; user code may have it."""
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    import ipykernel.debugger  # noqa: F401 - decides here

    del sys.modules["debugpy"]


if __name__ == "__main__":
    _armed = die_with_parent()
    _import_own_package()
    _without_debugger()
    from taskpar_kernel.seed import HashSeed

    HashSeed.learn()
    from taskpar_kernel.worker.app import launch

    if sys.argv[1:2] == ["--zygote"]:
        from taskpar_kernel.worker.zygote import serve

        if not _armed:
            sys.exit("the system would not end workers that are forked")
        serve(int(sys.argv[2]))  # returns in each worker that is forked
        _armed = die_with_parent()
        HashSeed.learn()
    launch(armed=_armed)
