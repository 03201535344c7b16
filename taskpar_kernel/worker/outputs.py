"""What user code prints and displays leaves as IOPub messages; here they are counted by ticket.

Writes and displays come in, counted messages go out. The rule: when `end` returns a number, exactly
that many messages of the ticket were handed to the IOPub thread, and home waits for that many. A
statement that wrote nothing costs four polls.

Two things make stock ipykernel's numbers uncertain. Streams are flushed by a timer in the IOPub
thread, so a message may be on its way between "nothing is pending" and its count: hence a stream
that was touched is always flushed through that thread. And text that C code or a child process
wrote to descriptors 1 and 2 is read by a thread of its own, at some time: hence `end` drains the
pipe itself, under the same lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import threading
from typing import TYPE_CHECKING, Any

from ipykernel.iostream import IOPubThread, OutStream
from jupyter_client.session import Session

from taskpar_kernel.model.messages import OWN_OUTPUT, TICKET_PREFIX
from taskpar_kernel.transport.sockets import can_read, new_context, pipe_end, stream_on

if TYPE_CHECKING:
    from taskpar_kernel.model.ids import Ticket
    from taskpar_kernel.worker.attempt import IsOwn

_PIPE_BYTES = 1024 * 1024
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", 1031)


class CountingSession(Session):
    """A session that counts the messages it serialises for each open ticket."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._counts: dict[str, int] = {}
        self._counting = threading.Lock()
        self._is_own: IsOwn | None = None

    def serialize(self, msg: dict[str, Any], ident: Any = None) -> list[bytes]:
        """Count `msg` if its parent is an open ticket, and serialise it.

        It says whether it may differ from what home would show.
        """
        parent = (msg.get("parent_header") or {}).get("msg_id", "")
        is_own = self._is_own
        if parent in self._counts and is_own is not None and is_own():
            msg["metadata"] = {**msg["metadata"], OWN_OUTPUT: True}
        frames = super().serialize(msg, ident)
        if parent in self._counts:
            with self._counting:
                if parent in self._counts:
                    self._counts[parent] += 1
        return frames

    def open_ticket(self, msg_id: str, is_own: IsOwn | None) -> None:
        """Begin to count the messages whose parent is `msg_id`."""
        self._is_own = is_own
        self._counts[msg_id] = 0

    def close_ticket(self, msg_id: str) -> int:
        """Return how many there were; later ones are sent, but not counted."""
        self._is_own = None
        with self._counting:
            return self._counts.pop(msg_id, 0)


class TicketStream(OutStream):  # type: ignore[misc]
    """An output stream that knows whether it was written to, and can drain its pipe at once."""

    touched = False
    _should_watch: bool

    def __init__(self, *args: Any, watchfd: bool | str = True, **kwargs: Any):
        # "force": stock streams do not watch below a test runner, which a worker may well be
        super().__init__(*args, watchfd="force" if watchfd else False, **kwargs)

    def write(self, string: str) -> int | None:
        """Write `string`, and remember that there was something."""
        self.touched = True
        return super().write(string)  # type: ignore[no-any-return]

    def _setup_stream_redirects(self, name: str) -> None:
        self._draining = threading.Lock()
        super()._setup_stream_redirects(name)
        os.set_blocking(self._fid, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._fid, _SET_PIPE_SIZE, _PIPE_BYTES)
        self._poll = select.poll()
        self._poll.register(self._fid, select.POLLIN)

    def _watch_pipe_fd(self) -> None:
        while self._should_watch:
            select.select([self._fid], [], [])
            self.drain()

    def drain(self) -> None:
        """Take over what was written to the descriptor so far."""
        with self._draining:
            while self._should_watch:
                try:
                    text = os.read(self._fid, 65536)
                except BlockingIOError:
                    return
                if not text:  # the user closed the descriptor
                    self._should_watch = False
                    return
                self.write(text.decode(errors="replace"))

    def settle(self) -> None:
        """Hand everything written so far to the IOPub thread, and wait until it has sent it."""
        if self._should_watch and (self._poll.poll(0) or self._draining.locked()):
            self.drain()
        if self.touched:
            self.touched = False
            self.flush()


class PrivateIOPubThread(IOPubThread):  # type: ignore[misc]
    """An IOPub thread whose pipe for forked children is in the private folder, never tcp."""

    def __init__(self, socket: Any, path: str, session: Session):
        self._path = path
        super().__init__(socket, pipe=True, session=session)

    def _really_send(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Send, and look whether a subscription came in meanwhile.

        Sending takes notice of what has arrived on the socket, so the stream that listens on it is
        not woken any more, and the subscriber would wait for its welcome until something else
        comes.
        """
        super()._really_send(msg, *args, **kwargs)
        if not self.closed and can_read(self.socket):
            self._xpub_stream.on_recv(self._handle_subscription)

    def _setup_pipe_in(self) -> None:
        self._pipe_uuid = os.urandom(16)
        end = pipe_end(self.socket.context, self._path, bind=True)
        self._pipe_in = stream_on(end, self.io_loop)
        self._pipe_in.on_recv(self._handle_pipe_msg)

    def _setup_pipe_out(self) -> tuple[Any, Any]:
        context = new_context()
        return context, pipe_end(context, self._path, bind=False)


class Outputs:
    """Gives each ticket its own parent header, and counts what was published under it."""

    def __init__(self, kernel: Any, session: CountingSession, streams: tuple[TicketStream, ...]):
        self._kernel = kernel
        self._session = session
        self._streams = streams
        self._header = session.msg_header("execute_request")

    def begin(self, ticket: Ticket, is_own: IsOwn | None = None) -> None:
        """From now on, what is published belongs to `ticket`; `is_own` is asked of each message."""
        self._settle()
        msg_id = f"{TICKET_PREFIX}{ticket}"
        self._session.open_ticket(msg_id, is_own)
        self._kernel.set_parent([], {"header": {**self._header, "msg_id": msg_id}}, "shell")

    def end(self, ticket: Ticket) -> int:
        """Return how many messages of `ticket` were published; all of them are on their way.

        What is published afterwards belongs to nobody, and is shown nowhere.
        """
        self._settle()
        self._kernel.set_parent([], {"header": self._header}, "shell")
        return self._session.close_ticket(f"{TICKET_PREFIX}{ticket}")

    def _settle(self) -> None:
        for stream in self._streams:
            stream.settle()
