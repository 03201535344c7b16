"""Find the syntax tree of a live function of the notebook.

A code object comes in, its `def` or `lambda` node goes out (None when the source is not to be had).
The rule: only `linecache` is asked, where IPython keeps the cells; nothing is read twice.
"""

from __future__ import annotations

import ast
import linecache
from collections import OrderedDict
from types import CodeType
from typing import TYPE_CHECKING

from taskpar_kernel.analysis.names import FunctionNode
from taskpar_kernel.analysis.trees import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

Node = FunctionNode | ast.Lambda
_Index = dict[tuple[str, int], list[Node]]
_LIMIT = 256  # source files (cells) kept parsed
_parsed: OrderedDict[str, tuple[list[str], _Index]] = OrderedDict()


def node_of(code: CodeType) -> Node | None:
    """Find the node `code` was compiled from; O(1) once its cell is parsed."""
    candidates = _index(code.co_filename).get((code.co_name, code.co_firstlineno), [])
    if len(candidates) <= 1:
        return candidates[0] if candidates else None
    return next((node for node in candidates if _encloses(node, code)), None)


def _index(filename: str) -> _Index:
    lines = linecache.getlines(filename)
    known = _parsed.get(filename)
    if known is not None and (known[0] is lines or known[0] == lines):
        _parsed.move_to_end(filename)
        return known[1]
    index: _Index = {}
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError):  # a cell whose text is not plain Python
        tree = ast.Module([], [])
    for name, line, node in _functions(tree):
        index.setdefault((name, line), []).append(node)
    _parsed[filename] = (lines, index)
    if len(_parsed) > _LIMIT:
        _parsed.popitem(last=False)
    return index


def _functions(tree: ast.AST) -> Iterator[tuple[str, int, Node]]:
    for node in walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            yield node.name, first, node
        elif isinstance(node, ast.Lambda):
            yield "<lambda>", node.lineno, node


def _encloses(node: Node, code: CodeType) -> bool:
    """Whether the code's own positions lie in the body of `node` and in no inner function of it."""
    body = node.body if isinstance(node, ast.Lambda) else node
    first = (body.lineno, body.col_offset)
    last = (body.end_lineno or body.lineno, body.end_col_offset or 0)
    spots = [
        (line, column)
        for line, _, column, _ in code.co_positions()
        if line is not None and column is not None and (line, column) >= (1, 1)
    ]
    return bool(spots) and all(first <= spot <= last for spot in spots[1:])


def global_names(code: CodeType) -> frozenset[str]:
    """Give the names a code object and those nested in it may use globally; needs no source."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= global_names(constant)
    return frozenset(names)
