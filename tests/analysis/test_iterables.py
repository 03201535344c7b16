"""Which iterables may be walked ahead of their turn."""

# ruff: noqa: E501 - one case, one line

from __future__ import annotations

import ast

import pytest
from analysis_cases import namespace_of

from taskpar_kernel.analysis.iterables import harmless
from taskpar_kernel.model.effects import Scope

YES = (
    """
xs|t|text|d|s|range(3)|range(n)|range(0, n, 2)|X.flat|y|col|df.index|df.columns|[1, 2]|(n, x)|{1, 2}|[xs, ys]
enumerate(xs)|enumerate(xs, start=1)|zip(xs, ys)|zip(xs, ys, strict=True)|reversed(xs)|list(xs)|sorted(xs)
sorted(xs, reverse=True)|d.items()|d.keys()|d.values()|range(len(xs))|range(n + 1)|range(n * 2 - 1)
range(-n, n)|xs + ys|[0] * n|xs[1:]|xs[:n]|nested[0]|nested[n]|d['a']|text[1:]|itertools.product(xs, ys)
itertools.combinations(xs, 2)|enumerate(zip(xs, ys))|np.arange(n)|'abc'|list(range(3))
zip(range(3), enumerate(ys))|range(max(xs))|[*xs, 1]|range(int(x))
""".replace("\n", "|")
    .strip("|")
    .split("|")
)

NO = (
    """
dd|unknown|f(xs)|map(str, xs)|filter(None, xs)|iter(xs)|(i for i in xs)|[i for i in xs]|open('p')|dd['k']|dd.items()
obj|zip(xs, unknown)|xs.copy()|sorted(xs, key=str)|sorted(users)|users[0]|df|df.iterrows()|df.groupby('a')
range(2 ** n)|unknown.items()|range(*xs)|itertools.count|q|own|enumerate(own)|hidden|range(hidden)|rng|lambda: xs
sorted(mixed)|X|xs.flat|np.random.rand(3)|x if n else xs|np|len
""".replace("\n", "|")
    .strip("|")
    .split("|")
)

EXTRA = """
class Own(list):
    pass
class User:
    pass
own = Own([1])
obj = User()
users = [User()]
mixed = [1, User()]
hidden = [1, 2]
"""


def _scope() -> Scope:
    return Scope(dict(namespace_of("science", EXTRA)), {}, frozenset({"hidden"}))


@pytest.mark.parametrize("text", YES)
def test_harmless(text: str) -> None:
    assert harmless(ast.parse(text, mode="eval").body, _scope())


@pytest.mark.parametrize("text", NO)
def test_not_harmless(text: str) -> None:
    assert not harmless(ast.parse(text, mode="eval").body, _scope())


def test_a_list_of_anything_may_be_walked() -> None:
    assert harmless(ast.parse("models", mode="eval").body, _scope())


@pytest.mark.parametrize("name", ["range", "enumerate", "len"])
def test_a_shadowed_builtin_is_not_harmless(name: str) -> None:
    node = ast.parse(f"{name}(xs)", mode="eval").body
    assert not harmless(node, Scope({"xs": [1], name: lambda v: v}))
    assert not harmless(node, Scope({"xs": [1]}, {}, frozenset({name})))
    assert not harmless(node, Scope({"xs": [1]}, {name: ast.parse("def f(): pass").body[0]}))
