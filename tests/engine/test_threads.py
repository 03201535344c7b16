"""Our threads go on while a debugger has stopped the cell."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import taskpar_kernel
from taskpar_kernel.threads import start_thread


def test_a_debugger_leaves_them_alone():
    done = threading.Event()
    thread = start_thread(done.set, "test")
    assert done.wait(10)
    assert thread.daemon
    assert thread.name == "taskpar test"
    assert vars(thread)["pydev_do_not_trace"]
    assert vars(thread)["is_pydev_daemon_thread"]


def test_each_is_started_there():
    files = Path(taskpar_kernel.__file__).parent.rglob("*.py")
    starting = {f.name for f in files if re.search(r"threading\.Thread\(", f.read_text())}
    assert starting - {"threads.py"} == set()
