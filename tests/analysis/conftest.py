from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskpar_kernel.analysis import hooks


@pytest.fixture(autouse=True)
def no_special_methods() -> Iterator[None]:
    """Let each test begin in a process that knows no special method of a notebook."""
    hooks.forget()
    yield
    hooks.forget()
