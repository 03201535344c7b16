"""Calls of library functions and methods: what the tables and the conventions of names say.

A callee that is no code of the notebook comes in with its arguments; effects go to the ledger. The
rule: `touch` stays below ANY only where tables vouch for the function and every argument is plain.
"""

from __future__ import annotations

import ast
import sys
from types import BuiltinFunctionType, MethodType
from typing import TYPE_CHECKING, Final

from taskpar_kernel.analysis import hooks
from taskpar_kernel.analysis.ledger import Change
from taskpar_kernel.analysis.resolve import own
from taskpar_kernel.analysis.tables import (
    Conventions,
    Entry,
    conventions,
    dotted_method_entry,
    exact_entry,
    function_entry,
    method_entry,
)
from taskpar_kernel.analysis.values import (
    MISSING,
    NO_ROOTS,
    Family,
    Plain,
    Roots,
    Scalar,
    Value,
    family,
    is_immutable,
    is_plain,
    is_plain_throughout,
    is_small,
)
from taskpar_kernel.model.effects import Blocker

if TYPE_CHECKING:
    from taskpar_kernel.analysis.summaries import Arguments
    from taskpar_kernel.analysis.walk import Walk

_HOLDING: Final = frozenset({list, tuple, dict, set, frozenset})
_PLAIN_ENTRY: Final = Entry(frozenset({"pure"}), result=Plain)
_SCALAR_ENTRY: Final = Entry(frozenset({"pure", "cheap"}), cost_s=0.0, result=Scalar)
_KEPT: Final = frozenset({"append", "appendleft"})
"""Methods of list-like types that only keep what they are given."""
_ONE_ITEM: Final = frozenset({"add", "insert", "pop", "popleft", "popitem", "remove", "discard",
    "setdefault", "clear", "reverse", "rotate"})  # fmt: skip
"""Methods that walk over none of their arguments."""
_TRIVIAL: Final = frozenset({"append", "appendleft"})


def call_function(walk: Walk, node: ast.Call, callee: Value, arguments: Arguments) -> Value | None:
    """Call a function or class of a library; None for a method to be judged by its receiver."""
    owner = callee.owner
    if owner is not None and owner.kind is not None and not isinstance(owner.obj, type):
        return None
    entry = _function_entry(callee)
    if entry is not None:
        return _apply(walk, node, entry, callee, arguments)
    if owner is not None:
        return None
    if _is_named_for_writing(callee):
        walk.ledger.files_written = True
        walk.ledger.block(Blocker.WORLD, node)
    elif walk.discarded is node:
        walk.ledger.block(Blocker.AMBIENT, node)
    _change_keywords(walk, node, None, arguments)
    walk.ledger.unclear()
    return _made(callee, arguments)


def _function_entry(callee: Value) -> Entry | None:
    names = _names(callee)
    for name in names:
        entry = exact_entry(name) or dotted_method_entry(name)
        if entry is not None:
            return entry
    for name in names:
        entry = function_entry(name)
        if entry is not None:
            return entry
    return _class_entry(callee)


def _class_entry(callee: Value) -> Entry | None:
    """Look up a method taken from a class, or bound to an object some time before."""
    obj = callee.obj
    if isinstance(obj, (BuiltinFunctionType, MethodType)):
        owner = obj.__self__
        return method_entry(owner if isinstance(owner, type) else type(owner), obj.__name__)
    if callee.owner is not None and isinstance(callee.owner.obj, type):
        return method_entry(callee.owner.obj, callee.attr)
    return None


def _names(callee: Value) -> list[str]:
    """Give the dotted names a function may be listed under, the one in the text first."""
    if callee.dotted is not None and callee.dotted.startswith("builtins."):
        return [callee.dotted]
    names = [] if callee.dotted is None else [callee.dotted]
    obj = callee.obj
    of_class = callee.owner is not None and isinstance(callee.owner.obj, type)
    if obj is MISSING or of_class:  # a member of a class is listed with the class
        return names if obj is MISSING else []
    if isinstance(obj, (BuiltinFunctionType, MethodType)):
        shared = _shared_generator(obj.__self__)
        if shared is not None or isinstance(obj, MethodType):
            return names if shared is None else [*names, f"{shared}.{obj.__name__}"]
    module = "numpy" if type(obj).__name__ == "ufunc" else own(obj, "__module__")
    name = own(obj, "__qualname__") or own(obj, "__name__")
    if not isinstance(module, str) or not isinstance(name, str):
        return names
    public = ".".join(part for part in module.split(".") if not part.startswith("_"))
    root = module.partition(".")[0]
    return [*names, f"{module}.{name}", f"{public or root}.{name}", f"{root}.{name}"]


