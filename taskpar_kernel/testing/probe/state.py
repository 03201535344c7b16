"""A notebook's end comes in, one JSON file goes out: names, aliases, results, the world, files.

The rule: what is told is what a later cell could notice; what is chance is left out.
"""

from __future__ import annotations

import builtins
import decimal
import gc
import json
import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from IPython.core.getipython import get_ipython

from taskpar_kernel.testing.probe.kept import KEPT
from taskpar_kernel.testing.probe.values import Digest, short

_HIDDEN = {"In", "Out", "_dh", "_ih", "_oh", "_exit_code", "exit", "quit", "get_ipython", "open"}
_OTHERS = ("asyncio", "concurrent", "taskpar", "IPKernelApp", "TaskPar")
"""Loggers of the kernel's own."""
_UNSTEADY = ("TASKPAR_", "JPY_", "KMP_")
"""Beginnings of variables that are the kernel's own, or set by a library's first import."""
_PATCHABLE = (("math", "sqrt"), ("json", "dumps"), ("time", "sleep"), ("random", "random"))
_STACK = 3000


def write(path: str) -> str:
    """Write the digest of everything to `path`."""
    surroundings = world()  # first: the limit is part of it
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _STACK))
    whole = {"files": files(), "world": surroundings, **namespace()}
    sys.setrecursionlimit(limit)
    Path(path).write_text(json.dumps(whole, default=repr), encoding="utf-8")
    return "written"


def namespace() -> dict[str, object]:
    """Return a digest of every name of the user's, and of the display history."""
    shell: Any = get_ipython()
    digest = Digest()
    user = {
        k: v
        for k, v in shell.user_ns.items()
        if k not in _HIDDEN and k not in KEPT["names"] and not k.startswith(("_i", "__"))
    }
    found = {name: digest.of(value) for name, value in user.items()}
    return {
        "names": list(user),
        "values": found,
        "deleted": sorted(KEPT["names"] - shell.user_ns.keys()),
        "out": {str(k): digest.of(v) for k, v in shell.user_ns["Out"].items()},
        "in": list(shell.user_ns["In"]),
    }


def world() -> dict[str, object]:
    """Return what a statement can change outside of the namespace."""
    return {
        "cwd": str(Path.cwd()),
        "environ": {k: v for k, v in os.environ.items() if not k.startswith(_UNSTEADY)},
        "path": [
            [p for p in sys.path if p not in KEPT["path"]],
            [p for p in KEPT["path"] if p not in sys.path],
        ],
        "random": short(random.getstate()),
        "warnings": repr(warnings.filters),
        "decimal": repr(decimal.getcontext()),
        "locale": repr(locale.setlocale(locale.LC_ALL)),
        "recursion": sys.getrecursionlimit(),
        "umask": umask(),
        "builtins": [
            sorted(vars(builtins).keys() - KEPT["builtins"].keys()),
            sorted(KEPT["builtins"].keys() - vars(builtins).keys() - {"_"}),
        ],
        "streams": [type(s).__name__ for s in (sys.stdout, sys.stderr, sys.displayhook)],
        "signals": [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGALRM)],
        "threads": _threads(),
        "gc": [gc.isenabled(), gc.get_threshold()],
        "callbacks": _callbacks(),
        **_logging(),
        **_libraries(),
    }


def files() -> dict[str, object]:
    """Return the files below the notebook's own folder: digest and mode of each."""
    top = Path(KEPT["cwd"])
    return {
        str(p.relative_to(top)): [
            "folder" if p.is_dir() else short(p.read_bytes()),
            oct(p.stat().st_mode),
        ]
        for p in sorted(top.rglob("*"))
    }


def umask() -> int:
    """Return the process's umask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _threads() -> list[str]:
    return sorted(
        t.name
        for t in threading.enumerate()
        if not t.daemon and t is not threading.main_thread() and t.name.startswith("user")
    )


def _callbacks() -> dict[str, list[str]]:
    """Return the names of the functions that the shell calls around cells, event by event."""
    shell: Any = get_ipython()
    return {
        event: [c.__name__ for c in callbacks if _is_of_program(c, event)]
        for event, callbacks in shell.events.callbacks.items()
    }


def _is_of_program(callback: Any, event: str) -> bool:
    """Whether it was registered by this program: pyplot does so once, when it is imported."""
    return callback not in KEPT["callbacks"][event] and callback.__module__ != "matplotlib.pyplot"


def _logging() -> dict[str, object]:
    root = logging.getLogger()
    return {
        "logging": [
            root.level,
            [type(h).__name__ for h in root.handlers],
            logging.root.manager.disable,
        ],
        "loggers": {
            name: [logger.level, len(logger.handlers), logger.propagate]
            for name, logger in logging.root.manager.loggerDict.items()
            if isinstance(logger, logging.Logger)
            and (logger.level or logger.handlers)
            and not name.startswith(_OTHERS)
        },
    }


def _libraries() -> dict[str, object]:
    digest = Digest()
    return {
        "stdlib": [digest.of([getattr(sys.modules.get(m), name, None)]) for m, name in _PATCHABLE],
        "np": [
            short(repr(np.random.get_state())),
            repr(np.get_printoptions()),
            repr(np.geterr()),
        ],
        "pd": [pd.get_option("display.max_rows"), pd.get_option("display.precision")],
        "mpl": short(repr(sorted((k, repr(v)) for k, v in mpl.rcParams.copy().items()))),
    }
