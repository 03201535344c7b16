"""The mark of the ambient state: taken in quiet moments, captured with it."""

from __future__ import annotations

import threading
import warnings
from collections import ChainMap
from collections.abc import Callable

import numpy as np
import pytest

from taskpar_kernel.ambient.libraries import LIBRARIES
from taskpar_kernel.engine.marks import AmbientMark
from taskpar_kernel.model.effects import Blocker, Effects, Reason, Touch, combined

UNSEEN = Reason(Blocker.NAMESPACE, "exec", 1)
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
    assert ambient.now()["warnings"] == quiet["warnings"]


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


@pytest.mark.parametrize(
    ("effects", "reached"),
    [
        (Effects(), {"all"}),
        (Effects(reads=frozenset({"model"})), {"model"}),
        (Effects(writes=frozenset({"model"})), {"model"}),
        (Effects(touch=Touch.OBJECTS, changes=frozenset({"model"})), {"model"}),
        (Effects(reads=frozenset({"both"})), {"local", "global"}),
        (Effects(reads=frozenset({"model"}), home=(UNSEEN,)), {"all"}),
        (Effects(touch=Touch.NOTHING, reads=frozenset({"model"})), set()),
    ],
)
def test_which_libraries_a_statement_may_have_set(
    effects: Effects, reached: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    suspects: list[str] = []
    monkeypatch.setattr(LIBRARIES, "all", lambda: {"all"})
    monkeypatch.setattr(LIBRARIES, "packages", lambda values, names: values)
    monkeypatch.setattr(LIBRARIES, "suspect", suspects.extend)
    names = ChainMap({"both": "local"}, {"model": "model", "both": "global"})
    AmbientMark().passed(effects, names)
    assert set(suspects) == reached


def test_what_several_steps_use_is_known_if_each_is() -> None:
    one, two = Effects(reads=frozenset("a")), Effects(changes=frozenset("b"))
    quiet = Effects(touch=Touch.NOTHING, reads=frozenset("c"))
    assert combined((one, two, quiet)).used == {"a", "b"}
    assert combined((one, two, Effects())).used == set()


def run_in_thread(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
