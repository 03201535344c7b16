"""What two kernels made of one notebook comes in, the list of every difference goes out.

The rule: two runs are equal if a user could not tell them apart by what is shown and by what the
names hold. Nothing is normalised but what differs between two runs of one kernel: memory addresses,
the process id in the file names of cells, and which of stdout and stderr was flushed first.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_CELL_FILE = re.compile(r"ipykernel_\d+")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_MOST_LINES = 12

Output = tuple[str, str, str]
"""Kind ("stdout", "execute_result", "error", …), mime type or part, content."""


@dataclass(frozen=True, slots=True)
class CellResult:
    """One cell as it went. `outputs` are canonical (see `canonical_outputs`)."""

    index: int
    source: str
    seconds: float
    outputs: tuple[Output, ...]
    execution_count: int | None


@dataclass(frozen=True, slots=True)
class Observation:
    """One run of a notebook under one kernel."""

    kernel: str
    cells: tuple[CellResult, ...]
    order: tuple[str, ...] = ()
    """The user's names in the order of the namespace."""
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Digest and summary of each name."""
    ambient: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs: where, and what was found on either side."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def canonical_outputs(outputs: Sequence[Mapping[str, Any]]) -> tuple[Output, ...]:
    """Return the outputs of a cell in notebook format as comparable parts, in order.

    Text of one stream is merged between two outputs of another kind: no kernel promises when a
    buffer is flushed.
    """
    result: list[Output] = []
    streams: dict[str, str] = {}

    def flush() -> None:
        result.extend((name, "text", normalised(streams[name])) for name in sorted(streams))
        streams.clear()

    for output in outputs:
        kind = output["output_type"]
        if kind == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + _joined(output["text"])
            continue
        flush()
        if kind == "error":
            text = "\n".join(output["traceback"])
            parts = {"ename": output["ename"], "evalue": output["evalue"], "traceback": text}
        else:
            parts = {mime: _joined(data) for mime, data in sorted(output["data"].items())}
            parts["metadata"] = repr(sorted(output.get("metadata", {}).items()))
        result += [(kind, part, normalised(str(content))) for part, content in parts.items()]
    flush()
    return tuple(result)


def normalised(text: str) -> str:
    """Return the text without colours, addresses and process ids."""
    return _CELL_FILE.sub("ipykernel_0", _ADDRESS.sub("0x…", _ANSI.sub("", text)))


def differences(
    one: Observation, two: Observation, *, seeded: bool = False, counts: bool = True
) -> list[Difference]:
    """Return every difference: outputs cell by cell, then names, their order and ambient state.

    `seeded` says that both kernels seeded the global generators, so that their state
    can be compared; `counts` says that execution counts are compared.
    """
    found = [
        d for pair in zip_longest(one.cells, two.cells) for d in _of_cells(pair, counts=counts)
    ]
    found += _of_names(one, two)
    if not found and one.order != two.order:
        found.append(Difference("order of names", f"{list(one.order)} and {list(two.order)}"))
    for name in sorted(one.ambient.keys() | two.ambient.keys()):
        if "random" in name and not seeded:
            continue
        if one.ambient.get(name) != two.ambient.get(name):
            found.append(Difference(f"process: {name}", "differs"))
    return found


def differing_names(one: Observation, two: Observation) -> list[str]:
    """Return the names that both have with different digests, sorted."""
    both = one.names.keys() & two.names.keys()
    return sorted(n for n in both if one.names[n][0] != two.names[n][0])


def first_difference(one: Sequence[str], two: Sequence[str]) -> str:
    """Return the first line in which two descriptions of a value differ."""
    for left, right in zip_longest(one, two, fillvalue="(nothing)"):
        if left != right:
            return f"{left}  |  {right}"
    return "beyond the lines kept"


def _of_cells(
    pair: tuple[CellResult | None, CellResult | None], *, counts: bool
) -> Iterator[Difference]:
    left, right = pair
    if left is None or right is None:
        index = (left or right).index  # type: ignore[union-attr]
        yield Difference(f"cell {index}", "ran under one kernel only")
        return
    where = f"cell {left.index}"
    if counts and left.execution_count != right.execution_count:
        yield Difference(
            where, f"execution count {left.execution_count} and {right.execution_count}"
        )
    kinds = [(o[0], o[1]) for o in left.outputs], [(o[0], o[1]) for o in right.outputs]
    if kinds[0] != kinds[1]:
        yield Difference(where, f"outputs are {_kinds(kinds[0])} and {_kinds(kinds[1])}")
        return
    for one, two in zip(left.outputs, right.outputs, strict=True):
        if one[2] != two[2]:
            yield Difference(f"{where} {one[0]} {one[1]}", _diff(one[2], two[2]))


def _of_names(one: Observation, two: Observation) -> Iterator[Difference]:
    for name in sorted(one.names.keys() | two.names.keys()):
        left, right = one.names.get(name), two.names.get(name)
        if left is None or right is None:
            only = one.kernel if right is None else two.kernel
            yield Difference(f"name {name}", f"exists under {only} only")
        elif left[0] != right[0]:
            yield Difference(f"name {name}", f"{left[1]} and {right[1]} differ")


def _kinds(kinds: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{kind} {part}" for kind, part in kinds) or "nothing"


def _diff(one: str, two: str) -> str:
    if max(len(one), len(two)) > 100_000:
        return f"{len(one)} and {len(two)} characters differ"
    lines = difflib.unified_diff(one.splitlines(), two.splitlines(), lineterm="", n=0)
    changed = [line[:200] for line in lines if not line.startswith(("---", "+++", "@@"))]
    return "\n    " + "\n    ".join(changed[:_MOST_LINES])


def _joined(text: Any) -> str:
    return "".join(text) if isinstance(text, list) else str(text)
