"""Patterns of `match`: which names they bind and what they read.

A pattern and the subject's value come in; bindings go to the walk.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from taskpar_kernel.analysis import hooks
from taskpar_kernel.analysis.resolve import element
from taskpar_kernel.analysis.values import Family, Value, family

if TYPE_CHECKING:
    from taskpar_kernel.analysis.walk import Walk


def match_pattern(walk: Walk, pattern: ast.pattern, subject: Value) -> None:
    """Match `subject`: every capture may bind it or a part of it."""
    if isinstance(pattern, ast.MatchValue):
        _match_value(walk, pattern, subject)
    elif isinstance(pattern, ast.MatchAs):
        if pattern.pattern is not None:
            match_pattern(walk, pattern.pattern, subject)
        if pattern.name:
            walk.store(pattern.name, subject, pattern)
    elif isinstance(pattern, ast.MatchStar):
        if pattern.name:
            walk.store(pattern.name, Value(list, held=subject.reach, fresh=True), pattern)
    elif isinstance(pattern, ast.MatchOr):
        for each in pattern.patterns:
            match_pattern(walk, each, subject)
    else:
        _match_parts(walk, pattern, subject)
    if family(subject.kind) > Family.LIBRARY:
        walk.ledger.doubt()


def _match_value(walk: Walk, pattern: ast.MatchValue, subject: Value) -> None:
    """Compare the subject: either side's `__eq__` may answer."""
    value = walk.value(pattern.value)
    if family(value.kind) > Family.PLAIN:
        walk.ledger.doubt()
    hooks.meet(walk, hooks.ORDER, subject, value)


def _match_parts(walk: Walk, pattern: ast.pattern, subject: Value) -> None:
    part = element(subject)
    if isinstance(pattern, ast.MatchSequence):
        for each in pattern.patterns:
            match_pattern(walk, each, subject if isinstance(each, ast.MatchStar) else part)
    elif isinstance(pattern, ast.MatchMapping):
        for key in pattern.keys:
            walk.value(key)
        for each in pattern.patterns:
            match_pattern(walk, each, part)
        if pattern.rest:
            walk.store(pattern.rest, Value(dict, held=subject.reach, fresh=True), pattern)
    elif isinstance(pattern, ast.MatchClass):
        walk.value(pattern.cls)
        hooks.meet(walk, hooks.CLASS_CHECKS | hooks.ATTRIBUTES, Value())
        for each in (*pattern.patterns, *pattern.kwd_patterns):
            match_pattern(walk, each, part)
