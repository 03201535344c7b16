"""Little programs → expected dependences."""

from __future__ import annotations

import pytest
from planning_cases import does, program

from taskpar_kernel.model.effects import Touch
from taskpar_kernel.planning.dependences import Kind, dependences

CASES = {
    "nothing in common": ([does(writes="a"), does(writes="b")], ""),
    "read after write": ([does(writes="a"), does("a", "b")], "0>1 flow a"),
    "read of the latest version only": (
        [does(writes="a"), does(writes="a"), does("a")],
        "0>1 output a; 1>2 flow a",
    ),
    "write after read": ([does("a"), does(writes="a")], "0>1 anti a"),
    "write after read of a value from before": (
        [does(writes="a"), does("a", "b"), does(writes="a")],
        "0>1 flow a; 0>2 output a; 1>2 anti a",
    ),
    "two names along one edge": ([does(writes="a b"), does("a b", "c")], "0>1 flow a b"),
    "a deleted name": (
        [does(writes="a"), does(deletes="a"), does("a")],
        "0>1 output a; 1>2 flow a",
    ),
    "reading and writing the same name": (
        [does(writes="a"), does("a", "a"), does("a")],
        "0>1 flow a; 0>1 output a; 1>2 flow a",
    ),
    "a change reads and defines": (
        [does(writes="a"), does(changes="a"), does("a")],
        "0>1 flow a; 0>1 output a; 1>2 flow a",
    ),
    "changes in a row": (
        [does(changes="a"), does(changes="a")],
        "0>1 flow a; 0>1 output a",
    ),
    "an object made and changed at once": (
        [does(writes="a"), does(writes="a", changes="a"), does("a")],
        "0>1 output a; 1>2 flow a",
    ),
    "an alias sees a change": (
        [does(writes="a"), does("a", "b", aliases="b:a"), does(changes="b"), does("a")],
        "0>1 flow a; 0>2 output a; 1>2 flow b; 1>2 anti a; 1>2 output b; 0>3 flow a; 2>3 flow a",
    ),
    "an alias of an alias": (
        [
            does("a", "b", aliases="b:a"),
            does("b", "c", aliases="c:b"),
            does(changes="c"),
            does("a"),
        ],
        "0>1 flow b; 0>2 anti a; 0>2 output b; 1>2 flow c; 1>2 anti b; 1>2 output c; 2>3 flow a",
    ),
    "a rebinding leaves the class": (
        [does("a", "b", aliases="b:a"), does(writes="b"), does(changes="b"), does("a")],
        "0>1 output b; 1>2 flow b; 1>2 output b",
    ),
    "the others stay in the class": (
        [
            does("a", "b", aliases="b:a"),
            does("b", "c", aliases="c:b"),
            does(writes="b"),
            does(changes="a"),
            does("c"),
        ],
        "0>1 flow b; 0>2 output b; 1>2 anti b; 0>3 anti a; 1>3 output c; 1>4 flow c; 3>4 flow c",
    ),
    "names bound together": (
        [does(writes="a b", aliases="a:b"), does(changes="a"), does("b")],
        "0>1 flow a; 0>1 output a b; 0>2 flow b; 1>2 flow b",
    ),
    "what a list holds": (
        [
            does(writes="m"),
            does(writes="n"),
            does("m n", "both", aliases="both:m both:n"),
            does(changes="m"),
            does(changes="n"),
            does("both"),
        ],
        (
            "0>2 flow m; 1>2 flow n; 0>3 flow m; 0>3 output m; 2>3 anti m; 2>3 output both; "
            "1>4 flow n; 1>4 output n; 2>4 anti n; 3>4 output both; "
            "2>5 flow both; 3>5 flow both; 4>5 flow both"
        ),
    ),
    "a change of the list reaches what it holds": (
        [does("m", "ms", aliases="ms:m"), does(changes="ms"), does("m")],
        "0>1 flow ms; 0>1 anti m; 0>1 output ms; 1>2 flow m",
    ),
    "something is put into a list": (
        [does("m", changes="ms", aliases="ms:m"), does(changes="m"), does("ms")],
        "0>1 anti m; 0>1 output ms; 0>2 flow ms; 1>2 flow ms",
    ),
    "two things put into a list stay two": (
        [
            does("m", changes="ms", aliases="ms:m", touch=Touch.OBJECTS),
            does("n", changes="ms", aliases="ms:n", touch=Touch.OBJECTS),
            does(changes="m"),
            does(changes="n"),
        ],
        "0>1 flow ms; 0>1 output ms; 0>2 anti m; 1>2 output ms; 1>3 anti n; 2>3 output ms",
    ),
    "a deep change reaches what was put in": (
        [
            does("m", changes="ms", aliases="ms:m", touch=Touch.OBJECTS),
            does(changes="ms"),
            does("m"),
        ],
        "0>1 flow ms; 0>1 anti m; 0>1 output ms; 1>2 flow m",
    ),
    "a view that replaces its base": (
        [
            does("a", "b", aliases="b:a"),
            does("a", "a", aliases="a:a"),
            does(changes="a"),
            does("b"),
        ],
        "0>1 anti a; 0>2 output b; 1>2 flow a; 1>2 output a; 0>3 flow b; 2>3 flow b",
    ),
    "a file is read after it is written": (
        [does(files_written=True), does(files_read=True)],
        "0>1 effect files",
    ),
    "a file is written after it is read": (
        [does(files_read=True), does(files_read=True), does(files_written=True)],
        "0>2 effect files; 1>2 effect files",
    ),
    "files written in turn": (
        [does(files_written=True), does(files_written=True), does(files_read=True)],
        "0>1 effect files; 1>2 effect files",
    ),
    "files only read": ([does(files_read=True), does(files_read=True)], ""),
    "one generator": (
        [does(draws="numpy"), does(draws="numpy"), does(draws="random")],
        "0>1 effect numpy",
    ),
    "two generators": (
        [does(draws="numpy random"), does(draws="numpy random")],
        "0>1 effect numpy random",
    ),
    "prints are replayed in order": ([does(prints=True), does(prints=True)], ""),
    "home is no dependence by itself": ([does(home=True), does(), does(home=True)], ""),
    "a statement does not wait for itself": ([does("a", "a", changes="a", draws="numpy")], ""),
}


