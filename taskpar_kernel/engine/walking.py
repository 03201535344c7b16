"""An iterable that home has evaluated comes in; what home walks, and what the look-ahead, go out.

Containers can be walked as often as one likes. Iterators of builtins over such (`enumerate`, `zip`,
`reversed`, some of `itertools`) are copied with their position. New generators of libraries that
only look at what they are given (the groups and rows of a frame, the splits of a cross-validation)
are walked at once, into a list for both.

The rule: both see the same objects in the same order, and nobody else can tell.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
from collections.abc import Mapping
from types import GeneratorType
from typing import Any, Final

PLAIN: Final = frozenset(
    {list, tuple, range, dict, set, frozenset, str, bytes}
    | {type({}.keys()), type({}.values()), type({}.items())}
)
"""What can be walked as often as one likes."""
_COLUMNS: Final = frozenset({"Series", "Index", "RangeIndex", "DatetimeIndex"})
_GROUPED: Final = frozenset({"DataFrameGroupBy", "SeriesGroupBy"})
_ITERATORS: Final = frozenset(
    {
        *map(type, map(iter, ([], (), range(0), range(1 << 70), "", "\x80", b"", set()))),
        *map(type, (iter({}), iter({}.values()), iter({}.items()))),
        *map(type, (reversed([]), reversed(()), reversed(range(0)))),
        *(enumerate, zip),
    }
)  # fmt: skip
_COPYABLE: Final = (
    frozenset({itertools.chain, itertools.islice, itertools.repeat, itertools.count,
               itertools.zip_longest, itertools.cycle})
    if sys.version_info < (3, 12)
    else frozenset()
)  # fmt: skip
"""Iterators that can be copied, which Python warns of from 3.12 on, and cannot do from 3.14 on."""
_POOLED: Final = frozenset({
    itertools.product, itertools.combinations, itertools.permutations,
    itertools.combinations_with_replacement,
})  # fmt: skip
"""Iterators that have taken all of their input when they are made: no code runs as they go on."""
_MOST_POOLED: Final = 10_000


class _Sequence:
    def __getitem__(self, index: int) -> int:
        return range(0)[index]


_BY_INDEX: Final = type(iter(_Sequence()))
_GENERATORS: Final = frozenset({
    ("sklearn.model_selection._split", "split"), ("pandas.core.groupby.ops", "get_iterator"),
    ("pandas.core.frame", "iterrows"), ("pandas.core.frame", "items"),
})  # fmt: skip
_OVER: Final = frozenset({"zip", "enumerate", "reversed", *vars(itertools)})
_LONGEST_FRAME: Final = 10_000
"""Rows of a frame that are made at once; each is an object of its own."""


class _Once(Exception):
    """It cannot be walked twice."""


def both_ways(iterable: Any, *, temporary: bool) -> tuple[Any, Any] | None:
    """Return what home, and what the look-ahead, walk in place of `iterable`, or None.

    `temporary`: nobody but the loop has it, or what it was made of, and can go on with it.
    """
    made: dict[int, list[Any]] = {}
    try:
        ahead = _again(iterable, made if temporary else None)
        return (_again(iterable, made), ahead) if made else (iterable, ahead)
    except _Once:
        return None


def runs_no_code(iterable: Any) -> bool:
    """Whether walking `iterable` surely runs none of the user's code; O(parts it is made of)."""
    kind = type(iterable)
    if kind in PLAIN or kind.__module__ == "numpy":
        return True
    try:
        _again(iterable, None)
    except _Once:
        return False
    return True


def is_temporary(node: ast.expr, names: Mapping[str, Any]) -> bool:
    """Whether what `node` evaluates to is held by nobody else, iterators it goes through included.

    What a call returns is taken to be new.
    """
    if isinstance(node, ast.Name):
        return not hasattr(type(names.get(node.id)), "__next__")
    if isinstance(node, ast.Attribute | ast.Subscript):
        owner = names.get(node.value.id) if isinstance(node.value, ast.Name) else None
        return type(owner).__module__.partition(".")[0] in {"numpy", "pandas"}
    if isinstance(node, ast.Call):
        maker = node.func.attr if isinstance(node.func, ast.Attribute) else None
        maker = node.func.id if isinstance(node.func, ast.Name) else maker
        return maker not in _OVER or all(is_temporary(each, names) for each in node.args)
    return isinstance(node, ast.Constant | ast.List | ast.Tuple | ast.BinOp | ast.UnaryOp)


