"""The walk over a statement: one pass that evaluates it abstractly and keeps the ledger.

Theory of operation. A `Walk` holds the scope before the statement, the ledger, and the chain of
frames in which names are looked up. It sends every node to the function its tables name for the
node's type; those functions live in `expressions`, `calls` and `statements` and call back only
through the walk. Bodies of notebook functions are walked by a walk of their own (`fork`), which
also writes down what it looked up globally (`uses`), so that its result can be kept and reused for
as long as these names mean the same. In such a walk the notebook's data are known by type only.
"""

from __future__ import annotations

import ast
import builtins
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final

from taskpar_kernel.analysis.ledger import Ledger
from taskpar_kernel.analysis.names import Frame, FrameKind
from taskpar_kernel.analysis.values import MISSING, UNKNOWN, Value, is_immutable
from taskpar_kernel.model.effects import Blocker, Scope

Evaluator = Callable[["Walk", Any], Value]
Executor = Callable[["Walk", Any], None]
Uses = dict[str, object]

_BUILTINS: Final[Mapping[str, object]] = vars(builtins)
_SHELL: Final = {"display": "IPython.display.display", "get_ipython": "IPython.get_ipython"}
_OPAQUE: Final = object()
FOLLOW_LIMIT: Final = 150  # bodies analysed for one statement; beyond it calls count as unknown


@dataclass(slots=True)
class Session:
    """What the walks for one statement share: the bodies being followed, how many more may be."""

    active: dict[object, object] = field(default_factory=dict)  # body → its summary so far
    hits: set[object] = field(default_factory=set)  # active bodies that were called again
    left: int = FOLLOW_LIMIT
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Grammar:
    """Which function evaluates which kind of node."""

    expressions: Mapping[type, Evaluator]
    statements: Mapping[type, Executor]


