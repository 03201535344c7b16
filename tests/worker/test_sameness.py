"""Which of many objects were changed: told as if each were looked at by itself."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from taskpar_kernel.worker.sameness import are_same


def matrix(**options: Any) -> Any:
    return np.arange(6.0).reshape(2, 3, **options)


READ_ONLY = matrix()
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        (matrix(), matrix(), True),
        (matrix(), matrix() + 1e-300, False),
        (matrix(), matrix().astype(int), False),
        (matrix(), matrix(order="F"), False),
        (matrix(), matrix().reshape(3, 2), False),
        (matrix(), READ_ONLY, False),
        (np.array(["a", "b"]), np.array(["a", "c"]), False),
        (np.array([1, "a"], dtype=object), np.array([1, "a"], dtype=object), True),
        (np.array(0.0), np.array(-0.0), False),
        (np.zeros(0), np.zeros(0), True),
        ([1, matrix()], [1, matrix()], True),
        ([1, matrix()], [2, matrix()], False),
        (matrix(), [0.0], False),
        (None, [1], False),
        (threading.Lock(), threading.Lock(), False),
    ],
)
def test_one_among_others(before: Any, now: Any, same: bool) -> None:
    assert are_same([before], [now]) == [same]
    assert are_same([[1], before, {"k": 2}], [[1], now, {"k": 2}]) == [True, same, True]


def test_nothing_is_the_same_as_nothing() -> None:
    assert are_same([], []) == []
