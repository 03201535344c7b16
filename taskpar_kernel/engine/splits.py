"""Whether an attempt was given one object of home's as two: its input bundles come in, a bool out.

What home sends together is packed so that shared objects stay shared. An outcome that the attempt
read on its worker was unknown when the rest was sent: it may hold an object of an earlier bundle,
and home may have sent that object again in another one. Each outcome was right by itself; a
statement that reads both sees two objects where home has one.

The rule: this is asked when home has all of the inputs, before the attempt's outcome is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

from taskpar_kernel.model.ids import HOME, Key

if TYPE_CHECKING:
    from taskpar_kernel.engine.ledger import Bundle
    from taskpar_kernel.transport.arrays import Span


def is_split(inputs: Iterable[Bundle], bundles: Mapping[Key, Bundle]) -> bool:
    """Whether two of the inputs held copies of one object, or of memory that arrays share.

    `bundles`: all of this cell run, in which the origin of an object is found. O(objects) if an
    outcome is among the inputs, else O(inputs²).
    """
    distinct = {b.key: b for b in inputs}.values()
    return any(
        _are_split(one, other, bundles)
        for one, other in combinations(distinct, 2)
        if not (HOME in one.holders and HOME in other.holders)
    )


def _are_split(one: Bundle, other: Bundle, bundles: Mapping[Key, Bundle]) -> bool:
    here, there = one.numbered, other.numbered
    common = here.index_of.keys() & there.index_of.keys()
    if any(_origin(one, i, bundles) != _origin(other, i, bundles) for i in common):
        return True
    if not (here.dicts.isdisjoint(there.index_of) and there.dicts.isdisjoint(here.index_of)):
        return True
    return bool(one.spans and other.spans) and _memory_is_split(one.spans, other.spans, common)


def _origin(bundle: Bundle, identity: int, bundles: Mapping[Key, Bundle]) -> Key:
    """Return the bundle in whose unpacking the worker made its object."""
    for key in bundle.sources:
        source = bundles[key]
        if identity in source.numbered.index_of:
            return _origin(source, identity, bundles)
    return bundle.key


def _memory_is_split(mine: Iterable[Span], theirs: Iterable[Span], common: Iterable[int]) -> bool:
    """Whether spans overlap other than by an array that both hold."""
    shared = bool(common)
    return any(
        low < end and start < high and not (shared and (low, high) == (start, end))
        for low, high in mine
        for start, end in theirs
    )


__all__ = ["is_split"]