def _again(iterable: Any, made: dict[int, list[Any]] | None) -> Any:
    """Return what gives the same items from here on; `made` keeps what generators gave."""
    kind = type(iterable)
    package = kind.__module__.partition(".")[0]
    if kind in PLAIN or (package == "pandas" and kind.__name__ in _COLUMNS):
        return iterable
    if kind in _ITERATORS or kind in _COPYABLE:
        return _copied(iterable, made)
    if kind in _POOLED:
        return _pooled(iterable, made)
    if package == "numpy":
        return _array(iterable, made)
    if kind is _BY_INDEX:  # over an array
        return _by_index(iterable, made)
    grouped = package == "pandas" and kind.__name__ in _GROUPED
    looks = grouped or _only_looks(iterable) or (kind is map and _makes_plainly(iterable))
    if made is not None and (looks or id(iterable) in made):
        return iter(_listed(iterable, made))
    raise _Once


def _listed(iterable: Any, made: dict[int, list[Any]]) -> list[Any]:
    if id(iterable) not in made:
        made[id(iterable)] = list(iterable)
    return made[id(iterable)]


def _pooled(iterator: Any, made: dict[int, list[Any]] | None) -> Any:
    """Return the first items for the look-ahead, which asks first; for home, all of them."""
    if made is None:
        raise _Once
    if id(iterator) in made:
        return itertools.chain(made[id(iterator)], iterator)
    first = made[id(iterator)] = list(itertools.islice(iterator, _MOST_POOLED))
    return iter(first)


def _copied(iterator: Any, made: dict[int, list[Any]] | None) -> Any:
    """Return a copy of an iterator of builtins, at the same position."""
    make, given, *state = iterator.__reduce__()
    new = make(*(_part(each, made) for each in given))
    if state and state[0] is not None:
        new.__setstate__(_part(state[0], made))
    return new


def _part(value: Any, made: dict[int, list[Any]] | None) -> Any:
    if type(value) is tuple and any(hasattr(type(each), "__next__") for each in value):
        return tuple(_part(each, made) for each in value)
    if hasattr(type(value), "__next__") or type(value).__module__.partition(".")[0] == "pandas":
        return _again(value, made)
    return value


def _array(array: Any, made: dict[int, list[Any]] | None) -> Any:
    """Return the array, its rows, or another iterator over its elements."""
    if type(array).__name__ == "ndarray" and array.ndim == 1:
        return array
    if type(array).__name__ == "ndarray" and array.ndim and made is not None:
        return _listed(array, made)  # each row is an object of its own
    base: Any = getattr(array, "base", None)
    if type(array).__name__ == "flatiter" and type(base).__name__ == "ndarray" and not array.index:
        return base.flat
    raise _Once


def _by_index(iterator: Any, made: dict[int, list[Any]] | None) -> Any:
    """Return a copy of the iterator of an array."""
    _, (array,), index = iterator.__reduce__()
    if type(array).__module__ != "numpy" or index:
        raise _Once
    return iter(_array(array, made))


def _makes_plainly(mapped: Any) -> bool:
    """Whether it only makes the elements of an array, or the rows of a frame, one by one."""
    function = mapped.__reduce__()[1][0]
    maker = getattr(function, "__self__", None)
    if getattr(function, "__name__", "") == "_make":
        return getattr(maker, "__name__", "") == "Pandas"
    return type(maker).__name__ == "ndarray" and type(maker).__module__ == "numpy"


def _only_looks(generator: Any) -> bool:
    """Whether it is a new generator of a library that draws nothing that others share."""
    if type(generator) is not GeneratorType:
        return False
    code, frame = generator.gi_code, generator.gi_frame
    if frame is None or inspect.getgeneratorstate(generator) != inspect.GEN_CREATED:
        return False
    if (frame.f_globals.get("__name__"), code.co_name) not in _GENERATORS:
        return False
    owner = frame.f_locals.get("self")
    if code.co_name == "iterrows":
        return owner is not None and len(owner) <= _LONGEST_FRAME
    if code.co_name != "split":
        return True
    return type(getattr(owner, "random_state", 0)) is int or not getattr(owner, "shuffle", True)


__all__ = ["PLAIN", "both_ways", "is_temporary", "runs_no_code"]
