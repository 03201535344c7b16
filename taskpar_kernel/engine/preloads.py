"""Imports of home's come in; workers import the same libraries, one worker at a time.

What home imports, statements that run ahead will need: a library takes longer to import than most
statements to run. What a cell begins by importing is passed on when it begins, so that a worker has
it about when home has; what another import statement names when home has run it; what a function, a
magic or a library loaded by itself is found after the cell.

What a cell begins by importing, and what is known to stand a fork, the pool's zygote imports beside
home, once. Until it is done nothing is posted to any worker; then those that were given nothing but
imports are forked anew. The rule: libraries only, which do the same wherever they are imported; a
user's own file, or what draws, is imported where and when a statement says so.
"""

from __future__ import annotations

import ast
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskpar_kernel.model.ids import Place

_DRAWING = frozenset(
    {"matplotlib", "seaborn", "plotly", "bokeh", "altair", "IPython", "ipywidgets"}
)
_WITH_OPTIONS = frozenset({"matplotlib"})
"""Of those that draw, what has options that are part of the process-wide state."""
_OF_KERNELS = frozenset(
    {
        *("taskpar_kernel", "networkx", "ipykernel", "jupyter_client", "jupyter_core", "zmq"),
        *("tornado", "traitlets", "comm", "debugpy", "jedi", "parso", "prompt_toolkit", "pygments"),
        *("matplotlib_inline", "stack_data", "psutil"),
    }
)
"""What a kernel loads for itself: nothing that a statement needs, unless it imports it."""
_STAND_FORKS = frozenset(
    {
        *("numpy", "pandas", "scipy", "sklearn", "statsmodels", "patsy", "skimage", "PIL", "pywt"),
        *("sympy", "mpmath", "networkx", "joblib", "threadpoolctl", "dateutil", "pytz"),
    }
)
"""Libraries whose workers may be forked after the import: no thread of theirs is in the way."""
_DEBUGGERS = ("pydev", "_pydev")


