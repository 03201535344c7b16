"""Values come in, marks go out, which tell later, in the same process, if the values were changed.

Three ways to see that nothing was changed, the cheap ones first; the rule: each is a proof. Large
memory that is *watched* was not written to (`pages`); objects hold the very objects that they held
(`snapshots`); or values pickle to the same bytes. Only the last one can tell that values are alike
although something was written, and it does not see into watched memory: there, written is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.transport.own import Place, find_own
from taskpar_kernel.transport.pages import Watch
from taskpar_kernel.transport.pickling import Own, Parcel, digest_of_own, pickle_value
from taskpar_kernel.transport.snapshots import CAN_LOOK, Snapshot, arrays_of_objects

_SMALLEST_BYTES = 16 * 1024
"""What pickles to less is pickled again: some 0.1 ms."""


class Mark:
    """What `values` held when they were pickled as `parcel`, their large buffers under `watches`.

    `quiet`: nothing else could run since before they were pickled.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        parcel: Parcel,
        watches: Iterable[Watch] = (),
        *,
        quiet: bool = True,
    ):
        self._values = values
        self._watches = tuple(watches)
        self._ranges = [watch.span for watch in self._watches]
        self._fingerprint = parcel.fingerprint_outside(self._ranges)
        self._own = parcel.own
        self._snapshot: Snapshot | None = None
        self._opaque: tuple[bytes, bytes] | None = None
        self._kept: dict[Place, object] = {}
        if quiet:
            self._settle(parcel)

    def holds(self, pickle: Callable[[], Parcel], *, quiet: bool = True) -> bool:
        """Whether the values are proved to be as they were; `pickle` pickles them as it was done.

        `quiet`: nothing else runs meanwhile.

        Raises:
            NotPortable: one of the process's own objects was changed, or they cannot be pickled.
        """
        intact = all(watch.intact() for watch in self._watches)
        if intact and self._snapshot is not None and self._is_as_seen(self._snapshot):
            return True
        parcel = pickle()
        _check_own(self._own, parcel.own)
        if not intact or parcel.fingerprint_outside(self._ranges) != self._fingerprint:
            return False
        if quiet:
            self._settle(parcel)
        return True

    def _settle(self, parcel: Parcel) -> None:
        """Look at the objects themselves: they hold what they held when they were pickled."""
        # Arrays of objects in what is pickled as a whole (a frame) are looked at themselves.
        roots = arrays_of_objects(parcel.numbered.objects.values())
        size = len(parcel.inband) + sum(array.nbytes for array in roots)
        self._snapshot = None
        if size < _SMALLEST_BYTES or not CAN_LOOK:
            return
        snapshot = Snapshot([*self._values.values(), *roots], self._ranges)
        if not snapshot.plain:
            return
        try:
            self._kept = {place: find_own(place) for place, _ in self._own}
            self._opaque = self._pickled(snapshot)
        except NotPortable:
            return
        self._snapshot = snapshot

    def _is_as_seen(self, snapshot: Snapshot) -> bool:
        try:
            return (
                snapshot.holds()
                and all(find_own(place) is obj for place, obj in self._kept.items())
                and self._pickled(snapshot) == self._opaque
            )
        except NotPortable:
            return False

    def _pickled(self, snapshot: Snapshot) -> tuple[bytes, bytes] | None:
        if not snapshot.opaque:
            return None
        parcel = pickle_value(snapshot.opaque, snapshot.plain)
        return parcel.fingerprint_outside(self._ranges)


def _check_own(before: Own, now: Own) -> None:
    """Raise `NotPortable` if an object of the process's own does not hold what it held.

    What is referred to only now is compared where it arrives, like all that is referred to.
    """
    present = dict(now)
    for place, digest in before:
        if digest != (present[place] if place in present else digest_of_own(place)):
            raise NotPortable("it changed an object that a library keeps")
