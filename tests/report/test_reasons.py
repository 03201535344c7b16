"""Why statements ran at home or waited: a cell and how it went → line, kind, sentence."""

# ruff: noqa: E501 - one case, one entry

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from why_cases import Case, explained, namespace

from taskpar_kernel.analysis.decompose import decompose
from taskpar_kernel.analysis.together import of_loop
from taskpar_kernel.engine.facts import facts_of
from taskpar_kernel.engine.history import failed
from taskpar_kernel.engine.natively import explain_native
from taskpar_kernel.engine.reasons import STARTING
from taskpar_kernel.model.effects import Scope
from taskpar_kernel.model.refusal import Refusal

DRAWN = "draws on the current figure, which lives at home"
NOT_AHEAD = "which cannot be evaluated ahead of its turn"
ONLY_HOME = "which only home may advance"
UNKNOWN_X = Refusal("depends", "`a` is not known yet", ("a",))

LOOPS = [
    Case(
        "for i in xs:\n    x = f(x, i)",
        ((1, "carried", "each iteration uses `x` of the one before (line 2)"),),
    ),
    Case(
        "for i in range(n):\n    y = f(x)\n    x = f(y)",
        (
            (2, "carried", "3 iterations: each iteration uses `x` of the one before (line 3)"),
            (3, "depends", "3 iterations: line 2 makes `y`, which line 3 reads"),
        ),
    ),
    Case(
        "for i in xs:\n    model.fit(i)",
        ((1, "carried-object", "each iteration uses `model` of the one before (line 2)"),),
    ),
    Case(
        "for i in xs:\n    f(model.fit(i))",
        ((1, "carried-object", "each iteration uses `model` of the one before (line 2)"),),
    ),
    Case(
        "while n > 0:\n    n = f(n)",
        ((1, "while", "whether a `while` loop goes on is known only when a round is over"),),
    ),
    Case(
        "for i in gen:\n    f(i)",
        ((1, "iterable", f"the loop goes through `gen`, a generator, {ONLY_HOME}"),),
    ),
    Case(
        "for i in it:\n    f(i)",
        ((1, "iterable", f"the loop goes through `it`, a list_iterator, {ONLY_HOME}"),),
    ),
    Case(
        "for a, b in pairs:\n    f(a)",
        ((1, "iterable", f"the loop goes through `pairs`, a zip, {ONLY_HOME}"),),
    ),
    Case(
        "for i in doubled:\n    f(i)",
        ((1, "iterable", f"the loop goes through `doubled`, a map, {ONLY_HOME}"),),
    ),
    Case(
        "for i in enumerate(gen):\n    f(i)",
        ((1, "iterable", f"the loop goes through `gen`, a generator, {ONLY_HOME}"),),
    ),
    Case(
        "for i in steps:\n    f(i)",
        ((1, "iterable", "the loop goes through `steps`, a Steps, whose own code would run"),),
    ),
    Case(
        "for i in numbers():\n    f(i)",
        (
            (
                1,
                "iterable",
                "the loop goes through `numbers()`, which cannot be evaluated ahead of its turn",
            ),
        ),
    ),
    Case(
        "for i in map(f, xs):\n    f(i)",
        (
            (
                1,
                "iterable",
                "the loop goes through `map(f, xs)`, which cannot be evaluated ahead of its turn",
            ),
        ),
    ),
    Case(
        "for i in zip(it, xs):\n    f(i)",
        ((1, "iterable", f"the loop goes through `it`, a list_iterator, {ONLY_HOME}"),),
    ),
    Case(
        "for i in (f(x) for x in xs):\n    f(i)",
        (
            (
                1,
                "iterable",
                f"the loop goes through `(f(x) for x in xs)`, {NOT_AHEAD}",
            ),
        ),
    ),
    Case(
        "try:\n    for i in xs:\n        x = f(x, i)\nexcept ValueError:\n    pass",
        ((2, "carried", "each iteration uses `x` of the one before (line 3)"),),
    ),
    Case(
        "for i in xs:\n    try:\n        x = f(x, i)\n    except ValueError:\n        pass",
        ((1, "carried", "each iteration uses `x` of the one before (line 3)"),),
    ),
    Case(
        "for i in xs:\n    with lock:\n        x = f(x)",
        (
            (
                1,
                "blocked-handle",
                "line 2: `lock` makes or uses an open handle, generator, iterator or lock",
            ),
        ),
    ),
    Case(
        "r = list(map(f, gen))",
        ((1, "iterable", f"the loop goes through `gen`, a generator, {ONLY_HOME}"),),
    ),
    Case(
        "r = max(doubled, key=f)",
        ((1, "iterable", f"the loop goes through `doubled`, a map, {ONLY_HOME}"),),
    ),
    Case(
        "r = list(map(model.fit, xs))",
        ((1, "carried-object", "each iteration uses `model` of the one before (line 1)"),),
    ),
    Case(
        "for d['b'] in xs:\n    f(d)",
        ((1, "loop-target", "the loop stores each item into something that is no plain name"),),
    ),
    Case(
        "for xs in f(xs):\n    f(xs)",
        ((1, "loop-target", "the loop binds a name that says what it goes through"),),
    ),
    Case(
        "for i in xs:\n    f(random.random())",
        (
            (
                1,
                "random-draw",
                "line 2: `random.random()` draws from the shared generator of `random`, in order",
            ),
        ),
    ),
    Case(
        "for i in xs:\n    f(input())", ((1, "blocked-input", "line 2: `input()` asks for input"),)
    ),
    Case(
        "r = [f(i) for i in gen]",
        ((1, "iterable", f"the loop goes through `gen`, a generator, {ONLY_HOME}"),),
    ),
    Case(
        "r = [f(i, j) for i in xs for j in xs]",
        ((1, "several-clauses", "it has several `for` clauses"),),
    ),
    Case(
        "r = [f(i) for i in xs if f(i)]",
        ((1, "condition", "its condition does more than compare names and constants"),),
    ),
    Case(
        "r = [model.fit(i) for i in xs]",
        ((1, "carried-object", "each iteration uses `model` of the one before (line 1)"),),
    ),
    Case(
        "if n:\n    for i in gen:\n        f(i)",
        ((1, "iterable", f"the loop goes through `gen`, a generator, {ONLY_HOME}"),),
    ),
]
CHAINS = [
    Case("a = f(1)\nb = f(a)", ((2, "depends", "line 1 makes `a`, which line 2 reads"),)),
    Case(
        "a = f(1)\nb = f(a)",
        ((2, "depends", "line 1 makes `a`, which line 2 reads"),),
        refused={2: UNKNOWN_X},
    ),
    Case(
        "a = f(1)\nb = f(2)\nc = f(a)",
        ((3, "depends", "line 1 makes `a`, which line 3 reads"),),
        ahead=frozenset({2}),
        refused={3: UNKNOWN_X},
    ),
    Case(
        "model.fit(1)\nb = f(model)",
        ((2, "depends", "line 1 changes `model`, which line 2 reads"),),
        refused={2: Refusal("depends", "`model` is not known yet", ("model",))},
    ),
    Case(
        "models[0].fit(1)\nb = f(models)",
        ((2, "depends", "line 1 changes `models`, which line 2 reads"),),
    ),
    Case(
        "a = f(1)\nb = f(a)\nc = f(b)",
        (
            (2, "depends", "line 1 makes `a`, which line 2 reads"),
            (3, "depends", "line 2 makes `b`, which line 3 reads"),
        ),
    ),
    Case(
        "a = f(1)\nb = f(a)",
        ((2, "depends", "line 1 makes `a`, which line 2 reads"),),
        after=frozenset({1, 2}),
    ),
    Case(
        "for i in xs:\n    a = f(i)\n    b = f(a)",
        ((3, "depends", "3 iterations: line 2 makes `a`, which line 3 reads"),),
        refused={3: UNKNOWN_X},
        ahead=frozenset({2}),
    ),
    Case(
        "for i in xs:\n    a = f(i)\n    x = f(x, a)",
        ((3, "carried", "3 iterations: each iteration uses `x` of the one before (line 3)"),),
        refused={3: UNKNOWN_X},
        ahead=frozenset({2}),
    ),
    Case(
        "for i in xs:\n    a = f(i)\n    x = f(x, a)",
        ((3, "carried", "3 iterations: each iteration uses `x` of the one before (line 3)"),),
        refused={3: Refusal("squashed-changed", "`x` is not what was predicted", ("x",))},
        squashed=frozenset({3}),
        ahead=frozenset({2}),
    ),
    Case(
        "a = f(1)",
        ((1, "alone", "nothing else in this cell takes time, so nothing could run beside it"),),
    ),
    Case(
        "a = f(1)",
        ((1, "alone", "nothing else in this cell takes time, so nothing could run beside it"),),
        after=frozenset({1}),
    ),
    Case(
        "a = f(1)\nt = time.time()\nb = f(2)",
        ((3, "behind-clock", "line 2 reads the clock, and nothing that is timed overtakes it"),),
        ms={2: 0.1},
    ),
    Case(
        "a = f(1)\nb = f(2)",
        ((2, "workers-starting", "the workers were still starting"),),
        ready=False,
    ),
    Case(
        "a = f(1)\nb = f(2)",
        ((2, "not-known-yet", "home came to it before it was known how long it takes"),),
    ),
]
TEXTS = {
    "not-portable": "a Lock is bound to this process",
    "uses-all-cores": "it uses several cores by itself",
    "input-large": "sending its input would take 12 ms",
    "slower-ahead": "workers side by side take much longer for it than home",
    "costs-more": "so far, handing it over took longer than running it would have",
    "squashed-changed": "`y` is not what was predicted",
    "at-gate": "it reached the gate: subprocess.Popen",
    "worker-lost": "worker 1 ended (signal 9)",
}
ENGINE = [
    Case("a = f(1)\nb = f(2)", ((2, kind, f"a value would not arrive as it is: {text}" if kind == "not-portable" else text),), refused={2: Refusal(kind, text)})
    for kind, text in TEXTS.items()
]  # fmt: skip
HOME = [
    Case(
        "a = f(1)\nb = random.random()",
        (
            (
                2,
                "random-draw",
                "`random.random()` draws from the shared generator of `random`, in order",
            ),
        ),
        ahead=frozenset({1}),
    ),
    Case(
        "a = f(1)\nb = input()",
        ((2, "blocked-input", "`input()` asks for input"),),
        ahead=frozenset({1}),
        ms={2: 50.0},
    ),
    Case(
        "a = f(1)\nb = f(lock)",
        (
            (
                2,
                "blocked-handle",
                "`lock` makes or uses an open handle, generator, iterator or lock",
            ),
        ),
        ahead=frozenset({1}),
    ),
    Case(
        "a = f(1)\nb = list(gen)",
        ((2, "blocked-handle", "`gen` makes or uses an open handle, generator, iterator or lock"),),
        ahead=frozenset({1}),
    ),
    Case(
        "a = f(1)\neval('f(2)')",
        (
            (
                2,
                "blocked-namespace",
                "`eval('f(2)')` reaches into the namespace itself (globals, locals, eval, exec, vars)",
            ),
        ),
        ahead=frozenset({1}),
        ms={2: 50.0},
    ),
    Case(
        "a = f(1)\nimport decimal",
        ((2, "blocked-import", "`import decimal` imports, which changes the process"),),
        ahead=frozenset({1}),
    ),
    Case(
        "for i in xs:\n    a = f(i)\n    b = f(i)",
        ((3, "too-short", "3 iterations: too short: 0.3 ms each"),),
        ms={3: 0.3},
        ahead=frozenset({2}),
    ),
    Case(
        "a = f(1)\nb = f(2)",
        ((2, "too-short", "too short: 0.3 ms"),),
        ms={2: 0.3},
        ahead=frozenset({1}),
    ),
]
QUIET = [
    Case("a = f(1)\nb = f(2)", ahead=frozenset({2})),
    Case("a = f(1)\nb = f(2)\nc = (a, b)", ahead=frozenset({2})),
    Case("a = f(1)\nb = f(2)\nprint(a, b)", ahead=frozenset({1, 2})),
    Case("for i in xs:\n    a = f(i)", ahead=frozenset({2})),
    Case("a = 1\nb = 2"),
    Case(
        "for i in xs:\n    pass\na = f(1)\nb = f(2)",
        ((1, "too-short", "too short: 0.1 ms"),),
        ahead=frozenset({3}),
        ms={1: 0.1},
    ),
    Case("a = f(1)\nb = random.random()", ahead=frozenset({1}), ms={2: 0.1}),
]
NATIVE = [
    Case(
        "for i in xs:\n    x = f(x, i)",
        ((1, "carried", "each iteration uses `x` of the one before (line 2)"),),
        native=True,
    ),
    Case(
        "a = f(1)",
        ((1, "alone", "nothing else in this cell takes time, so nothing could run beside it"),),
        native=True,
    ),
    Case("a = f(1)", ((0, "too-short", "too short: 2 ms"),), ms={1: 2.0}, native=True),
    Case(
        "a = input()",
        ((1, "blocked-input", "`input()` asks for input"),),
        native=True,
        ms={1: 50.0},
    ),
    Case(
        "r = [f(i) for i in gen]",
        ((1, "iterable", f"the loop goes through `gen`, a generator, {ONLY_HOME}"),),
        native=True,
    ),
    Case(
        "x = 5\nwhile x > 0:\n    x = f(x)",
        ((2, "while", "whether a `while` loop goes on is known only when a round is over"),),
        native=True,
    ),
]


