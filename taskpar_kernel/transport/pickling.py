"""Objects come in, `Packed` frames go out, and back: the only module that pickles notebook values.

The rule: what does not survive the journey exactly does not travel (`NotPortable`).

Identity. A pickler and the unpickler that reads its output number the objects of a message alike,
so `(key of the message, index)` names one object at both ends. `pack` returns that numbering for
the objects whose identity can matter, `unpack` returns the objects under the same numbers, and
`references` lets a later message point to them instead of copying them.

Functions of the notebook are rebuilt on the receiver's own `__main__`: one name has one value.
"""

from __future__ import annotations

import array
import io
import math
import pickle
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import cloudpickle
import xxhash

from taskpar_kernel.errors import Hurried, NotPortable
from taskpar_kernel.model.ids import Key
from taskpar_kernel.model.messages import Packed
from taskpar_kernel.seed import HashSeed
from taskpar_kernel.transport.arrays import (
    ArrayReducer,
    Span,
    memory_of,
    overlapping,
    reduce_dtype,
    shared_roots,
    span_of_buffer,
)
from taskpar_kernel.transport.functions import (
    CLASS_MAKERS,
    Classes,
    reduce_cell,
    reduce_class,
    reduce_function,
)
from taskpar_kernel.transport.hashing import refuse_keys
from taskpar_kernel.transport.own import (
    NAMED,
    OWN,
    Place,
    dotted,
    find_own,
    is_hidden_generator,
    travels_by_value,
)
from taskpar_kernel.transport.plain import MANY, Plain, looks_plain, plain_parts
from taskpar_kernel.transport.segments import NO_SEGMENTS, Segments
from taskpar_kernel.transport.states import frame_parts, package_of, without_cache
from taskpar_kernel.transport.ways import Kinds, content_of

Reference = tuple[Key, int]
Own = frozenset[tuple[Place, bytes | None]]
"""Objects that a process keeps as its own, and a digest of what each of them holds, if anything."""
Check = Callable[[], None]
"""Called now and then during long work; what it raises ends that work."""

_ATOMS = (str, bytes, int, float, complex, bool, type(None), type(...), tuple, frozenset)
_PLAIN = frozenset(_ATOMS) - {frozenset}
_BY_NAME = (types.BuiltinFunctionType, types.ModuleType, types.MethodDescriptorType)
_STABLE_HASH = (str, bytes, int, float, complex, bool)


@dataclass(slots=True)
class Numbered:
    """The objects of one message whose identity can matter, under the message's own numbers.

    It holds the objects alive, so that an `id` in `index_of` cannot be taken by another object.
    """

    objects: dict[int, object] = field(default_factory=dict)
    index_of: dict[int, int] = field(default_factory=dict)
    dicts: frozenset[int] = frozenset()
    """The ids of the `__dict__`s of its objects, which have no number of their own."""

    def reaches(self, obj: object) -> bool:
        """Whether `obj` is among its objects, or holds the attributes of one."""
        return id(obj) in self.index_of or id(obj) in self.dicts

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, object]]) -> Numbered:
        """Keep, of (index, object) pairs, those with an identity."""
        objects = {i: o for i, o in pairs if has_identity(o)}
        dicts = frozenset[int]()
        if any(type(o) is dict for o in objects.values()):
            # An object's `__dict__` is pickled as if it were another dict: it has no number.
            dicts = frozenset(
                id(d) for o in objects.values() if (d := getattr(o, "__dict__", None))
            )
            objects = {i: o for i, o in objects.items() if id(o) not in dicts}
        index_of = {id(o): i for i, o in objects.items()}
        for known in NAMED.keys() & index_of.keys():
            del objects[index_of.pop(known)]
        return cls(objects, index_of, dicts)

    def forget(self, *parts: object) -> None:
        """Drop the message's own containers, which are nobody's objects."""
        for part in parts:
            index = self.index_of.pop(id(part), None)
            if index is not None:
                del self.objects[index]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A pickled value before it is placed: in-band bytes, raw buffers, and its numbering."""

    inband: bytes
    buffers: tuple[memoryview, ...]
    numbered: Numbered
    spans: tuple[Span, ...]
    """Memory ranges [start, end) of the arrays in the value: addresses in this process."""
    owned: frozenset[Span] = frozenset()
    """Those of `spans` in which pandas frames keep their data: sharing among them cannot be seen,
    because they copy on write."""
    own: Own = frozenset()
    """The process's own objects to which it refers, with what they hold."""

    @property
    def nbytes(self) -> int:
        """Size in bytes, buffers included."""
        return len(self.inband) + sum(b.nbytes for b in self.buffers)

    def refuse_kept(self) -> None:
        """Raise `NotPortable` if an object is copied that a module of this process keeps."""
        numbered = self.numbered
        OWN.refuse_values({i: numbered.objects[n] for i, n in numbered.index_of.items()})

    def fingerprint(self) -> tuple[bytes, bytes]:
        """Return what two equal states of the same objects, in the same process, have in common."""
        digest = xxhash.xxh3_128()
        for buffer in self.buffers:
            digest.update(buffer)
        return self.inband, digest.digest()

    def fingerprint_outside(self, ranges: Iterable[Span]) -> tuple[bytes, bytes]:
        """Return the fingerprint without the memory in `ranges`, which is watched otherwise.

        What lies there is known by its address: two watched buffers may change places.
        """
        watched = sorted(ranges)
        digest = xxhash.xxh3_128()
        for buffer in self.buffers:
            done = 0
            start, end = (watched and span_of_buffer(buffer)) or (0, 0)
            for low, high in watched:
                first, last = max(low, start), min(high, end)
                if first < last:
                    digest.update(buffer[done : first - start])
                    digest.update(first.to_bytes(8, "little") + last.to_bytes(8, "little"))
                    done = last - start
            digest.update(buffer[done:])
        return self.inband, digest.digest()

    def place(self, segments: Segments = NO_SEGMENTS, check: Check | None = None) -> Packed:
        """Copy the buffers out (large ones into a shared segment) and return the frames."""
        return Packed(self.inband, segments.put(self.buffers, check))


