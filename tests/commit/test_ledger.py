"""What home sent out stays trusted only as long as home cannot have changed it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import pytest

from taskpar_kernel.commit.apply import apply, open_outcome
from taskpar_kernel.engine.ledger import Ledger
from taskpar_kernel.engine.marks import AmbientMark
from taskpar_kernel.errors import NotPortable
from taskpar_kernel.model.effects import Effects, Touch
from taskpar_kernel.model.ids import Key, Place
from taskpar_kernel.transport.pickling import pickle_value
from taskpar_kernel.transport.segments import NO_SEGMENTS

WORKER = Place(1)
ANY = Effects(touch=Touch.ANY)
NOTHING = Effects(touch=Touch.NOTHING)


def objects(*names: str) -> Effects:
    return Effects(touch=Touch.OBJECTS, changes=frozenset(names))


class SimpleNamespaceLike:
    def __init__(self) -> None:
        self.value = 1


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(count(1), NO_SEGMENTS, AmbientMark())


def ran(ledger: Ledger, effects: Effects, namespace: dict[str, Any]) -> None:
    ledger.before_home(effects, namespace)
    ledger.after_home(effects, namespace)


# Bundles ---------------------------------------------------------------------------------------


def test_names_that_share_objects_share_a_bundle(ledger: Ledger) -> None:
    shared = [1]
    found = ledger.bundles_for({"a": [shared], "b": {"k": shared}, "c": [1]}, WORKER)
    assert found["a"] is found["b"]
    assert found["c"] is not found["a"]


def test_sharing_is_transitive(ledger: Ledger) -> None:
    one, two = [1], [2]
    found = ledger.bundles_for({"a": [one], "b": [one, two], "c": [two]}, WORKER)
    assert found["a"] is found["b"] is found["c"]


def test_plain_values_share_nothing(ledger: Ledger) -> None:
    found = ledger.bundles_for({"a": "text", "b": "text", "c": (1, 2)}, WORKER)
    assert len({b.key for b in found.values()}) == 3
    assert all(b.constant for b in found.values())


def test_a_bundle_is_used_again(ledger: Ledger) -> None:
    value = [1]
    first = ledger.bundles_for({"a": value}, WORKER)["a"]
    assert ledger.bundles_for({"a": value}, WORKER)["a"] is first
    assert ledger.bundles_for({"a": [1]}, WORKER)["a"] is not first


def test_a_bundle_is_made_anew_where_a_new_name_shares_its_objects(ledger: Ledger) -> None:
    value = [1]
    first = ledger.bundles_for({"a": value}, WORKER)["a"]
    found = ledger.bundles_for({"a": value, "b": [value]}, WORKER)
    assert found["a"] is found["b"]
    assert found["a"] is not first


def test_arrays_that_share_memory_are_not_split(ledger: Ledger) -> None:
    base = np.zeros(10)
    with pytest.raises(NotPortable, match="share memory"):
        ledger.bundles_for({"a": base, "b": base[2:]}, WORKER)
    assert len(ledger.bundles_for({"a": base, "c": np.zeros(10)}, WORKER)) == 2


def test_frames_that_copy_on_write_may_share_memory(ledger: Ledger) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    assert ledger.bundles_for({"a": frame, "b": frame["a"]}, WORKER)


def test_what_cannot_travel_is_refused(ledger: Ledger) -> None:
    with pytest.raises(NotPortable):
        ledger.bundles_for({"a": iter([])}, WORKER)


# Unchanged -------------------------------------------------------------------------------------


def test_unchanged_until_touched(ledger: Ledger) -> None:
    namespace: dict[str, Any] = {"a": [1, {"k": 2}]}
    bundle = ledger.bundles_for(namespace, WORKER)["a"]
    ran(ledger, NOTHING, namespace)
    ran(ledger, ANY, namespace)
    assert ledger.unchanged(bundle)


CHANGES: dict[str, tuple[object, Any]] = {
    "list": ([1], lambda v: v.append(2)),
    "nested": ([{"k": []}], lambda v: v[0]["k"].append(2)),
    "array": (np.zeros(3), lambda v: v.__setitem__(0, 1)),
    "view": (np.zeros(3), lambda v: v[1:].__setitem__(0, 1)),
    "frame": (pd.DataFrame({"a": [1]}), lambda v: v.__setitem__("b", 1)),
    "bytes": (bytearray(b"a"), lambda v: v.extend(b"b")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_touch_of_anything_is_seen(name: str, ledger: Ledger) -> None:
    value, change = CHANGES[name]
    namespace = {"a": value}
    bundle = ledger.bundles_for(namespace, WORKER)["a"]
    ledger.before_home(ANY, namespace)
    change(value)
    ledger.after_home(ANY, namespace)
    assert not ledger.unchanged(bundle)
    assert bundle.dropped


def test_a_shallow_touch_is_seen_through_every_name(ledger: Ledger) -> None:
    inner: list[int] = [1]
    namespace: dict[str, Any] = {"a": inner, "b": [inner], "c": [1]}
    found = ledger.bundles_for(namespace, WORKER)
    ledger.before_home(objects("a"), namespace)
    inner.append(2)
    ledger.after_home(objects("a"), namespace)
    assert not ledger.unchanged(found["b"])
    assert ledger.unchanged(found["c"])


def test_a_shallow_touch_of_something_else_is_a_touch_of_anything(ledger: Ledger) -> None:
    namespace: dict[str, Any] = {"a": np.zeros(3), "b": [1]}
    found = ledger.bundles_for(namespace, WORKER)
    ledger.before_home(objects("a"), namespace)
    namespace["b"].append(2)
    ledger.after_home(objects("a"), namespace)
    assert not ledger.unchanged(found["b"])


def test_an_outcome_changed_through_a_view_is_dropped(ledger: Ledger) -> None:
    namespace: dict[str, Any] = {"a": np.zeros(3)}
    outcome = take(ledger, {"a": np.zeros(3)}, [], None, namespace)
    namespace["row"] = namespace["a"][1:]
    ledger.before_home(objects("row"), namespace)
    namespace["row"] += 1
    ledger.after_home(objects("row"), namespace)
    ran(ledger, ANY, namespace)
    assert not ledger.unchanged(outcome)


def test_a_name_bound_anew_meanwhile_may_stand_for_anything(ledger: Ledger) -> None:
    rows: list[list[int]] = [[], []]
    namespace: dict[str, Any] = {"rows": rows, "row": rows[0]}
    bundle = ledger.bundles_for({"rows": rows}, WORKER)["rows"]
    effects = Effects(touch=Touch.OBJECTS, changes=frozenset({"row"}), writes=frozenset({"row"}))
    ledger.before_home(effects, namespace)
    rows[0].append(1)
    namespace["row"] = []
    ledger.after_home(effects, namespace)
    assert not ledger.unchanged(bundle)


def test_an_objects_own_dict_reaches_the_object(ledger: Ledger) -> None:
    thing = SimpleNamespaceLike()
    namespace: dict[str, Any] = {"thing": thing, "inside": vars(thing)}
    bundle = ledger.bundles_for({"thing": thing}, WORKER)["thing"]
    ledger.before_home(objects("inside"), namespace)
    namespace["inside"]["more"] = 1
    ledger.after_home(objects("inside"), namespace)
    assert not ledger.unchanged(bundle)


def test_what_is_sent_while_home_is_busy_is_compared_later(ledger: Ledger) -> None:
    namespace: dict[str, Any] = {"a": [1]}
    ledger.before_home(ANY, namespace)
    bundle = ledger.bundles_for(namespace, WORKER)["a"]
    namespace["a"].append(2)
    ledger.after_home(ANY, namespace)
    assert not ledger.unchanged(bundle)


# Outcomes --------------------------------------------------------------------------------------


def take(ledger: Ledger, names: Any, states: Any, known: Any, namespace: dict[str, Any]) -> Any:
    """Commit an outcome, as the engine does."""
    outcome = ledger.expect(ledger.next_key(), WORKER)
    packed = pickle_value((names, states, ()), known).place()
    opened = open_outcome(packed, NO_SEGMENTS, ledger.resolve)
    apply(opened, namespace)
    ledger.take_in(outcome, opened)
    return outcome


def known(bundle: Any) -> dict[int, tuple[Key, int]]:
    return {i: (bundle.key, n) for i, n in bundle.numbered.index_of.items()}


def test_an_outcome_is_not_at_home_until_it_is_taken_in(ledger: Ledger) -> None:
    outcome = ledger.expect(ledger.next_key(), WORKER)
    assert not ledger.unchanged(outcome)
    taken = take(ledger, {"b": [1]}, [], None, {})
    assert ledger.unchanged(taken)


def test_an_outcome_that_holds_homes_objects_is_touched_through_them(ledger: Ledger) -> None:
    mine = [1]
    namespace: dict[str, Any] = {"a": mine}
    bundle = ledger.bundles_for(namespace, WORKER)["a"]
    outcome = take(ledger, {"b": [mine]}, [], known(bundle), namespace)
    assert namespace["b"][0] is mine
    ledger.before_home(objects("a"), namespace)
    mine.append(2)
    ledger.after_home(objects("a"), namespace)
    assert not ledger.unchanged(outcome)


def test_a_change_drops_the_bundle_it_changed(ledger: Ledger) -> None:
    mine = [1]
    namespace: dict[str, Any] = {"a": mine}
    bundle = ledger.bundles_for(namespace, WORKER)["a"]
    reference = known(bundle)[id(mine)]
    outcome = take(ledger, {}, [(reference, ("sequence", [1, 2]))], None, namespace)
    assert mine == [1, 2]
    assert not ledger.unchanged(bundle)
    assert ledger.unchanged(outcome)
    assert ledger.bundles_for(namespace, WORKER)["a"].objects["a"] is mine


def test_a_change_is_seen_by_bundles_that_lie_in_the_same_memory(ledger: Ledger) -> None:
    base = np.zeros(10)
    namespace: dict[str, Any] = {"a": base, "b": base[2:5]}
    first = ledger.bundles_for({"a": base}, WORKER)["a"]
    second = ledger.bundles_for({"b": namespace["b"]}, WORKER)["b"]
    view = namespace["b"]
    layout = (view.shape, view.dtype, view.strides, True)
    reference = known(second)[id(view)]
    take(ledger, {}, [(reference, ("array", (layout, np.ones(3))))], None, namespace)
    assert base[2] == 1
    assert not ledger.unchanged(first)


def test_references_resolve_to_homes_objects_or_not_at_all(ledger: Ledger) -> None:
    mine = [1]
    bundle = ledger.bundles_for({"a": mine}, WORKER)["a"]
    assert ledger.resolve(known(bundle)[id(mine)]) is mine
    for reference in [(Key(99), 0), (bundle.key, 999)]:
        with pytest.raises(NotPortable):
            ledger.resolve(reference)


def test_ambient_state_is_sent_once_for_each_state(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, mark, bundle = ledger.ambient_key()
    assert bundle is not None
    assert ledger.ambient_key()[0] == key
    monkeypatch.setenv("TASKPAR_TEST_VALUE", "1")
    assert ledger.ambient_key()[0] == key  # nothing that home ran can have changed it
    ran(ledger, ANY, {})
    other, changed, _ = ledger.ambient_key()
    assert other != key
    assert changed != mark


@pytest.mark.parametrize("effects", [NOTHING, objects("b")])
def test_a_prediction_counts_only_as_long_as_names_are_what_it_took_them_to_be(
    ledger: Ledger, effects: Effects
) -> None:
    changed: list[int] = [1]
    namespace: dict[str, Any] = {"a": changed, "b": [], "x": 1}
    bundle = ledger.bundles_for({"a": changed}, WORKER)["a"]
    assert ledger.unchanged(bundle)
    assuming = replace(effects, assumes=(("x", int), ("b", list)))
    ran(ledger, assuming, namespace)
    changed.append(2)  # nobody said so, and the names were what they should be
    assert ledger.unchanged(bundle)
    namespace["x"] = "of another type"
    ran(ledger, assuming, namespace)
    assert not ledger.unchanged(bundle)


def test_what_an_attempt_was_expected_to_change_is_watched_though_it_did_not(
    ledger: Ledger,
) -> None:
    d = {"a": 1}
    outcome = ledger.expect(ledger.next_key(), WORKER)
    outcome.objects["d"] = d  # the worker has it under this key as well
    opened = open_outcome(pickle_value(({}, [], ())).place(), NO_SEGMENTS, ledger.resolve)
    ledger.take_in(outcome, opened)
    assert ledger.unchanged(outcome)
    ledger.before_home(objects("d"), {"d": d})
    d["b"] = 2
    ledger.after_home(objects("d"), {"d": d})
    assert not ledger.unchanged(outcome)
