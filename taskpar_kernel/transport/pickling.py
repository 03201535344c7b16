"""Objects come in, `Packed` frames go out, and back: the only module that pickles notebook values.

The rule: what does not survive the journey exactly does not travel (`NotPortable`).

Identity. A pickler and the unpickler that reads its output number the objects of a message alike,
so `(key of the message, index)` names one object at both ends. `pack` returns that numbering for
the objects whose identity can matter, `unpack` returns the objects under the same numbers, and
`references` lets a later message point to them instead of copying them.

Functions of the notebook are rebuilt on the receiver's own `__main__`: one name has one value.
"""

from __future__ import annotations

import io
import marshal
import pickle
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cloudpickle
import xxhash

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.model.ids import Key
from taskpar_kernel.model.messages import Packed
from taskpar_kernel.seed import HashSeed
from taskpar_kernel.transport.arrays import numpy_reducer
from taskpar_kernel.transport.segments import NO_SEGMENTS, Segments

Reference = tuple[Key, int]

_ATOMS = (str, bytes, int, float, complex, bool, type(None), type(...), tuple, frozenset)
_BY_NAME = (types.BuiltinFunctionType, types.ModuleType, types.MethodDescriptorType)
_STABLE_HASH = (str, bytes, int, float, complex, bool)


@dataclass(slots=True)
class Numbered:
    """The objects of one message whose identity can matter, under the message's own numbers.

    It holds the objects alive, so that an `id` in `index_of` cannot be taken by another object.
    """

    objects: dict[int, object] = field(default_factory=dict)
    index_of: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, object]]) -> Numbered:
        """Keep, of (index, object) pairs, those with an identity."""
        objects = {i: o for i, o in pairs if has_identity(o)}
        return cls(objects, {id(o): i for i, o in objects.items()})


@dataclass(frozen=True, slots=True)
class Parcel:
    """A pickled value before it is placed: in-band bytes, raw buffers, and its numbering."""

    inband: bytes
    buffers: tuple[memoryview, ...]
    numbered: Numbered
    spans: tuple[tuple[int, int], ...]
    """Memory ranges [start, end) of the arrays in the value: addresses in this process."""

    @property
    def nbytes(self) -> int:
        """Size in bytes, buffers included."""
        return len(self.inband) + sum(b.nbytes for b in self.buffers)

    def fingerprint(self) -> tuple[bytes, bytes]:
        """Return what two equal states of the same objects, in the same process, have in common."""
        digest = xxhash.xxh3_128()
        for buffer in self.buffers:
            digest.update(buffer)
        return self.inband, digest.digest()

    def fingerprint_outside(self, ranges: Iterable[tuple[int, int]]) -> tuple[bytes, bytes]:
        """Return the fingerprint without the buffers that lie in `ranges` (watched otherwise)."""
        watched = list(ranges)
        digest = xxhash.xxh3_128()
        for buffer in self.buffers:
            start = address_of(buffer)
            if not any(low <= start and start + buffer.nbytes <= high for low, high in watched):
                digest.update(buffer)
        return self.inband, digest.digest()

    def place(self, segments: Segments = NO_SEGMENTS) -> Packed:
        """Copy the buffers out (large ones into a shared segment) and return the frames."""
        return Packed(self.inband, segments.put(self.buffers))


def address_of(buffer: memoryview) -> int:
    """Return the address of a buffer's first byte, or 0 where it cannot be had."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not buffer.nbytes:
        return 0
    return int(numpy.frombuffer(buffer, numpy.uint8).__array_interface__["data"][0])


def has_identity(value: object) -> bool:
    """Whether the program can tell `value` from an equal copy (so it must not be copied twice)."""
    if isinstance(value, _ATOMS) and type(value) in _ATOMS:
        return False
    if isinstance(value, _BY_NAME):
        return False
    if isinstance(value, type):
        return value.__module__ == "__main__"
    if isinstance(value, types.FunctionType):
        return value.__globals__ is vars(sys.modules["__main__"])
    module = type(value).__module__
    return not (module == "numpy" and type(value).__name__ not in {"ndarray"})


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle with our reducers for functions and arrays; records the arrays' memory."""

    def __init__(self, file: io.BytesIO, buffers: list[pickle.PickleBuffer]):
        super().__init__(file, protocol=5, buffer_callback=buffers.append)
        self.spans: list[tuple[int, int]] = []

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is types.FunctionType:
            return _reduce_function(obj)
        if kind.__module__ == "numpy":
            return numpy_reducer(obj, self.spans)
        if kind is types.ModuleType and sys.modules.get(obj.__name__) is not obj:
            raise NotPortable(f"the module {obj.__name__!r} cannot be imported by name")
        if hasattr(kind, "__del__") and not isinstance(obj, type):
            raise NotPortable(f"a {kind.__qualname__} has a __del__ method")
        return super().reducer_override(obj)


