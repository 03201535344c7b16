"""A worker's IOPub messages: frames come in, `Output` events go out.

The rule: signatures are checked, and only what belongs to a ticket is an output; its parent's id,
`taskpar-<ticket>`, says to which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskpar_kernel.model.ids import Place, Ticket
from taskpar_kernel.model.messages import TICKET_PREFIX, Output

if TYPE_CHECKING:
    from collections.abc import Iterable


def read_iopub(session: Any, frames: Iterable[bytes | memoryview]) -> dict[str, Any] | None:
    """Return the message that `frames` carry, or None if it is not one of this session."""
    try:
        _, parts = session.feed_identities([bytes(f) for f in frames])
        message: dict[str, Any] = session.deserialize(parts)
    except (ValueError, TypeError, KeyError, IndexError):
        return None
    return message


def as_output(worker: Place, message: dict[str, Any]) -> Output | None:
    """Return the message as the output of its ticket, or None if it has none."""
    parent = message["parent_header"].get("msg_id", "")
    if not parent.startswith(TICKET_PREFIX) or message["msg_type"] == "status":
        return None
    return Output(
        Ticket(int(parent.removeprefix(TICKET_PREFIX))),
        worker,
        message["msg_type"],
        message["content"],
        message["metadata"],
        tuple(bytes(b) for b in message["buffers"]),
    )
