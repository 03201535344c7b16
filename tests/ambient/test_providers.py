"""A mark of ambient state is another one whenever a program could see another state."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import matplotlib as mpl
import pytest

from taskpar_kernel.ambient.providers import differences, fingerprint

THEIRS = ["matplotlib's parameters"]


@pytest.fixture
def parameters() -> Iterator[mpl.RcParams]:
    with mpl.rc_context():
        yield mpl.rcParams


def set_twice(parameters: mpl.RcParams) -> None:
    # the second list may be made where the first one was
    for name in ("one", "two", "three"):
        parameters["font.sans-serif"] = [name]


def set_in_place(parameters: mpl.RcParams) -> None:
    parameters["font.sans-serif"].insert(0, "one")


def set_within(parameters: mpl.RcParams) -> None:
    parameters["font.sans-serif"][0] = "one"


@pytest.mark.parametrize("change", [set_twice, set_in_place, set_within])
def test_a_parameter_of_matplotlib_that_changes_is_seen(
    parameters: mpl.RcParams, change: Callable[[mpl.RcParams], None]
) -> None:
    parameters["font.sans-serif"] = ["zero"]
    before = fingerprint()
    assert differences(before, _with_parameters(before)) == []
    change(parameters)
    assert differences(before, _with_parameters(before)) == THEIRS


def _with_parameters(before: dict[str, object]) -> dict[str, object]:
    """Return the state as it was, with matplotlib's as it is: modules of other tests may change."""
    return before | {"matplotlib": fingerprint()["matplotlib"]}