@pytest.mark.parametrize(("effects", "expected"), CASES.values(), ids=CASES.keys())
def test_dependences_of(effects, expected):
    found = dependences(program(*effects)).edges
    shown = [
        f"{one.source}>{one.target} {one.kind.value} {' '.join(sorted(one.names))}" for one in found
    ]
    assert shown == [one for one in expected.split("; ") if one]


def test_sharing_from_before_the_cell():
    statements = program(does(changes="a"), does("b"))
    assert dependences(statements).of(Kind.FLOW) == ()
    (edge,) = dependences(statements, aliases=[("b", "a")]).of(Kind.FLOW)
    assert (edge.source, edge.target, edge.names) == (0, 1, {"b"})
    assert dependences(statements, [("b", "a")]).inputs == {0: {"a"}, 1: {"b"}}


def test_inputs_and_definitions():
    found = dependences(program(does("a b", "c"), does("a c", changes="d"), does(deletes="a")))
    assert found.inputs == {0: {"a", "b"}, 1: {"a", "d"}, 2: set()}
    assert found.defines == {0: {"c"}, 1: {"d"}, 2: {"a"}}


def test_only_flow_and_effect_constrain():
    assert [kind for kind in Kind if kind.constrains] == [Kind.FLOW, Kind.EFFECT]


def test_a_long_chain_of_views_is_walked_in_linear_time():
    # Each `x = f(x)` may view the x before it; the tokens of what nobody reaches must not pile up.
    found = dependences(program(*[does("x", "x", aliases="x:x")] * 3000))
    assert len(found.of(Kind.FLOW)) == 2999


def test_a_dependence_reads_well():
    (edge,) = dependences(program(does(writes="b a"), does("a b"))).edges
    assert str(edge) == "0 → 1 flow: a, b"
