from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def notebook() -> Iterator[Callable[[str], dict[str, Any]]]:
    """Run source as a notebook's cell, in a module that stands for `__main__`; return its names."""
    module, before = types.ModuleType("__main__"), sys.modules["__main__"]
    sys.modules["__main__"] = module

    def run(source: str) -> dict[str, Any]:
        exec(compile(source, "<cell>", "exec"), vars(module))
        return vars(module)

    yield run
    sys.modules["__main__"] = before
