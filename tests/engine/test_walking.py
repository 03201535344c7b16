"""What home and the look-ahead walk is the same, and leaves nothing behind."""

# ruff: noqa: E501 - one case, one line

from __future__ import annotations

import ast
import itertools
import pathlib
import sys
from typing import Any

import pytest

from taskpar_kernel.engine.walking import both_ways, is_temporary

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
selection = pytest.importorskip("sklearn.model_selection")

TWICE = (
    """
xs|(1, 2)|range(3)|"abc"|d|d.items()|set(xs)|enumerate(xs)|enumerate(xs, 4)|zip(xs, "abc")|zip(xs, xs, strict=True)
reversed(xs)|enumerate(reversed(xs))|zip(enumerate(xs), d.items())|X.flat|zip(X.flat, np.linspace(0, 1, 6))|np.linspace(0, 1, 3)
df["a"]|df.columns|iter(xs)|sorted({3, 1})|list(map(abs, xs))
""".replace("\n", "|")
    .strip("|")
    .split("|")
)

COPYABLE = [
    "itertools.chain(xs, range(2))",
    "itertools.islice(itertools.cycle(xs), 7)",
    "itertools.repeat(2, 3)",
    'itertools.zip_longest(xs, "a", fillvalue=0)',
]
if sys.version_info < (3, 12):
    TWICE += COPYABLE

POOLED = [
    'itertools.product(xs, "ab")',
    "itertools.combinations(xs, 2)",
    "itertools.permutations(xs, 2)",
    "itertools.combinations_with_replacement(xs, 2)",
    'enumerate(itertools.product(xs, "ab"))',
    "zip(itertools.combinations(range(100), 3), range(7))",
]

AT_ONCE = (
    """
X|zip(X, xs)|zip(df["a"], df["b"])|df.iterrows()|df.itertuples()|df.items()|df.groupby("a")|df.groupby("a")["b"]|enumerate(df.groupby("a"))
KFold(2).split(xs)|enumerate(KFold(2).split(xs), 1)|zip(xs, KFold(3, shuffle=True, random_state=1).split(xs))
""".replace("\n", "|")
    .strip("|")
    .split("|")
)

NEVER = (
    """
(x for x in xs)|map(f, xs)|filter(None, xs)|enumerate(x for x in xs)|zip(xs, map(f, xs))|KFold(2, shuffle=True).split(xs)
big.iterrows()|own|pathlib.Path(".").glob("*")|5
""".replace("\n", "|")
    .strip("|")
    .split("|")
)


class Own:
    def __iter__(self) -> Any:
        return iter((1, 2))


NAMES: dict[str, Any] = {
    "xs": [3, 1, 2],
    "d": {"a": 1, "b": 2},
    "X": np.arange(6).reshape(3, 2),
    "df": pd.DataFrame({"a": [1, 2, 1], "b": [3.0, 4.0, 5.0]}),
    "big": pd.DataFrame({"a": range(20_000)}),
    "own": Own(),
    "f": lambda x: x,
    "np": np,
    "KFold": selection.KFold,
    "itertools": itertools,
    "pathlib": pathlib,
}


def made(text: str) -> Any:
    return eval(text, dict(NAMES))


def items(iterable: Any) -> list[Any]:
    return list(iterable)


@pytest.mark.parametrize("text", TWICE)
def test_a_copy_gives_the_same_items(text: str) -> None:
    original = made(text)
    walks = both_ways(original, temporary=False)
    assert walks is not None
    home, ahead = walks
    assert home is original
    seen = items(ahead)
    assert repr(seen) == repr(items(home)) == repr(items(made(text)))


@pytest.mark.parametrize("text", POOLED)
def test_what_holds_its_input_is_walked_for_both(text: str) -> None:
    assert both_ways(made(text), temporary=False) is None
    walks = both_ways(made(text), temporary=True)
    assert walks is not None
    home, ahead = map(items, walks)
    assert repr(home) == repr(ahead) == repr(items(made(text)))


def test_of_very_many_only_the_first_are_walked_ahead() -> None:
    walks = both_ways(itertools.combinations(range(60), 3), temporary=True)
    assert walks is not None
    home, ahead = map(list, walks)
    assert len(home) == 60 * 59 * 58 // 6
    assert home[: len(ahead)] == ahead
    assert len(ahead) < len(home)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="it can be copied before Python 3.12")
@pytest.mark.parametrize("text", COPYABLE)
def test_what_cannot_be_copied_is_left_alone(text: str) -> None:
    original = made(text)
    assert both_ways(original, temporary=True) is None
    assert repr(items(original)) == repr(items(made(text)))


@pytest.mark.parametrize("text", AT_ONCE)
def test_what_is_made_at_once_gives_the_same_objects_to_both(text: str) -> None:
    walks = both_ways(made(text), temporary=True)
    assert walks is not None
    home, ahead = map(items, walks)
    assert repr(home) == repr(ahead) == repr(items(made(text)))
    last = [each[-1] if isinstance(each, tuple) else each for each in (home[0], ahead[0])]
    assert last[0] is last[1]


@pytest.mark.parametrize("text", AT_ONCE)
def test_what_others_hold_is_not_advanced(text: str) -> None:
    iterable = made(text)
    assert both_ways(iterable, temporary=False) is None
    assert repr(items(iterable)) == repr(items(made(text)))


@pytest.mark.parametrize("text", NEVER)
def test_the_rest_is_left_alone(text: str) -> None:
    assert both_ways(made(text), temporary=True) is None


def test_a_position_is_kept() -> None:
    pairs = zip(NAMES["xs"], "abc", strict=True)
    next(pairs)
    walks = both_ways(pairs, temporary=False)
    assert walks is not None
    assert items(walks[1]) == [(1, "b"), (2, "c")]
    assert items(pairs) == [(1, "b"), (2, "c")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("df.iterrows()", True),
        ("enumerate(KFold(2).split(xs))", True),
        ("gen", False),
        ("zip(xs, gen)", False),
        ("zip(df['a'], X.flat)", True),
        ("itertools.chain(gens[0], xs)", False),
        ("[f(x) for x in gen]", False),
        ("gens[0]", False),
    ],
)
def test_what_somebody_else_may_hold_is_no_temporary(text: str, expected: bool) -> None:
    names = {**NAMES, "gen": iter([1]), "gens": [1]}
    assert is_temporary(ast.parse(text, mode="eval").body, names) is expected