@pytest.mark.parametrize("case", [*LOOPS, *CHAINS, *ENGINE, *HOME, *QUIET, *NATIVE], ids=str)
def test_a_cell_is_explained(case: Case) -> None:
    found = explained(case, namespace())
    assert tuple((r.line, r.kind, r.sentence) for r in found) == case.says
    assert all(r.times >= 1 and r.seconds >= 0 for r in found)


def test_the_dearest_comes_first() -> None:
    case = Case("a = f(1)\nb = f(a)\nc = f(b)", ms={2: 10.0, 3: 90.0})
    assert [r.line for r in explained(case, namespace())] == [3, 2]


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("for i in gen:\n    f(i)", "`list(…)` it first"),
        ("for i in xs:\n    model.fit(i)", "make a new `model` in each iteration"),
        ("for i in xs:\n    f(random.random())", "draw all the numbers in a statement before it"),
        ("while n:\n    n = f(n)", "a `for` loop"),
        ("r = [f(i, j) for i in xs for j in xs]", "`itertools.product`"),
    ],
)
def test_advice_says_what_would_free_it(code: str, advice: str) -> None:
    (reason,) = explained(Case(code), namespace())
    assert reason.advice.startswith(advice)


def test_a_true_chain_gets_no_advice() -> None:
    (reason,) = explained(Case("for i in xs:\n    x = f(x, i)"), namespace())
    assert reason.advice == ""


