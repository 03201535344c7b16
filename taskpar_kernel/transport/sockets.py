"""Messages ↔ frames ↔ sockets: the only module that imports zmq.

Messages come in, frames go out, and back. One message is `[header, in-band pickle, buffers …]`; the
header is the pickle of `(version, sender's place, sender's incarnation, message)`, where the
message's own `packed` is left empty, so large buffers are never copied into it.

The rule: every socket is an ipc socket inside the pool's private folder, no queue has a high-water
mark (writing returns at once, nothing is dropped), and a reader empties its queue each time it is
woken: the descriptor of a zmq socket tells of a change, not of a state.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import zmq
from zmq.eventloop.zmqstream import ZMQStream

from taskpar_kernel.errors import PoolError, WireError
from taskpar_kernel.model.messages import Event, Finished, Message, Packed, Segment, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskpar_kernel.model.ids import Place

VERSION = 1
LONGEST_PATH_BYTES = 103 if os.uname().sysname == "Darwin" else 107
_COPY_BELOW_BYTES = 64 * 1024

Frames = list[Any]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message and who sent it: the place, and which process of that place."""

    sender: Place
    incarnation: int
    message: Message | Event


def encode(sender: Place, incarnation: int, message: Message | Event) -> Frames:
    """Return `message` as frames; buffers are passed on, not copied."""
    packed = message.packed if isinstance(message, Value | Finished) else None
    if packed is None or not isinstance(message, Value | Finished):
        return [pickle.dumps((VERSION, sender, incarnation, message), protocol=5)]
    layout: tuple[Any, ...] = tuple(b if isinstance(b, Segment) else None for b in packed.buffers)
    bare = replace(message, packed=Packed(b"", layout))
    header = pickle.dumps((VERSION, sender, incarnation, bare), protocol=5)
    return [header, packed.inband, *(b for b in packed.buffers if not isinstance(b, Segment))]


def decode(frames: Frames) -> Letter:
    """Return the message that `frames` carry.

    Raises:
        WireError: it is foreign, truncated or of another version.
    """
    try:
        version, sender, incarnation, message = pickle.loads(frames[0])
    except Exception as error:
        raise WireError(f"a message could not be read ({error}); it was dropped") from error
    if version != VERSION:
        raise WireError(f"a message of version {version} came, not {VERSION}; it was dropped")
    if isinstance(message, Value | Finished) and message.packed is not None:
        rest = iter(frames[2:])
        try:
            buffers = tuple(next(rest) if b is None else b for b in message.packed.buffers)
            inband = bytes(frames[1])
        except (StopIteration, RuntimeError, IndexError):
            raise WireError("a message arrived without all its frames; it was dropped") from None
        message = replace(message, packed=Packed(inband, buffers))
    return Letter(sender, incarnation, message)


class Reader:
    """The reading end of a queue: `fileno()` for an event loop, `drain()` for what has come."""

    def __init__(self, socket: zmq.Socket[bytes]):
        self._socket = socket

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something changed."""
        return int(self._socket.getsockopt(zmq.FD))

    def wait(self, limit_s: float) -> None:
        """Block until there is a message, or `limit_s` seconds have passed."""
        self._socket.poll(int(limit_s * 1000))

    def drain(self) -> Iterator[Frames]:
        """Yield messages until there is none; never waits."""
        while not self._socket.closed and can_read(self._socket):
            frames: Frames = [self._socket.recv(zmq.NOBLOCK)]  # asking first: 17 us less than Again
            while self._socket.getsockopt(zmq.RCVMORE):
                frame = self._socket.recv(zmq.NOBLOCK, copy=False)
                small = len(frame) < _COPY_BELOW_BYTES
                frames.append(frame.bytes if small else frame.buffer)
            yield frames

    def letters(self) -> Iterator[Letter | WireError]:
        """Yield what has come, read; a message that cannot be read as its error."""
        for frames in self.drain():
            try:
                yield decode(frames)
            except WireError as error:
                yield error

    def close(self) -> None:
        """Close at once; what was not read is dropped."""
        self._socket.close(linger=0)


class Writer:
    """The writing end of a queue: returns at once, and keeps the order."""

    def __init__(self, socket: zmq.Socket[bytes]):
        self._socket = socket

    def send(self, frames: Frames) -> None:
        """Queue one message.

        libzmq gets a copy (0.1 ms a MB). With `copy=False` it would read the frames where they are,
        but pyzmq gives them up when the interpreter exits, before the queue is empty: what a worker
        that exits has sent last was then freed memory, and libzmq aborted (EFAULT). Large arrays
        do not come this way, they lie in shared segments.
        """
        self._socket.send_multipart(frames, copy=True)

    def close(self) -> None:
        """Close at once; what was not sent is dropped."""
        self._socket.close(linger=0)


class Sockets:
    """All sockets of one process, on a context of their own."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def inbox(self, path: str) -> Reader:
        """Bind the queue `path`, which must not exist yet."""
        if len(os.fsencode(path)) > LONGEST_PATH_BYTES:
            raise PoolError(
                f"the socket path {path!r} is longer than {LONGEST_PATH_BYTES} bytes; "
                "set TMPDIR to a folder with a shorter path"
            )
        socket = self._context.socket(zmq.PULL)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.bind(f"ipc://{path}")
        return Reader(socket)

    def outbox(self, path: str) -> Writer:
        """Connect to the queue `path`."""
        socket = self._context.socket(zmq.PUSH)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.connect(f"ipc://{path}")
        return Writer(socket)

    def subscription(self, path: str) -> Reader:
        """Connect to the publisher at `path` and ask for everything."""
        socket = self._context.socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        socket.connect(f"ipc://{path}")
        return Reader(socket)

    def close(self, linger_s: float) -> None:
        """Close everything; what was written has `linger_s` seconds to leave."""
        self._context.destroy(linger=int(linger_s * 1000))


def publisher(context: Any) -> Any:
    """Return an XPUB socket that drops nothing: whoever counts outputs must get them all."""
    socket = context.socket(zmq.XPUB)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.linger = 1000
    return socket


def pipe_end(context: Any, path: str, *, bind: bool) -> Any:
    """Return one end of the pipe by which forked children of a subkernel hand on their output."""
    socket = context.socket(zmq.PULL if bind else zmq.PUSH)
    socket.linger = 0 if bind else 3000
    (socket.bind if bind else socket.connect)(f"ipc://{path}")
    return socket


def new_context() -> Any:
    """Return a fresh zmq context."""
    return zmq.Context()


def stream_on(socket: Any, io_loop: Any) -> Any:
    """Return `socket` as a stream of events on a tornado loop."""
    return ZMQStream(socket, io_loop)


def can_read(socket: Any) -> bool:
    """Whether a message waits on `socket`."""
    return bool(socket.getsockopt(zmq.EVENTS) & zmq.POLLIN)
