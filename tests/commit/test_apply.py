"""An outcome is applied as a whole or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from taskpar_kernel.commit.apply import apply, open_outcome
from taskpar_kernel.errors import NotPortable
from taskpar_kernel.model.ids import Key
from taskpar_kernel.model.messages import VALUE_NAME
from taskpar_kernel.transport.pickling import pickle_value
from taskpar_kernel.transport.segments import NO_SEGMENTS
from taskpar_kernel.transport.states import shallow_state


class Home:
    """Home's objects by number."""

    def __init__(self, *objects: object):
        self.objects = objects

    def known(self) -> dict[int, tuple[Key, int]]:
        return {id(o): (Key(1), i) for i, o in enumerate(self.objects)}

    def resolve(self, reference: tuple[Key, int]) -> object:
        if reference[0] != 1 or reference[1] >= len(self.objects):
            raise NotPortable("not here")
        return self.objects[reference[1]]


def opened(home: Home, names: Any = (), states: Any = (), deleted: tuple[str, ...] = ()) -> Any:
    value = (dict(names), list(states), deleted)
    packed = pickle_value(value, home.known()).place()
    return open_outcome(packed, NO_SEGMENTS, home.resolve)


def test_names_are_bound_and_unbound() -> None:
    namespace = {"a": 1, "b": 2}
    apply(opened(Home(), {"c": [3], "a": 4}, deleted=("b", "never")), namespace)
    assert namespace == {"a": 4, "c": [3]}


def test_the_value_of_an_expression_is_no_name() -> None:
    outcome = opened(Home(), {VALUE_NAME: 5})
    namespace: dict[str, Any] = {}
    apply(outcome, namespace)
    assert outcome.value == 5
    assert namespace == {}


def test_references_become_homes_own_objects() -> None:
    mine = [1]
    home = Home(mine)
    outcome = opened(home, {"b": [mine]})
    assert outcome.refers
    namespace: dict[str, Any] = {}
    apply(outcome, namespace)
    assert namespace["b"][0] is mine
    assert not opened(home, {"b": [2]}).refers


def test_states_are_written_into_homes_objects() -> None:
    mine, array = [1], np.zeros(3)
    home = Home(mine, array)
    states = [
        ((Key(1), 0), ("sequence", [1, mine])),
        ((Key(1), 1), shallow_state(np.ones(3))),
    ]
    outcome = opened(home, states=states)
    assert outcome.changed_keys() == {1}
    apply(outcome, {})
    assert mine[1] is mine
    assert array.sum() == 3


def test_nothing_is_changed_if_anything_does_not_fit() -> None:
    mine, array = [1], np.zeros(3)
    home = Home(mine, array)
    states = [
        ((Key(1), 0), ("sequence", [2])),
        ((Key(1), 1), shallow_state(np.ones(4))),
    ]
    with pytest.raises(NotPortable):
        opened(home, {"a": 1}, states)
    assert mine == [1]
    assert not array.any()


@pytest.mark.parametrize("reference", [(Key(1), 9), (Key(2), 0)])
def test_a_reference_home_does_not_have(reference: tuple[Key, int]) -> None:
    with pytest.raises(NotPortable):
        opened(Home([1]), states=[(reference, ("sequence", [2]))])


def test_a_set_that_would_iterate_in_another_order() -> None:
    strange = {0, 8}
    strange.discard(0)
    strange.add(16)
    strange.add(0)
    home = Home(strange)
    state = ("set", strange)
    if list(set(strange)) == list(strange):
        opened(home, states=[((Key(1), 0), state)])
    else:
        with pytest.raises(NotPortable):
            opened(home, states=[((Key(1), 0), state)])
