"""What travels between home and workers: instructions one way, events the other.

A *script* is a list of instructions that a worker carries out in order. Every value here is plain
and frozen; the values of the notebook travel beside them as `Packed` frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskpar_kernel.model.ids import Key, Place, Ticket


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a shared-memory file: absolute `path`, `offset` and `nbytes` in bytes."""

    path: str
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """A segment that has been mapped: a private buffer, for one reader in this process."""

    view: memoryview

    def __len__(self) -> int:
        """Return its size in bytes."""
        return self.view.nbytes


Buffer = bytes | Segment | Mapped


@dataclass(frozen=True, slots=True)
class Packed:
    """A pickled value: the in-band pickle (protocol 5) and its out-of-band buffers, in order.

    A buffer is either bytes-like (sent as a frame of the message) or a `Segment`, which is `Mapped`
    where its file is not to be kept for it. Large frames arrive as flat memoryviews on the received
    message, so that nothing is copied on the way.
    """

    inband: bytes
    buffers: tuple[Buffer, ...] = ()

    @property
    def nbytes(self) -> int:
        """Return the size of the value in bytes, wherever its buffers are."""
        return len(self.inband) + sum(
            b.nbytes if isinstance(b, Segment) else len(b) for b in self.buffers
        )

    @property
    def paths(self) -> frozenset[str]:
        """The files of its segments."""
        return frozenset(b.path for b in self.buffers if isinstance(b, Segment))


# Instructions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait until the value `key` is here (from `source`); at most `limit_s` seconds.

    With `name`, the value is also bound to that name in the worker's namespace (the public API).
    """

    key: Key
    source: Place
    limit_s: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """Run source text in the worker's own namespace, as a cell would (the public API)."""

    ticket: Ticket
    source: str


@dataclass(frozen=True, slots=True)
class Code:
    """Compiled code and the namespace it runs in, which holds exactly what it reads.

    `code` is a marshalled code object of mode 'exec'. `reads` are (name, key of the bundle that
    holds it), `modules` (name, module name) pairs to import and bind, and `made` (name, number of
    the earlier code of the same attempt that made it).
    """

    code: bytes
    reads: tuple[tuple[str, Key], ...] = ()
    modules: tuple[tuple[str, str], ...] = ()
    made: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """Run compiled code in a namespace that holds exactly `reads`; keep what it did as `outcome`.

    `code` is a marshalled code object of mode 'exec'. For an expression, the code binds its value
    to `VALUE_NAME`. `reads` are (name, key of the bundle that holds it). `modules` are (name,
    module name) pairs to import and bind.

    `prelude` are cheap statements that come before it in program order and make some of what it
    reads (`made`). Home runs them as well, and compares what they made: that is the bundle
    `replica`.
    """

    ticket: Ticket
    outcome: Key
    code: bytes
    label: str
    reads: tuple[tuple[str, Key], ...] = ()
    modules: tuple[tuple[str, str], ...] = ()
    ambient: Key | None = None
    expected: tuple[str, ...] = ()
    """Names whose objects it is predicted to change: part of the outcome even if it does not."""
    prelude: tuple[Code, ...] = ()
    made: tuple[tuple[str, int], ...] = ()
    replica: Key | None = None
    items: Key | None = None
    """Run the code once for each dict in this bundle, which adds some names to `reads`; the outcome
    is the list of what each run wrote, up to the first that raised."""

    @property
    def needs(self) -> tuple[Key, ...]:
        """The bundles it cannot begin without."""
        codes = chain(self.reads, *(code.reads for code in self.prelude))
        others = (key for key in (self.items, self.ambient) if key is not None)
        return (*dict.fromkeys(key for _, key in codes), *others)


