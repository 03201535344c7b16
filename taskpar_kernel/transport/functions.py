"""Functions, their cells, and classes of the notebook come in, reductions that rebuild them go out.

The rule: a function is rebuilt on the receiver's module of the same name, so that one global name
has one value; functions that share a variable of an enclosing call share it at the other end too.
"""

from __future__ import annotations

import enum
import inspect
import marshal
import sys
import types
from typing import Any

from cloudpickle import cloudpickle as _cloud

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.transport.exactness import refuse_inexact_class
from taskpar_kernel.transport.hashing import note_hashing


def reduce_function(function: types.FunctionType) -> Any:
    """Return the reduction of a function: its name if that finds it, else its parts."""
    if _is_found(function, function.__module__, function.__qualname__):
        return NotImplemented
    home = function.__globals__.get("__name__")
    owner = sys.modules.get(home) if isinstance(home, str) else None
    known = owner is not None and vars(owner) is function.__globals__
    if not known and not _is_of_named_tuple(function):
        raise NotPortable(f"the globals of {function.__qualname__!r} are not those of a module")
    state = {
        "__defaults__": function.__defaults__,
        "__kwdefaults__": function.__kwdefaults__,
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
        "__doc__": function.__doc__,
        "__annotations__": function.__annotations__,
        "__dict__": tuple(function.__dict__.items()),
    }
    made = (
        home,
        # Format 2 depends on the code alone; later ones also on references to its parts.
        marshal.dumps(function.__code__, 2),
        function.__name__,
        function.__closure__,
    )
    return make_function, made, state, None, None, fill_function


def _is_of_named_tuple(function: types.FunctionType) -> bool:
    return function.__globals__ == _globals_of_named_tuple(
        str(function.__globals__.get("__name__"))
    )


def _globals_of_named_tuple(name: str) -> dict[str, Any]:
    """Return what `collections.namedtuple` gives the one function it compiles."""
    if not name.startswith("namedtuple_"):
        return {}
    return {"_tuple_new": tuple.__new__, "__builtins__": {}, "__name__": name}


def _is_found(obj: Any, module: str | None, name: str) -> bool:
    found: object = sys.modules.get(module or "")
    if found is None or module == "__main__":
        return False
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is obj


def make_function(
    module: str, code: bytes, name: str, closure: tuple[types.CellType, ...] | None
) -> types.FunctionType:
    """Make a function whose globals are those of the module of that name in this process."""
    return types.FunctionType(  # peers are authenticated by the private folder
        marshal.loads(code),  # noqa: S302
        _globals_of_named_tuple(module) or vars(sys.modules[module]),
        name,
        None,
        closure,
    )


def fill_function(function: types.FunctionType, state: dict[str, Any]) -> None:
    """Give a function made anew its attributes."""
    function.__dict__.update(state.pop("__dict__"))
    for name, value in state.items():
        setattr(function, name, value)


def reduce_cell(cell: types.CellType) -> Any:
    """Return the reduction of a cell; its content comes later, because it may lead back to it."""
    try:
        content = (cell.cell_contents,)
    except ValueError:  # an empty cell stays empty
        return make_cell, ()
    return make_cell, (), content, None, None, fill_cell


def make_cell() -> types.CellType:
    """Make an empty cell."""
    return types.CellType()


def fill_cell(cell: types.CellType, content: tuple[object]) -> None:
    """Give a cell made anew its content."""
    cell.cell_contents = content[0]


def reduce_class(cls: type) -> Any:
    """Return the reduction of a class: cloudpickle's, with its slots for one of the notebook."""
    reduction = _cloud._class_reduce(cls)
    if reduction is NotImplemented or len(reduction) == 2:
        return reduction
    refuse_inexact_class(cls)
    note_hashing(cls)
    make, (*first, keywords, tracker, extra), (attributes, more), *_ = reduction
    kept = {k: v for k, v in attributes.items() if k != "__slotnames__"}  # pickling leaves it there
    if make is _cloud._make_skeleton_class:
        keywords = {**keywords, "__qualname__": cls.__qualname__}  # no part of the class's dict
    slots = vars(cls).get("__slots__")
    if slots is not None:
        keywords = {**keywords, "__slots__": slots}
        kept.pop("__slots__")
        kept = {k: v for k, v in kept.items() if not inspect.ismemberdescriptor(v)}
    return make, (*first, keywords, tracker, extra), (kept, more), None, None, fill_class


def fill_class(cls: type, state: Any) -> None:
    """Give a class made anew its attributes."""
    _cloud._class_setstate(cls, state)
    note_hashing(cls)


class Classes(enum.Enum):
    """What becomes of a class of the notebook that a message carries as a copy."""

    SAME = "same"
    """A class that came before, or went out from here, stands for its copies."""
    NEW = "new"
    """Each message has a copy of its own, so that no attempt sees what another did to it."""
    FOREIGN = "foreign"
    """A copy of a class that is here already is refused: its instances would not be instances."""


def _tracked(cls: type, tracker: str) -> type:
    """Let `cls` be known as the notebook's class `tracker`, so that it is pickled alike."""
    with _cloud._DYNAMIC_CLASS_TRACKER_LOCK:
        _cloud._DYNAMIC_CLASS_TRACKER_BY_ID[tracker] = cls
        _cloud._DYNAMIC_CLASS_TRACKER_BY_CLASS[cls] = tracker
    return cls


def _refuse_known(name: str, tracker: str) -> None:
    if tracker in _cloud._DYNAMIC_CLASS_TRACKER_BY_ID:
        raise NotPortable(f"it has a copy of the class {name!r}")


# Plain functions of a module, because the unpickler numbers them: they must have no identity.


def new_class(kind: Any, name: str, bases: Any, keywords: Any, tracker: str, extra: Any) -> type:
    """Make a class, even if there is one of the same tracker."""
    made: type = _cloud._make_skeleton_class(kind, name, bases, keywords, None, extra)
    return _tracked(made, tracker)


def foreign_class(
    kind: Any, name: str, bases: Any, keywords: Any, tracker: str, extra: Any
) -> type:
    """Make a class that is not here yet."""
    _refuse_known(name, tracker)
    return new_class(kind, name, bases, keywords, tracker, extra)


def new_enum(bases: Any, name: str, *more: Any) -> type:
    """Make an enumeration, even if there is one of the same tracker."""
    *rest, tracker, extra = more
    made: type = _cloud._make_skeleton_enum(bases, name, *rest, None, extra)
    return _tracked(made, tracker)


def foreign_enum(bases: Any, name: str, *more: Any) -> type:
    """Make an enumeration that is not here yet."""
    _refuse_known(name, more[-2])
    return new_enum(bases, name, *more)


CLASS_MAKERS = {
    (Classes.NEW, _cloud.__name__, "_make_skeleton_class"): new_class,
    (Classes.NEW, _cloud.__name__, "_make_skeleton_enum"): new_enum,
    (Classes.FOREIGN, _cloud.__name__, "_make_skeleton_class"): foreign_class,
    (Classes.FOREIGN, _cloud.__name__, "_make_skeleton_enum"): foreign_enum,
}
