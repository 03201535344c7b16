"""Inside a kernel under test: what a notebook left is written as JSON, and undone.

The rule: no code of the user's objects is run, and nothing is left in the user's namespace.
"""

from __future__ import annotations

from taskpar_kernel.testing.probe.begin import begin, reset
from taskpar_kernel.testing.probe.state import write

__all__ = ["begin", "reset", "write"]
