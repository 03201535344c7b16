"""Ambient state comes in as what the process has now, goes out as fingerprints and captured states.

Each provider knows one kind of process-wide state. The rules: a fingerprint is cheap (tens of
microseconds) and says only whether the state is the same; a provider of a library that is not
loaded reports None and never loads it; random generators are watched but not carried, because
a statement that draws from a shared one runs at home.
"""

from __future__ import annotations

import copy
import decimal
import locale
import operator
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from taskpar_kernel.ambient.libraries import LIBRARIES
from taskpar_kernel.ambient.modules import digests
from taskpar_kernel.errors import NotPortable


@dataclass(frozen=True, slots=True)
class Provider:
    """One kind of ambient state. `restore` is None where it is watched only."""

    name: str
    what: str
    fingerprint: Callable[[], object]
    capture: Callable[[], Any]
    restore: Callable[[Any], None] | None


def _no_state() -> None:
    return None


def _cwd() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - the string itself is the state
    except OSError:
        return ""


def _set_environ(state: dict[str, str]) -> None:
    for name in os.environ.keys() - state.keys():
        del os.environ[name]
    for name, value in state.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _environ_mark() -> object:
    # as the bytes it is kept as: decoding it takes ten times as long
    return tuple(getattr(os.environ, "_data", os.environ).items())


_OURS = frozenset({"JPY_PARENT_PID", "JPY_SESSION_NAME", "PYTHONHASHSEED"})


def _environ() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in _OURS}


def _restore_environ(state: dict[str, str]) -> None:
    _set_environ(state | {k: os.environ[k] for k in _OURS & os.environ.keys()})


def _restore_path(state: list[str]) -> None:
    sys.path[:] = state


def _argv() -> tuple[str, ...]:
    return tuple(sys.argv)


def _restore_argv(state: list[str]) -> None:
    sys.argv[:] = state


def compare_modules(state: dict[str, str]) -> None:
    """Raise `NotPortable` if a module of the user's is not here what it is at home."""
    for name, here in digests().items():
        if name in state and state[name] != here:
            raise NotPortable(f"the module {name!r} is in another state at home")


def _filters() -> tuple[Any, ...]:
    return tuple(warnings.filters)


def _restore_filters(state: tuple[Any, ...]) -> None:
    # "once", "default" and "module" depend on what was shown before, which only home knows. On a
    # worker each such warning is let through, seen by the attempt, and shown by home itself.
    warnings.filters[:] = [  # type: ignore[index]
        ("always", *f[1:]) if f[0] in {"default", "module", "once"} else f for f in state
    ]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _numpy_random() -> object:
    generator = _loaded("numpy.random")
    if generator is None:
        return None
    state = generator.get_state(legacy=False)
    inner = state["state"]
    return (
        state["bit_generator"],
        tuple(v.tobytes() if hasattr(v, "tobytes") else v for v in inner.values()),
        state["has_gauss"],
        state["gauss"],
    )


def _loaded(name: str) -> Any:
    return sys.modules.get(name)


def _numpy_print() -> object:
    numpy = _loaded("numpy")
    if numpy is None:
        return None
    options = numpy.get_printoptions()
    return tuple(sorted((k, repr(v)) for k, v in options.items())), tuple(numpy.geterr().items())


def _numpy_state() -> Any:
    numpy = _loaded("numpy")
    if numpy is None:
        return None
    return numpy.get_printoptions(), numpy.geterr()


def _restore_numpy(state: Any) -> None:
    import numpy  # noqa: ICN001 - home has it loaded, so the worker may load it

    options, errors = state
    options = {k: v for k, v in options.items() if k != "override_repr" or v is not None}
    numpy.set_printoptions(**options)
    numpy.seterr(**errors)


def _pandas_options() -> Any:
    config = _loaded("pandas._config.config")
    return None if config is None else copy.deepcopy(config._global_config)


def _restore_pandas(state: Any) -> None:
    import pandas  # noqa: F401, ICN001 - home has it loaded

    config = sys.modules["pandas._config.config"]
    config._global_config.clear()
    config._global_config.update(copy.deepcopy(state))


def _pandas_mark() -> object:
    config = _loaded("pandas._config.config")
    return None if config is None else repr(config._global_config)


def _rc() -> Any:
    matplotlib = _loaded("matplotlib")
    parameters = getattr(matplotlib, "rcParams", None)
    if parameters is None:
        return None
    return {k: v for k, v in dict.items(parameters) if k != "backend"}  # drawing is home's


class _SameObjects:
    """Equal to another one that holds the same objects, and lists with the same objects in them.

    It holds what it compares: an address alone may be another object's by then.
    """

    __slots__ = ("_objects",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, objects: Iterable[object]):
        kept = tuple(objects)
        lists = [part for one in kept if type(one) is list for part in (_END, *one)]
        self._objects = (*kept, *lists)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _SameObjects):
            return NotImplemented
        mine, theirs = self._objects, other._objects
        return len(mine) == len(theirs) and all(map(operator.is_, mine, theirs))


_END = object()


def _rc_mark() -> object:
    # Parameters are replaced, but for lists: comparing objects takes a twentieth of a repr's time.
    parameters = getattr(_loaded("matplotlib"), "rcParams", None)
    return None if parameters is None else _SameObjects(dict.values(parameters))


def _restore_rc(state: dict[str, Any]) -> None:
    import matplotlib  # noqa: ICN001 - home has it loaded

    for name, value in state.items():
        dict.__setitem__(matplotlib.rcParams, name, value)