class Walk:
    """Evaluates expressions and executes statements abstractly.

    Responsible for frames, name lookup and flow (branches and loops). It does not know what any
    node means, nor any library.
    """

    __slots__ = (
        "discarded", "frame", "grammar", "guarded", "ledger", "loops", "returned", "scope",
        "session", "uses",
    )  # fmt: skip

    def __init__(self, grammar: Grammar, scope: Scope, session: Session, frame: Frame) -> None:
        self.grammar = grammar
        self.scope = scope
        self.session = session
        self.frame = frame
        self.ledger = Ledger()
        self.uses: Uses | None = None
        self.loops = 0
        self.guarded = 0  # depth of try blocks
        self.returned: Value | None = None
        self.discarded: ast.expr | None = None  # the call whose result nobody takes

    def fork(self, frame: Frame, *, uses: Uses | None) -> Walk:
        """Make a walk with a ledger of its own that looks names up from `frame`."""
        walk = Walk(self.grammar, self.scope, self.session, frame)
        walk.uses = uses
        return walk

    @property
    def at_top(self) -> bool:
        """Whether what is being walked belongs to the notebook's own scope."""
        frame = self.frame
        while frame.kind is FrameKind.COMPREHENSION and frame.parent is not None:
            frame = frame.parent
        return self.uses is None and frame.kind is FrameKind.MODULE

    @property
    def in_function(self) -> bool:
        """Whether what is being walked belongs to the body of a function."""
        frame: Frame | None = self.frame
        while frame is not None and frame.kind is not FrameKind.FUNCTION:
            frame = frame.parent
        return frame is not None

    def value(self, node: ast.expr) -> Value:
        """Evaluate one expression."""
        return self.grammar.expressions[node.__class__](self, node)

    def run(self, body: Iterable[ast.stmt]) -> None:
        """Execute statements in order."""
        table = self.grammar.statements
        for node in body:
            table[node.__class__](self, node)

    # Names

    def load(self, name: str) -> Value:
        """Look a name up and note the read if it comes from outside the statement."""
        frame = self.frame.owner_of(name)
        if frame.parent is not None:
            return frame.env.get(name, UNKNOWN)
        if name not in frame.sure:
            found = frame.env.get(name)
            value = self.outside(name)
            if value.dotted is None or not value.dotted.startswith("builtins."):
                self.ledger.reads.add(name)
            return value if found is None else found
        return frame.env.get(name, UNKNOWN)

    def outside(self, name: str) -> Value:
        """Tell what a global name is before the statement; no read is noted."""
        scope = self.scope
        uses = self.uses
        if uses is not None and name not in uses:
            uses[name] = token_of(scope, name)
        node = scope.definitions.get(name)
        if node is not None:
            return _defined(name, node)
        if name not in scope.opaque:
            obj = scope.objects.get(name, MISSING)
            stands_in = obj is MISSING or _stands_in(obj, name)
            if not stands_in and name != "get_ipython":
                return live(obj, name, by_type=uses is not None)
            if name in _BUILTINS and stands_in:
                obj = _BUILTINS[name]
                return Value(type(obj), obj=obj, dotted="builtins." + name)
            if name in _SHELL:
                return Value(dotted=_SHELL[name])
        return Value(same=frozenset((name,)), direct=True)

    def store(self, name: str, value: Value, node: ast.AST) -> None:
        """Bind a name in the scope Python binds it in."""
        frame = self.frame.target_of(name)
        if frame.parent is not None:
            frame.env[name] = value
            return
        ledger = self.ledger
        ledger.writes.add(name)
        if value.lazy and self.uses is None:
            ledger.block(Blocker.HANDLE, node, value.lazy)
        if value.reach and not is_immutable(value):
            for root in value.reach:
                if isinstance(root, str) and root != name:
                    ledger.aliases.add((name, root))
        frame.env[name] = value.bound_to(name)
        frame.sure.add(name)

    def unbind(self, name: str) -> None:
        """Delete a name."""
        frame = self.frame.target_of(name)
        if frame.parent is None:
            if name not in frame.sure:
                self.ledger.reads.add(name)
            self.ledger.deletes.add(name)
            frame.sure.discard(name)
        frame.env.pop(name, None)

    def forget(self, names: Iterable[str]) -> None:
        """Note that code outside this walk bound these global names to values not known."""
        module = self.frame.module()
        for name in names:
            self.ledger.writes.add(name)
            module.env[name] = Value(same=frozenset((name,)), direct=True)

    def put_into(self, node: ast.expr, value: Value) -> None:
        """Note that `value` was put into the container that `node` names."""
        if not isinstance(node, ast.Name) or is_immutable(value):
            return
        frame = self.frame.owner_of(node.id)
        if frame.parent is not None:
            known = frame.env.get(node.id)
            if known is not None and value.reach:
                frame.env[node.id] = known.holding(value.reach)
            return
        for root in value.reach:
            if isinstance(root, str) and root != node.id:
                self.ledger.aliases.add((node.id, root))

    # Flow

    def branches(self, *arms: Callable[[], None]) -> None:
        """Run alternatives from the same state and join what is known after them."""
        frames = _chain(self.frame)
        before = [(dict(frame.env), set(frame.sure)) for frame in frames]
        after: list[list[tuple[dict[str, Value], set[str]]]] = []
        for arm in arms:
            for frame, (env, sure) in zip(frames, before, strict=True):
                frame.env, frame.sure = dict(env), set(sure)
            arm()
            after.append([(frame.env, frame.sure) for frame in frames])
        for position, frame in enumerate(frames):
            frame.env, frame.sure = after[0][position]
            for states in after[1:]:
                env, sure = states[position]
                frame.env = self._joined(frame, frame.env, env)
                frame.sure = frame.sure & sure

    def loop(self, body: Callable[[], None]) -> None:
        """Run a loop's body until another round would teach nothing (at most twice)."""
        frames = _chain(self.frame)
        self.loops += 1
        rounds = 2 if self.loops <= 3 else 1
        for _ in range(rounds):
            before = [(dict(frame.env), set(frame.sure)) for frame in frames]
            body()
            settled = True
            for frame, (env, sure) in zip(frames, before, strict=True):
                new = frame.env
                settled = settled and all(
                    name in new and new[name].agrees(value) for name, value in env.items()
                )
                frame.env, frame.sure = self._joined(frame, env, new), sure
            if settled:
                break
        self.loops -= 1

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Walk something that does not run here and now: names keep what they are bound to."""
        frames = _chain(self.frame)
        before = [(dict(frame.env), set(frame.sure)) for frame in frames]
        yield
        for frame, (env, sure) in zip(frames, before, strict=True):
            frame.env, frame.sure = env, sure

    def _joined(
        self, frame: Frame, one: dict[str, Value], other: dict[str, Value]
    ) -> dict[str, Value]:
        joined = dict(one)
        for name, value in other.items():
            known = one.get(name)
            if known is None and frame.parent is None:
                known = self.outside(name)
            joined[name] = value if known is None else known.joined(value)
        if frame.parent is None:
            for name in one.keys() - other.keys():
                joined[name] = one[name].joined(self.outside(name))
        return joined


def _chain(frame: Frame) -> list[Frame]:
    frames = [frame]
    while frame.parent is not None:
        frame = frame.parent
        frames.append(frame)
    return frames


def live(obj: object, name: str, *, by_type: bool = False) -> Value:
    """Describe the live object that the global `name` is bound to."""
    if isinstance(obj, ModuleType):
        return Value(ModuleType, obj=obj, dotted=obj.__name__)
    kind = type(obj)
    if by_type and not is_code(obj):
        return Value(kind, same=frozenset((name,)), direct=True)
    return Value(kind, obj=obj, same=frozenset((name,)), direct=True)


def _stands_in(obj: object, name: str) -> bool:
    """Whether the object is what IPython puts in the place of a builtin function."""
    if type(obj) is not FunctionType or name not in _BUILTINS:
        return False
    return str(obj.__globals__.get("__name__")).startswith("IPython.")


def is_code(obj: object) -> bool:
    """Whether the object is a function, class or module, whose meaning lies in its identity."""
    return isinstance(obj, (FunctionType, type, ModuleType, BuiltinFunctionType)) or (
        type(obj).__name__ == "ufunc"
    )


def _defined(name: str, node: object) -> Value:
    """Describe what an earlier `def`, `class` or `import` of the cell binds `name` to."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname == name:
                return Value(ModuleType, dotted=alias.name)
        return Value(ModuleType, dotted=name)
    if isinstance(node, ast.ImportFrom):
        origin = next((a.name for a in node.names if (a.asname or a.name) == name), name)
        return Value(dotted=f"{node.module}.{origin}")
    kind: type = type if isinstance(node, ast.ClassDef) else FunctionType
    return Value(kind, same=frozenset((name,)), direct=True, function=node)


def token_of(scope: Scope, name: str) -> object:
    """Name what a global name means now, as far as an analysed body depends on it.

    Two equal tokens mean that the analysis would come to the same result. Data count by their type,
    functions and classes by identity (held weakly).
    """
    node = scope.definitions.get(name)
    if node is not None:
        return node
    if name in scope.opaque:
        return _OPAQUE
    obj = scope.objects.get(name, MISSING)
    if isinstance(obj, (FunctionType, type)):
        return weakref.ref(obj)
    return obj if is_code(obj) else type(obj)


def still_means(scope: Scope, name: str, token: object) -> bool:
    """Whether `name` means now what it meant when `token` was taken; O(1)."""
    if isinstance(token, weakref.ref):
        if name in scope.definitions or name in scope.opaque:
            return False
        return token() is scope.objects.get(name, MISSING)
    return token_of(scope, name) is token
