"""The messages of a running cell come in, what a browser would show goes out; and the differences.

The rule: what is recorded is what a browser would show, in its order; texts that are written to one
stream between two displays are joined, for the kernel itself sends them in pieces by the clock.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_CELL_FILE = re.compile(r"ipykernel_\d+[/\\]\d+\.py")
_PID = re.compile(r"(?<=\bpid )\d+")


@dataclass(slots=True)
class Seen:
    """What one cell showed: `outputs` in order, each a kind and its content."""

    status: str = ""
    count: int | None = None
    outputs: list[tuple[str, Any]] = field(default_factory=list)
    error: tuple[str, str, tuple[str, ...]] | None = None
    payload: list[Any] = field(default_factory=list)

    def text(self, name: str = "stdout") -> str:
        """Return everything written to one stream."""
        return "".join(c for kind, c in self.outputs if kind == name)


@dataclass(slots=True)
class Seems:
    """A whole notebook as it went: its cells, and what the probe found afterwards."""

    cells: list[Seen]
    state: dict[str, Any]
    statements: int = 0
    ahead: int = 0
    squashed: int = 0
    records: list[list[dict[str, Any]]] = field(default_factory=list)
    """The engine's records of each cell's statements; empty for a cell that it did not run."""

    def add(self, record: dict[str, Any] | None) -> None:
        """Count what the engine tells of the cell that was just run."""
        statements = record["statements"] if record else []
        self.records.append(statements)
        self.statements += len(statements)
        self.ahead += sum(s["state"] == "committed" for s in statements)
        self.squashed += record["squashed"] if record else 0

    @property
    def reasons(self) -> list[str]:
        """Return one line for each statement: where it ran, and why."""
        return [
            f"{s['line']}: {s['source'][:50]} [{s['state']}] {s['reason']}"
            for statements in self.records
            for s in statements
        ]


def clean(text: str) -> str:
    """Return `text` without colours, addresses and the number of the process."""
    text = _CELL_FILE.sub("ipykernel_PID/CELL.py", _ANSI.sub("", text))
    return _PID.sub("N", _ADDRESS.sub("0xADDRESS", text))


def cleaned(value: Any) -> Any:
    """Return `value` with every text in it cleaned."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {k: cleaned(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(v) for v in value]
    return value


def note(seen: Seen, message: dict[str, Any]) -> bool:
    """Add one message to what was seen; return whether the cell is over."""
    kind, content = message["msg_type"], message["content"]
    if kind == "status":
        return bool(content["execution_state"] == "idle")
    if kind == "stream":
        _join(seen.outputs, content["name"], content["text"])
    elif kind in {"display_data", "update_display_data"}:
        shown = (content["data"], content["metadata"], content.get("transient", {}))
        seen.outputs.append((kind, cleaned(shown)))
    elif kind == "execute_result":
        shown = (content["data"], content["metadata"], content["execution_count"])
        seen.outputs.append((kind, cleaned(shown)))
    elif kind == "clear_output":
        seen.outputs.append((kind, content["wait"]))
    elif kind == "error":
        lines = tuple(clean("\n".join(content["traceback"])).splitlines())
        seen.error = (content["ename"], clean(content["evalue"]), lines)
        seen.outputs.append(("error", content["ename"]))
    elif kind != "execute_input":
        seen.outputs.append((kind, cleaned(content)))
    return False


def _join(outputs: list[tuple[str, Any]], name: str, text: str) -> None:
    """Append text to the same stream's text since the last display; stdout stands before stderr."""
    first = len(outputs)
    while first and outputs[first - 1][0] in {"stdout", "stderr"}:
        first -= 1
    texts = dict(outputs[first:])
    texts[name] = texts.get(name, "") + clean(text)
    outputs[first:] = [(n, texts[n]) for n in ("stdout", "stderr") if n in texts]


def differences(serial: Seems, parallel: Seems) -> list[str]:
    """Return one line for each thing that is not alike in two runs of a notebook."""
    found = []
    for number, (a, b) in enumerate(zip(serial.cells, parallel.cells, strict=True), 1):
        left, right = asdict(a), asdict(b)
        found += [
            f"cell {number} {key}:\n  serial   {left[key]!r}\n  parallel {right[key]!r}"
            for key in left
            if left[key] != right[key]
        ]
    for key in serial.state.keys() | parallel.state.keys():
        one, other = serial.state.get(key), parallel.state.get(key)
        if one != other:
            found.append(f"state {key}: {_where(one, other, '')}")
    return found


def _where(one: Any, other: Any, path: str) -> str:
    """Return the first place at which two digests differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if one.get(key) != other.get(key):
                return _where(one.get(key), other.get(key), f"{path}[{key!r}]")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            if a != b:
                return _where(a, b, f"{path}[{index}]")
    return f"{path}: serial {str(one)[:400]} · parallel {str(other)[:400]}"