class Preloads:
    """What workers import, and which of them are at it.

    `post(worker, modules)` has a worker import them; `prepare(modules)` has the zygote do so, and
    returns False if it cannot. Any thread may call.
    """

    def __init__(
        self,
        post: Callable[[Place, tuple[str, ...]], None],
        prepare: Callable[[tuple[str, ...]], bool],
    ):
        self._post = post
        self._prepare = prepare
        self._awaited = False
        """The zygote imports."""
        self._replaced: set[Place] = set()
        """The workers that are to come up anew."""
        self._modules: dict[str, None] = {}
        self._named: dict[str, None] = {}
        self._known: set[str] = set()
        """The modules that were looked at, whatever became of them."""
        self._importing: Counter[Place] = Counter()
        self._queue: deque[tuple[Place, tuple[str, ...]]] = deque()
        self._lock = threading.RLock()

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that workers import as soon as home has, in that order."""
        return tuple(self._modules)

    @property
    def told(self) -> tuple[str, ...]:
        """The same in few words: what statements named, then the packages of the others."""
        packages = (name.partition(".")[0] for name in tuple(self._modules))
        others = (name for name in packages if not name.startswith("_"))
        return tuple(dict.fromkeys((*self._named, *others)))

    def is_importing(self, worker: Place) -> bool:
        """Whether the worker is not to be given anything else yet."""
        return self._awaited or worker in self._replaced or self._importing[worker] > 0

    def began(self) -> None:
        """A pool starts: what was announced before there was one, its zygote may import."""
        with self._lock:
            self._ask(self.modules)

    def announced(self, nodes: Iterable[ast.stmt], workers: Iterable[Place]) -> None:
        """A cell with these statements begins: pass on what its first ones are to import.

        What stands behind any other statement may depend on it, as on `os.environ[…] = …`; and one
        that is not found will raise.
        """
        found: list[str] = []
        for node in nodes:
            named = _named(node) if isinstance(node, ast.Import | ast.ImportFrom) else []
            if not named and not _is_docstring(node):
                break
            kinds = [_kind_to_be(module) for module in named]
            found += [m for m, kind in zip(named, kinds, strict=True) if kind == "library"]
            if "unknown" in kinds:
                break
        modules = tuple(dict.fromkeys(m for m in found if m not in self._modules))
        self._named |= dict.fromkeys(modules)
        with self._lock:
            self._ask(modules)
            self._spread(modules, workers)

    def prepared(self, replaced: Iterable[Place], workers: Iterable[Place]) -> None:
        """The zygote has imported; those that are not replaced have to do it themselves."""
        with self._lock:
            self._awaited = False
            self._replaced.update(replaced)
            for worker in workers:
                if worker not in self._replaced and self._modules:
                    self._add(worker, self.modules)

    def imported(self, node: ast.Import | ast.ImportFrom, workers: Iterable[Place]) -> None:
        """Home ran an import."""
        modules = tuple(m for m in _named(node) if m not in self._modules and _is_library(m))
        self._named |= dict.fromkeys(modules)
        self._spread(modules, workers)

    def loaded(self, workers: Iterable[Place]) -> None:
        """A cell has ended: find what it loaded without saying so."""
        new = [name for name in tuple(sys.modules) if name not in self._known]
        self._known.update(new)
        self._spread(tuple(m for m in new if m not in self._modules and _is_needed(m)), workers)

    def came_up(self, worker: Place) -> None:
        """A worker is there that has imported nothing."""
        with self._lock:
            if self._modules and not self._awaited:
                self._add(worker, self.modules)
            self._replaced.discard(worker)

    def done(self, worker: Place) -> None:
        """A worker has imported what it was given first."""
        with self._lock:
            first = next((each for each in self._queue if each[0] == worker), None)
            if first is not None:
                self._importing.subtract([worker])
                was_next = self._queue[0] is first
                self._queue.remove(first)
                if was_next:
                    self._post_next()

    def lost(self, worker: Place, *, final: bool = False) -> None:
        """A worker has ended; `final`: no other takes its place."""
        if final:
            self._replaced.discard(worker)
        while any(place == worker for place, _ in self._queue):
            self.done(worker)

    def all_lost(self) -> None:
        """The pool is closed: nobody is at anything."""
        with self._lock:
            self._queue.clear()
            self._importing.clear()
            self._replaced.clear()
            self._awaited = False

    def _ask(self, modules: tuple[str, ...]) -> None:
        apt = tuple(m for m in modules if m.partition(".")[0] in _STAND_FORKS)
        if apt and not self._awaited:
            self._awaited = self._prepare(apt)

    def _spread(self, modules: tuple[str, ...], workers: Iterable[Place]) -> None:
        with self._lock:
            self._modules |= dict.fromkeys(modules)
            for worker in workers if modules and not self._awaited else ():
                self._add(worker, modules)

    def _add(self, worker: Place, modules: tuple[str, ...]) -> None:
        # one worker imports at a time: the user's own code runs meanwhile, and needs a core
        with self._lock:
            self._importing.update([worker])
            self._queue.append((worker, modules))
            if len(self._queue) == 1:
                self._post_next()

    def _post_next(self) -> None:
        if self._queue:
            self._post(*self._queue[0])


def _named(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module] if node.module and not node.level else []
    return [alias.name for alias in node.names]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _kind_to_be(module: str) -> str:
    """Return what it will be: "library", imported early; "dull": of no weight; or "unknown"."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in _OF_KERNELS or top in _DRAWING:
        return "dull"
    if top in sys.modules:
        return "library" if _is_library(top) else "unknown"
    spec = PathFinder.find_spec(top)  # asks no finder of the user's, and imports nothing
    is_installed = spec is not None and "-packages" in (spec.origin or "")
    return "library" if is_installed else "unknown"


def _is_needed(module: str) -> bool:
    """Whether statements may need a module that nobody named: a library's, found by its name."""
    top = module.partition(".")[0]
    if top in _OF_KERNELS or top in sys.stdlib_module_names or top.startswith(_DEBUGGERS):
        return False
    if not _is_library(module) and module not in _WITH_OPTIONS:
        return False
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return spec is not None and spec.name == module


def _is_library(module: str) -> bool:
    """Whether a worker may import the module early: an installed library, not a user's file."""
    if module.partition(".")[0] in _DRAWING:
        return False
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None)
    return loaded is not None and (file is None or "site-packages" in file or "lib/python" in file)
