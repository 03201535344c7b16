"""The mark of the ambient state: taken in quiet moments, captured with it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from taskpar_kernel.engine.marks import AmbientMark
from taskpar_kernel.model.effects import Blocker, Effects, Reason

CHANGES_IT = Effects(home=(Reason(Blocker.AMBIENT, "numpy.seterr", 1),))


@pytest.fixture
def ambient() -> AmbientMark:
    mark = AmbientMark()
    mark.now()
    return mark


def test_what_a_statement_does_in_passing_is_not_in_it() -> None:
    ambient = AmbientMark()
    quiet = ambient.now()
    ambient.before_home()
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        assert ambient.mark == quiet  # what is sent meanwhile
        assert ambient.state["warnings"] == quiet["warnings"]
    ambient.passed(Effects())
    assert ambient.now() == quiet


def test_a_statement_known_to_change_it_is_looked_at(
    ambient: AmbientMark, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ambient.mark
    monkeypatch.setenv("TASKPAR_TEST_MARK", "1")
    ambient.passed(CHANGES_IT)
    ambient.before_home()
    assert ambient.mark != before
    assert ambient.state["environ"]["TASKPAR_TEST_MARK"] == "1"


def test_judging_looks_whatever_ran(ambient: AmbientMark, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ambient.mark
    monkeypatch.setenv("TASKPAR_TEST_MARK", "2")
    assert ambient.now() == before  # nothing ran since
    ambient.passed(Effects())
    assert ambient.now() != before


def test_another_thread_does_not_look(ambient: AmbientMark) -> None:
    before = ambient.mark
    with np.printoptions(precision=2):
        ambient.passed(CHANGES_IT)
        run_in_thread(ambient.now)
        assert ambient.mark is before  # there NumPy has other options
        assert ambient.now() != before
        changed = ambient.mark
        ambient.passed(CHANGES_IT)
        run_in_thread(ambient.now)
        assert ambient.mark is changed


def run_in_thread(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