def _shared_generator(owner: object) -> str | None:
    """Name the module whose shared random generator `owner` is."""
    for module, holder, attr in (
        ("random", "random", "_inst"),
        ("numpy.random", "numpy.random.mtrand", "_rand"),
    ):
        live = sys.modules.get(holder)
        if live is not None and vars(live).get(attr, MISSING) is owner:
            return module
    return None


def call_method(walk: Walk, node: ast.Call, callee: Value, arguments: Arguments) -> Value:
    """Call a method that is not the notebook's own."""
    owner = callee.owner
    assert owner is not None
    kind = owner.kind
    known = family(kind)
    entry = method_entry(kind, callee.attr) if isinstance(kind, type) else None
    if entry is None and known is Family.SCALAR:
        entry = _SCALAR_ENTRY
    elif entry is None and known is Family.PLAIN:
        entry = _PLAIN_ENTRY
    if entry is not None:
        return _apply(walk, node, entry, callee, arguments)
    return _by_convention(walk, node, callee, arguments)


def _apply(walk: Walk, node: ast.Call, entry: Entry, callee: Value, arguments: Arguments) -> Value:
    """Enter what a table entry says."""
    ledger, words = walk.ledger, entry.words
    owner = _receiver(callee, arguments)
    if entry.blocker is not None:
        ledger.block(entry.blocker, node)
    _outside_world(walk, node, entry, arguments)
    for position in entry.changed_arguments:
        for value in arguments.positional[position : position + 1]:
            ledger.change(value, node, Change.DEEP)
    if owner is not None:
        if "shallow" in words:
            ledger.change(owner, node, Change.SHALLOW)
            _put(walk, node, arguments)
            _work_on(walk, callee.attr, owner, arguments)
        elif "changes" in words:
            ledger.change(owner, node, Change.DEEP)
    _change_keywords(walk, node, owner, arguments)
    given = arguments.all()
    if "shallow" not in words and "inert" not in words:
        inputs = given if owner is None else [owner, *given]
        plain = is_plain if "outer" in words else is_plain_throughout
        if not (entry.quiet or "changes" in words) or not all(map(plain, inputs)):
            ledger.doubt()
        elif "outer" not in words:
            hooks.meet(walk, hooks.ANYTHING, *inputs)
    ledger.spend(_cost(entry, callee, given))
    return _result(entry, callee, owner, arguments)


def _work_on(walk: Walk, name: str, owner: Value, arguments: Arguments) -> None:
    """Enter what a list-like's own method calls: of the items, of what it walks over."""
    if name in _KEPT:
        return
    given = arguments.all()
    if name not in _ONE_ITEM and not all(is_plain(value) for value in given):
        walk.ledger.doubt()
    hooks.meet(walk, hooks.ORDER | hooks.KEYS, owner, *given)


def _receiver(callee: Value, arguments: Arguments) -> Value | None:
    """Give the object a method acts on."""
    owner = callee.owner
    if owner is not None and isinstance(owner.obj, type):  # list.append(xs, 1)
        return arguments.positional[0] if arguments.positional else None
    if owner is None and callee.same and isinstance(callee.obj, (BuiltinFunctionType, MethodType)):
        return callee  # bound before: its receiver is reached through it
    return owner


def _cost(entry: Entry, callee: Value, given: list[Value]) -> float | None:
    if entry.cost_s is not None:
        return entry.cost_s
    builtin = callee.dotted is not None and callee.dotted.startswith("builtins.")
    if builtin and not any(value.function for value in given) and all(map(is_small, given)):
        return 0.0
    if isinstance(callee.obj, type) and callee.dotted is None and not callee.owner:
        return 0.0 if family(callee.obj) is Family.LIBRARY else None
    return None


def _outside_world(walk: Walk, node: ast.Call, entry: Entry, arguments: Arguments) -> None:
    ledger, words = walk.ledger, entry.words
    ledger.prints |= "prints" in words
    ledger.files_read |= not words.isdisjoint(("reads_file", "reads_natively"))
    ledger.files_unseen |= "reads_natively" in words
    if "writes_given" in words and _names_a_path(arguments):
        ledger.block(Blocker.FILES, node)
    for word in words:
        if word.startswith("draws_"):
            generator = word.split("_")[1]
            if word.endswith("_unseeded"):
                if _is_seeded(arguments):
                    continue
                ledger.block(Blocker.AMBIENT, node)
            ledger.draws.add(generator)


def _names_a_path(arguments: Arguments) -> bool:
    first = arguments.positional[0] if arguments.positional else None
    for word in ("path_or_buf", "buf"):
        first = arguments.keywords.get(word, first)
    return bool(arguments.spread) or (first is not None and first.kind is not type(None))


