"""The loop of one worker: frames come in, steps are carried out, events and values go out.

It joins the pure `inbox` to the sockets, the clock and the shell, and decides nothing itself. The
rule: one step at a time; between two steps what has arrived is taken in, so an `Abandon` overtakes
the instructions that wait; a receive that waits returns to the event loop and never blocks it.
"""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from taskpar_kernel.errors import NotPortable, WireError
from taskpar_kernel.model.ids import HOME
from taskpar_kernel.model.messages import (
    Abandon,
    AtGate,
    Attempt,
    Finished,
    Forget,
    Instruction,
    Peer,
    Preload,
    Preloaded,
    Proceed,
    Ready,
    Receive,
    Received,
    Run,
    Script,
    Send,
    Started,
    Stop,
    TimedOut,
    Value,
)
from taskpar_kernel.transport.segments import Segments, Sweeping
from taskpar_kernel.transport.sockets import Sockets
from taskpar_kernel.worker.attempt import Attempts
from taskpar_kernel.worker.guard import Guard
from taskpar_kernel.worker.heap import Heap
from taskpar_kernel.worker.inbox import Bind, Carry, Inbox, Miss, Step, Wait
from taskpar_kernel.worker.outbound import Outbound, Post, called
from taskpar_kernel.worker.run import run
from taskpar_kernel.worker.store import Store
from taskpar_kernel.worker.variables import NOTHING, Variables

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from taskpar_kernel.model.ids import Key, Place, Ticket
    from taskpar_kernel.worker.log import Log
    from taskpar_kernel.worker.outputs import Outputs

LONGEST_TURN_S = 0.05
_LOOK_AROUND_S = 1.0
"""How long a lost wake-up costs an attempt that waits at the gate."""
_NAMED_WITHIN_S = 0.02
"""How long a signal may be ahead of the word which attempt it is to end."""
_MOST_GIVEN_UP = 10_000


