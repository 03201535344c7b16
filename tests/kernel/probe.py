"""Inside a kernel under test: the namespace and the process's state go in, JSON comes out.

The rule: no code of the user's objects is run; mutable objects are numbered at the first visit, so
two digests are equal only if the aliases are the same.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import fractions
import gc
import hashlib
import json
import locale
import logging
import os
import random
import re
import signal
import sys
import threading
import types
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.core.getipython import get_ipython
from IPython.core.interactiveshell import InteractiveShell

_ATOMS = (int, float, complex, str, bytes, bool, type(None), type(...), type(NotImplemented))
_HIDDEN = {"In", "Out", "_dh", "_ih", "_oh", "_exit_code", "exit", "quit", "get_ipython", "open"}
_SKIP_DICT = {"__weakref__", "__dict__", "__doc__", "__slotnames__"}
_ITERATORS = (
    type(iter([])),
    type(iter(())),
    type(iter({})),
    type(iter("")),
    type(iter(range(0))),
    type(iter(set())),
    enumerate,
    zip,
    map,
    filter,
)
_CELL_FILE = re.compile(r"ipykernel_\d+/\d+\.py")
_OPAQUE = {
    "IPython",
    "_io",
    "_sqlite3",
    "_thread",
    "concurrent",
    "contextvars",
    "io",
    "ipykernel",
    "logging",
    "matplotlib",
    "os",
    "queue",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "traitlets",
    "zmq",
}
"""Libraries whose objects hold addresses, numbers of processes or the kernel itself."""
_LARGE_BYTES = 256 * 1024
"""An array of this size that went through a worker lies in a segment, and does not own its data."""


class _Kept:
    """What `begin` found. Slots: taskpar's digest of modules beside a notebook stops at them."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: dict[str, object] = {}

    def __getitem__(self, name: str) -> object:
        return self.found[name]

    def __setitem__(self, name: str, value: object) -> None:
        self.found[name] = value

    def update(self, **found: object) -> None:
        self.found.update(found)


_start = _Kept()


_FIXED = (
    *(tuple, frozenset, decimal.Decimal, fractions.Fraction, range, slice, np.generic),
    *(dt.date, dt.time, dt.timedelta, re.Pattern, Path),
    *(types.ModuleType, types.CodeType, types.BuiltinFunctionType, types.MethodType),
)
"""What cannot change: no program should ask which of two equal ones it has."""


def has_identity(value: object) -> bool:
    """Whether two equal ones are told apart by a change to one of them."""
    return not isinstance(value, _FIXED)


