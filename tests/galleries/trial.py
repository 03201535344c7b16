"""One item and one way to run it come in, what was observed goes out.

The rule: all runs of an item have the same folder, made anew for each, the same environment but for
taskpar's own settings, and no network.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from taskpar_kernel.testing.compare import CellResult, Observation, differences
from taskpar_kernel.testing.observe import KernelRun

MODES = {"normal": {}, "eager": {"TASKPAR_EAGER": "1"}}
_NOWHERE = "http://127.0.0.1:9"
_KEPT = {"MPLCONFIGDIR": "matplotlib", "IPYTHONDIR": "ipython", "XDG_CACHE_HOME": "xdg"}
_MOST_BYTES = 50_000_000
"""A script's folder is copied with what lies beside it, unless that is larger."""


@dataclass(slots=True)
class Trial:
    """One run: what was seen, the files it left, and the engine's records of each cell."""

    seen: Observation | None = None
    files: dict[str, str] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    ended: str = ""
    """Why it did not come to its end; '' if it did."""

    @property
    def seconds(self) -> float:
        """What the cells took."""
        return sum(c.seconds for c in self.seen.cells) if self.seen else 0.0

    @property
    def ahead(self) -> int:
        """Statements whose outcome came from a worker."""
        return sum(record.get("committed_ahead", 0) for record in self.records)

    @property
    def raised(self) -> str:
        """The first error of the user's code, or ''."""
        for cell in self.seen.cells if self.seen else ():
            shown = {part: text for kind, part, text in cell.outputs if kind == "error"}
            if shown:
                return f"{shown['ename']}: {shown['evalue']}"
        return ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where items run: the folder made for each run, and the folder of caches kept."""

    folder: Path
    caches: Path

    def environ(self) -> dict[str, str]:
        """Return the environment that all kernels get."""
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ftp_proxy")
        found = dict.fromkeys(names, _NOWHERE) | {"no_proxy": "", "NO_PROXY": ""}
        found |= {name: str(self.caches / folder) for name, folder in _KEPT.items()}
        # HOME is in the run's folder: no data downloaded once may be found by the next run
        return found | {"HOME": str(self.folder / "home"), "TASKPAR_WORKERS": "2"}

    def renew(self, script: Path) -> Path:
        """Empty the folder, lay out what lies beside the script, and return where to run."""
        shutil.rmtree(self.folder, ignore_errors=True)
        inside = self.folder / "run"
        (self.folder / "home").mkdir(parents=True)
        for name in _KEPT.values():
            (self.caches / name).mkdir(parents=True, exist_ok=True)
        near = [p for p in script.parent.rglob("*") if p.is_file()]
        if sum(p.stat().st_size for p in near) <= _MOST_BYTES:
            shutil.copytree(script.parent, inside, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            inside.mkdir()
        return inside


def run(notebook: NotebookNode, script: Path, place: Place, mode: str, limit_s: float) -> Trial:
    """Run an item; `mode` is "serial" (stock ipykernel) or one of `MODES`."""
    return asyncio.run(_run(notebook, script, place, mode, limit_s))


async def _run(
    notebook: NotebookNode, script: Path, place: Place, mode: str, limit_s: float
) -> Trial:
    trial, inside = Trial(), place.renew(script)
    environ = place.environ() | MODES.get(mode, {})
    kernel = "taskpar" if mode in MODES else "python3"

    def note(_result: CellResult, record: dict[str, Any]) -> None:
        if not trial.records or trial.records[-1] != record:  # a cell may go round the engine
            trial.records.append(record)

    try:
        async with (
            asyncio.timeout(limit_s),
            KernelRun(notebook, kernel, folder=str(inside), environ=environ) as kernel_run,
        ):
            trial.seen = await kernel_run.observe(note)
    except (TimeoutError, CellTimeoutError):
        trial.ended = f"over {limit_s:.0f} s"
    except (DeadKernelError, RuntimeError, OSError) as error:
        trial.ended = f"{type(error).__name__}: {str(error)[:200]}"
    trial.files = _files(inside)
    return trial


def _files(folder: Path) -> dict[str, str]:
    found = sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {
        p.relative_to(folder).as_posix(): hashlib.blake2b(p.read_bytes()).hexdigest()[:16]
        for p in found
    }


def compared(one: Trial, two: Trial, *, seeded: bool) -> dict[str, str]:
    """Return every difference between two runs, files included: where, and what."""
    if one.seen is None or two.seen is None:
        alike = one.ended == two.ended
        return {} if alike else {"end": f"{one.ended or 'well'} and {two.ended or 'well'}"}
    found = {}
    for difference in differences(one.seen, two.seen, seeded=seeded):
        before = found.get(difference.where)
        found[difference.where] = f"{before}\n{difference.what}" if before else difference.what
    found |= _kinds(one.seen, two.seen)
    for name in sorted(one.files.keys() | two.files.keys()):
        left, right = one.files.get(name), two.files.get(name)
        if left != right:
            found[f"file {name}"] = f"{left or 'not there'} and {right or 'not there'}"
    return found


def _kinds(one: Observation, two: Observation) -> dict[str, str]:
    """Where a cell's outputs differ in kind, tell their texts too."""
    found = {}
    for left, right in zip(one.cells, two.cells, strict=False):
        if [o[:2] for o in left.outputs] != [o[:2] for o in right.outputs]:
            texts = [
                [o[2][:500] for o in cell.outputs if "image" not in o[1]] for cell in (left, right)
            ]
            found[f"cell {left.index} outputs"] = f"{texts[0]} and {texts[1]}"
    return found