def test_a_loop_that_is_taken_apart_is_not_kept_together() -> None:
    code = "for i in xs:\n    for j in xs:\n        a = f(j)\nr = [f(i) for i in xs]\n"
    tops = decompose(ast.parse(code).body, namespace())
    assert [top.together for top in tops] == [(), ()]


def test_facts_hold_no_object_of_the_users() -> None:
    facts = facts_of(decompose(ast.parse("b = f(model); print(b)").body, namespace()))
    plain = (str, int, bool, tuple, frozenset, type(None))
    for fact in facts.steps:
        effects = fact.effects
        for value in (*fact.loops, fact.text, fact.refusal and fact.refusal.text, effects.reads):
            assert isinstance(value, plain)


def test_a_cell_that_ran_before_the_workers_were_there() -> None:
    (reason,) = explain_native(None, 2.0, STARTING)
    assert (reason.line, reason.kind, reason.seconds) == (0, "workers-starting", 2.0)
    assert reason.advice == "run the cell again"


@pytest.mark.parametrize(("wall_s", "kind"), [(0.002, "too-short"), (2.0, "serial")])
def test_a_cell_that_was_not_looked_into(wall_s: float, kind: str) -> None:
    (reason,) = explain_native(None, wall_s, None)
    assert (reason.line, reason.kind) == (0, kind)


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("it reached the gate: open", "at-gate"),
        ("it raised ValueError: 3", "raised"),
        ("interrupted", "interrupted"),
        ("it left a thread running", "not-portable"),
    ],
)
def test_what_a_worker_tells_has_a_kind(told: str, kind: str) -> None:
    assert failed(told) == Refusal(kind, told)


@pytest.mark.parametrize(
    ("iterable", "told"),
    [
        ("model.split(steps)", "model.split(steps)"),
        ("model.split(gen)", "gen"),
        ("enumerate(steps)", "steps"),
    ],
)
def test_what_a_loop_goes_through_is_named(iterable: str, told: str) -> None:
    """A method that is given something need not walk it; a function of builtins does."""
    (node,) = ast.parse(f"for i in {iterable}: f(i)").body
    assert isinstance(node, ast.For)
    assert of_loop(node, Scope(namespace()), None).names[0] == told
