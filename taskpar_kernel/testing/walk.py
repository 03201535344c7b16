"""A namespace comes in, lines go out that are equal exactly if the values and their aliases are.

Theory of operation. `Walk` visits what a name reaches, depth first, in a fixed order, and writes
one line for each object: the path, and what is there. An object with an identity that code can
notice (a mutable one) is described at its first visit only; a later visit writes the path of the
first. So two namespaces give the same lines exactly if types and values agree, bit by bit, *and*
the same paths lead to the same objects. Cycles end by the same rule. Nothing recurses, so long
chains are no danger.

The rule: an object is looked at, never changed, and nothing of the user's is left registered.
"""

from __future__ import annotations

import enum
import hashlib
import struct
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

from taskpar_kernel.testing import libraries
from taskpar_kernel.testing.plain import (
    CLASS_SKIP,
    FLAT,
    PLAIN_TEXT,
    VALUES,
    Child,
    Description,
    attributes,
    code,
    container,
    flat_hash,
    is_built_on_c,
    is_heap,
    lookup,
    machinery,
    reduced,
    short,
    type_name,
)


def digest_of(value: object) -> str:
    """Return the digest of one value on its own."""
    return Walk({}).digest("", value)


class Walk:
    """One visit of a namespace; it remembers which objects it met, and where."""

    def __init__(self, namespace: Mapping[str, Any]):
        self._namespace = namespace
        self._seen: dict[int, str] = {}
        self._alive: list[object] = []
        self._memory = libraries.Memory()

    def digest(self, path: str, value: object, keep: list[str] | None = None, most: int = 0) -> str:
        """Return the digest of the lines of `value`; the first `most` of them go to `keep`."""
        digest = hashlib.blake2b(digest_size=16)
        for line in self.lines(path, value):
            digest.update(line.encode("utf-8", "surrogatepass") + b"\n")
            if keep is not None and len(keep) < most:
                keep.append(line)
        return digest.hexdigest()

    def lines(self, path: str, value: object) -> Iterator[str]:
        """Yield one line for each object that `value` reaches, in a fixed order."""
        stack: list[Child] = [(path, value)]
        while stack:
            path, value = stack.pop()
            first = self._seen.get(id(value))
            if first is not None:
                yield f"{path} is {first}"
                continue
            if has_identity(value):
                self._seen[id(value)] = path or "<value>"
            self._alive.append(value)  # its id must not be used again during the walk
            try:
                head, children = self._describe(path, value)
            except Exception as error:  # noqa: BLE001 - user code in a property may raise anything
                head, children = f"refuses: {type(error).__name__}", []
            yield f"{path} {type_name(type(value))} {head}"
            stack.extend((path + step, child) for step, child in reversed(children))

    def _describe(self, path: str, value: Any) -> Description:  # noqa: PLR0911 - one case for each kind
        found = _atom(value) or self._of_code(value)
        found = found or libraries.describe(path, value, self._memory)
        if found is not None:
            return found
        if isinstance(value, VALUES):
            return repr(value), []
        if isinstance(value, set | frozenset):
            return _members(value)
        kind = type(value)
        found = container(value)
        if found is not None:
            head, children = found
            return head, children + (attributes(value) if is_heap(kind) else [])
        found = machinery(value)
        if found is not None:
            return found
        if is_heap(kind) or hasattr(value, "__dict__"):
            own = attributes(value)
            if is_heap(kind) and not is_built_on_c(kind):
                return "", own
            head, inner = reduced(value)
            return head, own + inner
        return reduced(value)

    def _of_code(self, value: Any) -> Description | None:
        if isinstance(value, types.ModuleType):
            return value.__name__, []
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.CodeType):
            return code(value)
        return None

    def _function(self, function: types.FunctionType) -> Description:
        mine = function.__globals__ is self._namespace
        if function.__module__ != "__main__" and not mine:
            module = sys.modules.get(function.__module__ or "")
            if lookup(module, function.__qualname__) is function:
                return f"{function.__module__}.{function.__qualname__}", []
        children: list[Child] = [
            (".__code__", function.__code__),
            (".__defaults__", function.__defaults__),
            (".__kwdefaults__", function.__kwdefaults__),
            (".__dict__", dict(vars(function))),
        ]
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        children += [(f".<{name}>", cell) for name, cell in cells]
        return f"{function.__qualname__} in {function.__module__}, own globals {mine}", children

    def _class(self, cls: type) -> Description:
        name = f"{cls.__module__}.{cls.__qualname__}"
        if cls.__module__ != "__main__":
            return name, []
        members = vars(cls).items()
        kept = [(k, v) for k, v in members if k not in CLASS_SKIP and not k.startswith("_abc_")]
        return name, [(".__bases__", cls.__bases__), *((f".{key}", value) for key, value in kept)]


def _atom(value: Any) -> Description | None:
    if isinstance(value, enum.Enum):
        return value.name, []
    if isinstance(value, PLAIN_TEXT):
        return short(value), [] if type(value) in FLAT else attributes(value)
    if type(value) is float:
        return struct.pack("<d", value).hex(), []
    if type(value) is complex:
        return struct.pack("<dd", value.real, value.imag).hex(), []
    return None


def _members(value: set[Any] | frozenset[Any]) -> Description:
    members = list(value)
    if not all(map(flat_hash, members)):  # hashed by address: their order is chance
        members.sort(key=digest_of)
    return str(len(members)), [(f"{{{i}}}", member) for i, member in enumerate(members)]


def has_identity(value: object) -> bool:
    """Whether code could tell this object from an equal one in a way that matters."""
    if isinstance(value, types.FunctionType | type):
        return value.__module__ == "__main__"
    fixed = (types.ModuleType, types.CodeType, types.BuiltinFunctionType, types.MethodType)
    if isinstance(value, (*fixed, *PLAIN_TEXT, *VALUES, tuple, frozenset)):
        return False
    return not libraries.is_fixed(value)
