"""The public view of the analysis: the text of a cell comes in, a table of effects goes out.

The rule: nothing is run; what is not Python is a `UsageError` that names the line.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taskpar_kernel.analysis.hooks import note
from taskpar_kernel.analysis.predict import predict
from taskpar_kernel.errors import UsageError
from taskpar_kernel.model.effects import Effects, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HEADINGS: Final = ("line", "source", "reads", "writes", "changes", "why at home")
_WIDTHS: Final = (9, 44, 30, 24, 24, 60)


@dataclass(frozen=True, slots=True)
class AnalysedStatement:
    """One top-level statement: where it stands, its text, and what it is predicted to do."""

    line: int
    end_line: int
    source: str
    effects: Effects


@dataclass(frozen=True, slots=True, repr=False)
class Analysis:
    """The statements of a cell in program order; printing it gives a table."""

    statements: tuple[AnalysedStatement, ...]

    def __str__(self) -> str:
        rows = [_HEADINGS, *(_row(statement) for statement in self.statements)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
        lines = [_aligned(row, widths) for row in rows]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join(lines)

    __repr__ = __str__


def analyse(code: str, namespace: Mapping[str, object] | None = None) -> Analysis:
    """Predict the effects of each top-level statement of `code`.

    Args:
        code: plain Python, as it is after IPython has replaced its magics by calls.
        namespace: the notebook's names and objects before the cell; what it tells of types makes
            the prediction sharper.

    Returns:
        The statements in program order, with their effects.

    Raises:
        UsageError: `code` is not Python; the message says the line.
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        message = getattr(error, "msg", None) or str(error)
        raise UsageError(
            f"line {line}: this is not Python: {message}; nothing was run. Magics and shell lines "
            "must be turned into calls first."
        ) from error
    objects = dict(namespace or {})
    note(code, objects)
    return Analysis(tuple(_statements(tree, code, objects)))


def _statements(
    tree: ast.Module, code: str, objects: dict[str, object]
) -> Iterator[AnalysedStatement]:
    scope = Scope(objects)
    for node in tree.body:
        effects = predict(node, scope)
        source = ast.get_source_segment(code, node) or ast.unparse(node)
        yield AnalysedStatement(_first_line(node), node.end_lineno or node.lineno, source, effects)
        scope = advance(scope, node, effects)


def advance(scope: Scope, node: ast.stmt, effects: Effects) -> Scope:
    """Give what is known after `node`: what it defines, and what is not known any more.

    Modules it imports count as known if they are loaded already; nothing is imported.
    """
    definitions = dict(scope.definitions)
    opaque = (scope.opaque | effects.writes) - effects.deletes
    objects = scope.objects
    for name in effects.writes | effects.deletes:
        definitions.pop(name, None)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        definitions[node.name] = node
        opaque -= {node.name}
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for name in effects.writes:
            definitions[name] = node
        found = dict(_imported(node))
        objects = objects | found
        opaque -= effects.writes
        for name in found:
            definitions.pop(name, None)
    gone = effects.deletes - effects.writes
    if gone & objects.keys():
        objects = {name: obj for name, obj in objects.items() if name not in gone}
    return Scope(objects, definitions, opaque)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, object]]:
    """Give the names an import binds to what is loaded already."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            whole = alias.name if alias.asname else alias.name.partition(".")[0]
            if whole in sys.modules:
                yield alias.asname or whole, sys.modules[whole]
        elif not node.level and node.module in sys.modules:
            members = vars(sys.modules[node.module])
            if alias.name == "*":
                public = members.get("__all__") or [n for n in members if not n.startswith("_")]
                yield from ((n, members[n]) for n in public if n in members)
            elif alias.name in members:
                yield alias.asname or alias.name, members[alias.name]


def _first_line(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", ())
    return min([node.lineno, *(int(each.lineno) for each in decorators)])


def _row(statement: AnalysedStatement) -> tuple[str, ...]:
    effects = statement.effects
    lines = f"{statement.line}"
    if statement.end_line != statement.line:
        lines += f"-{statement.end_line}"
    why = "; ".join(f"{reason.what}: {reason.blocker.value}" for reason in effects.home)
    cells = (
        lines,
        statement.source.splitlines()[0],
        " ".join(sorted(effects.reads)),
        " ".join(sorted(effects.writes | effects.deletes)),
        " ".join(sorted(effects.changes)),
        why,
    )
    return tuple(
        cell if len(cell) <= width else cell[: width - 1] + "…"
        for cell, width in zip(cells, _WIDTHS, strict=True)
    )


def _aligned(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [
        row[0].rjust(widths[0]),
        *(c.ljust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
    ]
    return "  ".join(cells).rstrip()
