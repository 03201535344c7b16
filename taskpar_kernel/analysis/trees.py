"""Syntax trees come in, their nodes go out.

`walk` gives what `ast.walk` gives, in the same order, without the contexts of names; in a third of
the time. Each cell is walked several times before it runs; `may_hold` spares some of that.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator


def walk(*nodes: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes and all nodes below them, but for `Load`, `Store` and `Del`; O(nodes)."""
    found = list(nodes)
    for node in found:  # which grows meanwhile
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                if name != "ctx":
                    found.append(value)
            elif type(value) is list:
                found += [each for each in value if isinstance(each, ast.AST)]
        yield node


def may_hold(text: str, *words: str) -> bool:
    """Whether a tree with this source may hold one of `words`; no source: it may.

    Python normalizes identifiers, so what is not ASCII may stand for any of them.
    """
    return not text or not text.isascii() or any(word in text for word in words)


__all__ = ["may_hold", "walk"]
