"""The table of hazards, the programs made of it, and how they are shrunk and counted."""

from __future__ import annotations

import ast
from collections import Counter
from random import Random

import pytest

from taskpar_kernel.testing.differential.bench import Mode, Verdict
from taskpar_kernel.testing.differential.catalogue import Hazard, hazards
from taskpar_kernel.testing.differential.program import Program, Statement, make_program
from taskpar_kernel.testing.differential.shrink import shrink
from taskpar_kernel.testing.differential.tally import Tally
from taskpar_kernel.testing.differential.templates import Scope, statements
from taskpar_kernel.testing.seen import Seems

TABLE = hazards()
LOOPS = {"loops", "comprehensions"}


def prologue(seed: int = 1) -> Scope:
    scope = Scope(Random(seed), seed)
    scope.fill(TABLE["prologue"].text)
    scope.settle()
    return scope


def test_there_are_enough_kinds() -> None:
    families = Counter(h.family for h in TABLE.values() if not h.travels)
    assert sum(n for family, n in families.items() if family not in LOOPS) > 60
    assert sum(families[family] for family in LOOPS) > 25


@pytest.mark.parametrize("hazard", TABLE.values(), ids=lambda h: h.name)
def test_a_fragment_is_made_of_whole_statements(hazard: Hazard) -> None:
    found = prologue().fill(hazard.text)
    assert found
    assert not any("$" in text for text in found if "$$" not in hazard.text)
    if hazard.family == "magics" or hazard.name == "shell-line":
        return
    for text in found:
        compile(text, "fragment", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_a_seed_gives_one_program() -> None:
    assert [make_program(s, TABLE) for s in range(20)] == [
        make_program(s, TABLE) for s in range(20)
    ]
    assert len({make_program(s, TABLE).sources for s in range(20)}) == 20


def test_every_hazard_comes_up() -> None:
    seen = {name for seed in range(3000) for name in make_program(seed, TABLE).hazards}
    assert seen == {n for n, h in TABLE.items() if not h.travels and n != "prologue"}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("a = 1\nb = 2", 2),
        ("if a:\n    b\nelse:\n    c", 1),
        ("@f\ndef g():\n    pass\ng()", 2),
        ("a = [\n    1,\n]\nb", 2),
        ("try:\n    a\nexcept E:\n    b\nfinally:\n    c\nd", 2),
    ],
)
def test_statements_stay_whole(text: str, number: int) -> None:
    assert len(statements(text)) == number
    assert "\n".join(statements(text)) == text


def test_the_same_placeholder_is_the_same_name() -> None:
    first, second = prologue().fill("$a = $n\n$b = $a + $n")
    name, _, number = first.partition(" = ")
    assert second.endswith(f"{name} + {number}")


def program(*cells: str) -> Program:
    lines = [c.split(";") for c in cells]
    return Program(
        0,
        tuple(
            tuple(Statement(t, f"h{t}", 10 * i + j, travels=False) for j, t in enumerate(cell))
            for i, cell in enumerate(lines)
        ),
    )


def test_shrinking_keeps_what_is_needed() -> None:
    whole = program("a;b;c", "d;e\nx\ny;f", "g")
    needed = {"b", "e", "y"}

    def fails(candidate: Program) -> bool:
        return needed <= set("\n".join(candidate.sources).split("\n"))

    assert shrink(whole, fails).sources == ("b\ne\ny",)


def test_shrinking_ends() -> None:
    asked = []

    def fails(candidate: Program) -> bool:
        asked.append(candidate)
        return True

    shrink(program("a;b;c;d", "e;f"), fails, tries=3)
    assert len(asked) == 3


def verdict(*states: str, differences: tuple[str, ...] = ()) -> Verdict:
    records = [{"line": i, "state": state} for i, state in enumerate(states, 1)]
    committed = states.count("committed")
    seems = Seems([], {}, len(states), committed, 0, [records])
    return Verdict(Mode("eager", 2), differences, seems)


def work(*travels: bool) -> Program:
    return Program(0, (tuple(Statement("x", "h", i, t) for i, t in enumerate(travels)),))


def test_the_tally_counts_what_could_travel() -> None:
    tally = Tally()
    tally.note(work(True, True, False), verdict("committed", "home", "home"), 1.0)
    (count,) = tally.modes.values()
    assert (count.travellers, count.travelled, count.committed, count.statements) == (2, 1, 1, 3)
    assert tally.is_good()


@pytest.mark.parametrize(
    "bad",
    [
        verdict("committed", "committed", differences=("x",)),
        Verdict(Mode("eager", 2), ("hang",), None),
        verdict("home", "home", "home"),
    ],
    ids=["a difference", "a hang", "nothing ahead"],
)
def test_the_tally_is_not_good_with(bad: Verdict) -> None:
    tally = Tally()
    tally.note(work(True, True, True), verdict("committed", "committed", "home"), 1.0)
    assert tally.is_good()
    for _ in range(3):
        tally.note(work(True, True, True), bad, 1.0)
    assert not tally.is_good()