def has_identity(value: object) -> bool:  # noqa: PLR0911
    """Whether the program can tell `value` from an equal copy (so it must not be copied twice)."""
    if isinstance(value, _ATOMS) and type(value) in _ATOMS:
        return False
    if isinstance(value, _BY_NAME):
        return False
    if isinstance(value, type):
        return value.__module__ == "__main__" or "<locals>" in value.__qualname__
    if isinstance(value, types.FunctionType):
        ours = value.__globals__ is vars(sys.modules["__main__"])
        return ours or "<locals>" in value.__qualname__
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return True
    if isinstance(value, numpy.generic):
        return bool(value != value)  # noqa: PLR0124 - `in` finds a nan by its identity
    return not isinstance(value, numpy.dtype | numpy.ufunc)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle with our reducers for functions, classes and arrays, and without its losses."""

    def __init__(
        self,
        file: io.BytesIO,
        buffers: list[pickle.PickleBuffer],
        known: Mapping[int, Reference],
        roots: Mapping[int, Any],
    ):
        super().__init__(file, protocol=5, buffer_callback=buffers.append)
        self.exact = True
        self.arrays = ArrayReducer(roots, known)
        self.own: dict[Place, bytes | None] = {}
        self.inside_own = False
        """Whether it pickles what one of the process's own objects holds."""
        self._ndarray: Any = getattr(sys.modules.get("numpy"), "ndarray", ())
        self._dtype: Any = getattr(sys.modules.get("numpy"), "dtype", ())
        self._scalars = number_kinds()
        self._kinds = Kinds(self.dispatch_table)
        self._met: set[int] = set()
        self._places = OWN.places
        self.parts: list[object] = []
        """What the large plain containers hold, themselves included: their numbers are negative."""
        self._part_of: dict[int, int] = {}
        self._containers: set[int] = set()
        """Ids of the lists, dicts and tuples met so far."""

    def persistent_id(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is list or kind is dict or kind is tuple:
            return self._plain(obj)
        return None

    def _plain(self, whole: Plain) -> Any:
        """Pickle a large plain container as a whole, or return None."""
        number = self._part_of.get(id(whole))
        if number is not None:
            return _PART, number, None, True
        if len(whole) >= MANY and id(whole) not in self._containers and looks_plain(whole):
            parts = plain_parts(whole, self._containers)
            data = self._dumped(whole, parts) if parts else None
            if parts and data is not None:
                first = len(self.parts)
                self.parts += parts
                self._part_of.update((id(part), first + n) for n, part in enumerate(parts))
                self._containers.update(map(id, parts))
                return _PART, first, data, len(parts) == 1
        self._containers.add(id(whole))
        return None

    def _dumped(self, whole: Plain, _parts: list[object]) -> bytes | None:
        """Pickle what is plain; None: it is to be pickled one by one."""
        data = pickle.dumps(whole, 5)
        return None if any(opcode in data for opcode in _NAN_OPCODES) else data

    def reducer_override(self, obj: Any) -> Any:  # noqa: C901, PLR0911 - the hot path, in one place
        kind = type(obj)
        if kind in self._scalars:
            return NotImplemented  # a list of numbers has nothing but such
        if kind is types.FunctionType:
            return reduce_function(obj)
        if kind is types.CellType:
            return reduce_cell(obj)
        if isinstance(obj, type):
            return reduce_class(obj)
        if kind.__module__ == "numpy":
            reduction = self.arrays.reduce(obj)
            if reduction is not NotImplemented or kind is self._ndarray:
                return reduction
        if isinstance(obj, self._dtype):
            return reduce_dtype(obj)
        if kind is types.ModuleType and sys.modules.get(obj.__name__) is not obj:
            raise NotPortable(f"the module {obj.__name__!r} cannot be imported by name")
        if package_of(kind) == "pandas":
            self.arrays.own(frame_parts(obj))
            if (bare := without_cache(obj)) is not None:
                return bare
        if self.exact and (reference := self._reference(obj, kind)) is not None:
            return reference
        self._kinds.refuse(obj, kind)
        if isinstance(obj, self._ndarray):
            self.arrays.subclass(obj)
        reduction = self._kinds.reduction(obj, kind) if self.exact else None
        return reduction or super().reducer_override(obj)

    def _reference(self, obj: Any, kind: type) -> Any:
        """Return a reduction that finds the receiver's own object, if the process keeps `obj`."""
        if id(kind) not in self._met:
            self._met.add(id(kind))
            OWN.fresh(kind)
        if id(obj) not in self._places:
            return None
        place = OWN.place_of(obj)
        if place is None or (travels_by_value(kind) and not is_hidden_generator(place)):
            return None
        digest = None if self.inside_own else _digest_of_own(obj, place)
        self.own[place] = digest
        return _own_object, (place, digest)


def number_kinds() -> frozenset[type]:
    """Return NumPy's kinds of numbers: they hold nothing, and none is a process's own."""
    if not _numbers and (numpy := sys.modules.get("numpy")) is not None:
        kinds = getattr(numpy, "sctypeDict", {}).values()  # empty while NumPy is being imported
        _numbers.update(k for k in kinds if issubclass(k, numpy.number | numpy.bool_))
    return frozenset(_numbers)


_numbers: set[type] = set()


def _own_object(place: Place, digest: bytes | None) -> Any:
    found = find_own(place)
    if digest is not None and digest != _digest_of_own(found, place):
        raise NotPortable(f"{dotted(place)} holds something else here")
    return found


def digest_of_own(place: Place) -> bytes | None:
    """Return what stands for all that the process's own object at `place` holds, if anything.

    Raises:
        NotPortable: there is none, or it cannot be told.
    """
    return _digest_of_own(find_own(place), place)


def _digest_of_own(obj: Any, place: Place) -> bytes | None:
    """Return what two equal states of a process's own object have in common; None: it has none."""
    if isinstance(obj, types.BuiltinMethodType | types.MethodType):
        return _digest_of_own(obj.__self__, OWN.place_of(obj.__self__) or place)
    state = None if is_hidden_generator(place) else content_of(obj)
    if state is None:
        NAMED[id(obj)] = obj
        return None
    NAMED.pop(id(obj), None)
    inband, buffers, _ = _dump(state, {}, {}, _ComparingPickler, True, inside_own=True)
    digest = xxhash.xxh3_128(inband)
    for buffer in buffers:
        digest.update(buffer.raw())
    return digest.digest()


class _ReferringPickler(_Pickler):
    """A pickler that replaces known objects by references to the messages they came in.

    A nan that is a library's own is replaced by its name: a program can tell it from another nan,
    because `in` and `==` of containers compare identities first.
    """

    def __init__(
        self,
        file: io.BytesIO,
        buffers: list[pickle.PickleBuffer],
        known: Mapping[int, Reference],
        roots: Mapping[int, Any],
    ):
        super().__init__(file, buffers, known, roots)
        self._known = known
        self._nans = _nans()

    def persistent_id(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is float and obj != obj:  # noqa: PLR0124
            if id(obj) not in self._nans:
                raise NotPortable("a nan would be another nan after the journey")
            return _NAN, self._nans[id(obj)]
        reference = self._known.get(id(obj))
        if reference is None and (kind is list or kind is dict or kind is tuple):
            return self._plain(obj)
        return reference

    def _dumped(self, whole: Plain, parts: list[object]) -> bytes | None:
        return (
            None
            if any(id(part) in self._known for part in parts)
            else super()._dumped(whole, parts)
        )


class _ComparingPickler(_ReferringPickler):
    """A pickler whose bytes are alike in two processes that made equal objects.

    Which equal strings are one object depends on how they came about, and no program should ask;
    here all of them are one. The bytes are compared, never read.
    """

    def persistent_id(self, obj: Any) -> Any:
        return sys.intern(obj) if type(obj) is str else super().persistent_id(obj)

    def _dumped(self, whole: Plain, parts: list[object]) -> bytes | None:
        if len(parts) > 1 or super()._dumped(whole, parts) is None:
            return None
        file = io.BytesIO()
        each = pickle.Pickler(file, 5)
        each.fast = True  # writes every string where it is met
        each.dump(whole)
        return file.getvalue()


class _Checked(io.BytesIO):
    """A file that calls `check` before each frame of the pickle (64 KiB, or a large object)."""

    def __init__(self, check: Check):
        super().__init__()
        self._check = check

    def write(self, frame: Any) -> int:
        self._check()
        return super().write(frame)


_NAN = "nan"
_PART = "part"
_NAN_OPCODES = (b"G\x7f\xf8\x00", b"G\xff\xf8\x00")


def _nans() -> dict[int, str]:
    numpy = sys.modules.get("numpy")
    theirs = {} if numpy is None else {id(numpy.nan): "numpy"}
    return {id(math.nan): "math", **theirs}


class _Unpickler(pickle.Unpickler):
    def __init__(
        self,
        packed: Packed,
        buffers: Iterable[Any],
        resolve: Callable[[Reference], object],
        classes: Classes,
    ):
        super().__init__(io.BytesIO(packed.inband), buffers=buffers)
        self._resolve = resolve
        self._classes = classes
        self.parts: list[object] = []

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == _PART:
            _, number, data, is_alone = pid
            if data is not None:
                whole = pickle.loads(data)
                self.parts += [whole] if is_alone else plain_parts(whole) or ()
            return self.parts[number]
        if pid[0] == _NAN:
            return import_module(pid[1]).nan
        return self._resolve(pid)

    def find_class(self, module: str, name: str) -> Any:
        if self._classes is not Classes.SAME:
            if module == "__main__":
                raise NotPortable(f"{name!r} is known only by its name in the notebook")
            maker = CLASS_MAKERS.get((self._classes, module, name))
            if maker is not None:
                return maker
        return super().find_class(module, name)


def pickle_value(
    value: object,
    known: Mapping[int, Reference] | None = None,
    *,
    exact: bool = True,
    comparing: bool = False,
    check: Check | None = None,
) -> Parcel:
    """Pickle `value`; objects in `known` (id → reference) are written as references.

    A second pass is made where the first finds arrays that share memory, or a nan. Not `exact`:
    what the user wrote to pickle his objects is trusted, and one nan is as good as another.
    `comparing`: for fingerprints that are compared across processes. `check` is called for every
    frame and large array, and may raise Hurried.

    Raises:
        NotPortable: the value, or a part of it, would not arrive as it is.
    """
    OWN.update()
    kind: type[_Pickler] = _ReferringPickler if known else _Pickler
    if comparing:
        kind = _ComparingPickler
    inband, buffers, pickler = _dump(value, known or {}, {}, kind, exact, check)
    groups = pickler.arrays.shared()
    roots = shared_roots(groups) if groups else {}
    if exact and kind is _Pickler and any(opcode in inband for opcode in _NAN_OPCODES):
        kind = _ReferringPickler
    if roots or type(pickler) is not kind:
        inband, buffers, pickler = _dump(value, known or {}, roots, kind, exact, check)
        if pickler.arrays.shared():
            raise NotPortable("arrays that share memory would arrive apart")
    memo = _without_atoms(pickler.memo.copy().values())
    if exact:
        refuse_keys(obj for _, obj in memo)
    spans = pickler.arrays.spans
    shared = []
    for _, obj in memo:
        if isinstance(obj, set | frozenset):
            _check_set(obj)
        elif isinstance(obj, bytearray | array.array) and (span := memory_of(obj)):
            shared.append((*span, obj))
    if shared and overlapping([*shared, *pickler.arrays.arrays]):
        raise NotPortable("an array lies in the memory of another object")
    spans += [(low, high) for low, high, _ in shared]
    return Parcel(
        inband,
        tuple(b.raw() for b in buffers),
        Numbered.of([*memo, *_numbered(pickler.parts)]),
        tuple(spans),
        pickler.arrays.owned_spans,
        frozenset(pickler.own.items()),
    )


def _without_atoms(pairs: Iterable[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Drop what has no identity by its type alone: a list of words is mostly words."""
    rest = [pair for pair in pairs if type(pair[1]) not in _PLAIN]
    if not _numbers:
        return rest
    return [p for p in rest if type(p[1]) not in _numbers or p[1] != p[1]]


def _dump(  # noqa: PLR0913 - what a pickler is made of
    value: object,
    known: Mapping[int, Reference],
    roots: Mapping[int, Any],
    kind: type[_Pickler],
    exact: bool,
    check: Check | None = None,
    *,
    inside_own: bool = False,
) -> tuple[bytes, list[pickle.PickleBuffer], _Pickler]:
    buffers = list[pickle.PickleBuffer]()
    file = io.BytesIO() if check is None else _Checked(check)
    pickler = kind(file, buffers, known, roots)
    pickler.exact = exact
    pickler.inside_own = inside_own
    try:
        pickler.dump(value)
    except (NotPortable, Hurried, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a user's own __reduce__ may raise anything
        raise NotPortable(f"cannot be pickled: {type(error).__name__}: {text_of(error)}") from error
    return file.getvalue(), buffers, pickler


def text_of(error: BaseException | None) -> str:
    """Return an error's text, or an empty string where its own `__str__` fails."""
    try:
        return "" if error is None else str(error)
    except Exception:  # noqa: BLE001 - a user's __str__
        return ""


def unpickle(
    packed: Packed,
    segments: Segments = NO_SEGMENTS,
    resolve: Callable[[Reference], object] | None = None,
    classes: Classes = Classes.SAME,
) -> tuple[Any, Numbered, list[Any]]:
    """Rebuild a value. Return it, the numbering of its objects, and the mapped segments.

    Raises:
        NotPortable: a part of it cannot be rebuilt here.
    """
    buffers, maps = segments.take(packed.buffers)
    unpickler = _Unpickler(packed, buffers, resolve or _no_references, classes)
    try:
        value = unpickler.load()
    except NotPortable:
        raise
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a user's own __setstate__ may raise anything
        raise NotPortable(f"cannot be rebuilt: {type(error).__name__}: {text_of(error)}") from error
    pairs = [*_without_atoms(unpickler.memo.copy().items()), *_numbered(unpickler.parts)]
    return value, Numbered.of(pairs), maps


def _numbered(parts: Iterable[object]) -> Iterable[tuple[int, object]]:
    """Number what plain containers hold beside the numbers of the message, which begin at 0."""
    return ((-1 - number, part) for number, part in enumerate(parts))


def _no_references(reference: Reference) -> object:
    raise NotPortable(f"refers to object {reference}, which is not here")


def pack(value: object, segments: Segments = NO_SEGMENTS) -> Packed:
    """Pickle a self-contained value (the public API's way)."""
    return pickle_value(value, exact=False).place(segments)


def unpack(packed: Packed, segments: Segments = NO_SEGMENTS) -> Any:
    """Rebuild a self-contained value; its buffers are private and writable."""
    return unpickle(packed, segments)[0]


# Sets: the order of iteration is part of what a program sees -----------------------------------


def _check_set(value: set[object] | frozenset[object]) -> None:
    if type(value) not in (set, frozenset):
        raise NotPortable(f"a {type(value).__qualname__} may iterate in another order elsewhere")
    for item in value if len(value) > 1 else ():
        if not _hashes_alike(item):
            raise NotPortable(
                f"a set holds a {type(item).__qualname__}, whose hash differs elsewhere"
            )
    again = type(value)(list(value))
    # The size of its table decides the order of what is added later.
    if any(a is not b for a, b in zip(value, again, strict=True)) or (
        type(value) is set and sys.getsizeof(value) != sys.getsizeof(again)
    ):
        raise NotPortable("a set would iterate in another order after the journey")


def _hashes_alike(item: object) -> bool:
    kind = type(item)
    if kind in (str, bytes):
        return HashSeed.known is not None
    if kind in (tuple, frozenset):
        return all(map(_hashes_alike, item))  # type: ignore[call-overload]
    return kind in _STABLE_HASH or kind.__module__ == "numpy"


__all__ = [
    "Classes",
    "Numbered",
    "Own",
    "Parcel",
    "Reference",
    "digest_of_own",
    "has_identity",
    "number_kinds",
    "pack",
    "pickle_value",
    "text_of",
    "unpack",
    "unpickle",
]
