"""A notebook's cells come in, everything a user could see comes out. One `Front` is one kernel.

The rule: what is recorded is what a browser would show, in its order; texts that are written to one
stream between two displays are joined, for the kernel itself sends them in pieces by the clock.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import tempfile
import time
from ast import literal_eval
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client import KernelManager
from jupyter_client.blocking import BlockingKernelClient

HERE = Path(__file__).parent
LIMIT_S = 40.0
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_CELL_FILE = re.compile(r"ipykernel_\d+[/\\]\d+\.py")
_PID = re.compile(r"(?<=\bpid )\d+")


class HangError(AssertionError):
    """A kernel did not answer in time."""


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
    reasons: list[str] = field(default_factory=list)


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


class Front:
    """One running kernel, and the folder its notebooks run in."""

    def __init__(self, kernel: str, folder: Path, **environ: str):
        self.kernel = kernel
        self.folder = folder
        self.environ = environ
        self.manager: KernelManager | None = None
        self.client: BlockingKernelClient | None = None
        self._sockets: str | None = None
        self._record = ""

    # Life ------------------------------------------------------------------------------------

    def start(self) -> Front:
        """Start the kernel and wait until it answers."""
        self._sockets = tempfile.mkdtemp(prefix="tp")
        self.folder.mkdir(exist_ok=True)
        environ = {
            k: v for k, v in os.environ.items() if not k.startswith(("TASKPAR_", "PYTEST", "COV_"))
        }
        paths = os.pathsep.join(filter(None, (str(HERE), environ.get("PYTHONPATH", ""))))
        environ |= {"PYTHONHASHSEED": "0", "PYTHONPATH": paths, "MPLBACKEND": "agg"}
        environ |= {"COLUMNS": "100", "PYDEVD_DISABLE_FILE_VALIDATION": "1"} | self.environ
        self.manager = KernelManager(
            kernel_name=self.kernel,
            transport="ipc",
            connection_file=str(Path(self._sockets) / "k.json"),
        )
        self.manager.start_kernel(
            cwd=str(self.folder),
            env=environ,
            extra_arguments=["--HistoryManager.hist_file=:memory:"],
        )
        client = self.manager.client()
        assert isinstance(client, BlockingKernelClient)
        self.client = client
        client.start_channels()
        client.wait_for_ready(timeout=LIMIT_S)
        self.evaluate("__import__('probe').begin()")
        return self

    def stop(self) -> None:
        """End the kernel, whatever state it is in."""
        if self.client is not None:
            self.client.stop_channels()
            self.client = None
        if self.manager is not None:
            with suppress(RuntimeError):
                self.manager.shutdown_kernel(now=True)
            self.manager.cleanup_resources()
            if self.manager.context is not None:
                self.manager.context.destroy(linger=0)
            self.manager = None
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def restart(self) -> Front:
        """Replace the kernel by a new one."""
        self.stop()
        return self.start()

    def __enter__(self) -> Front:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Cells -----------------------------------------------------------------------------------

    def send(self, code: str, **options: Any) -> str:
        """Send a cell and return its message id."""
        assert self.client is not None
        identity: str = self.client.execute(code, **options)
        return identity

    def collect(
        self,
        identity: str,
        *,
        limit_s: float = LIMIT_S,
        answers: tuple[str, ...] = (),
        on_output: Any = None,
    ) -> Seen:
        """Return what the cell showed, once it is over.

        Raises:
            HangError: that took longer than `limit_s`.
        """
        assert self.client is not None
        seen, end_s, left = Seen(), time.monotonic() + limit_s, list(answers)
        idle = replied = False
        while not (idle and replied):
            if time.monotonic() > end_s:
                raise HangError(f"{self.kernel}: no answer within {limit_s} s; so far {seen}")
            with suppress(queue.Empty):
                while not idle:
                    message = self.client.get_iopub_msg(timeout=0 if replied and not idle else 0.02)
                    if message["parent_header"].get("msg_id") != identity:
                        continue
                    idle = _note(seen, message)
                    if on_output is not None:
                        on_output(message)
            if left:
                with suppress(queue.Empty):
                    self.client.get_stdin_msg(timeout=0)
                    self.client.input(left.pop(0))
            if not replied:
                with suppress(queue.Empty):
                    reply = self.client.get_shell_msg(timeout=0.02 if idle else 0)
                    if reply["parent_header"].get("msg_id") == identity:
                        replied = True
                        seen.status = reply["content"]["status"]
                        seen.count = reply["content"].get("execution_count")
                        seen.payload = cleaned(reply["content"].get("payload", []))
        return seen

    def run(self, code: str, **options: Any) -> Seen:
        """Run one cell to its end."""
        limit_s = options.pop("limit_s", LIMIT_S)
        answers = options.pop("answers", ())
        on_output = options.pop("on_output", None)
        identity = self.send(code, allow_stdin=bool(answers), **options)
        return self.collect(identity, limit_s=limit_s, answers=answers, on_output=on_output)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a literal-valued expression, unseen by the notebook."""
        assert self.client is not None
        reply = self.client.execute(
            "", silent=True, user_expressions={"x": expression}, reply=True, timeout=LIMIT_S
        )
        answer = reply["content"]["user_expressions"]["x"]
        assert answer["status"] == "ok", "\n".join(answer["traceback"])
        return literal_eval(answer["data"]["text/plain"])

    def last(self) -> dict[str, Any] | None:
        """Return the record of the cell that just ran, or None if it did not use the engine."""
        text = self.evaluate(
            "(lambda e: e.last_run().to_json() if getattr(e, '_last', None) else '')"
            "(__import__('sys').modules.get('taskpar_kernel.engine.session'))"
        )
        if not text or text == self._record:
            return None
        self._record = text
        record: dict[str, Any] = json.loads(text)
        return record

    def notebook(self, cells: list[str], *, limit_s: float = LIMIT_S / 2) -> Seems:
        """Run the cells of a notebook in a clean namespace and folder."""
        empty(self.folder)
        self.evaluate("__import__('probe').reset()")
        seems = Seems([], {})
        for cell in cells:
            seems.cells.append(self.run(cell, limit_s=limit_s))
            if (record := self.last()) is not None:  # asked of python3 too: hooks count cells
                seems.statements += len(record["statements"])
                seems.ahead += sum(s["state"] == "committed" for s in record["statements"])
                seems.squashed += record["squashed"]
                seems.reasons += [
                    f"{s['line']}: {s['source'][:50]} [{s['state']}] {s['reason']}"
                    for s in record["statements"]
                ]
        path = self.folder.parent / f"state-{self.kernel}.json"
        self.evaluate(f"__import__('probe').write({str(path)!r})")
        seems.state = cleaned(json.loads(path.read_text(encoding="utf-8")))
        return seems


def empty(folder: Path) -> None:
    """Remove what is in `folder`, but not the folder: workers stand in it."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _note(seen: Seen, message: dict[str, Any]) -> bool:
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
