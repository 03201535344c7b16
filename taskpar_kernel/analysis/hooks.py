"""Special methods that code of the user's defines: what the language may call without being told.

The text of each cell and the namespace before it come in; whether an operation on objects that are
not known may run such a method goes out. The rule: what was ever defined in this process counts,
for an instance may outlive the name of its class; a name that merely appears counts as defined.
No code of the notebook's objects is run.
"""

from __future__ import annotations

import re
from itertools import chain, islice
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from taskpar_kernel.analysis.resolve import own
from taskpar_kernel.analysis.values import MISSING, PLAINS, Family, Value, family, is_library

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from taskpar_kernel.analysis.walk import Walk


def _special(text: str) -> frozenset[str]:
    return frozenset(f"__{name}__" for name in text.split())


KEYS: Final = _special("hash eq index bool getattribute")
"""Called to find something in a dict, a set or (`__index__`) a list."""
ORDER: Final = _special("eq ne lt le gt ge hash bool len contains iter next getitem")
"""Called by comparisons, and by what searches or sorts."""
TEXT: Final = _special("str repr format index int float bool len getitem")
"""Called to make a text."""
NUMBERS: Final = ORDER | _special(
    "add radd iadd sub rsub isub mul rmul imul truediv rtruediv itruediv floordiv rfloordiv "
    "ifloordiv mod rmod imod pow rpow ipow matmul rmatmul imatmul lshift rlshift ilshift rshift "
    "rrshift irshift and rand iand or ror ior xor rxor ixor neg pos abs invert divmod rdivmod "
    "round trunc floor ceil int float complex index array"
)
"""Called by arithmetic, also on the elements of an array of objects."""
ATTRIBUTES: Final = _special("getattr getattribute get")
"""Called where an attribute is looked up."""
SUBSCRIPTS: Final = _special("class_getitem getitem")
"""Called where a class is subscripted."""
CLASS_CHECKS: Final = _special("instancecheck subclasscheck subclasshook class getattribute")
"""Called by `isinstance` and `issubclass`."""
_OTHERS: Final = _special(
    "call getattr setattr delattr get set delete missing copy deepcopy replace reduce getstate "
    "setstate getnewargs reversed setitem delitem bytes fspath sizeof dir enter exit del "
    "getnewargs_ex reduce_ex length_hint array_ufunc array_function array_interface array_wrap "
    "class_getitem match_args aiter anext"
)
ANYTHING: Final = KEYS | ORDER | TEXT | NUMBERS | CLASS_CHECKS | _OTHERS
"""What a library may call of the objects it is given, or finds in a container."""

CLOSING: Final = "close"
"""Stands for what a generator runs when it is closed before its end."""
_CLOSED: Final = re.compile(r"\byield\b"), re.compile(r"\b(finally|with|except)\b")

_NAME: Final = re.compile(r"\b__[a-z_]+__\b")
_MEMBERS = 1000  # so many members of a container are looked at
_DEEPEST = 3

_known: set[str] = set()
_seen: dict[int, object] = {}
"""Classes, functions and modules that were looked at; holding them keeps their ids."""


def note(text: str, namespace: Mapping[str, Any]) -> None:
    """Learn which special methods there are, before a cell is analysed; O(text + names)."""
    _known.update(ANYTHING.intersection(_NAME.findall(text)))
    if all(part.search(text) for part in _CLOSED):
        _known.add(CLOSING)
    for value in tuple(namespace.values()):
        kind = type(value)
        holder = value if isinstance(value, (type, FunctionType, ModuleType)) else kind
        if id(holder) not in _seen:
            _seen[id(holder)] = holder
            _note_holder(holder)


def _note_holder(holder: object) -> None:
    if isinstance(holder, ModuleType):
        name: object = holder.__name__
    else:
        name = own(holder, "__module__")
    if not isinstance(name, str) or name == "builtins" or is_library(name):
        return
    if name != "__main__":
        _known.update(ANYTHING)  # a module of the user's: nobody knows what its objects do
    elif isinstance(holder, type):
        _known.update(*(ANYTHING & vars(base).keys() for base in _users_bases(holder)))


def _users_bases(kind: type) -> Iterable[type]:
    return (base for base in kind.__mro__ if not is_library(base.__module__))


def forget() -> None:
    """Begin anew, as in a process that has run nothing."""
    _known.clear()
    _seen.clear()


def count() -> int:
    """Say how many are known: what was concluded from them holds as long as it is the same."""
    return len(_known)


def meet(walk: Walk, group: frozenset[str], *values: Value) -> None:
    """Enter that methods of `group` may be called on the values, or on what they hold."""
    if not _known.isdisjoint(group) and any(map(may_be_users, values)):
        walk.ledger.doubt()


def closes() -> bool:
    """Whether there may be generators that run code when they are let go of before their end."""
    return CLOSING in _known


def may_be_users(value: Value) -> bool:
    """Whether the value, or something a container holds, may be of a class of the user's."""
    if value.items is not None:
        return any(map(may_be_users, value.items))
    known = family(value.kind)
    if known is not Family.PLAIN:
        return known > Family.LIBRARY and value.dotted is None
    return value.obj is MISSING or _holds_users(value.obj, 0)


def _holds_users(obj: Any, depth: int) -> bool:
    """Whether a live object may hold such objects; long and deep containers may."""
    kind: Any = type(obj)
    if family(kind) is not Family.PLAIN:
        return family(kind) > Family.LIBRARY
    dtype = own(obj, "dtype") if kind.__module__ == "numpy" else None
    if dtype is not None:
        return bool(own(dtype, "hasobject"))
    if kind in {list, tuple, set, frozenset, dict} and len(obj) <= _MEMBERS and depth < _DEEPEST:
        members = chain(obj, obj.values()) if kind is dict else obj
        return any(_holds_users(member, depth + 1) for member in islice(members, 2 * _MEMBERS))
    return kind not in {bytearray, memoryview} and not (kind in PLAINS and not obj)
