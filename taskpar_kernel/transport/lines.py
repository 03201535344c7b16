"""What home and its zygote say to each other: short JSON lists, a line each, on a stream socket.

The rule: needs neither zmq nor pickle, so that a process which is to be forked can use it.
"""

from __future__ import annotations

import json
import socket
from typing import Any

_PIECE_BYTES = 65536


class Lines:
    """One end of the socket."""

    def __init__(self, end: socket.socket):
        self._end = end
        self._rest = b""

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._end.fileno()

    def send(self, *message: Any) -> None:
        """Send one message.

        Raises:
            OSError: the other end is closed, or does not read.
        """
        self._end.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[list[Any]] | None:
        """Return the messages that have come whole, in order; None once the other end is closed.

        To be called when there is something to read.
        """
        try:
            piece = self._end.recv(_PIECE_BYTES)
        except OSError:
            piece = b""
        if not piece:
            return None
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """Close this end."""
        self._end.close()
