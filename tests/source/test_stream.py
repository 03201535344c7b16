"""Statement instances come out in program order, as far ahead as control flow is known."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from source_cases import fresh, taken_apart

from taskpar_kernel.engine.stream import Binding, Instance, Item, Opaque, Order, Stream


class Walker:
    """Stands for home: where it is, and which iterables are known."""

    def __init__(self, source: str):
        self.namespace = fresh() | {"triples": [(1, 2, 3)]}
        self.here: Order = ()
        self.known = True
        self.walked = 0
        self.stream = Stream(taken_apart(source, self.namespace), self.walk, self.passed)

    def walk(self, node: ast.expr) -> Iterator[Any] | None:
        if not self.known:
            return None
        self.walked += 1
        code = compile(ast.Expression(node), "<walk>", "eval")
        return iter(eval(code, self.namespace))

    def passed(self, order: Order) -> bool:
        return self.here[: len(order)] > order

    def pull(self, limit: int = 100) -> list[Item]:
        found = []
        while len(found) < limit and (item := self.stream.pull()) is not None:
            found.append(item)
        return found


def shown(items: list[Item]) -> list[str]:
    found = []
    for item in items:
        if isinstance(item, Binding):
            found.append(str(item.values))
        else:
            found.append(item.step.text if isinstance(item, Instance) else "opaque")
    return found


LOOP = "a = f(1)\nfor x in xs:\n    rows.append(f(x))\nb = f(2)"


def test_straight_statements() -> None:
    assert shown(Walker("a = f(1)\nb = f(2)").pull()) == ["a = f(1)", "b = f(2)"]


def test_a_loop_gives_bindings_and_the_instances_of_its_body() -> None:
    items = Walker(LOOP).pull()
    body = ["f(x)", "rows.append(f(x))"]
    assert shown(items) == [
        "a = f(1)",
        *("{'x': 3}", *body),
        *("{'x': 1}", *body),
        *("{'x': 2}", *body),
        "b = f(2)",
    ]


def test_orders_increase_and_are_unique() -> None:
    walker = Walker(
        "for x in xs:\n    for y in ys:\n        rows.append(f(x * y))\n    r = f(x)\nq = 1"
    )
    orders = [item.order for item in walker.pull()]
    assert orders == sorted(orders)
    instances = [i.order for i in Walker(LOOP).pull() if isinstance(i, Instance)]
    assert len(set(instances)) == len(instances)


def test_targets_are_bound_as_the_loop_would() -> None:
    items = Walker("for i, (a, b, c) in enumerate(triples):\n    rows.append(f(i))").pull()
    assert shown(items)[0] == "{'i': 0, 'a': 1, 'b': 2, 'c': 3}"


def test_a_target_called_item() -> None:
    items = Walker("for i, item in enumerate([5]):\n    rows.append(f(item))").pull()
    assert shown(items)[0] == "{'i': 0, 'item': 5}" or shown(items)[0] == "{'item': 5, 'i': 0}"


def test_what_cannot_be_unpacked_is_opaque() -> None:
    items = Walker("for a, b in xs:\n    rows.append(f(a))\nr = f(1)").pull()
    assert isinstance(items[0], Opaque)
    assert shown(items) == ["opaque", "r = f(1)"]


def test_a_blocked_loop_blocks_what_follows_until_it_is_known() -> None:
    walker = Walker(LOOP)
    walker.known = False
    assert shown(walker.pull()) == ["a = f(1)"]
    assert walker.pull() == []
    walker.known = True
    assert len(walker.pull()) == 10


def test_a_blocked_loop_is_skipped_once_home_has_passed_it() -> None:
    walker = Walker(LOOP)
    walker.known = False
    walker.pull()
    walker.here = (99,)
    assert shown(walker.pull()) == ["b = f(2)"]


def test_a_loop_that_home_left_early_is_left_as_well() -> None:
    walker = Walker(LOOP)
    first = walker.pull(limit=3)
    assert len(first) == 3
    walker.here = (first[-1].order[0] + 99,)
    assert shown(walker.pull()) in (["b = f(2)"], ["rows.append(f(x))", "b = f(2)"])


def test_a_loop_inside_a_loop_is_walked_anew_each_time() -> None:
    walker = Walker("for x in xs:\n    for y in ys:\n        rows.append(f(x * y))")
    walker.pull()
    assert walker.walked == 4


def test_walking_consumes_nothing_of_homes() -> None:
    walker = Walker("for x in zip(xs, ys):\n    rows.append(f(x))")
    walker.pull()
    assert next(zip(walker.namespace["xs"], walker.namespace["ys"], strict=False)) == (3, 4)


def test_endless_iterables_are_walked_only_as_far_as_asked() -> None:
    walker = Walker("for x in range(n * 10000000):\n    rows.append(f(x))")
    assert len(walker.pull(limit=7)) == 7


def test_what_is_known_to_be_skipped_is_left_out() -> None:
    walker = Walker("for x in xs:\n    if x == 3: continue\n    rows.append(f(x))")
    assert shown(walker.pull()).count("f(x)") == len(walker.namespace["xs"]) - 1


def test_what_is_known_to_be_broken_off_is_left_out() -> None:
    walker = Walker("for x in xs:\n    rows.append(f(x))\n    if x == 3: break\nb = f(2)")
    seen = shown(walker.pull())
    assert seen.count("f(x)") == 1
    assert seen[-1] == "b = f(2)"


BRANCHES = (
    "for x in xs:\n    if x > 2:\n        a = f(x)\n    elif x == n:\n        b = f(x)\n"
    "    else:\n        continue\n    rows.append(f(n))"
)


def test_a_branch_whose_test_is_known_is_the_only_one() -> None:
    walker = Walker(BRANCHES)
    walker.stream.known = lambda _: {"x": 3, "n": 1}
    assert shown(walker.pull(4)) == ["{'x': 3}", "a = f(x)", "f(n)", "rows.append(f(n))"]


def test_a_branch_whose_test_is_not_known_is_doubtful() -> None:
    walker = Walker(BRANCHES)
    steps = [item for item in walker.pull(8) if isinstance(item, Instance)]
    assert [(i.step.text, i.doubtful) for i in steps] == [
        ("a = f(x)", True),
        ("b = f(x)", True),
        ("continue", True),
        ("if x == n:", True),
        ("if x > 2:", False),
        ("f(n)", False),
        ("rows.append(f(n))", False),
    ]


def test_what_follows_a_jump_that_is_surely_taken_is_not_there() -> None:
    walker = Walker("for x in xs:\n    if x > 2:\n        continue\n    rows.append(f(x))")
    values = iter([{"x": 3}, {"x": 1}])
    walker.stream.known = lambda _: next(values)
    found = [item.step.text for item in walker.pull(6) if isinstance(item, Instance)]
    assert found == ["if x > 2:", "if x > 2:", "f(x)", "rows.append(f(x))"]