class Digest:
    """One walk over objects. `seen` holds each object, so that no address is used twice."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[int, object]] = {}
        self.roots: dict[int, tuple[int, object]] = {}
        self.alive: list[object] = []

    def of(self, value: object, depth: int = 0) -> object:
        kind = type(value)
        if kind in _ATOMS:
            return self.atom(value)
        if id(value) in self.seen:
            return ["same as", self.seen[id(value)][0]]
        if kind is tuple:
            self.alive.append(value)
            inner = self.parts(value, kind, depth + 1) if depth <= 400 else ["deep"]
            return ["tuple", *inner]
        if not has_identity(value):
            self.alive.append(value)
            return [kind.__module__, kind.__qualname__, *self.parts(value, kind, depth + 1)]
        number = len(self.seen)
        self.seen[id(value)] = (number, value)
        if depth > 400:
            return ["deep", kind.__name__]
        if isinstance(value, _start["shell"]):
            return [number, "shell"]
        return [number, kind.__module__, kind.__qualname__, *self.parts(value, kind, depth + 1)]

    def atom(self, value: object) -> object:
        text = _CELL_FILE.sub("CELL.py", repr(value))
        if len(text) > 300:
            text = text[:100] + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        return f"{type(value).__name__} {text}"

    def parts(self, value: object, kind: type, depth: int) -> list[object]:  # noqa: C901 - a case table
        if kind in (list, tuple):
            return [self.of(v, depth) for v in value]
        if kind is dict or isinstance(value, dict):
            pairs = OrderedDict.items if isinstance(value, OrderedDict) else dict.items
            items = [[self.of(k, depth), self.of(v, depth)] for k, v in pairs(value)]
            return [items, *self.state(value, kind, depth)]
        if isinstance(value, list):
            return [
                [self.of(v, depth) for v in list.__iter__(value)],
                *self.state(value, kind, depth),
            ]
        if isinstance(value, tuple):
            return [[self.of(v, depth) for v in tuple.__iter__(value)]]
        if isinstance(value, set | frozenset):
            base = set if isinstance(value, set) else frozenset
            return [[self.of(v, depth) for v in base.__iter__(value)]]
        if isinstance(value, int | float | str | bytes):
            base = next(t for t in (int, float, str, bytes) if isinstance(value, t))
            return [base.__repr__(value), *self.state(value, kind, depth)]
        if isinstance(value, types.ModuleType):
            return [value.__name__]
        if isinstance(value, types.FunctionType):
            return self.function(value, depth)
        if isinstance(value, type):
            return self.klass(value, depth)
        if isinstance(value, types.MethodType):
            return [self.of(value.__func__, depth), self.of(value.__self__, depth)]
        if isinstance(value, types.GeneratorType):
            frame = value.gi_frame
            if frame is None:
                return ["over"]
            local = {k: self.of(v, depth) for k, v in frame.f_locals.items()}
            return [value.gi_code.co_name, frame.f_lasti, local]
        if isinstance(value, types.BuiltinFunctionType):
            return [value.__qualname__]
        if kind in _ITERATORS:
            return [self.of(p, depth) for p in value.__reduce__()[1:]]
        return self.library(value, kind, depth)

    def library(self, value: object, kind: type, depth: int) -> list[object]:  # noqa: C901 - as well
        top = kind.__module__.partition(".")[0]
        if top in _OPAQUE:
            return []
        if top == "numpy":
            return self.numpy(value, depth)
        if top == "pandas":
            return self.pandas(value, depth)
        if top in {"collections", "decimal", "fractions", "datetime", "range", "array", "re"} or (
            kind in (range, slice, bytearray)
        ):
            return (
                [repr(value)]
                if kind is not __import__("collections").deque
                else [value.maxlen, [self.of(v, depth) for v in value]]
            )
        if kind is random.Random:
            return [short(value.getstate())]
        if isinstance(value, BaseException):
            return [
                [self.of(a, depth) for a in value.args],
                self.of(value.__cause__, depth),
                self.of(value.__context__, depth),
                value.__suppress_context__,
                *self.state(value, kind, depth),
            ]
        if isinstance(value, property):
            return [self.of(f, depth) for f in (value.fget, value.fset, value.fdel)]
        if isinstance(value, staticmethod | classmethod):
            return [self.of(value.__func__, depth)]
        if kind is __import__("weakref").ReferenceType:
            return [self.of(value(), depth)]
        if kind.__name__ == "_lru_cache_wrapper":
            return [list(value.cache_info()), self.of(value.__wrapped__, depth)]
        if kind is types.SimpleNamespace:
            return [self.of(vars(value), depth)]
        return self.state(value, kind, depth)

    def state(self, value: object, kind: type, depth: int) -> list[object]:
        found: list[object] = []
        with contextlib.suppress(AttributeError, TypeError):
            items = object.__getattribute__(value, "__dict__")
            found.append({str(k): self.of(v, depth) for k, v in items.items()})
        for base in kind.__mro__:
            slots = base.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                member = base.__dict__.get(name)
                if isinstance(member, types.MemberDescriptorType):
                    try:
                        found.append([name, self.of(member.__get__(value), depth)])
                    except AttributeError:
                        found.append([name])
        return found

    def function(self, value: types.FunctionType, depth: int) -> list[object]:
        if value.__module__ != "__main__":
            return [value.__qualname__]
        cells = []
        for cell in value.__closure__ or ():
            try:
                cells.append([self.cell(cell), self.of(cell.cell_contents, depth)])
            except ValueError:
                cells.append(["empty"])
        main = sys.modules["__main__"].__dict__
        return [
            value.__name__,
            value.__qualname__,
            value.__module__,
            value.__doc__,
            hashlib.sha256(value.__code__.co_code).hexdigest()[:8],
            value.__code__.co_firstlineno,
            value.__globals__ is main,
            self.of(value.__defaults__, depth),
            self.of(value.__kwdefaults__, depth),
            {k: self.of(v, depth) for k, v in value.__dict__.items()},
            cells,
        ]

    def cell(self, cell: object) -> int:
        return self.seen.setdefault(id(cell), (len(self.seen), cell))[0]

    def klass(self, value: type, depth: int) -> list[object]:
        if value.__module__ != "__main__":
            return []
        parts = {
            k: self.of(v, depth)
            for k, v in sorted(type.__getattribute__(value, "__dict__").items())
            if k not in _SKIP_DICT and not k.startswith("_abc")
        }
        return [value.__name__, [self.of(b, depth) for b in value.__bases__], parts]

    def numpy(self, value: object, depth: int) -> list[object]:

        if isinstance(value, np.ndarray):
            content = (
                [self.of(v, depth) for v in value.ravel().tolist()]
                if value.dtype.hasobject
                else short(np.ndarray.tobytes(value))
            )
            viewed = isinstance(value.base, np.ndarray)
            root = value.base if viewed else value
            kept = type(value) is np.ndarray and 0 < value.nbytes < _LARGE_BYTES
            return [
                str(value.dtype),
                list(value.shape),
                list(value.strides),
                value.flags.c_contiguous,
                value.flags.f_contiguous,
                value.flags.writeable,
                [value.flags.owndata, viewed] if kept else None,
                content,
                self.roots.setdefault(id(root), (len(self.roots), root))[0],
            ]
        if isinstance(value, np.generic):
            return [repr(value)]
        if isinstance(value, np.random.Generator):
            return [self.of(value.bit_generator, depth)]
        if isinstance(value, np.random.BitGenerator):
            return [short(repr(value.state))]
        if isinstance(value, np.random.RandomState):
            return [short(repr(value.get_state()))]
        return self.state(value, type(value), depth) or [repr(value)[:80]]

    def pandas(self, value: object, depth: int) -> list[object]:

        if isinstance(value, pd.DataFrame):
            columns = [self.of(value.iloc[:, i].tolist(), depth) for i in range(value.shape[1])]
            return [
                list(value.shape),
                [str(d) for d in value.dtypes],
                short(repr(list(value.columns))),
                type(value.columns).__name__,
                str(value.columns.dtype),
                self.pandas(value.index, depth),
                columns,
                self.of(value.attrs, depth),
            ]
        if isinstance(value, pd.Series):
            return [
                str(value.dtype),
                repr(value.name),
                self.pandas(value.index, depth),
                [self.of(v, depth) for v in value.tolist()],
            ]
        if isinstance(value, pd.Index):
            return [
                type(value).__name__,
                str(value.dtype),
                repr(list(value.names)),
                short(repr(value.tolist())),
            ]
        return [short(repr(value))]


def short(value: object) -> str:
    """Return a digest of bytes or of a value's text."""
    content = value if isinstance(value, bytes) else repr(value).encode("utf-8", "replace")
    return hashlib.sha256(content).hexdigest()[:16]


