"""What following a function yields, and what it is asked with: plain records.

The rule: a summary speaks of parameters and global names only, so that every call can use it.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from types import FunctionType
from typing import TYPE_CHECKING, NamedTuple

from taskpar_kernel.analysis.ledger import Ledger
from taskpar_kernel.analysis.names import FunctionNode

if TYPE_CHECKING:
    from taskpar_kernel.analysis.values import Kind, Value
    from taskpar_kernel.analysis.walk import Uses


@dataclass(slots=True)
class Summary:
    """What calling a function does, in terms of its parameters and global names."""

    name: str
    parameters: tuple[str, ...] = ()
    star: str = ""
    extra: str = ""
    all_change: bool = False
    serial: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    lazy: str = ""
    result: Kind = None
    fresh: bool = False
    uses: Uses = field(default_factory=dict)


@dataclass(slots=True)
class Arguments:
    """The arguments of a call; `spread` are those given by `*` and `**`."""

    positional: list[Value] = field(default_factory=list)
    keywords: dict[str, Value] = field(default_factory=dict)
    spread: list[Value] = field(default_factory=list)

    def all(self) -> list[Value]:
        """Give every argument."""
        return [*self.positional, *self.keywords.values(), *self.spread]


class Signature(NamedTuple):
    """What is known of a call's arguments.

    Their types by position, whether there are no others, and whether the first is an object just
    made (in a constructor).
    """

    kinds: tuple[Kind, ...] = ()
    complete: bool = False
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Closure:
    """A function made inside the statement; its body was walked where it was made."""

    summary: Summary


Followable = Closure | FunctionType | FunctionNode


def followable(value: Value) -> Followable | None:
    """Give the notebook function a value surely is."""
    function = value.function
    if isinstance(function, (Closure, ast.FunctionDef, ast.AsyncFunctionDef)):
        return function
    obj = value.obj
    if isinstance(obj, FunctionType) and obj.__module__ == "__main__":
        return obj
    return None