@dataclass(frozen=True, slots=True)
class Send:
    """Send a value to each of `targets`: the bundle `key`, or with `name` that variable."""

    key: Key
    targets: tuple[Place, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop these bundles; segments only they used are released."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Preload:
    """Import these modules while there is nothing else to do; failures do not matter.

    `around` is what home's ambient state is as far as an import may look at it.
    """

    modules: tuple[str, ...]
    around: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Abandon:
    """Do not start these attempts; stop waiting on their behalf, also at the gate."""

    tickets: tuple[Ticket, ...]


@dataclass(frozen=True, slots=True)
class Proceed:
    """Home has come to this attempt, which waits at the gate, and its input is good: go on."""

    ticket: Ticket


Instruction = Receive | Run | Attempt | Send | Forget | Preload


@dataclass(frozen=True, slots=True)
class Script:
    """Instructions for one worker, carried out in order after those it already has."""

    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A bundle on its way: `packed` is carried as the message's frames. `sent_s` is monotonic time.

    With `error`, there is no value and will be none: who waits for `key` stops waiting. The error
    reads like the last line of a traceback, "NameError: …". With `relay_to`, home passes it on to
    that worker: its sender ended before the worker was up. `once`: who receives it binds it to a
    variable, and nobody reads it again.
    """

    key: Key
    source: Place
    packed: Packed
    name: str = ""
    sent_s: float = 0.0
    error: str = ""
    relay_to: Place | None = None
    once: bool = False


@dataclass(frozen=True, slots=True)
class Peer:
    """Where another worker's inbox is; an empty address: it is gone, drop what is held for it."""

    worker: Place
    address: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End politely, once everything before this is carried out."""


Message = Script | Abandon | Proceed | Value | Peer | Stop

# Events --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker is up: its inbox address and process id."""

    worker: Place
    pid: int
    address: str


@dataclass(frozen=True, slots=True)
class Started:
    """An attempt (or run) began at monotonic time `at_s`."""

    ticket: Ticket
    worker: Place
    at_s: float


@dataclass(frozen=True, slots=True)
class Replica:
    """Fingerprints of what an attempt's prelude made, as the main code read it.

    `structure` has references in place of the objects of other bundles; `content` does not, and is
    None where there are no such objects.
    """

    structure: tuple[bytes, bytes]
    content: tuple[bytes, bytes] | None


FileState = tuple[int, int, int, int, bytes]
"""mtime in ns, size in bytes, inode, ctime in ns (all -1 where there is nothing), and a digest."""

FilesRead = tuple[tuple[str, FileState], ...]
"""Absolute paths, and their states just before they were looked at."""


PathsTouched = tuple[tuple[str, bool], ...]
"""Absolute paths, and whether each may have come, gone or become something else."""


@dataclass(frozen=True, slots=True)
class AtGate:
    """An attempt is about to change files, and waits for `Proceed` or `Abandon`.

    `files_read` and `replica` are as in `Finished`, as far as the attempt has come.
    """

    ticket: Ticket
    worker: Place
    what: str
    files_read: FilesRead = ()
    replica: Replica | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt (or run) ended. `ok`: the code ran to its end and its outcome can be brought home.

    `why` says in plain words why not. `outputs` is the number of IOPub messages that belong to it:
    home waits for that many before it shows them as complete. For a run that raised, `ename`,
    `evalue` and `traceback` carry the error. `packed` is the outcome, for attempts.
    """

    ticket: Ticket
    worker: Place
    ok: bool
    start_s: float
    end_s: float
    why: str = ""
    outputs: int = 0
    ename: str = ""
    evalue: str = ""
    traceback: str = ""
    packed: Packed | None = None
    replica: Replica | None = None
    files_read: FilesRead = ()
    """What it looked at before it passed the gate, if it did."""
    waited_s: float = 0.0
    """How long it waited at the gate."""
    cores: float | None = None
    """How many cores it used, if it took long enough to tell."""
    own_s: float = 0.0
    """CPU seconds of its own thread."""
    busy_s: float = 0.0
    """CPU seconds its worker was busy with it in all, on that thread."""
    left: str = ""
    """What it has done to files and could not take back after it failed."""
    taken_back: PathsTouched = ()
    """The files whose changes it has taken back after it failed: others may have seen them."""
    loaded: tuple[str, ...] = ()
    """The modules it has imported, in that order, if it is `ok`."""


@dataclass(frozen=True, slots=True)
class Received:
    """A value arrived at a worker (for the record): bytes, and monotonic times.

    `paths`: files of a variable's segments, which the worker has opened and needs no more.
    """

    key: Key
    source: Place
    worker: Place
    nbytes: int
    sent_s: float
    arrived_s: float
    name: str = ""
    paths: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A receive ended without its value; the rest of the script goes on without it.

    `why` is empty when the limit was reached, else it tells what ended the wait early.
    """

    key: Key
    source: Place
    worker: Place
    name: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Preloaded:
    """A worker has imported what it was told to, and is free again."""

    worker: Place


@dataclass(frozen=True, slots=True)
class Prepared:
    """The zygote has imported what it was told to, or could not.

    `replaced`: the workers that were given nothing but imports, and are being forked anew.
    """

    replaced: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker's process ended; `why` tells how (signal or exit code).

    What was posted to `incarnation` (the first process of a worker is its incarnation 1) or an
    earlier one is lost. `final`: no new process follows.
    """

    worker: Place
    why: str
    incarnation: int = 0
    final: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """One IOPub message of an attempt, as the Jupyter protocol has it."""

    ticket: Ticket
    worker: Place
    msg_type: str
    content: dict[str, object] = field(default_factory=dict)
    metadata: dict[str, object] = field(default_factory=dict)
    buffers: tuple[bytes, ...] = ()


Event = (
    Ready
    | Started
    | AtGate
    | Finished
    | Received
    | TimedOut
    | Preloaded
    | Prepared
    | Lost
    | Output
    | Value
)

ITEMS_NAME = "__taskpar_items__"
"""Name under which the items of a chunk travel, and the list of what was made of them."""
VALUE_NAME = "__taskpar_value__"

TICKET_PREFIX = "taskpar-"
OWN_OUTPUT = "taskpar-own"
"""In the metadata of an output: it may depend on what is its worker's own, and not home's."""
"""The parent of an output is the message `taskpar-<ticket>`."""