def shell() -> object:
    return get_ipython()


def namespace() -> dict[str, object]:
    """Return a digest of every name of the user's, and of the display history."""
    ip = shell()
    digest = Digest()
    user = {
        k: v
        for k, v in ip.user_ns.items()
        if k not in _HIDDEN and k not in _start["names"] and not k.startswith(("_i", "__"))
    }
    found = {name: digest.of(value) for name, value in user.items()}
    return {
        "names": list(user),
        "values": found,
        "deleted": sorted(_start["names"] - ip.user_ns.keys()),
        "out": {str(k): digest.of(v) for k, v in ip.user_ns["Out"].items()},
        "in": list(ip.user_ns["In"]),
    }


def world() -> dict[str, object]:
    """Return what a statement can change outside of the namespace."""
    digest = Digest()
    root = logging.getLogger()
    return {
        "cwd": str(Path.cwd()),
        "environ": {k: v for k, v in os.environ.items() if not k.startswith(("TASKPAR_", "JPY_"))},
        "path": [
            [p for p in sys.path if p not in _start["path"]],
            [p for p in _start["path"] if p not in sys.path],
        ],
        "random": short(random.getstate()),
        "warnings": repr(warnings.filters),
        "decimal": repr(decimal.getcontext()),
        "locale": repr(locale.setlocale(locale.LC_ALL)),
        "recursion": sys.getrecursionlimit(),
        "umask": _umask(),
        "logging": [
            root.level,
            [type(h).__name__ for h in root.handlers],
            logging.root.manager.disable,
        ],
        "loggers": {
            n: [lo.level, len(lo.handlers), lo.propagate]
            for n, lo in logging.root.manager.loggerDict.items()
            if isinstance(lo, logging.Logger)
            and (lo.level or lo.handlers)
            and not n.startswith(("asyncio", "concurrent", "taskpar", "IPKernelApp", "TaskPar"))
        },
        "builtins": [
            sorted(vars(__import__("builtins")).keys() - _start["builtins"].keys()),
            sorted(_start["builtins"].keys() - vars(__import__("builtins")).keys() - {"_"}),
        ],
        "streams": [
            type(sys.stdout).__name__,
            type(sys.stderr).__name__,
            type(sys.displayhook).__name__,
        ],
        "signals": [str(signal.getsignal(signal.SIGINT)), str(signal.getsignal(signal.SIGALRM))],
        "threads": sorted(
            t.name
            for t in threading.enumerate()
            if not t.daemon and t is not threading.main_thread() and t.name.startswith("user")
        ),
        "gc": [gc.isenabled(), gc.get_threshold()],
        "stdlib": digest.of(
            {
                name: [getattr(sys.modules[module], attribute)]
                for name, module, attribute in (
                    ("sqrt", "math", "sqrt"),
                    ("dumps", "json", "dumps"),
                    ("sleep", "time", "sleep"),
                )
                if module in sys.modules
            }
        ),
        "np": [
            short(repr(np.random.get_state())),
            repr(np.get_printoptions()),
            repr(np.geterr()),
        ],
        "pd": [pd.get_option("display.max_rows"), pd.get_option("display.precision")],
    }


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def files() -> dict[str, object]:
    """Return the files below the notebook's own folder."""
    top = Path(_start["cwd"])
    return {
        str(p.relative_to(top)): [
            "folder" if p.is_dir() else short(p.read_bytes()),
            oct(p.stat().st_mode),
        ]
        for p in sorted(top.rglob("*"))
    }


