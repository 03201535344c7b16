"""`taskpar doctor`: looks at what the kernel needs here; a line for each thing, and a verdict.

The rule: a check never raises; what is wrong is one line that says what to do. Folders that ended
kernels have left behind are removed, those of live ones are not touched.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from taskpar_kernel import __version__
from taskpar_kernel.errors import TaskParError
from taskpar_kernel.settings import TaskPar, usable_cores

PACKAGES = ("ipykernel", "IPython", "jupyter_client", "pyzmq", "networkx", "cloudpickle")
LIMIT_S = 10.0
_LITTLE_BYTES = 256 << 20
_SHARED = Path("/dev/shm")  # noqa: S108 - looked at only

Finding = tuple[str, str, str]
"""What was looked at, "ok", "note" or "wrong", and what was found."""


def examine(say: Callable[[str], None], *, test: bool = True) -> bool:
    """Say a line for each check; return whether nothing is wrong."""
    wrong = 0
    checks: list[Callable[[], Iterator[Finding]]] = [
        _versions,
        _settings,
        _kernelspec,
        _ipc,
        _shared_memory,
        _encryption,
        _left_overs,
    ]
    if test:
        checks.append(_self_test)
    for check in checks:
        for what, state, found in check():
            wrong += state == "wrong"
            say(f"{state:5}  {what}: {found}")
    say("all is well" if not wrong else f"{wrong} of these would keep the kernel from working well")
    return not wrong


def _versions() -> Iterator[Finding]:
    told = []
    for name in PACKAGES:
        try:
            told.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield name, "wrong", f"not installed; pip install {name}"
    python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield "versions", "ok", f"taskpar_kernel {__version__}, {python}, {', '.join(told)}"


def _settings() -> Iterator[Finding]:
    cores = usable_cores()
    try:
        workers = TaskPar().freeze().workers
    except TaskParError as error:
        yield "settings", "wrong", str(error)
        return
    yield "cores", "ok", f"{cores} usable, {workers} workers"
    if cores == 1:
        yield "cores", "note", "with one core there is little to gain but from waiting"


def _kernelspec() -> Iterator[Finding]:
    from jupyter_client.kernelspec import KernelSpecManager  # takes a tenth of a second

    found = KernelSpecManager().find_kernel_specs().get("taskpar")
    if found:
        yield "kernelspec", "ok", found
    else:
        yield "kernelspec", "wrong", "Jupyter does not know it here; taskpar install --user"


def _ipc() -> Iterator[Finding]:
    import zmq  # version and features only; no socket of the pool's

    if not zmq.has("ipc"):
        yield "ipc", "wrong", "this libzmq has no ipc sockets; pip install --upgrade pyzmq"
        return
    runtime = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    yield "ipc", "ok", f"libzmq {zmq.zmq_version()}, sockets below {runtime}"


def _shared_memory() -> Iterator[Finding]:
    if not os.access(_SHARED, os.W_OK):
        yield "shared memory", "note", "none; large values travel inside messages, which is slower"
        return
    free = shutil.disk_usage(_SHARED).free
    if free < _LITTLE_BYTES:
        told = f"{free / 1e6:.0f} MB free; larger values travel in messages (docker: --shm-size)"
        yield "shared memory", "note", told
    else:
        yield "shared memory", "ok", f"{free / 1e9:.1f} GB free in {_SHARED}"


def _encryption() -> Iterator[Finding]:
    import zmq  # as above

    if zmq.has("curve"):
        yield "CURVE", "ok", "connections to the kernel can be encrypted"
    else:
        yield "CURVE", "note", "this libzmq has none: connections over TCP are not encrypted"


def _left_overs() -> Iterator[Finding]:
    from taskpar_kernel.pool.folder import sweep  # with psutil

    swept = sweep()
    if swept:
        yield "left-overs", "ok", f"removed {len(swept)} folders of kernels that have ended"
    else:
        yield "left-overs", "ok", "none"


def _self_test() -> Iterator[Finding]:
    """Start two workers, send a value from one to the other, and gather it."""
    from taskpar_kernel.pool.pool import Pool  # with zmq

    begin_s = time.monotonic()
    try:
        with Pool(2, start_limit_s=LIMIT_S) as pool:
            pool.wait_ready(LIMIT_S)
            ready_s = time.monotonic() - begin_s
            pool.run(2, "y = list(range(1000))")
            pool.send("y", 2, 1)
            pool.run(1, "z = sum(y)")
            found = pool.gather(1, ["z"], limit_s=LIMIT_S)["z"]
    except (TaskParError, OSError, TimeoutError) as error:
        yield "self-test", "wrong", str(error).splitlines()[0]
        return
    total_s = time.monotonic() - begin_s
    if found != sum(range(1000)):
        yield "self-test", "wrong", f"a value came back as {found!r}"
    else:
        told = f"two workers up after {ready_s:.1f} s, a value sent between them; {total_s:.1f} s"
        yield "self-test", "ok", told


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0 (all is well), 1 (something is wrong) or 2 (wrong use)."""
    parser = argparse.ArgumentParser(prog="taskpar doctor", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="without the self-test")
    try:
        options = parser.parse_args(argv)
    except SystemExit as end:  # argparse has printed its usage or help
        return int(end.code or 0)
    fine = examine(lambda line: print(line, flush=True), test=not options.quick)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
