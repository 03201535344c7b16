"""The state of the user's own modules: a digest of each comes out, equal where the state is.

The rule: a module that is no installed library (a file beside the notebook) may keep variables and
may have been edited since home imported it. A worker computes with it only if its digest is home's.
"""

from __future__ import annotations

import marshal
import sys
import sysconfig
import types
from collections.abc import Iterable
from typing import Any

import xxhash

_INSTALLED = tuple(
    sorted({sysconfig.get_path(p) for p in ("stdlib", "platstdlib", "purelib", "platlib")})
)
_PLAIN = (str, bytes, int, float, complex, bool, type(None))
_DEEPEST = 6


_installed: dict[str, types.ModuleType] = {}
"""Modules found to be installed ones: this is asked before each attempt, of 1,500 modules."""
_last: list[tuple[dict[str, types.ModuleType], dict[str, types.ModuleType]]] = [({}, {})]
"""The modules loaded when last looked, and the user's among them: comparing takes 20 µs."""


def users_modules() -> dict[str, types.ModuleType]:
    """Return the loaded modules that belong to the user, by name."""
    loaded, users = _last[0]
    if sys.modules != loaded:
        loaded = sys.modules.copy()
        users = {
            name: module
            for name, module in loaded.items()
            if _installed.get(name) is not module and _is_users(name, module)
        }
        _last[0] = loaded, users
    return users


def is_users_file(name: object, file: object) -> bool:
    """Whether a module of this name and file is the user's, and no installed one."""
    if type(name) is not str or type(file) is not str or not file:
        return False
    installed = file.startswith(_INSTALLED) or "site-packages" in file
    return not installed and not name.startswith("taskpar_kernel")


def _is_users(name: str, module: types.ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if not file or type(file) is not str or name in {"__main__", "__mp_main__"}:
        return False
    if not is_users_file(name, file):
        _installed[name] = module
        return False
    return type(module) is types.ModuleType


def digests() -> dict[str, str]:
    """Return, for each of the user's modules, what two equal states of it have in common."""
    return {name: digest(module) for name, module in users_modules().items()}


def digest(module: types.ModuleType) -> str:
    """Return the digest of a module's variables, functions and classes."""
    hasher = xxhash.xxh3_128()
    for name, value in tuple(vars(module).items()):
        if not (name.startswith("__") and name.endswith("__")):
            hasher.update(name.encode())
            _feed(hasher, value, module.__name__, 0)
    return hasher.hexdigest()


def _feed(  # noqa: C901, PLR0912 - one branch for each kind of value
    hasher: Any, value: Any, module: str, depth: int
) -> None:
    kind = type(value)
    hasher.update(f"{kind.__module__}.{kind.__qualname__}".encode())
    if depth > _DEEPEST:
        return
    if kind in _PLAIN:
        hasher.update(repr(value).encode(errors="replace"))
    elif kind in (set, frozenset):
        hasher.update(b"".join(sorted(_digest_of(v, module, depth) for v in value)))
    elif kind is types.FunctionType:
        if value.__module__ == module:
            hasher.update(_marshalled(value.__code__))
            _feed(hasher, value.__defaults__, module, depth + 1)
            _feed(hasher, value.__dict__, module, depth + 1)
    elif isinstance(value, type):
        if value.__module__ == module:
            for name, part in tuple(vars(value).items()):
                if name not in {"__dict__", "__weakref__", "__doc__", "_abc_impl"}:
                    hasher.update(name.encode())
                    _feed(hasher, part, module, depth + 1)
    elif isinstance(value, types.ModuleType):
        hasher.update(value.__name__.encode())
    else:
        for part in _parts(value):
            _feed(hasher, part, module, depth + 1)
        if kind.__module__ == "numpy" and hasattr(value, "tobytes"):
            hasher.update(f"{value.shape} {value.dtype}".encode())
            hasher.update(value.tobytes())


_codes: dict[int, tuple[types.CodeType, bytes]] = {}
"""Code cannot change: it is marshalled once. Holding it keeps its id from being used again."""


def _marshalled(code: types.CodeType) -> bytes:
    known = _codes.get(id(code))
    if known is None:
        known = _codes[id(code)] = (code, marshal.dumps(code, 2))
    return known[1]


def _digest_of(value: Any, module: str, depth: int) -> bytes:
    hasher = xxhash.xxh3_128()
    _feed(hasher, value, module, depth + 1)
    return hasher.digest()


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return [part for item in tuple(dict.items(value)) for part in item]
    if isinstance(value, list | tuple):
        return tuple(value)
    if type(value).__module__.partition(".")[0] in {"numpy", "pandas"}:
        return ()
    attributes = getattr(value, "__dict__", None)
    return [attributes] if type(attributes) is dict else ()
