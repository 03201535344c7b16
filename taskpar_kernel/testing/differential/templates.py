"""A fragment's text comes in, its statements with names and numbers filled in go out.

In a fragment stand

- `$list`, `$int2`, …: a name of that kind that exists; a number tells two apart;
- `$new_list`, `$new_int2`, …: a name that the fragment makes, at times one that exists;
- `$a`, `$b2`, …: a letter is a name of the fragment's own;
- `$n`, `$n2`, …: a small number; `$key`: one of a few texts; `$file`: one of a few file names;
- `$module`: the name of a module that no other program has;
- `${one|two|three}`: one of these; `$$`: a dollar.

The rule: the same placeholder is the same text everywhere in one fragment (a choice is not), and
one seed gives one text.
"""

from __future__ import annotations

import re
from random import Random

_PLACE = re.compile(r"\$(?:\{([^}]*)\}|(\$)|(new_)?([a-z]+)(\d*))")
KINDS = ("int", "list", "dict", "text", "array", "frame", "object", "function", "class")
_TEXTS = {
    "n": ("1", "2", "3", "4", "5"),
    "file": ("one.txt", "two.txt", "sub_a.txt", "log.txt"),
    "key": ("'ab'", "'cd'", "'ef'", "'k'"),
}
"""What is drawn by chance, and is no name."""
_STEMS = (
    *("ash", "bay", "cod", "dew", "elm", "fir", "gum", "hop", "ivy", "jay", "keg", "lag"),
    *("mud", "nut", "oak", "pea", "ray", "sea", "tan", "urn", "vat", "wax", "yew"),
)
_CONTINUES = re.compile(r"(except|else|elif|finally|[)\]}])\b|[)\]}]")
_REBOUND = 0.15
"""How often a name that a fragment makes is one that exists already."""


class Scope:
    """The names of a program while it is made. It owns the choice of names and numbers."""

    def __init__(self, random: Random, seed: int):
        self.random = random
        self._seed = seed
        self._names: dict[str, list[str]] = {kind: [] for kind in KINDS}
        self._made: list[tuple[str, str]] = []
        self._count = 0

    def settle(self) -> None:
        """Let the fragments that come use what the fragments so far have made."""
        for kind, name in self._made:
            if name not in self._names[kind]:
                self._names[kind].append(name)
        self._made.clear()

    def forget(self) -> None:
        """Take back what was made since `settle`: an exception may have come first."""
        self._made.clear()

    def fill(self, text: str) -> list[str]:
        """Return the statements of a fragment, each with the lines that belong to it."""
        known: dict[str, str] = {}

        def put(match: re.Match[str]) -> str:
            choice: str | None = match[1]
            if match[2]:
                return "$"
            if choice is not None:
                return self.random.choice(choice.split("|"))
            new, word, number = match.group(3, 4, 5)
            place = f"{new or ''}{word}{number}"
            if place not in known:
                known[place] = self._one(word, new=bool(new))
            return known[place]

        return statements(_PLACE.sub(put, text))

    def _one(self, word: str, *, new: bool) -> str:
        if new:
            return self._new(word)
        if word in self._names:
            return self.random.choice(self._names[word])
        if word == "module":
            return f"mod_{self._seed}_{self._fresh()}"
        if word in _TEXTS:
            return self.random.choice(_TEXTS[word])
        if len(word) == 1:
            return f"{word}_{self._fresh()}"
        raise ValueError(f"a fragment asks for {word!r}, which is no kind of name")

    def _new(self, kind: str) -> str:
        exist = self._names[kind]
        if exist and kind not in {"class", "function"} and self.random.random() < _REBOUND:
            return self.random.choice(exist)
        name = f"{self._fresh()}_{kind[0]}"
        self._made.append((kind, name))
        return name

    def _fresh(self) -> str:
        self._count += 1
        return f"{_STEMS[(self._seed + self._count) % len(_STEMS)]}{self._count}"


def statements(text: str) -> list[str]:
    """Return the top-level statements of a text as they stand, with their decorators."""
    found: list[str] = []
    joins = False
    for line in text.split("\n"):
        inner = not line or line[0] in " \t" or _CONTINUES.match(line) is not None
        if found and (inner or joins):
            found[-1] += "\n" + line
        else:
            found.append(line)
        joins = line.startswith("@")
    return found