def _is_seeded(arguments: Arguments) -> bool:
    value = arguments.keywords.get("random_state")
    return value is not None and value.kind is not type(None)


def _put(walk: Walk, node: ast.Call, arguments: Arguments) -> None:
    """What is given to a container's method is held by the container from now on."""
    if isinstance(node.func, ast.Attribute):
        for value in arguments.all():
            walk.put_into(node.func.value, value)


def _change_keywords(walk: Walk, node: ast.Call, owner: Value | None, arguments: Arguments) -> None:
    """Enter what `out=` and `inplace=True` change."""
    out = arguments.keywords.get("out")
    if out is not None and out.kind is not type(None):
        for value in out.items or (out,):
            walk.ledger.change(value, node, Change.DEEP)
    inplace = arguments.keywords.get("inplace")
    if inplace is not None and owner is not None and inplace.obj is not False:
        walk.ledger.change(owner, node, Change.DEEP)


def _result(entry: Entry, callee: Value, owner: Value | None, arguments: Arguments) -> Value:
    words = entry.words
    if "fluent" in words and owner is not None:
        return Value(owner.kind, same=owner.same, held=owner.held, direct=owner.direct,
                     fresh=owner.fresh, obj=owner.obj)  # fmt: skip
    given = arguments.all()
    if "lazy" in words:
        name = callee.attr or (callee.dotted or "").rpartition(".")[2]
        inputs = given if owner is None else [owner, *given]
        return Value(held=_reach(inputs), fresh=True, lazy=f"{name}(…)")
    if isinstance(callee.obj, type) and callee.obj not in _HOLDING:
        return _made(callee, arguments)
    if "view" in words:
        sources = _reach(given[:1] if owner is None else [owner])
        if entry.result in _HOLDING:
            small = all(is_small(value) for value in given)
            return Value(entry.result, held=_reach(given) | sources, fresh=True, small=small)
        return Value(entry.result, same=sources, fresh=not sources)
    kind = entry.result
    return Value(kind, fresh=kind is not None and kind is not Scalar)


def _made(callee: Value, arguments: Arguments) -> Value:
    """Describe a new instance of a library's class, or the result of an unknown function."""
    if isinstance(callee.obj, type):
        return Value(callee.obj, held=_reach(arguments.all()), fresh=True)
    return Value()


def _reach(values: list[Value]) -> Roots:
    found: Roots = NO_ROOTS
    for value in values:
        if not is_immutable(value) and value.reach:
            found |= value.reach
    return found


def changes_receiver(owner: Value, name: str) -> bool:
    """Whether calling the method would change the object it is bound to."""
    entry = method_entry(owner.kind, name) if isinstance(owner.kind, type) else None
    if entry is not None:
        return not entry.words.isdisjoint(("changes", "shallow"))
    if family(owner.kind) <= Family.PLAIN:
        return False
    says = conventions()
    return name in says.changes or name.startswith(says.changes_prefixes)


def _by_convention(walk: Walk, node: ast.Call, callee: Value, arguments: Arguments) -> Value:
    """Judge a method by its name."""
    owner = callee.owner
    assert owner is not None
    ledger, says, name = walk.ledger, conventions(), callee.attr
    _change_keywords(walk, node, owner, arguments)
    if name in says.shallow and owner.kind is None:
        ledger.change(owner, node, Change.SHALLOW)
        ledger.spend(0.0 if name in _TRIVIAL else None)
        _put(walk, node, arguments)
        _work_on(walk, name, owner, arguments)
        return Value(same=owner.held)
    if name in says.pure or (name.startswith(says.pure_prefixes) and name not in says.changes):
        ledger.unclear()
        return Value(same=owner.reach if name in says.view else NO_ROOTS)
    if name in says.files:
        ledger.block(Blocker.FILES, node)
    elif _writes(says, name):
        ledger.files_written = True
        ledger.block(Blocker.WORLD, node)
    elif name in says.changes or name.startswith(says.changes_prefixes) or walk.discarded is node:
        ledger.change(owner, node, Change.DEEP)
    cost_s = says.costs.get(name)
    ledger.doubt()
    ledger.spend(cost_s)
    if name in says.fluent:
        return Value(owner.kind, same=owner.same, held=owner.held, direct=owner.direct,
                     fresh=owner.fresh, obj=owner.obj)  # fmt: skip
    return Value()


def _is_named_for_writing(callee: Value) -> bool:
    """Whether the name of a library's function says that it writes; how is not known."""
    says = conventions()
    name = callee.attr or (callee.dotted or "").rpartition(".")[2]
    return name in says.files | says.world or name.startswith(says.native_prefixes)


def _writes(says: Conventions, name: str) -> bool:
    return name in says.world or name.startswith(says.world_prefixes)
