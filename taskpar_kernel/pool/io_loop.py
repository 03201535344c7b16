"""The I/O thread of a pool: posts come in, events go out, processes are started and watched.

One asyncio loop owns all sockets and processes: home's inbox, a queue to each worker, a
subscription to each worker's outputs, a descriptor for the end of each process. Nothing polls. The
rule: `listener` is called here, so it must return at once; an exception in it is logged and harms
nobody else.

When a process ends, what it had already sent may still be on its way through other sockets. So its
end is told only `GRACE_S` later, and those who wait for its values are told `GRACE_S` after that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from taskpar_kernel.errors import PoolError, WireError
from taskpar_kernel.model.ids import HOME, Place, Ticket
from taskpar_kernel.model.messages import (
    Abandon,
    AtGate,
    Event,
    Finished,
    Lost,
    Packed,
    Peer,
    Preload,
    Prepared,
    Ready,
    Received,
    Script,
    Send,
    Started,
    Stop,
    TimedOut,
    Value,
)
from taskpar_kernel.pool.endings import Endings
from taskpar_kernel.pool.folder import Folder, sweep
from taskpar_kernel.pool.iopub import as_output, read_iopub
from taskpar_kernel.pool.member import FAILED, READY, STARTING, Member
from taskpar_kernel.pool.provisioning import Launch, Subkernel, wait_ended
from taskpar_kernel.pool.shared import Plan, Shared, Snapshot
from taskpar_kernel.pool.transfers import Missing, Transfers
from taskpar_kernel.transport.sockets import Frames, Letter, Sockets, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskpar_kernel.pool.zygote import Zygote

GRACE_S = 0.05
POLITE_S = 0.35
KILL_S = 0.5
WORTH_S = 0.3
"""What importing must have taken for a worker to be replaced by one that need not do it."""
_log = logging.getLogger(__name__)


class IoLoop:
    """Everything of a pool that touches sockets or processes; lives on one thread.

    It owns the members, the transfers and the folder. It does not know what the engine or the user
    wants: it carries messages and keeps workers alive.
    """

    def __init__(
        self,
        plan: Plan,
        shared: Shared,
        folder: Folder,
        listener: Callable[[Event], None],
        zygote: Zygote | None,
    ):
        self._plan = plan
        self._shared = shared
        self._folder = folder
        self._listener = listener
        self._zygote = zygote
        self._members = {Place(n): Member(Place(n)) for n in range(1, plan.workers + 1)}
        self._transfers = Transfers()
        self._closing = False
        self._early: list[Letter] = []
        """What was said by workers that are still being launched, as far as home knows."""
        self._launches: set[asyncio.Task[None]] = set()

    def run(self) -> None:
        """Serve until `stop` is called; on the I/O thread."""
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._serve())

    def stop(self) -> None:
        """End all workers, then the loop."""
        self._closing = True
        self._stopped.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._endings = Endings(
            partial(self.signal, number=signal.SIGINT), self.restart, self._loop.call_later
        )
        self._sockets = Sockets()
        if self._zygote is not None:
            self._zygote.serve(self._loop)
        try:
            self._folder.create()
            self._inbox = self._sockets.inbox(str(self._folder.path / "home.inbox"))
        except PoolError as error:
            for member in self._members.values():
                self._give_up(member, str(error))
        else:
            self._loop.add_reader(self._inbox.fileno(), self._read_inbox)
            for member in self._members.values():
                self._start(member)
        self._shared.serve(partial(self._loop.call_soon_threadsafe, self._shared.take_calls))
        self._loop.call_later(0.5, sweep)
        await self._stopped.wait()
        self._shared.serve(None)
        await self._shut_down()

    # Calls from other threads, made here

    def post(self, place: Place, incarnation: int, script: Script, frames: Frames) -> None:
        """Send `script` to the process it was meant for."""
        member = self._members[place]
        if self._misses(member, incarnation):
            return
        for instruction in script.instructions:
            if isinstance(instruction, Send):
                self._transfers.asked(instruction.key, place, instruction.targets, instruction.name)
        member.given |= not all(isinstance(each, Preload) for each in script.instructions)
        member.send(frames)

    def send(self, place: Place, incarnation: int, frames: Frames) -> None:
        """Send any other message to the process it was meant for."""
        member = self._members[place]
        if not self._misses(member, incarnation):
            member.given = True
            member.send(frames)

    def signal(self, place: Place, number: int) -> None:
        """Send a signal to a worker and its children."""
        process = self._members[place].process
        if process is not None:
            process.signal(number)

    def give_up(self, place: Place, incarnation: int, tickets: tuple[Ticket, ...]) -> None:
        """Have a worker not start these attempts, and end the one of them that runs."""
        self.send(place, incarnation, encode(HOME, 0, Abandon(tickets)))
        if incarnation == self._members[place].incarnation:
            self._endings.give_up(place, tickets)

    def restart(self, place: Place) -> None:
        """End a worker's process; the next one starts at once."""
        member = self._members[place]
        if member.state == FAILED:
            self._shared.failure = ""
            self._start(member)
        else:
            member.asked_to_end = "it was restarted"
            self.signal(place, signal.SIGKILL)

    def prepare(self, modules: tuple[str, ...], around: dict[str, Any]) -> None:
        """Have workers forked with these modules from now on; `Prepared` tells when they are."""
        self._keep(self._loop.create_task(self._prepare(modules, around)))

    async def _prepare(self, modules: tuple[str, ...], around: dict[str, Any]) -> None:
        forking = self._launches - {asyncio.current_task()}
        if forking:  # they come up before, and are there for what needs no library
            await asyncio.wait(forking)
        took_s = 0.0
        if self._zygote is not None and self._untouched():
            took_s = await self._zygote.import_ahead(modules, around)
        replaced = self._untouched() if took_s > WORTH_S and not self._closing else []
        for member in replaced:
            self.restart(member.place)
        self._tell(Prepared(tuple(member.place for member in replaced)))

    def _untouched(self) -> list[Member]:
        """Return those that were given nothing but imports: another may take their place."""
        return [m for m in self._members.values() if m.process is not None and not m.given]

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call back after so many seconds."""
        self._loop.call_later(delay_s, call)

    def _misses(self, member: Member, incarnation: int) -> bool:
        if member.state == FAILED:
            why = self._shared.failure or "it could not be started"
            self._tell(Lost(member.place, why, incarnation, final=True))
        return member.state == FAILED or incarnation != member.incarnation

    # Processes

    def _start(self, member: Member) -> None:
        member.state = STARTING
        self._publish(member)
        self._keep(self._loop.create_task(self._launch(member)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._launches.add(task)
        task.add_done_callback(self._launches.discard)

    async def _launch(self, member: Member) -> None:
        launch = Launch(
            self._plan.python,
            self._folder.path,
            self._folder.segments,
            self._plan.settings.shared_mb,
            self._plan.cwd,
            member.place,
            member.incarnation,
        )
        try:
            process = await Subkernel.start(launch, self._zygote)
        except Exception as error:  # noqa: BLE001 - the edge: a start may fail in many ways
            if not self._closing:
                self._give_up(member, f"{type(error).__name__}: {error}")
            return
        member.process = process
        early, self._early = self._early, []
        for letter in early:
            self._take(letter)
        process.watch(self._loop, partial(self._ended, member, process))
        self._publish(member)
        limit_s = self._plan.settings.start_limit_s
        self._loop.call_later(limit_s, self._check_started, member, process, limit_s)

    def _check_started(self, member: Member, process: Subkernel, limit_s: float) -> None:
        if member.process is process and member.state == STARTING:
            member.asked_to_end = f"it was not ready within {limit_s:g} s"
            process.signal(signal.SIGKILL)

    def _ended(self, member: Member, process: Subkernel) -> None:
        process.end_children()
        if not self._closing:
            self._loop.call_later(GRACE_S, self._declare_lost, member, process)

    def _declare_lost(self, member: Member, process: Subkernel) -> None:
        if self._closing:
            return
        self._read_inbox()
        self._read_outputs(member, process)
        if member.outputs is not None:  # before it is closed: its descriptor is used again
            self._loop.remove_reader(member.outputs.fileno())
        how = process.why_ended()  # this also takes the exit code, so that no zombie stays
        why = member.asked_to_end or how or "ended"
        lost = member.incarnation
        expected = member.asked_to_end == "it was restarted"
        may_restart = member.lose(expected=expected)
        self._publish(member)
        self._keep(self._loop.create_task(process.clean_up()))
        self._tell_peers(Peer(member.place, ""))
        self._transfers.forget_target(member.place)
        self._endings.lost(member.place)
        missing = self._transfers.of_source(member.place)
        self._loop.call_later(GRACE_S, self._tell_missing, missing, why)
        if may_restart:
            self._tell(Lost(member.place, why, lost))
            self._start(member)
        else:
            self._give_up(member, why, lost)

    def _give_up(self, member: Member, why: str, lost: int | None = None) -> None:
        member.state = FAILED
        self._publish(member)
        self._shared.fail(f"worker {member.place} cannot be kept running: {why}")
        self._tell(Lost(member.place, why, lost or member.incarnation, final=True))

    def _tell_missing(self, missing: list[Missing], why: str) -> None:
        for one in missing:
            if not self._transfers.still_open(one):
                continue
            self._transfers.ended(one.key, one.target)
            error = f"WorkerLost: worker {one.source} {why}, before it sent the value"
            value = Value(one.key, one.source, Packed(b""), one.name, error=error)
            if one.target == HOME:
                self._tell(value)
            else:
                self._members[one.target].send(encode(HOME, 0, value))

    # Messages from the workers

    def _read_inbox(self) -> None:
        for letter in self._inbox.letters():
            if isinstance(letter, WireError):
                _log.warning("%s", letter)
                continue
            try:
                self._take(letter)
            except Exception:  # noqa: BLE001 - the edge: the messages behind it must be read
                _log.exception("a message of worker %s could not be handled", letter.sender)

    def _take(self, letter: Letter) -> None:
        member = self._members.get(letter.sender)
        if member is None or letter.incarnation != member.incarnation:
            return
        if member.process is None:
            # a forked worker may be up before `_launch` has gone on
            self._early.append(letter)
            return
        event: Any = letter.message
        if isinstance(event, Ready):
            self._connect(member, event)
            return
        if isinstance(event, Received | TimedOut):
            self._transfers.ended(event.key, event.worker)
        elif isinstance(event, Value):
            if event.relay_to is not None:
                target = self._members[event.relay_to]
                target.send(encode(HOME, 0, replace(event, relay_to=None)))
                return
            self._transfers.ended(event.key, HOME)
        elif isinstance(event, Started):
            self._endings.began(member.place, event.ticket)
        elif isinstance(event, AtGate):
            self._endings.came_to_gate(member.place, event.ticket)
        elif isinstance(event, Finished):
            self._endings.ended(member.place, event.ticket)
        self._tell(event)

    def _connect(self, member: Member, ready: Ready) -> None:
        assert member.process is not None
        reader = member.connect(self._sockets, ready.address)
        read = partial(self._read_outputs, member, member.process)
        self._loop.add_reader(reader.fileno(), read)
        read()

    def _read_outputs(self, member: Member, process: Subkernel) -> None:
        if member.process is not process or member.outputs is None:
            return
        for frames in member.outputs.drain():
            message = read_iopub(process.session, frames)
            if message is None:
                _log.warning("an output of worker %s could not be read", member.place)
            elif message["msg_type"] == "iopub_welcome" and member.state == STARTING:
                self._welcome(member)
            elif (output := as_output(member.place, message)) is not None:
                self._tell(output)

    def _welcome(self, member: Member) -> None:
        """Its outputs are heard from now on, so it may begin: introduce it and the others."""
        assert member.process is not None
        others = [m for m in self._members.values() if m.state == READY]
        member.become_ready([encode(HOME, 0, Peer(m.place, m.address)) for m in others])
        for other in others:
            other.send(encode(HOME, 0, Peer(member.place, member.address)))
        self._publish(member)
        self._tell(Ready(member.place, member.process.pid, member.address))

    # Word to the others

    def _tell_peers(self, peer: Peer) -> None:
        for other in self._members.values():
            if other.state == READY:
                other.send(encode(HOME, 0, peer))

    def _tell(self, event: Event) -> None:
        try:
            self._listener(event)
        except Exception:  # noqa: BLE001 - the edge: foreign code on our thread
            _log.exception("the pool's listener failed on %r", type(event).__name__)

    def _publish(self, member: Member) -> None:
        pid = member.process.pid if member.process is not None else 0
        snapshot = Snapshot(member.incarnation, member.state, pid, member.since_s)
        self._shared.publish(member.place, snapshot)

    # The end

    async def _shut_down(self) -> None:
        if self._zygote is not None:
            self._zygote.stop()
        if self._launches:
            await asyncio.wait(self._launches, timeout=KILL_S)
        processes = [m.process for m in self._members.values() if m.process is not None]
        for member in self._members.values():
            if member.state == READY:
                member.send(encode(HOME, 0, Stop()))
            elif member.process is not None:
                member.process.signal(signal.SIGKILL)
        await wait_ended(processes, POLITE_S)
        for process in processes:
            process.signal(signal.SIGKILL)
        await wait_ended(processes, KILL_S)
        if self._zygote is not None:
            self._zygote.close()
        self._sockets.close(0)
        for process in processes:
            with contextlib.suppress(OSError):
                await process.clean_up()
        self._folder.remove()
