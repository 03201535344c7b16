"""Live objects that cannot leave home: iterators, open files, locks, figures, widgets.

A live object comes in, the blocker it causes goes out. The rule: judged by type; containers are
looked into one level deep, up to 50 items.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from itertools import islice
from types import FrameType, FunctionType, GeneratorType, ModuleType, TracebackType
from typing import Any, Final

from taskpar_kernel.analysis.resolve import own
from taskpar_kernel.analysis.trees import walk
from taskpar_kernel.model.effects import Blocker

_LOOKED_AT = 50
_HANDLES: Final = (GeneratorType, FrameType, TracebackType, type(threading.Lock()))
_HANDLE_BASES: Final = frozenset({
    "_io._IOBase", "_thread.RLock", "threading.Condition", "threading.Event",
    "threading.Semaphore", "threading.Thread", "_thread._local", "weakref.ReferenceType",
    "builtins.coroutine", "builtins.async_generator",
    "_socket.socket", "sqlite3.Connection", "sqlite3.Cursor", "contextlib.ExitStack",
    "contextlib._GeneratorContextManagerBase", "_ctypes._CData", "subprocess.Popen",
    "concurrent.futures._base.Executor", "concurrent.futures._base.Future", "_asyncio.Future",
    "_asyncio.Task", "asyncio.events.AbstractEventLoop", "multiprocessing.process.BaseProcess",
    "mmap.mmap", "select.epoll",
})  # fmt: skip
_MEMORY_FILES: Final = frozenset({"StringIO", "BytesIO"})
_OTHER_BASES: Final[Mapping[str, Blocker]] = {
    "matplotlib.artist.Artist": Blocker.DRAWING,
    "matplotlib.figure.FigureBase": Blocker.DRAWING,
    "ipywidgets.widgets.widget.Widget": Blocker.WIDGET,
    "ipykernel.zmqshell.ZMQInteractiveShell": Blocker.SHELL,
    "IPython.core.interactiveshell.InteractiveShell": Blocker.SHELL,
}


def blocker_of(obj: object) -> Blocker | None:
    """Say why the object, or something it directly holds, must stay at home."""
    kind: Any = type(obj)
    if kind is list or kind is tuple or kind is set:
        return _first_of({type(item) for item in islice(obj, _LOOKED_AT)})  # type: ignore[call-overload]
    if kind is dict:
        return _first_of({type(item) for item in islice(obj.values(), _LOOKED_AT)})  # type: ignore[attr-defined]
    found = _type_blocker(kind)
    if found is None and kind.__name__ == "_lru_cache_wrapper":
        users = own(obj, "__module__") == "__main__"
        return Blocker.HANDLE if users else None
    return found


def _first_of(kinds: set[type]) -> Blocker | None:
    for kind in kinds:
        found = _type_blocker(kind)
        if found is not None:
            return found
    return None


@lru_cache(maxsize=2048)
def _type_blocker(kind: type) -> Blocker | None:
    if kind in {ModuleType, FunctionType, partial} or issubclass(kind, type):
        return None
    if kind.__name__ in _MEMORY_FILES:
        return None
    if issubclass(kind, _HANDLES):
        return Blocker.HANDLE
    for base in kind.__mro__:
        name = f"{base.__module__}.{base.__qualname__}"
        if name in _HANDLE_BASES:
            return Blocker.HANDLE
        if name in _OTHER_BASES:
            return _OTHER_BASES[name]
    return Blocker.HANDLE if issubclass(kind, Iterator) else None


def read_handles(
    reads: set[str], objects: Mapping[str, object], known_elsewhere: frozenset[str]
) -> Iterator[tuple[str, Blocker]]:
    """Give the names read whose live object must stay at home."""
    for name in sorted(reads):
        if name in objects and name not in known_elsewhere:
            found = blocker_of(objects[name])
            if found is not None:
                yield name, found


def name_node(node: ast.AST, name: str) -> ast.AST:
    """Find where `name` appears in `node`, to tell the line."""
    for each in walk(node):
        if isinstance(each, ast.Name) and each.id == name:
            return each
    return node
