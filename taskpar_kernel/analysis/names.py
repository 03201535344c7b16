"""Python's scoping rules: which names a body binds, and frames to look names up in.

Trees of statements come in, sets of names and chains of frames go out. The rule: exactly what the
compiler decides, including walrus targets in comprehensions and the class scope nobody sees into.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from taskpar_kernel.analysis.trees import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskpar_kernel.analysis.values import Value

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class FrameKind(Enum):
    """The kinds of scope Python knows."""

    MODULE = "module"
    FUNCTION = "function"
    CLASS = "class"
    COMPREHENSION = "comprehension"


@dataclass(slots=True)
class Frame:
    """One scope during a walk: its names and what is known of their values now.

    `sure` are the names surely bound by the statement so far (used for the module's frame only).
    """

    kind: FrameKind
    parent: Frame | None = None
    local: frozenset[str] = frozenset()
    declared_global: frozenset[str] = frozenset()
    env: dict[str, Value] = field(default_factory=dict)
    sure: set[str] = field(default_factory=set)

    def owner_of(self, name: str) -> Frame:
        """Find the frame whose variable `name` means when used in this frame."""
        frame = self
        while frame.parent is not None:
            if name in frame.declared_global:
                return frame.module()
            if name in frame.local:
                visible = frame is self or frame.kind is not FrameKind.CLASS
                if visible and not (frame.kind is FrameKind.CLASS and name not in frame.env):
                    return frame
            frame = frame.parent
        return frame

    def target_of(self, name: str) -> Frame:
        """Find the frame in which an assignment to `name` binds it."""
        frame = self
        while frame.parent is not None:
            if name in frame.declared_global:
                return frame.module()
            if name in frame.local:
                return frame
            frame = frame.parent
        return frame

    def module(self) -> Frame:
        """Give the outermost frame."""
        frame = self
        while frame.parent is not None:
            frame = frame.parent
        return frame


@dataclass(frozen=True, slots=True)
class Bindings:
    """The names a body binds, and those it declares to be somewhere else."""

    bound: frozenset[str]
    declared_global: frozenset[str]
    declared_nonlocal: frozenset[str]
    yields: bool

    @property
    def local(self) -> frozenset[str]:
        """Names that live in the body's own scope."""
        return self.bound - self.declared_global - self.declared_nonlocal


def bindings_of(body: Iterable[ast.AST], parameters: Iterable[str] = ()) -> Bindings:
    """Collect what the scope made of `body` binds; O(nodes), nested scopes are not entered."""
    bound = set(parameters)
    outer: set[str] = set()
    free: set[str] = set()
    yields = False
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Global):
            outer.update(node.names)
        elif isinstance(node, ast.Nonlocal):
            free.update(node.names)
        else:
            yields = yields or isinstance(node, (ast.Yield, ast.YieldFrom))
            bound.update(_bound_here(node))
            stack.extend(_same_scope(node))
    return Bindings(frozenset(bound), frozenset(outer), frozenset(free), yields)


def _bound_here(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (bound_by_alias(alias) for alias in node.names if alias.name != "*")
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        if node.name:
            yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


def _same_scope(node: ast.AST) -> Iterable[ast.AST]:
    """Give the children of `node` that belong to the same scope."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [*node.decorator_list, *_defaults(node.args)]
    if isinstance(node, ast.Lambda):
        return _defaults(node.args)
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *(word.value for word in node.keywords)]
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
        return [node.elt, *_generator_parts(node.generators)]
    if isinstance(node, ast.DictComp):
        return [node.key, node.value, *_generator_parts(node.generators)]
    return ast.iter_child_nodes(node)


def _defaults(args: ast.arguments) -> list[ast.AST]:
    return [*args.defaults, *(default for default in args.kw_defaults if default is not None)]


def _generator_parts(generators: list[ast.comprehension]) -> list[ast.AST]:
    return [part for generator in generators for part in (generator.iter, *generator.ifs)]


def bound_by_alias(alias: ast.alias) -> str:
    """Give the name an import clause binds."""
    return alias.asname or alias.name.partition(".")[0]


def target_names(target: ast.AST) -> frozenset[str]:
    """Give the plain names bound by an assignment target."""
    return frozenset(
        node.id
        for node in walk(target)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )


def parameters_of(args: ast.arguments) -> list[str]:
    """Give all parameters: positional ones first, then keyword-only, then `*`, `**`."""
    named = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return named + [arg.arg for arg in (args.vararg, args.kwarg) if arg is not None]
