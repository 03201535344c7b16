"""What is known of library functions and methods, loaded from `tables/*.toml`.

A dotted function name, or a type and a method name, comes in; an `Entry` or None goes out. The
rule: library knowledge is data; this module knows the words used there, not the libraries.

A section `[function."numpy.random"]` or `[method."pandas.DataFrame"]` maps words to names separated
by spaces; `*` means every other name of the section (and, for functions, of modules below it).
A type is named by the root of its module and its own name. The words:

- pure: changes nothing; outer: nor looks at what an argument holds; inert: nor runs any code of an
  argument; mild: changes nothing, but may call code of the user's
- changes: the receiver; shallow: the receiver, as list-like types do; changes_0, changes_1: an
  argument
- view: the result shares memory with the receiver or first argument; fluent: it is the receiver
- lazy: the result is an iterator
- draws_random, draws_numpy, draws_torch: draws from a shared generator; draws_numpy_unseeded: does
  so unless `random_state` is given
- reads_file, writes_file, writes_given (writes if a path is given), prints; reads_natively: without
  an audit event, so that an attempt cannot remember what it read. What writes natively is `world`
- any blocker in lower case (world, ambient, drawing, clock, handle, thread, shell, ...)
- cheap: costs nothing worth counting; `cost.NAME = seconds`; `returns.TYPE = names`
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from taskpar_kernel.analysis.values import Kind, Plain, Scalar
from taskpar_kernel.model.effects import Blocker

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPES: Final[Mapping[str, type]] = {
    kind.__name__.lower(): kind
    for kind in (
        int,
        float,
        bool,
        str,
        bytes,
        list,
        tuple,
        dict,
        set,
        frozenset,
        Scalar,
        Plain,
        type(None),
    )
}
_BLOCKERS: Final = {blocker.name.lower(): blocker for blocker in Blocker}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the tables say about one function or method: the words it stands under."""

    words: frozenset[str]
    blocker: Blocker | None = None
    changed_arguments: tuple[int, ...] = ()
    cost_s: float | None = None
    result: Kind = None

    @property
    def quiet(self) -> bool:
        """Whether it changes nothing that existed before, given plain arguments."""
        return not self.words.isdisjoint(_QUIET)


_ASIDE: Final = frozenset({"cheap", "fluent", "outer"})
_QUIET: Final = frozenset(
    {
        "pure",
        "inert",
        "view",
        "lazy",
        "reads_file",
        "reads_natively",
        "prints",
        "clock",
        "draws_random",
        "draws_numpy",
    }
)


@dataclass(frozen=True, slots=True)
class Conventions:
    """What names of functions and methods promise when nothing else is known."""

    pure: frozenset[str]
    changes: frozenset[str]
    fluent: frozenset[str]
    view: frozenset[str]
    shallow: frozenset[str]
    world: frozenset[str]
    files: frozenset[str]
    changes_prefixes: tuple[str, ...]
    world_prefixes: tuple[str, ...]
    native_prefixes: tuple[str, ...]
    pure_prefixes: tuple[str, ...]
    costs: Mapping[str, float]


@lru_cache(maxsize=8192)
def function_entry(dotted: str) -> Entry | None:
    """Look up a function or class of a module by its dotted name."""
    functions = _tables()[0]
    entry = functions.get(dotted)
    prefix = dotted
    while entry is None and "." in prefix:
        prefix = prefix.rpartition(".")[0]
        entry = functions.get(prefix + ".*")
    return entry


def exact_entry(dotted: str) -> Entry | None:
    """Look up a function that is listed by its own name."""
    return _tables()[0].get(dotted)


@lru_cache(maxsize=8192)
def method_entry(kind: type, name: str) -> Entry | None:
    """Look up a method by the type it is called on; the first base class that knows it decides."""
    methods = _tables()[1]
    keys = [type_name(base) for base in kind.__mro__]
    for key in keys:
        entry = methods.get(f"{key}.{name}") or methods.get(f"{key}.*")
        if entry is not None:
            return entry
    return None


@lru_cache(maxsize=8192)
def dotted_method_entry(dotted: str) -> Entry | None:
    """Look up `module.Type.method` of a library that is not loaded."""
    parts = dotted.split(".")
    if len(parts) < 3:
        return None
    methods = _tables()[1]
    key = f"{parts[0]}.{parts[-2]}"
    return methods.get(f"{key}.{parts[-1]}") or methods.get(f"{key}.*")


def type_name(kind: type) -> str:
    """Name a type as the tables do: the root of its module and its own name."""
    root = str(kind.__module__).partition(".")[0]
    return f"{root}.{kind.__name__}"


@cache
def conventions() -> Conventions:
    """Load the conventions (once)."""
    raw = _read("conventions")
    words = {key: text.split() for key, text in raw.items() if isinstance(text, str)}
    return Conventions(
        pure=frozenset(words["pure"]),
        changes=frozenset(words["changes"]),
        fluent=frozenset(words["fluent"]),
        view=frozenset(words["view"]),
        shallow=frozenset(words["shallow"]),
        world=frozenset(words["world"]),
        files=frozenset(words["files"]),
        changes_prefixes=tuple(words["changes_prefixes"]),
        world_prefixes=tuple(words["world_prefixes"]),
        native_prefixes=tuple(words["native_prefixes"]),
        pure_prefixes=tuple(words["pure_prefixes"]),
        costs=raw["cost"],
    )


@cache
def _tables() -> tuple[dict[str, Entry], dict[str, Entry]]:
    functions: dict[str, Entry] = {}
    methods: dict[str, Entry] = {}
    folder = resources.files("taskpar_kernel.analysis") / "tables"
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".toml") and file.name != "conventions.toml":
            raw = _read(file.name.removesuffix(".toml"))
            _load(raw.get("function", {}), functions)
            _load(raw.get("method", {}), methods)
    return functions, methods


def _read(name: str) -> dict[str, Any]:
    file = resources.files("taskpar_kernel.analysis") / "tables" / f"{name}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _load(sections: Mapping[str, Mapping[str, Any]], into: dict[str, Entry]) -> None:
    for section, content in sections.items():
        words: dict[str, set[str]] = {}
        for word, text in content.items():
            if isinstance(text, str):
                for name in text.split():
                    words.setdefault(name, set()).add(word)
        costs: Mapping[str, float] = content.get("cost", {})
        kinds = _kinds(content.get("returns", {}))
        for name in (*costs, *kinds):
            words.setdefault(name, set(words.get("*", ())))
        others = words.get("*", set())
        for name, found in words.items():
            all_words = frozenset(found | others if found <= _ASIDE else found)
            kind = kinds.get(name, kinds.get("*"))
            into[f"{section}.{name}"] = _entry(all_words, costs.get(name), kind)


def _kinds(returns: Mapping[str, str]) -> dict[str, type]:
    kinds: dict[str, type] = {}
    for type_text, names in returns.items():
        for name in names.split():
            kinds[name] = _TYPES[type_text]
    return kinds


def _entry(words: frozenset[str], cost_s: float | None, result: Kind) -> Entry:
    blockers = [_BLOCKERS[word] for word in sorted(words) if word in _BLOCKERS]
    if "writes_file" in words:
        blockers.append(Blocker.FILES)
    if any(word.startswith("draws_") and not word.endswith("_unseeded") for word in words):
        blockers.append(Blocker.AMBIENT)
    changed = tuple(int(word[-1]) for word in sorted(words) if word.startswith("changes_"))
    cheap = 0.0 if "cheap" in words else None
    return Entry(
        words,
        blockers[0] if blockers else None,
        changed,
        cheap if cost_s is None else cost_s,
        result,
    )
