"""A namespace comes in, JSON with a digest for each name goes out; runs *inside* the kernel.

The rule: nothing is left behind in the user's namespace, and asking runs no statement: `PROBE` is
an expression, evaluated by a silent request.
"""

from __future__ import annotations

import decimal
import json
import locale
import logging
import os
import random
import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from taskpar_kernel.testing.plain import summary
from taskpar_kernel.testing.walk import Walk, digest_of

PROBE = "__import__('taskpar_kernel.testing.digests', fromlist=['report']).of_shell({detail!r})"
"""What a kernel evaluates; `detail` is the list of names whose lines are wanted."""

_RESULTS = frozenset({"Out", "_", "__", "___"})
_HISTORY = re.compile(r"_(i{1,3}|i\d+|\d+|oh|ih|dh)$")
_VOLATILE = re.compile(r"(TASKPAR_|JPY_|JUPYTER_|PYTHONHASHSEED|PYDEVD|IPY_|_$)")
_MOST_LINES = 20_000


def of_shell(detail: Iterable[str] = ()) -> str:
    """Return the report on the namespace of the IPython shell of this process."""
    from IPython.core.getipython import get_ipython  # the rest is usable without a shell

    shell = get_ipython()
    return report(shell.user_ns, shell.user_ns_hidden, detail)


def report(
    namespace: Mapping[str, Any],
    hidden: Mapping[str, Any] | None = None,
    detail: Iterable[str] = (),
) -> str:
    """Return JSON: names in order, digest and summary of each, ambient state, lines in detail.

    Arguments:
        namespace: the user's.
        hidden: names that the shell put there itself; left out while they are unchanged.
        detail: names whose lines are wanted, at most 20,000 for each.
    """
    surroundings = ambient()
    names = [n for n in namespace if is_users(n, namespace[n], hidden or {})]
    walk, digests, lines = Walk(namespace), {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pickling an iterator or drawing a figure may warn
        for name in sorted(names):
            kept: list[str] = []
            most = _MOST_LINES if name in detail else 0
            digests[name] = [
                walk.digest(name, namespace[name], kept, most),
                summary(namespace[name]),
            ]
            if most:
                lines[name] = kept
    order = [n for n in names if not n.startswith("_")]
    return json.dumps({"order": order, "names": digests, "lines": lines, "ambient": surroundings})


def is_users(name: str, value: object, hidden: Mapping[str, Any]) -> bool:
    """Whether a name of the namespace is the user's: made by code, or a result (`Out`, `_`)."""
    if name in _RESULTS:
        return True
    if name == "In" or _HISTORY.match(name) or (name.startswith("__") and name.endswith("__")):
        return False
    return name not in hidden or hidden[name] is not value


def ambient() -> dict[str, str]:
    """Return digests of what is process-wide: generators, options, folder, environment."""
    environ = {k: v for k, v in os.environ.items() if not _VOLATILE.match(k)}
    found: dict[str, object] = {
        "cwd": os.getcwd(),  # noqa: PTH109 - as user code would ask
        "environ": sorted(environ.items()),
        "random": random.getstate(),
        "warnings": [(f[0], str(f[1]), str(f[2]), str(f[3])) for f in warnings.filters],
        "decimal": repr(decimal.getcontext()),
        "locale": locale.setlocale(locale.LC_ALL),
        "logging": logging.getLogger().level,
        "recursion": sys.getrecursionlimit(),
    }
    if (numpy := sys.modules.get("numpy")) is not None:
        found["numpy.random"] = numpy.random.get_state(legacy=False)
        found["numpy errors"] = numpy.geterr()
        found["numpy printing"] = numpy.get_printoptions()
    if (matplotlib := sys.modules.get("matplotlib")) is not None:
        found["matplotlib"] = sorted((k, repr(v)) for k, v in matplotlib.rcParams.copy().items())
    return {name: digest_of(value) for name, value in found.items()}
