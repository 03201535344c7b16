"""What a notebook finds is remembered once, and given to each next notebook of the same kernel.

The rule: after `reset` a notebook cannot tell that others ran before it, as far as the notebooks
and programs under test change such things.
"""

from __future__ import annotations

import builtins
import contextlib
import decimal
import faulthandler
import gc
import importlib
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
from taskpar_kernel.testing.probe.state import namespace, umask, world

_FILTERING = ("scipy.special", "sklearn.ensemble", "sklearn.linear_model", "sklearn.tree")
"""Libraries that add to the warnings filters when they are imported, which happens only once."""
_OPTIONS = ("display.max_rows", "display.precision")


def begin(stacks: str) -> str:
    """Remember what a notebook finds, so that `reset` can give it to the next one.

    What is alive now is left out of later collections: they take a tenth of the time. At SIGUSR2
    the stacks of all threads are written to the file `stacks`.
    """
    file = Path(stacks).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the process
    faulthandler.register(signal.SIGUSR2, file)
    shell: Any = get_ipython()
    for name in _FILTERING:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    KEPT.update(
        cwd=str(Path.cwd()),
        environ=dict(os.environ),
        path=list(sys.path),
        names=set(shell.user_ns),
        filters=list(warnings.filters),
        modules=set(sys.modules),
        streams=(sys.stdout, sys.stderr),
        builtins=dict(vars(builtins)),
        decimal=decimal.getcontext().copy(),
        recursion=sys.getrecursionlimit(),
        umask=umask(),
        level=logging.getLogger().level,
        handlers=list(logging.getLogger().handlers),
        alarm=signal.getsignal(signal.SIGALRM),
        gc=gc.get_threshold(),
        np=np.get_printoptions(),
        mpl=mpl.rcParams.copy(),
        switch=sys.getswitchinterval(),
        callbacks={name: list(kept) for name, kept in shell.events.callbacks.items()},
        transformers=list(shell.ast_transformers),
    )
    reset()
    KEPT.update(clean=_found())
    return "begun"


def reset() -> list[str]:
    """Undo what a notebook did to this process, as far as notebooks here do such things.

    Returns, sorted, what of all that is compared is not as the first notebook found it.
    """
    sys.stdout, sys.stderr = KEPT["streams"]
    os.chdir(KEPT["cwd"])
    _names()
    _process()
    _loggers()
    _modules()
    _seed()
    np.set_printoptions(**KEPT["np"])
    np.seterr(all="warn", under="ignore")
    for option in _OPTIONS:
        pd.reset_option(option)
    if mpl.rcParams != KEPT["mpl"]:
        dict.update(mpl.rcParams, KEPT["mpl"])
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    gc.collect()
    gc.freeze()  # what a kernel imported meanwhile
    clean = KEPT.found.get("clean")
    found = _found()
    return [] if clean is None else sorted(k for k in found if found[k] != clean[k])


def _found() -> dict[str, object]:
    return {**world(), **namespace()}


def _names() -> None:
    shell: Any = get_ipython()
    shell.reset(new_session=True)
    shell.user_ns.pop("__warningregistry__", None)
    shell.ast_node_interactivity = "last_expr"
    shell.ast_transformers[:] = KEPT["transformers"]
    for name, callbacks in KEPT["callbacks"].items():
        shell.events.callbacks[name][:] = callbacks
    kept = vars(builtins)
    for name in set(kept) - set(KEPT["builtins"]):
        del kept[name]
    kept.update({k: v for k, v in KEPT["builtins"].items() if k != "_"})


def _process() -> None:
    os.environ.clear()
    os.environ.update(KEPT["environ"])
    sys.path[:] = KEPT["path"]
    warnings.resetwarnings()  # forgets what was shown, too
    warnings.filters[:] = KEPT["filters"]  # type: ignore[index]
    decimal.setcontext(KEPT["decimal"].copy())
    sys.setrecursionlimit(KEPT["recursion"])
    sys.setswitchinterval(KEPT["switch"])
    os.umask(KEPT["umask"])
    gc.enable()
    gc.set_threshold(*KEPT["gc"])
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGALRM, KEPT["alarm"])


def _loggers() -> None:
    root = logging.getLogger()
    root.setLevel(KEPT["level"])
    root.handlers[:] = KEPT["handlers"]
    logging.disable(logging.NOTSET)
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.startswith("user"):
            logger.setLevel(0)
            logger.handlers.clear()
            logger.propagate = True


def _modules() -> None:
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if name not in KEPT["modules"] and file.startswith(KEPT["cwd"]):
            del sys.modules[name]


def _seed() -> None:
    random.seed(0)
    np.random.seed(0)
