"""The variables of a worker's own namespace, for the public API: packed values come in and go out.

The rule: a variable that was to come and did not is *missed*: the next run is told so instead of
being run with whatever that name held before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskpar_kernel.model.messages import Packed
from taskpar_kernel.transport.pickling import pack, unpack
from taskpar_kernel.worker.outbound import called

if TYPE_CHECKING:
    from taskpar_kernel.model.ids import Place
    from taskpar_kernel.transport.segments import Segments

NOTHING = Packed(b"")


class Variables:
    """The names of `shell`'s namespace, and those that were missed."""

    def __init__(self, shell: Any, place: Place, segments: Segments):
        self._shell = shell
        self._segments = segments
        self._place = place
        self._missed: dict[str, str] = {}

    def bind(self, name: str, packed: Packed) -> str:
        """Bind `name` to the value; return why that cannot be, or ''."""
        try:
            self._shell.user_ns[name] = unpack(packed)
        except BaseException as error:  # noqa: BLE001 - unpickling runs user code
            return f"it could not be rebuilt: {type(error).__name__}: {error}"
        self._missed.pop(name, None)
        return ""

    def miss(self, name: str, source: Place, reason: str) -> None:
        """Remember that `name` did not come from `source`."""
        self._missed[name] = f"the variable {name!r} from {called(source)} is missing: {reason}"

    def take_missed(self) -> str:
        """Return what was missed since the last run, or ''; it is told once."""
        reasons = "; ".join(self._missed.values())
        self._missed.clear()
        return reasons

    def packed(self, name: str) -> tuple[Packed, str]:
        """Return the value of `name`, or nothing and the error, as the last line of a traceback."""
        if name in self._missed:
            return NOTHING, f"ReceiveTimeout: {self._missed[name]}"
        if name not in self._shell.user_ns:
            return NOTHING, f"NameError: name {name!r} is not defined on {called(self._place)}"
        try:
            return pack(self._shell.user_ns[name], self._segments), ""
        except BaseException as error:  # noqa: BLE001 - pickling runs user code
            return NOTHING, f"{type(error).__name__}: {name!r} cannot travel: {error}"