class _ReferringPickler(_Pickler):
    """A pickler that replaces known objects by references to the messages they came in."""

    def __init__(
        self,
        file: io.BytesIO,
        buffers: list[pickle.PickleBuffer],
        known: Mapping[int, Reference],
    ):
        super().__init__(file, buffers)
        self._known = known

    def persistent_id(self, obj: Any) -> Reference | None:
        return self._known.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def __init__(
        self, packed: Packed, buffers: Iterable[Any], resolve: Callable[[Reference], object]
    ):
        super().__init__(io.BytesIO(packed.inband), buffers=buffers)
        self._resolve = resolve

    def persistent_load(self, pid: Any) -> Any:
        return self._resolve(pid)


def pickle_value(value: object, known: Mapping[int, Reference] | None = None) -> Parcel:
    """Pickle `value`; objects in `known` (id → reference) are written as references.

    Raises:
        NotPortable: the value, or a part of it, would not arrive as it is.
    """
    file, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
    pickler = _ReferringPickler(file, buffers, known) if known else _Pickler(file, buffers)
    try:
        pickler.dump(value)
    except NotPortable:
        raise
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a user's own __reduce__ may raise anything
        raise NotPortable(f"cannot be pickled: {type(error).__name__}: {error}") from error
    memo = pickler.memo.copy()
    for _, obj in memo.values():
        if type(obj) in (set, frozenset):
            _check_set(obj)
    return Parcel(
        file.getvalue(),
        tuple(b.raw() for b in buffers),
        Numbered.of(memo.values()),
        tuple(pickler.spans),
    )


def unpickle(
    packed: Packed,
    segments: Segments = NO_SEGMENTS,
    resolve: Callable[[Reference], object] | None = None,
) -> tuple[Any, Numbered, list[Any]]:
    """Rebuild a value. Return it, the numbering of its objects, and the mapped segments.

    Raises:
        NotPortable: a part of it cannot be rebuilt here.
    """
    buffers, maps = segments.take(packed.buffers)
    unpickler = _Unpickler(packed, buffers, resolve or _no_references)
    try:
        value = unpickler.load()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a user's own __setstate__ may raise anything
        raise NotPortable(f"cannot be rebuilt: {type(error).__name__}: {error}") from error
    return value, Numbered.of(unpickler.memo.copy().items()), maps


def _no_references(reference: Reference) -> object:
    raise NotPortable(f"refers to object {reference}, which is not here")


def pack(value: object, segments: Segments = NO_SEGMENTS) -> Packed:
    """Pickle a self-contained value (the public API's way)."""
    return pickle_value(value).place(segments)


def unpack(packed: Packed, segments: Segments = NO_SEGMENTS) -> Any:
    """Rebuild a self-contained value; its buffers are private and writable."""
    return unpickle(packed, segments)[0]


# Sets: the order of iteration is part of what a program sees -----------------------------------


def _check_set(value: set[object] | frozenset[object]) -> None:
    if len(value) < 2:
        return
    for item in value:
        if not _hashes_alike(item):
            raise NotPortable(
                f"a set holds a {type(item).__qualname__}, whose hash differs elsewhere"
            )
    if any(a is not b for a, b in zip(value, type(value)(list(value)), strict=True)):
        raise NotPortable("a set would iterate in another order after the journey")


def _hashes_alike(item: object) -> bool:
    kind = type(item)
    if kind in (str, bytes):
        return HashSeed.known is not None
    if kind in (tuple, frozenset):
        return all(map(_hashes_alike, item))  # type: ignore[call-overload]
    return kind in _STABLE_HASH or kind.__module__ == "numpy"


# Functions: rebuilt on the receiver's module of the same name -----------------------------------


def _reduce_function(function: types.FunctionType) -> Any:
    module = sys.modules.get(function.__module__ or "")
    if module is not None and function.__module__ != "__main__":
        found: object = module
        for part in function.__qualname__.split("."):
            found = getattr(found, part, None)
        if found is function:
            return NotImplemented
    home = function.__globals__.get("__name__")
    owner = sys.modules.get(home) if isinstance(home, str) else None
    if owner is None or vars(owner) is not function.__globals__:
        raise NotPortable(f"the globals of {function.__qualname__!r} are not those of a module")
    state = {
        "__defaults__": function.__defaults__,
        "__kwdefaults__": function.__kwdefaults__,
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
        "__doc__": function.__doc__,
        "__annotations__": function.__annotations__,
        "__dict__": function.__dict__,
        "__closure__": function.__closure__,
    }
    made = (
        home,
        # Format 2 depends on the code alone; later ones also on how often its parts are referred to.
        marshal.dumps(function.__code__, 2),
        function.__name__,
        len(function.__closure__ or ()),
    )
    return _make_function, made, state, None, None, _fill_function


def _make_function(module: str, code: bytes, name: str, cells: int) -> types.FunctionType:
    closure = tuple(types.CellType() for _ in range(cells))
    return types.FunctionType(
        marshal.loads(code), vars(sys.modules[module]), name, None, closure or None
    )


def _fill_function(function: types.FunctionType, state: dict[str, Any]) -> None:
    for mine, theirs in zip(
        function.__closure__ or (), state.pop("__closure__") or (), strict=True
    ):
        try:
            mine.cell_contents = theirs.cell_contents
        except ValueError:  # an empty cell stays empty
            continue
    function.__dict__.update(state.pop("__dict__"))
    for name, value in state.items():
        setattr(function, name, value)
