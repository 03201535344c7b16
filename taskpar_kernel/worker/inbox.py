"""What a worker does next: messages come in, steps go out, one at a time.

Theory of operation. The inbox of a worker is a queue of instructions and a store of values.
`next_step` looks at the head of the queue:

    head                    value is here   will not come   not here yet
    Receive                 Bind            Miss            Wait (once), then what can overtake it
    any other instruction   Carry

`Wait` asks the caller for a timer; it calls `limit_reached` with the step's number when that is
over, which turns the wait into a `Miss`. Whatever else arrives meanwhile is set aside: values in
the store, instructions behind the others. A worker therefore never depends on the order in which
its peers write, and a wait always ends: by the value, by word that it will not come, by `abandon`,
or by its limit.

An attempt that has all it needs overtakes one that waits for another worker: each tells by key what
it reads, so that nobody can see their order. What is done by name (runs, named receives) keeps its.

The rule: no socket, no clock, no user code. Time and I/O belong to `service`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskpar_kernel.model.messages import Attempt, Forget, Instruction, Receive, Send, Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskpar_kernel.model.ids import Key, Ticket
    from taskpar_kernel.worker.store import Store


@dataclass(frozen=True, slots=True)
class Carry:
    """Carry this instruction out."""

    instruction: Instruction


@dataclass(frozen=True, slots=True)
class Bind:
    """The value of this receive is in the store."""

    receive: Receive


@dataclass(frozen=True, slots=True)
class Miss:
    """This receive ends without its value; an empty `why` means that its limit was reached."""

    receive: Receive
    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Call `limit_reached(number)` after the receive's limit."""

    receive: Receive
    number: int


Step = Carry | Bind | Miss | Wait


class Inbox:
    """The instructions of one worker in order, and the values set aside for them."""

    def __init__(self, store: Store):
        self._store = store
        self._queue: deque[Instruction] = deque()
        self._absent: dict[Key, str] = {}
        self._unwanted: set[Key] = set()
        self._shelved: dict[Key, Receive] = {}
        self._waiting: Receive | None = None
        self._waits = 0

    @property
    def waiting_for(self) -> Receive | None:
        """The receive that holds up the queue, if any."""
        return self._waiting

    def script(self, instructions: Iterable[Instruction]) -> None:
        """Put `instructions` behind those that are here.

        A shelved receive comes back for who reads its value, but not behind a `Forget` of it: the
        value will be gone then, and nobody sends it again.
        """
        for instruction in instructions:
            if isinstance(instruction, Receive):
                self._shelved.pop(instruction.key, None)
            elif isinstance(instruction, Forget):
                for key in instruction.keys:
                    self._shelved.pop(key, None)
            elif self._shelved:
                wanted = [k for k in _keys_read(instruction) if k in self._shelved]
                self._queue.extend(self._shelved.pop(key) for key in dict.fromkeys(wanted))
            self._queue.append(instruction)

    def value(self, value: Value) -> None:
        """Set `value` aside; an error in its place ends the wait for it."""
        if value.key in self._unwanted:
            self._unwanted.discard(value.key)
        elif value.error:
            if value.key not in self._store:
                self._absent.setdefault(value.key, value.error)
        else:
            self._absent.pop(value.key, None)
            self._store.put(value.key, value.packed)

    def forget(self, keys: Iterable[Key]) -> None:
        """Drop these bundles, and what is known about those that never came."""
        for key in keys:
            self._store.drop(key)
            self._absent.pop(key, None)
            self._shelved.pop(key, None)

    def abandon(self, tickets: Iterable[Ticket]) -> list[Attempt]:
        """Take the attempts `tickets` out of the queue, with the receives that only serve them.

        A receive is only set on a shelf: it comes back before a later attempt that reads its value.
        Returns the attempts that will not start, in order; one that has started is not among them.
        """
        unwanted = set(tickets)
        gone = [a for a in self._queue if isinstance(a, Attempt) and a.ticket in unwanted]
        if not gone:
            return []
        kept = [i for i in self._queue if not (isinstance(i, Attempt) and i.ticket in unwanted)]
        still_read = {key for i in kept for key in _keys_read(i)}
        served = {key for a in gone for key in _keys_read(a)} - still_read
        self._queue = deque()
        for instruction in kept:
            if (
                isinstance(instruction, Receive)
                and not instruction.name
                and instruction.key in served
            ):
                self._shelved[instruction.key] = instruction
            else:
                self._queue.append(instruction)
        if self._waiting is not None and (not self._queue or self._queue[0] is not self._waiting):
            self._waiting = None
        return gone

    def limit_reached(self, number: int) -> None:
        """Give up the wait `number`, if it is still the present one."""
        if self._waiting is not None and number == self._waits:
            self._absent.setdefault(self._waiting.key, "")

    def next_step(self) -> Step | None:
        """Return what to do now, or None when there is nothing to do or a receive waits."""
        if not self._queue:
            return None
        head = self._queue[0]
        if not isinstance(head, Receive):
            return Carry(self._queue.popleft())
        if head.key in self._store:
            self._end_receive()
            return Bind(head)
        if head.key in self._absent:
            self._end_receive()
            why = self._absent[head.key]
            if head.name:  # nobody asks again for what was to be bound to a name
                del self._absent[head.key]
                if not why:
                    self._unwanted.add(head.key)
            return Miss(head, why)
        if self._waiting is head:
            return self._overtaking()
        self._waiting = head
        self._waits += 1
        return Wait(head, self._waits)

    def _overtaking(self) -> Carry | None:
        """Take what is ready out of the queue, although the receive at its head waits."""
        for position, instruction in enumerate(self._queue):
            wanted = _keys_read(instruction)
            by_key = isinstance(instruction, Receive | Attempt | Send) and (
                isinstance(instruction, Attempt) or not instruction.name
            )
            if not by_key:
                return None
            if not isinstance(instruction, Receive) and all(key in self._store for key in wanted):
                del self._queue[position]
                return Carry(instruction)
        return None

    def why_absent(self, key: Key) -> str:
        """Tell why `key` is not here, for an attempt that needs it."""
        return self._absent.get(key) or "it did not arrive"

    def _end_receive(self) -> None:
        self._queue.popleft()
        self._waiting = None


def _keys_read(instruction: Instruction) -> tuple[Key, ...]:
    """Return the bundles that `instruction` needs."""
    if isinstance(instruction, Attempt):
        return instruction.needs
    if isinstance(instruction, Send) and not instruction.name:
        return (instruction.key,)
    return ()
