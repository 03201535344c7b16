"""Predicted effects of a statement: what the analysis hands to planning and to the engine.

A prediction may be wrong; it decides what is tried ahead, never what is committed. The two members
that home relies on when it judges (`touch`, `home`) err on the side of caution.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field


class Touch(enum.Enum):
    """What may have changed after home itself ran a statement, seen from what was sent out."""

    NOTHING = "nothing"
    """No object that existed before is changed: names are bound, text is printed."""
    OBJECTS = "objects"
    """Only the objects that the names in `changes` are bound to, and those shallowly, provided
    that each of these is exactly a list, dict, set, deque or bytearray when it happens."""
    ANY = "any"
    """Anything reachable: what was sent must be compared before an outcome is taken."""


class Blocker(enum.Enum):
    """Why a statement must run at home."""

    SHELL = "uses the notebook's shell (a magic, a shell line or get_ipython())"
    AWAIT = "awaits at the top level"
    INPUT = "asks for input"
    DRAWING = "draws on the current figure, which lives at home"
    WIDGET = "uses widgets or comms"
    NAMESPACE = "reaches into the namespace itself (globals, locals, eval, exec, vars)"
    THREAD = "starts threads, processes or loops that go on running"
    HANDLE = "makes or uses an open handle, generator, iterator or lock"
    FILES = "writes files"
    WORLD = "changes the world outside (runs programs, uses the network, writes files natively)"
    AMBIENT = "changes process-wide state (options, random generators, environment)"
    CLOCK = "reads the clock"
    PROCESS = "asks about the process or thread it runs in"
    DEFINITION = "defines a function or a class, which lives at home"
    IMPORT = "imports, which changes the process"
    CONTROL = "steers the flow of the program around it"
    MODULE = "uses a module whose state a statement changed"
    UNKNOWN = "does something the analysis cannot follow"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a statement stays at home: a `blocker`, what in the text shows it, and on which line."""

    blocker: Blocker
    what: str
    line: int

    def __str__(self) -> str:
        return f"line {self.line}: `{self.what}` {self.blocker.value}"


@dataclass(frozen=True, slots=True)
class Effects:
    """What running one statement or expression is predicted to do to the notebook's namespace.

    All names are names of the notebook's global namespace; names local to a comprehension, a lambda
    or a called function do not appear. Functions of the notebook that are called are followed: what
    their code reads or changes globally is included.
    """

    reads: frozenset[str] = frozenset()
    """Names whose value at entry is used; called functions, classes and their globals included."""
    writes: frozenset[str] = frozenset()
    """Names bound (or possibly bound)."""
    deletes: frozenset[str] = frozenset()
    """Names unbound."""
    changes: frozenset[str] = frozenset()
    """Names whose object may be changed in place; a subset of `reads` or of names written first."""
    aliases: frozenset[tuple[str, str]] = frozenset()
    """Pairs (new, old): the value of `new` may be, hold or view the object `old` is bound to."""
    files_read: bool = False
    files_unseen: bool = False
    """Reads files by native code, so that nobody can tell afterwards which and when."""
    files_written: bool = False
    """Changes files. Without a reason to stay home it may travel, and waits at the gate."""
    draws: frozenset[str] = frozenset()
    """Shared random generators drawn from: 'random', 'numpy', 'torch'."""
    prints: bool = False
    """Prints or displays."""
    home: tuple[Reason, ...] = ()
    """Why it must run at home, in program order; empty: it may travel."""
    touch: Touch = Touch.ANY
    assumes: tuple[tuple[str, object], ...] = ()
    """What `touch` rests on: names with what they are taken to be bound to, of functions, classes
    and modules the object itself, of data the type. Empty where `touch` is ANY."""
    cost_s: float | None = None
    """Seconds as far as the tables tell: 0.0 for what is surely trivial, a rough guess for what is
    surely dear (a fit, a read of a table), None for unknown."""

    @property
    def used(self) -> frozenset[str]:
        """All names by which it may come to an object."""
        return self.reads | self.changes | self.writes

    @property
    def travels(self) -> bool:
        """Whether it may be run on a worker."""
        return not self.home


def combined(parts: Iterable[Effects], bound: frozenset[str] = frozenset()) -> Effects:
    """Return what several effects may change together (only what validation needs).

    `bound`: names that may be bound anew meanwhile. If they may change anything, `reads` are the
    names by which that is reached; none: nobody knows.
    """
    touch = Touch.NOTHING
    changes: frozenset[str] = frozenset()
    assumes: tuple[tuple[str, object], ...] = ()
    home: tuple[Reason, ...] = ()
    used: frozenset[str] = frozenset()
    is_known = True
    for effects in parts:
        assumes += effects.assumes
        home += effects.home
        if effects.touch is not Touch.NOTHING:
            used |= effects.used
        if effects.touch is Touch.ANY:
            touch = Touch.ANY
            is_known = is_known and bool(effects.used)
        elif effects.touch is Touch.OBJECTS and touch is not Touch.ANY:
            touch = Touch.OBJECTS
            changes |= effects.changes
    if touch is Touch.ANY:
        return Effects(touch=touch, reads=used if is_known else frozenset(), home=home)
    return Effects(touch=touch, changes=changes, writes=bound, assumes=assumes, home=home)


NO_EFFECTS = Effects(touch=Touch.NOTHING, cost_s=0.0)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is known before a statement runs.

    `objects`: name → object, for names whose present value at home is the one the statement will
    see. `definitions`: name → AST node of a `def` or `class` that an earlier statement of the same
    cell is about to execute. `opaque`: names that earlier statements will rebind to unknown values.
    """

    objects: dict[str, object] = field(default_factory=dict)
    definitions: dict[str, object] = field(default_factory=dict)
    opaque: frozenset[str] = frozenset()
