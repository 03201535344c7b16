"""A refusal comes in, what would free the statement goes out; '' where nothing would.

The rule: advice never changes what a program computes, and is given only where it is known to help.
"""

from __future__ import annotations

from taskpar_kernel.model.refusal import Refusal

_ADVICE = {
    "at-gate": "compute in one statement, and send or store the result in the next",
    "blocked-drawing": "compute first and draw afterwards: what is computed can run ahead",
    "blocked-files": "write in a function: one that computes and writes goes out, and waits "
    "for its turn",
    "blocked-handle": "open it inside of the function that uses it, and return what was read",
    "carried-object": "make a new `{name}` in each iteration, if it need not remember the last one",
    "cell-patched": "put back what was changed in the library",
    "cell-traced": "stop the debugger or tracer",
    "iterable": "`list(…)` it first, in a statement of its own, if that is affordable",
    "loop-target": "bind a plain name of its own, and store it in the loop's body",
    "no-workers": "`%taskpar on` starts them",
    "not-known-yet": "run the cell again: what it takes is known from now on",
    "random-draw": "draw all the numbers in a statement before it; what is computed from them can "
    "run ahead",
    "several-clauses": "`itertools.product` makes one clause of independent ones",
    "while": "a `for` loop over a list or a range can be looked ahead of",
    "workers-starting": "run the cell again",
}


def advice_on(refusal: Refusal) -> str:
    """Return what would free a statement from this reason, or ''."""
    name = refusal.names[0] if refusal.names else ""
    return _ADVICE.get(refusal.kind, "").format(name=name)
