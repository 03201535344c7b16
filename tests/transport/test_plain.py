"""Large plain containers are pickled as a whole, and are what they were, to the last alias."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from taskpar_kernel.model.ids import Key
from taskpar_kernel.transport import pickling
from taskpar_kernel.transport.pickling import Numbered, Parcel, pickle_value, unpickle
from taskpar_kernel.transport.plain import plain_parts

WORDS = [f"word {n % 700}" for n in range(1000)]


def _carried(value: object) -> tuple[Any, Parcel, Numbered]:
    parcel = pickle_value(value)
    found, numbered, _ = unpickle(parcel.place())
    return found, parcel, numbered


def _same(a: Any, b: Any, there: dict[int, object], back: dict[int, object]) -> bool:
    """Whether the two are alike, and alike in what is one object in them."""
    if type(a) is not type(b):
        return False
    if not isinstance(a, list | dict | tuple):
        return bool(a == b) or (a != a and b != b)
    if isinstance(a, list | dict):
        if id(a) in there or id(b) in back:
            return there.get(id(a)) is b and back.get(id(b)) is a
        there[id(a)], back[id(b)] = b, a
    if isinstance(a, dict):
        a, b = [*a.items()], [*b.items()]
    return len(a) == len(b) and all(_same(x, y, there, back) for x, y in zip(a, b, strict=True))


def _check_numbers(parcel: Parcel, numbered: Numbered, there: dict[int, object]) -> None:
    """Each object that counts has one number, the same at both ends."""
    for index, obj in parcel.numbered.objects.items():
        if id(obj) in there:
            assert numbered.objects[index] is there[id(obj)]
    inside = {i for i in there if i in parcel.numbered.index_of}
    assert inside == set(there)


@pytest.mark.parametrize(
    "value",
    [
        WORDS,
        dict.fromkeys(WORDS, 1.5),
        [*pairwise(WORDS)],
        Counter(pairwise(WORDS)),
        [{"name": word, "marks": [n, None, True]} for n, word in enumerate(WORDS)],
        [[0.5] * 30 for _ in range(300)],
        {n: {"inner": [(n, [n])]} for n in range(300)},
        tuple([n] for n in range(300)),
        [math.nan, *range(300)],
        [*WORDS, object],
        [((), ((),), [()])] * 300,
        [b"", -0.0, 2**100, "\ud800", *range(300)],
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_arrives_as_it_is(value: object):
    found, parcel, numbered = _carried(value)
    there: dict[int, object] = {}
    assert _same(value, found, there, {})
    if type(value) in (list, dict):
        _check_numbers(parcel, numbered, there)


def test_large_plain_containers_leave_the_memo_alone():
    assert len(pickle_value(WORDS).numbered.objects) == 1
    rows = [[word] for word in WORDS]
    assert min(pickle_value(rows).numbered.objects) == -len(rows) - 1


@pytest.mark.parametrize("names", [("rows", "one", "more"), ("one", "rows", "more")])
def test_what_is_inside_and_outside_is_one_object(names: tuple[str, ...]):
    rows = [[n] for n in range(1000)]
    known = {"rows": rows, "one": rows[500], "more": {"rows": rows, "row": rows[-1]}}
    value = {name: known[name] for name in names}
    found, parcel, numbered = _carried(value)
    assert found["one"] is found["rows"][500]
    assert found["more"]["rows"] is found["rows"]
    assert found["more"]["row"] is found["rows"][-1]
    there: dict[int, object] = {}
    assert _same(value, found, there, {})
    _check_numbers(parcel, numbered, there)


def test_two_large_containers_share_a_part():
    shared = [1, 2]
    value = ([shared, *([n] for n in range(300))], [*([n] for n in range(300)), shared])
    found, _, _ = _carried(value)
    assert found[0][0] is found[1][-1]


def test_a_container_in_itself():
    value: list[Any] = [[n] for n in range(300)]
    value[7].append(value)
    found, _, _ = _carried(value)
    assert found[7][1] is found


def test_what_is_known_stays_a_reference():
    rows = [[n] for n in range(300)]
    reference = (Key(9), 3)
    for known in (rows, rows[7]):
        packed = pickle_value({"rows": rows}, {id(known): reference}).place()
        asked = []
        found, _, _ = unpickle(
            packed, resolve=lambda name, o=known, a=asked: (a.append(name), o)[1]
        )
        assert asked == [reference]
        assert found["rows"] == rows
        assert (found["rows"] is rows) == (known is rows)
        assert (found["rows"][7] is rows[7]) == (known is rows[7]) or known is rows


def test_a_change_deep_inside_is_a_change():
    rows = [{"marks": [n]} for n in range(300)]
    before = pickle_value(rows).fingerprint()
    assert pickle_value(rows).fingerprint() == before
    rows[200]["marks"].append(1)
    assert pickle_value(rows).fingerprint() != before


def test_equal_strings_compare_alike_whichever_objects_they_are():
    once, apart = ["x" * 50] * 300, ["".join(["x"] * 50) for _ in range(300)]
    prints = {pickle_value(v, comparing=True).fingerprint()[0] for v in (once, apart)}
    assert len(prints) == 1


def test_what_is_not_plain_is_found_at_any_depth():
    for inner in (object(), {1}, [object()], (1, (2, {3})), {"a": {"b": bytearray()}}, 1j):
        assert plain_parts([1, (2, 3), [inner]]) is None
    assert plain_parts([1, (2, [3]), {"a": ()}]) == [[1, (2, [3]), {"a": ()}], {"a": ()}, [3]]


def _graphs(seed: int) -> Iterator[tuple[Any, list[Any]]]:
    draw = random.Random(seed)
    atoms: list[Callable[[], object]] = [
        lambda: draw.randrange(9),
        lambda: "ab"[draw.randrange(2)],
        lambda: None,
        draw.random,
        lambda: b"b",
    ]
    if seed % 5 == 0:
        atoms.append(lambda: math.nan)
    if seed % 7 == 0:
        atoms.append(lambda: frozenset({1}))
    made: list[Any] = [[], {}]
    for _ in range(30):
        items = [
            draw.choice(made) if draw.random() < 0.5 else draw.choice(atoms)()
            for _ in range(draw.randrange(5))
        ]
        kind = draw.randrange(3)
        new: Any = tuple(items) if kind == 0 else dict(enumerate(items)) if kind == 1 else items
        made.append(new)
        if draw.random() < 0.1 and type(made[-2]) is list:
            made[-2].append(new)  # so there are cycles
    yield made[-1], made
    yield made, made


@pytest.mark.parametrize("many", [0, 2])
def test_any_graph(many: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pickling, "MANY", many)
    for seed in range(300):
        for value, _ in _graphs(seed):
            if type(value) is tuple:
                continue
            found, parcel, numbered = _carried(value)
            there: dict[int, object] = {}
            assert _same(value, found, there, {}), seed
            _check_numbers(parcel, numbered, there)