def write(path: str) -> str:
    """Write the digest of everything to `path`."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 3000))
    limit = sys.getrecursionlimit()
    whole = {"files": files(), "world": world(), **namespace()}
    assert limit >= 3000
    Path(path).write_text(json.dumps(whole, default=repr), encoding="utf-8")
    return "written"


# Starting over ------------------------------------------------------------------------------------


def begin() -> str:
    """Remember what a notebook finds, so that `reset` can give it to the next one."""
    ip = shell()
    _start["shell"] = InteractiveShell
    _start.update(
        cwd=str(Path.cwd()),
        environ=dict(os.environ),
        path=list(sys.path),
        names=set(ip.user_ns),
        filters=list(warnings.filters),
        modules=set(sys.modules),
        streams=(sys.stdout, sys.stderr),
        builtins=dict(vars(__import__("builtins"))),
        decimal=decimal.getcontext().copy(),
        recursion=sys.getrecursionlimit(),
        umask=_umask(),
        level=logging.getLogger().level,
        handlers=list(logging.getLogger().handlers),
        alarm=signal.getsignal(signal.SIGALRM),
    )
    _start["np"] = np.get_printoptions()
    random.seed(0)
    np.random.seed(0)
    return "begun"


def reset() -> str:
    """Undo what a notebook did to this process, as far as notebooks here do such things."""
    ip = shell()
    sys.stdout, sys.stderr = _start["streams"]
    os.chdir(_start["cwd"])
    ip.reset(new_session=True)
    for name in list(ip.user_ns):
        if name == "__warningregistry__":
            del ip.user_ns[name]
    os.environ.clear()
    os.environ.update(_start["environ"])
    sys.path[:] = _start["path"]
    warnings.filters[:] = _start["filters"]
    warnings._filters_mutated() if hasattr(warnings, "_filters_mutated") else None
    kept = vars(__import__("builtins"))
    for name in set(kept) - set(_start["builtins"]):
        del kept[name]
    decimal.setcontext(_start["decimal"].copy())
    sys.setrecursionlimit(_start["recursion"])
    os.umask(_start["umask"])
    random.seed(0)
    root = logging.getLogger()
    root.setLevel(_start["level"])
    root.handlers[:] = _start["handlers"]
    logging.disable(logging.NOTSET)
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger) and logger.name.startswith("user"):
            logger.setLevel(0)
            logger.handlers.clear()
            logger.propagate = True
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if name not in _start["modules"] and file.startswith(_start["cwd"]):
            del sys.modules[name]
    np.random.seed(0)
    np.set_printoptions(**_start["np"])
    np.seterr(all="warn", under="ignore")
    gc.collect()
    return "reset"
