from __future__ import annotations

import ast

import pytest

from taskpar_kernel.analysis.decompose import decompose
from taskpar_kernel.model.steps import Unit


@pytest.fixture
def step() -> Unit:
    (top,) = decompose(ast.parse("x = f(1)").body, {"f": len})
    (unit,) = top.steps
    assert isinstance(unit, Unit)
    return unit