class Service:
    """Carries out what arrives in one worker's inbox.

    It owns the inbox, the attempts and the ways out; the shell and its outputs are lent to it.
    """

    def __init__(self, post: Post, shell: Any, outputs: Outputs, segments: Segments, log: Log):
        self._place = post.place
        self._post = post
        self._shell = shell
        self._outputs = outputs
        self._segments = segments
        self._store = store = Store()
        self._heap = Heap()
        self._log = log
        self._inbox = Inbox(store)
        self._attempts = Attempts(store, segments, outputs, self._wait_at_gate, post.folder)
        self._variables = Variables(shell, post.place, segments)
        self._guard = Guard(self._cancel_running, self._is_to_end)
        self._sockets = Sockets()
        self._reader = self._sockets.inbox(post.inbox)
        self._out = Outbound(post, self._sockets, log, self._arrive)
        self._busy = False
        self._running: asyncio.Task[None] | None = None
        self._stopping = False
        self._timer: asyncio.TimerHandle | None = None
        self._wait_began_s = 0.0
        self._answered: dict[Ticket, bool] = {}
        """Which attempts home has let pass the gate."""
        self._given_up: dict[Ticket, None] = {}
        """The attempts that home gave up last."""
        self._attempted: Ticket | None = None
        """The attempt that runs now."""

    def begin(self) -> None:
        """Listen, and tell home; in the running loop of the main thread."""
        self._loop = asyncio.get_running_loop()
        self._sweeping = Sweeping(self._segments, self._loop.call_later)
        self._guard.install()
        self._log.line(f"worker {self._place} pid {self._post.pid}")
        self._loop.add_reader(self._reader.fileno(), self._wake)
        self._log.line("ready")
        self._out.tell(Ready(self._place, self._post.pid, self._post.inbox))
        self._wake()

    def close(self, linger_s: float) -> None:
        """Let what was sent leave, for at most `linger_s` seconds."""
        self._out.leave_to_home()
        self._sockets.close(linger_s)

    # Messages

    def _wake(self) -> None:
        self._take_in()
        if not self._busy:
            self._advance()

    def _take_in(self) -> None:
        for letter in self._reader.letters():
            if isinstance(letter, WireError):
                self._log.line(f"dropped a message: {letter}")
            else:
                self._take(letter.message)

    def _take(self, message: object) -> None:
        if isinstance(message, Value):
            self._arrive(message)
        elif isinstance(message, Script):
            self._inbox.script(message.instructions)
        elif isinstance(message, Abandon):
            for gone in self._inbox.abandon(message.tickets):
                self._log.line(f"abandon {gone.label}")
                self._out.tell(_not_done(gone.ticket, self._place, "abandoned"))
            self._given_up |= dict.fromkeys(message.tickets)
            while len(self._given_up) > _MOST_GIVEN_UP:
                del self._given_up[next(iter(self._given_up))]
        elif isinstance(message, Proceed):
            self._answered.setdefault(message.ticket, True)
        elif isinstance(message, Peer):
            self._out.learn(message)
        elif isinstance(message, Stop):
            self._stopping = True

    def _arrive(self, value: Value) -> None:
        nbytes, paths = value.packed.nbytes, frozenset[str]()
        if value.once:  # home hears which segments nobody will open again
            paths = value.packed.paths
            value = self._opened(value)
        self._inbox.value(value)
        if not value.error:
            now_s = time.monotonic()
            self._out.tell(
                Received(
                    *(value.key, value.source, self._place, nbytes, value.sent_s, now_s),
                    *(value.name, paths),
                )
            )

    def _opened(self, value: Value) -> Value:
        try:
            return replace(value, packed=self._segments.opened(value.packed))
        except OSError as why:
            return replace(value, packed=NOTHING, error=f"OSError: shared memory is gone: {why}")

    # Steps

    def _advance(self) -> None:
        turn_ends_s = time.monotonic() + LONGEST_TURN_S
        while not self._busy and (step := self._inbox.next_step()) is not None:
            self._busy = True
            try:
                self._carry(step)
            except Exception as error:  # noqa: BLE001 - the edge: what waits must not wait for ever
                self._fail(step, error)
            finally:
                self._busy = self._running is not None
            self._take_in()
            if time.monotonic() > turn_ends_s:  # let the loop serve others as well
                self._loop.call_soon(self._wake)
                return
        if self._stopping and not self._busy and self._inbox.waiting_for is None:
            self._log.line("stop")
            self._loop.stop()

    def _fail(self, step: Step, error: Exception) -> None:
        """Tell whoever waits for `step` that a defect of ours ended it."""
        why = f"a defect of the worker: {type(error).__name__}: {error}"
        self._log.line(why)
        traceback.print_exception(error, file=sys.__stderr__)
        instruction = step.instruction if isinstance(step, Carry) else None
        if isinstance(instruction, Attempt | Run):
            self._out.tell(_not_done(instruction.ticket, self._place, why))
        elif isinstance(instruction, Send):
            value = Value(
                instruction.key,
                self._place,
                NOTHING,
                instruction.name,
                error=f"InvariantError: {why}",
            )
            self._out.deliver(value, instruction.targets)

    def _carry(self, step: Step) -> None:
        if isinstance(step, Carry):
            self._carry_out(step.instruction)
        elif isinstance(step, Wait):
            self._wait_began_s = time.monotonic()
            self._timer = self._loop.call_later(
                step.receive.limit_s, self._limit_reached, step.number
            )
        else:
            self._end_wait(step)

    def _carry_out(self, instruction: Instruction) -> None:
        if isinstance(instruction, Attempt):
            self._attempt(instruction)
        elif isinstance(instruction, Run):
            self._run(instruction)
        elif isinstance(instruction, Send):
            self._send(instruction)
        elif isinstance(instruction, Forget):
            self._forget(instruction.keys)
        elif isinstance(instruction, Preload):
            try:
                self._attempts.preload(instruction)
            finally:  # home gives it nothing before
                self._out.tell(Preloaded(self._place))

    def _forget(self, keys: tuple[Key, ...]) -> None:
        """Nobody will ask for these bundles: drop them, and what they take."""
        packed = [self._store.get(key) for key in keys if key in self._store]
        self._segments.release(path for each in packed for path in each.paths)
        self._attempts.forget(keys)
        self._inbox.forget(keys)
        self._heap.freed(sum(each.nbytes for each in packed))
        self._sweeping.begin()

    def _limit_reached(self, number: int) -> None:
        self._inbox.limit_reached(number)
        self._wake()

    def _end_wait(self, step: Bind | Miss) -> None:
        began_s = time.monotonic() if self._timer is None else self._wait_began_s
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        receive = step.receive
        what = receive.name or f"value {receive.key}"
        why = self._bind(receive) if isinstance(step, Bind) else step.why
        if isinstance(step, Bind) and not why:
            self._log.line(f"receive {what} from {called(receive.source)}", began_s)
            return
        reason = why or f"it did not arrive within {receive.limit_s:g} s"
        self._log.line(f"no {what} from {called(receive.source)}: {reason}", began_s)
        if receive.name:
            self._variables.miss(receive.name, receive.source, reason)
        self._out.tell(TimedOut(receive.key, receive.source, self._place, receive.name, why))

    def _bind(self, receive: Receive) -> str:
        if not receive.name:
            return ""
        packed = self._store.get(receive.key)
        self._store.drop(receive.key)
        return self._variables.bind(receive.name, packed)

    def _send(self, instruction: Send) -> None:
        packed, error = NOTHING, ""
        if instruction.name:
            packed, error = self._variables.packed(instruction.name)
            self._sweeping.begin()
        else:
            try:
                packed = self._attempts.bundles.forward(instruction.key)
            except NotPortable as refused:
                reason = self._inbox.why_absent(instruction.key)
                error = f"NotPortable: value {instruction.key} is not sent: {refused} ({reason})"
        now_s = time.monotonic()
        value = Value(
            *(instruction.key, self._place, packed, instruction.name, now_s, error),
            once=bool(instruction.name),
        )
        self._out.deliver(value, instruction.targets)

    # User code

    def _attempt(self, instruction: Attempt) -> None:
        if instruction.ticket in self._given_up:
            self._out.tell(_not_done(instruction.ticket, self._place, "abandoned"))
            return
        for key in instruction.needs:
            if key not in self._store:
                why = f"value {key} is not here: {self._inbox.why_absent(key)}"
                self._out.tell(_not_done(instruction.ticket, self._place, why))
                return
        start_s = self._start(instruction.ticket)
        self._attempted, begin_s = instruction.ticket, time.thread_time()
        finished = self._guard.call(
            lambda: self._attempts.carry_out(instruction),
            lambda: _interrupted(instruction.ticket, start_s),
        )
        finished = replace(finished, busy_s=time.thread_time() - begin_s)
        self._attempted = None
        if not finished.ok:  # here no interrupt can strike
            self._outputs.end(instruction.ticket)
            finished = self._attempts.take_back(finished)
        self._answered.clear()
        if instruction.items is not None and finished.outputs and finished.ok:
            # nobody could tell which of its steps showed what
            finished = replace(finished, ok=False, why="a step of the loop prints", packed=None)
        self._finish(finished, instruction.label)

    def _wait_at_gate(self, question: AtGate) -> bool:
        """Return whether home lets the attempt go on; called inside the attempt.

        What else arrives is only set aside, as between two steps. Home answers once: the two orders
        in which word that the attempt is given up can come are before the attempt got here (it is
        in the queue, and read first) and while it waits. An interrupt ends the wait by itself.
        """
        with self._guard.hold():
            self._log.line(f"at the gate: {question.what}")
            self._out.tell(replace(question, worker=self._place))
        while True:
            with self._guard.hold():
                self._take_in()
            if question.ticket in self._given_up or self._stopping:
                return False
            if self._answered.get(question.ticket):
                return True
            self._reader.wait(_LOOK_AROUND_S)

    def _is_to_end(self) -> bool:
        """Whether an interrupt is meant for what runs now.

        The two orders: home says which attempt it gives up before it sends the signal, and the
        signal may overtake the word. What is not named within a moment was meant for an attempt
        that has ended.
        """
        if self._attempted is None:
            return True
        end_s = time.monotonic() + _NAMED_WITHIN_S
        while self._attempted not in self._given_up and time.monotonic() < end_s:
            self._reader.wait(_LOOK_AROUND_S / 100)
            self._take_in()
        return self._attempted in self._given_up

    def _run(self, instruction: Run) -> None:
        label = f"run {_first_line(instruction.source)}"
        missed = self._variables.take_missed()
        if missed:
            self._log.line(f"not {label}: {missed}")
            event = _not_done(instruction.ticket, self._place, missed)
            self._out.tell(replace(event, ename="ReceiveTimeout", evalue=missed))
            return
        self._outputs.begin(instruction.ticket)
        self._attempts.disturbed()
        start_s = self._start(instruction.ticket)
        finished = self._guard.call(
            lambda: run(instruction, self._shell),
            lambda: _interrupted(instruction.ticket, start_s),
        )
        if isinstance(finished, Finished):
            self._finish_run(finished, label)
        else:
            self._running = self._loop.create_task(
                self._await_run(finished, label, _interrupted(instruction.ticket, start_s))
            )

    def _cancel_running(self) -> None:
        """Interrupt a run that awaits: nothing of it is on the stack, so its task is cancelled."""
        if self._running is not None:
            self._loop.call_soon_threadsafe(self._running.cancel)

    async def _await_run(
        self, running: Awaitable[Finished], label: str, interrupted: Finished
    ) -> None:
        try:
            finished = await running
        except asyncio.CancelledError:
            finished = replace(interrupted, end_s=time.monotonic())
        self._finish_run(finished, label)
        self._running = None
        self._busy = False
        self._wake()

    def _start(self, ticket: Ticket) -> float:
        start_s = time.monotonic()
        self._out.tell(Started(ticket, self._place, start_s))
        return start_s

    def _finish_run(self, finished: Finished, label: str) -> None:
        outputs = self._outputs.end(finished.ticket)
        self._finish(replace(finished, outputs=outputs), label)

    def _finish(self, finished: Finished, label: str) -> None:
        suffix = "" if finished.ok else f": {finished.why}"
        self._log.line(f"{label}{suffix}", finished.start_s)
        self._out.tell(replace(finished, worker=self._place))


def _first_line(source: str) -> str:
    lines = source.strip().splitlines() or [""]
    return lines[0] + (" …" if len(lines) > 1 else "")


def _not_done(ticket: Ticket, worker: Place, why: str) -> Finished:
    now_s = time.monotonic()
    return Finished(ticket, worker, ok=False, start_s=now_s, end_s=now_s, why=why)


def _interrupted(ticket: Ticket, start_s: float) -> Finished:
    return Finished(
        ticket,
        HOME,
        ok=False,
        start_s=start_s,
        end_s=time.monotonic(),
        why="interrupted",
        ename="KeyboardInterrupt",
    )