def _decimal() -> object:
    context = decimal.getcontext()
    return (
        context.prec,
        context.rounding,
        context.Emin,
        context.Emax,
        context.capitals,
        context.clamp,
        tuple(bool(context.traps[s]) for s in context.traps),
        tuple(bool(context.flags[s]) for s in context.flags),
    )


def _restore_locale(state: str) -> None:
    if locale.setlocale(locale.LC_ALL) != state:
        locale.setlocale(locale.LC_ALL, state)


def _levels() -> Any:
    logging = _loaded("logging")
    if logging is None:
        return None
    named = {
        name: log.level
        for name, log in logging.root.manager.loggerDict.items()
        if getattr(log, "level", 0)
    }
    return logging.root.level, logging.root.manager.disable, named


def _restore_levels(state: Any) -> None:
    import logging  # home has it loaded

    level, logging.root.manager.disable, named = state
    logging.root.setLevel(level)
    for name, log in tuple(logging.root.manager.loggerDict.items()):
        if isinstance(log, logging.Logger) and log.level != named.get(name, 0):
            log.setLevel(named.get(name, 0))
    for name in named:
        logging.getLogger(name).setLevel(named[name])


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _restore_umask(mask: int) -> None:
    os.umask(mask)


def _sklearn() -> Any:
    config = _loaded("sklearn._config")
    return None if config is None else dict(config._get_threadlocal_config())


def _restore_sklearn(state: dict[str, Any]) -> None:
    import sklearn  # home has it loaded

    sklearn.set_config(**state)


def _logging() -> object:
    logging = _loaded("logging")
    if logging is None:
        return None
    loggers = logging.root.manager.loggerDict
    named = tuple(
        (name, log.level, len(log.handlers), len(log.filters), log.propagate, log.disabled)
        for name, log in sorted(loggers.items())
        if getattr(log, "level", 0)
        or getattr(log, "handlers", None)
        or getattr(log, "filters", None)
        or not getattr(log, "propagate", True)
        or getattr(log, "disabled", False)
    )
    return logging.root.level, len(logging.root.handlers), logging.root.manager.disable, named


def _torch_random() -> object:
    torch = _loaded("torch")
    state = getattr(torch, "get_rng_state", None)
    return None if state is None else state().numpy().tobytes()


PROVIDERS: tuple[Provider, ...] = (
    Provider("cwd", "the working directory", _cwd, _cwd, os.chdir),
    Provider(
        "environ",
        "the environment",
        _environ_mark,
        _environ,
        _restore_environ,
    ),
    Provider("path", "sys.path", lambda: tuple(sys.path), lambda: list(sys.path), _restore_path),
    Provider(
        "recursion",
        "the recursion limit",
        sys.getrecursionlimit,
        sys.getrecursionlimit,
        sys.setrecursionlimit,
    ),
    Provider(
        "decimal",
        "the decimal context",
        _decimal,
        lambda: decimal.getcontext().copy(),
        decimal.setcontext,
    ),
    Provider(
        "locale",
        "the locale",
        lambda: locale.setlocale(locale.LC_ALL),
        lambda: locale.setlocale(locale.LC_ALL),
        _restore_locale,
    ),
    Provider("warnings", "the warnings filters", _filters, _filters, _restore_filters),
    Provider(
        "numpy", "numpy's print and error options", _numpy_print, _numpy_state, _restore_numpy
    ),
    Provider("pandas", "pandas' options", _pandas_mark, _pandas_options, _restore_pandas),
    Provider("matplotlib", "matplotlib's parameters", _rc_mark, _rc, _restore_rc),
    Provider("logging", "the logging configuration", _logging, _levels, _restore_levels),
    Provider("umask", "the umask", _umask, _umask, _restore_umask),
    Provider("arguments", "sys.argv", _argv, lambda: list(sys.argv), _restore_argv),
    Provider("sklearn", "scikit-learn's options", _sklearn, _sklearn, _restore_sklearn),
    Provider("modules", "a module of yours", digests, digests, compare_modules),
    Provider("libraries", "a library's settings", LIBRARIES.state, LIBRARIES.state, LIBRARIES.put),
    Provider("random", "the random module's generator", random.getstate, _no_state, None),
    Provider("numpy.random", "numpy's global generator", _numpy_random, _no_state, None),
    Provider("torch.random", "torch's global generator", _torch_random, _no_state, None),
)


def fingerprint(*, carried_only: bool = False) -> dict[str, object]:
    """Return the present mark of each provider by name."""
    return {p.name: p.fingerprint() for p in PROVIDERS if p.restore or not carried_only}


def generators() -> dict[str, object]:
    """Return the present mark of each state that is not carried: the generators' positions."""
    return {p.name: p.fingerprint() for p in PROVIDERS if not p.restore}


def capture() -> dict[str, Any]:
    """Return the state of every provider that can be carried to another process."""
    states = {p.name: p.capture() for p in PROVIDERS if p.restore}
    return {name: state for name, state in states.items() if state is not None}


def around_imports() -> dict[str, Any]:
    """Return the state that a library may look at while it is imported; any thread may ask."""
    return {p.name: p.capture() for p in PROVIDERS if p.name in {"cwd", "environ", "path"}}


def restore(states: dict[str, Any]) -> None:
    """Make this process's ambient state the captured one."""
    for provider in PROVIDERS:
        if provider.restore and provider.name in states:
            provider.restore(states[provider.name])


def differences(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """Return, in plain words, what differs between two fingerprints."""
    return [p.what for p in PROVIDERS if before.get(p.name) != after.get(p.name)]
