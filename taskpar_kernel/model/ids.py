"""Names for the numbers that identify things; a NewType each, so that they cannot be confused."""

from __future__ import annotations

from typing import NewType

StatementId = NewType("StatementId", int)
"""Program-order number of a statement (or a part of one) within one cell run, from 0."""

UnitId = NewType("UnitId", int)
"""Number of a place in the cell's text that can run ahead; a unit has an instance an iteration."""

Place = NewType("Place", int)
"""Where something runs: 0 is home, workers are numbered from 1."""

Key = NewType("Key", int)
"""Identifies one bundle of values (one pickled message) within a pool, whoever holds it."""

Ticket = NewType("Ticket", int)
"""Identifies one attempt: one run of one statement in one place."""

HOME = Place(0)

Path = tuple[int, ...]
"""Iteration numbers of the enclosing loops, outermost first; `()` outside of loops."""
