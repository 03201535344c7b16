"""User settings: traitlets and environment come in, one frozen `Settings` value goes out.

The rule: this is the only module that reads `TASKPAR_*` from the environment. Precedence, highest
first: an option of the call (`%%taskpar --workers 4`), traitlets set by the command line or a
configuration file, the environment, the defaults.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from traitlets import Bool, Float, Int, TraitError, Unicode, validate
from traitlets.config import Configurable

from taskpar_kernel.errors import UsageError

MAX_WORKERS = 512
ALLOWED = MappingProxyType(
    {
        "policy": ("auto", "heft", "peft", "online", "listing", "serial"),
        "progress": ("auto", "on", "off", "stay"),
    }
)
"""The words that settings which are words may be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose; made once at the edge and passed down."""

    workers: int = 2
    eager: bool = False
    enabled: bool = True
    policy: str = "auto"
    start_limit_s: float = 30.0
    receive_limit_s: float = 60.0
    statement_limit_s: float = 0.0
    progress: str = "auto"
    history: bool = True
    shared_mb: float = math.inf

    def with_workers(self, workers: int) -> Settings:
        """Return these settings with another pool size."""
        return replace(self, workers=check_workers(workers))


def usable_cores() -> int:
    """Return how many cores this process may use: affinity and cgroup quota respected."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cores = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(cores, quota) if quota else cores)


@functools.cache
def _cgroup_quota() -> int | None:
    """Return the whole cores a cgroup grants, or None where there is no limit; asked once."""
    try:
        words = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if words[0] != "max":
            return max(1, round(int(words[0]) / int(words[1])))
    except (OSError, ValueError, IndexError):
        pass
    try:
        base = Path("/sys/fs/cgroup/cpu")
        quota = int((base / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((base / "cpu.cfs_period_us").read_text(encoding="ascii"))
        if quota > 0:
            return max(1, round(quota / period))
    except (OSError, ValueError):
        pass
    return None


def default_shared_mb() -> float:
    """Return the default ceiling of shared memory: a quarter of what this process may use, in MB.

    What a cgroup grants is respected.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # there is no such cgroup, or no limit in it
            memory = min(memory, int(Path("/sys/fs/cgroup", file).read_text(encoding="ascii")))
    return float(memory // 4_000_000)


def default_workers() -> int:
    """Return the default pool size: the usable cores, at least 2."""
    return max(2, usable_cores())


def check_workers(value: object) -> int:
    """Return `value` as a pool size, or raise `UsageError` naming what is allowed."""
    try:
        workers = int(value)  # type: ignore[call-overload]
        whole = not isinstance(value, bool) and float(value) == workers  # type: ignore[arg-type]
    except (TypeError, ValueError):
        whole, workers = False, 0
    if not whole or not 1 <= workers <= MAX_WORKERS:
        raise UsageError(
            f"workers={value!r}: the number of workers is a whole number from 1 to {MAX_WORKERS}; "
            "nothing was started"
        )
    return int(workers)


_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def _parse(name: str, text: str, default: object) -> object:
    if isinstance(default, bool):
        word = text.strip().lower()
        if word not in _TRUE | _FALSE:
            raise UsageError(
                f"TASKPAR_{name.upper()}={text!r}: allowed are 1 and 0; nothing was started"
            )
        return word in _TRUE
    if name == "workers":
        return check_workers(text)
    if isinstance(default, float):
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not number >= 0:
            raise UsageError(
                f"TASKPAR_{name.upper()}={text!r}: a number, 0 or more, is allowed; "
                "nothing was started"
            )
        return number
    return check_word(name, text)


def check_word(name: str, text: str) -> str:
    """Return `text` if the setting `name` may be that, or raise `UsageError` with what it may."""
    if name in ALLOWED and text not in ALLOWED[name]:
        allowed = ", ".join(ALLOWED[name])
        raise UsageError(f"{name}={text!r}: allowed are {allowed}; nothing was started")
    return text


class TaskPar(Configurable):
    """Settings of the parallel kernel; `c.TaskPar.workers = 4` in a configuration file."""

    workers = Int(help="Number of subkernels; default: the cores this process may use, at least 2.")
    eager = Bool(help="Run ahead every statement that may, whatever it costs.").tag(config=True)
    enabled = Bool(True, help="False: every cell runs serially at home.").tag(config=True)
    policy = Unicode(
        "auto", help="Planning policy: auto, heft, peft, online, listing or serial."
    ).tag(config=True)
    start_limit_s = Float(30.0, help="Seconds a worker may take to start.").tag(config=True)
    receive_limit_s = Float(60.0, help="Seconds a worker waits for a value.").tag(config=True)
    statement_limit_s = Float(
        0.0,
        help="Seconds home waits for a statement run ahead before it runs it itself; 0: no limit.",
    ).tag(config=True)
    progress = Unicode(
        "auto",
        help="A line under a cell that runs longer than a second. auto: where the front end shows "
        "cells; on: everywhere; off: nowhere; stay: everywhere, and left there.",
    ).tag(config=True)

    history = Bool(
        True,
        help="Keep what was learned of statements (seconds, and how running ahead went; no values, "
        "no text) for later sessions, in Jupyter's data folder. False: in memory only.",
    ).tag(config=True)

    shared_mb = Float(
        help="At most so many MB of shared memory for values; the rest travels inside messages. "
        "Default: a quarter of the memory."
    ).tag(config=True)

    workers.tag(config=True)

    def __init__(self, environ: Mapping[str, str] | None = None, **kwargs: Any):
        given = os.environ if environ is None else environ
        defaults: dict[str, Any] = {
            "workers": default_workers(),
            "shared_mb": default_shared_mb(),
        }
        blank = Settings()
        for name in Settings.__dataclass_fields__:
            defaults.setdefault(name, getattr(blank, name))
        for name, default in defaults.items():
            text = given.get(f"TASKPAR_{name.upper()}")
            self._trait_values[name] = default if text is None else _parse(name, text, default)
        super().__init__(**kwargs)

    @validate("workers")
    def _valid_workers(self, proposal: Mapping[str, Any]) -> int:
        try:
            return check_workers(proposal["value"])
        except UsageError as error:
            raise TraitError(str(error)) from None

    @validate("policy", "progress")
    def _valid_word(self, proposal: Mapping[str, Any]) -> str:
        try:
            return check_word(proposal["trait"].name, proposal["value"])
        except UsageError as error:
            raise TraitError(str(error)) from None

    def freeze(self) -> Settings:
        """Return the present values as one frozen value."""
        return Settings(**{name: getattr(self, name) for name in Settings.__dataclass_fields__})
