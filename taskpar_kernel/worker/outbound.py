"""Everything that leaves a worker: events for home, values for home and the other workers.

Messages come in, frames go out, and each value sent is a line of the log. The rule: nothing here
waits; a queue that nobody reads grows, and that is its owner's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from taskpar_kernel.model.ids import HOME
from taskpar_kernel.transport.sockets import encode
from taskpar_kernel.worker.peers import Peers

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskpar_kernel.model.ids import Place
    from taskpar_kernel.model.messages import Event, Peer, Value
    from taskpar_kernel.transport.sockets import Sockets
    from taskpar_kernel.worker.log import Log


@dataclass(frozen=True, slots=True)
class Post:
    """Which process of which worker this is, and where its queues are."""

    place: Place
    incarnation: int
    pid: int
    inbox: str
    home: str

    @property
    def folder(self) -> str:
        """The pool's private folder."""
        return str(Path(self.home).parent)


class Outbound:
    """The ways out of one worker. `arrive` takes what a worker sends to itself."""

    def __init__(self, post: Post, sockets: Sockets, log: Log, arrive: Callable[[Value], None]):
        self._post = post
        self._log = log
        self._arrive = arrive
        self._home = sockets.outbox(post.home)
        self._peers = Peers(sockets)

    def tell(self, event: Event) -> None:
        """Send `event` to home."""
        self._home.send(encode(self._post.place, self._post.incarnation, event))

    def learn(self, peer: Peer) -> None:
        """Use a peer's new address."""
        self._peers.learn(peer.worker, peer.address)

    def deliver(self, value: Value, targets: tuple[Place, ...]) -> None:
        """Send `value` to each of `targets`; it is written once, whoever gets it."""
        frames = encode(self._post.place, self._post.incarnation, value)
        what = value.name or f"value {value.key}"
        outcome = f": {value.error}" if value.error else ""
        for target in targets:
            # before it leaves: who has received it may read this log
            self._log.line(f"send {what} to {called(target)}{outcome}")
            if target == HOME:
                self._home.send(frames)
            elif target == self._post.place:
                self._arrive(value)
            else:
                self._peers.send(target, value, frames)

    def leave_to_home(self) -> None:
        """Give home what is for workers that are not up yet, because this process ends."""
        for target, value in self._peers.take_held():
            relayed = replace(value, relay_to=target)
            self._home.send(encode(self._post.place, self._post.incarnation, relayed))


def called(place: Place) -> str:
    """Return what a place is called in a message."""
    return "home" if place == HOME else f"worker {place}"
