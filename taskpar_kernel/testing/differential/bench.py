"""Programs come in; what python3 and each mode of taskpar made of them goes out. Kernels live on.

The rule: all kernels of a bench work in one folder, one after the other, so that paths are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from taskpar_kernel.testing.fronts import Front, HangError
from taskpar_kernel.testing.seen import Seems, differences

_RENEW = 400
"""After so many programs a kernel is started anew."""
_STARTS = 4
"""How often a kernel is started that does not answer in time."""
REFERENCE = "python3"


@dataclass(frozen=True, slots=True, order=True)
class Mode:
    """One way to run taskpar: eager or normal, with a number of workers."""

    name: str
    workers: int

    def __str__(self) -> str:
        return f"{self.name}-{self.workers}"

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment that makes a kernel run so."""
        eager = {"TASKPAR_EAGER": "1"} if self.name == "eager" else {}
        return {"TASKPAR_WORKERS": str(self.workers), **eager}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One program in one mode: what differs; the parallel run, or None if it hung."""

    mode: Mode
    differences: tuple[str, ...]
    seems: Seems | None

    @property
    def hung(self) -> bool:
        """Whether there was no answer in time."""
        return self.seems is None


class UnsteadyError(Exception):
    """The reference itself hung or lost its kernel: the program says nothing."""


class NoKernelError(Exception):
    """A kernel did not start, however often it was tried."""


@dataclass(slots=True)
class _Seat:
    """One kernel, and how many programs it has run."""

    front: Front
    runs: int = 0


@dataclass(slots=True)
class Bench:
    """The kernels of one process. It compares; it makes no program and shrinks none.

    `renewed` counts the kernels that were replaced because `reset` could not undo a program.
    """

    folder: Path
    limit_s: float = 20.0
    renewed: int = 0
    _seats: dict[str, _Seat] = field(default_factory=dict)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for seat in self._seats.values():
            seat.front.stop()

    def serially(self, cells: Sequence[str]) -> Seems:
        """Return what python3 makes of the cells.

        Raises:
            UnsteadyError: it did not come to an end.
        """
        seems = self._run(None, cells)
        if isinstance(seems, str):
            raise UnsteadyError(seems)
        return seems

    def compare(self, serial: Seems, cells: Sequence[str], mode: Mode) -> Verdict:
        """Run the cells in one mode and compare with the serial run."""
        seems = self._run(mode, cells)
        if isinstance(seems, str):
            return Verdict(mode, (f"hang: no answer within {self.limit_s} s\n{seems}",), None)
        return Verdict(mode, tuple(differences(serial, seems)), seems)

    def renew(self, mode: Mode | None = None) -> None:
        """Let the kernel of a mode (None: the reference) be started anew before it is used."""
        seat = self._seats.pop(str(mode), None)
        if seat is not None:
            seat.front.stop()

    def _run(self, mode: Mode | None, cells: Sequence[str]) -> Seems | str:
        """Run the cells; a kernel that hung or died is replaced, and says where it was."""
        seat = self._seat(mode)
        seat.runs += 1
        try:
            if seat.front.reset():
                self.renewed += 1
                self.renew(mode)
                seat = self._seat(mode)
                seat.runs += 1
                seat.front.reset()
            return seat.front.notebook(cells, limit_s=self.limit_s, clean=True)
        except NoKernelError:
            raise
        except Exception as error:  # noqa: BLE001 - a kernel that hung or died answers in many ways
            stacks = f"{type(error).__name__}: {error}\n{seat.front.stacks()}"
            self.renew(mode)
            return stacks

    def _seat(self, mode: Mode | None) -> _Seat:
        seat = self._seats.get(str(mode))
        if seat is not None and seat.runs >= _RENEW:
            self.renew(mode)
            seat = None
        if seat is None:
            seat = self._seats[str(mode)] = _Seat(self._started(mode))
        return seat

    def _started(self, mode: Mode | None) -> Front:
        why: Exception | None = None
        for _ in range(_STARTS):
            try:
                return self._start(mode)
            except (TimeoutError, HangError, RuntimeError) as error:
                why = error
        raise NoKernelError(f"no kernel for {mode or REFERENCE} after {_STARTS} starts: {why}")

    def _start(self, mode: Mode | None) -> Front:
        kernel, environ = (REFERENCE, {}) if mode is None else ("taskpar", mode.environ)
        front = Front(kernel, self.folder, **environ)
        try:
            front.start()
            if mode is not None:
                front.wait_for_workers()
        except BaseException:
            with suppress(HangError):
                front.stop()
            raise
        return front
