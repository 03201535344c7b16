"""The other workers' inboxes: values for them come in, and leave as soon as their address is known.

Addresses come from home, which knows which process of a worker is alive; a connection is made with
the first value. The rule: what is for a worker that is not up yet is held; what is for one that
died is dropped, because nobody there will ask for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskpar_kernel.model.ids import Place
    from taskpar_kernel.model.messages import Value
    from taskpar_kernel.transport.sockets import Frames, Sockets, Writer


class Peers:
    """Writers to the other workers, by place."""

    def __init__(self, sockets: Sockets):
        self._sockets = sockets
        self._addresses: dict[Place, str] = {}
        self._writers: dict[Place, Writer] = {}
        self._held: dict[Place, list[tuple[Value, Frames]]] = {}

    def learn(self, place: Place, address: str) -> None:
        """Use `address` for `place` from now on; an empty one means that it is gone."""
        if self._addresses.get(place) == address:
            return
        if place in self._writers:
            self._writers.pop(place).close()
        if not address:
            self._addresses.pop(place, None)
            self._held.pop(place, None)
            return
        self._addresses[place] = address
        for value, frames in self._held.pop(place, ()):
            self.send(place, value, frames)

    def take_held(self) -> list[tuple[Place, Value]]:
        """Return what is held, and hold it no longer."""
        held = [(place, value) for place, pairs in self._held.items() for value, _ in pairs]
        self._held.clear()
        return held

    def send(self, place: Place, value: Value, frames: Frames) -> None:
        """Send `value`, encoded as `frames`, to `place`, now or when it is up."""
        if place not in self._addresses:
            self._held.setdefault(place, []).append((value, frames))
            return
        if place not in self._writers:
            self._writers[place] = self._sockets.outbox(self._addresses[place])
        self._writers[place].send(frames)
