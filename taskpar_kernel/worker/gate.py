"""Outside-world effects stop here: a statement run ahead touches the world at its turn only.

An audit hook (PEP 578) sees `open` for writing, `os.remove`, sockets, processes, … before they
happen. During an attempt,

    an effect on files        waits until home lets it pass; from then on such effects of the
                              attempt happen at once, each entered in the journal before
    any other effect          ends the attempt (`GateReached`): home runs it at its turn
    looking at files          is let through and remembered, so that home can see whether they are
                              still as they were; after the gate there is nothing to remember
    a library that looks at   ends the attempt if it may read names there
    its caller's frame

While an attempt's inputs are prepared, modules may be imported: what installed ones do then is let
through, what a module of the user's does ends the attempt, because home's import has done it.

The rule: once `reached` is set the attempt has failed, also if its code catches what was raised.
"""

from __future__ import annotations

import _thread
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from taskpar_kernel.ambient.modules import is_users_file
from taskpar_kernel.worker.frames import reads_names
from taskpar_kernel.worker.journal import Journal, Refused
from taskpar_kernel.worker.seen import file_state, kind_state
from taskpar_kernel.worker.touches import TOUCHES, WRITES, opens_for_writing

if TYPE_CHECKING:
    from types import FrameType

    from taskpar_kernel.model.messages import FilesRead, FileState

Ask = Callable[[str], bool]
"""Waits at the gate: told what the attempt is about to do, it returns whether that may happen."""

_UNNAMED = getattr(os, "O_TMPFILE", 0)

_EFFECTS = frozenset(
    [
        "os.chown",
        "os.lchown",
        "os.lchmod",
        "os.chflags",
        "os.mkfifo",
        "os.mknod",
        "os.setxattr",
        "os.removexattr",
        "os.system",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.kill",
        "os.killpg",
        "os.startfile",
        "os.lockf",
        "os.add_dll_directory",
        "pty.spawn",
        "subprocess.Popen",
        "fcntl.flock",
        "fcntl.lockf",
        "socket.__new__",
        "socket.connect",
        "socket.bind",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.gethostbyaddr",
        "socket.gethostname",
        "socket.sethostname",
        "sqlite3.connect",
        "sqlite3.connect/handle",
        "shutil.make_archive",
        "shutil.unpack_archive",
        "shutil.chown",
        "urllib.Request",
        "http.client.connect",
        "smtplib.connect",
        "ftplib.connect",
        "imaplib.open",
        "poplib.connect",
        "telnetlib.Telnet.open",
        "webbrowser.open",
        "signal.pthread_kill",
        "resource.setrlimit",
        "resource.prlimit",
        "syslog.openlog",
        "syslog.syslog",
        "mmap.__new__",
        "builtins.input",
        "builtins.breakpoint",
        "cpython.run_command",
        "cpython.run_file",
        "winreg.SetValue",
    ]
)
_CACHE = "__pycache__"
_KIND, _STATE, _ENTRIES = "kind", "state", "entries"
"""Ways of looking at a path: whether it is there, at itself, at all that a folder holds."""


class GateReached(BaseException):
    """An attempt was about to change the outside world in a way that only home may."""


class Gate:
    """The audit hook of one worker process; closed (active) only while an attempt runs.

    It decides what stops, waits or passes; it does not know home, nor how things are taken back.
    """

    def __init__(self) -> None:
        self._thread: int | None = None
        self._ask: Ask | None = None
        self._own = False
        self._preparing = False
        self.reached = ""
        """What the attempt was about to do and was not let, or empty."""
        self.passed = False
        """Whether home has let the attempt change files."""
        self.journal = Journal("")
        self._seen: dict[tuple[str, str], FileState] = {}
        """What was looked at before the gate: absolute path and way → its state just before."""
        sys.addaudithook(self._audit)

    def forget(self, journal: Journal) -> None:
        """A new attempt begins, with an empty `journal`: forget what the one before did."""
        self.reached = ""
        self.passed = False
        self.journal = journal
        self._seen = {}

    @property
    def files(self) -> FilesRead:
        """The files looked at before the gate, and their states just before that."""
        return tuple((path, state) for (path, _), state in self._seen.items())

    def close(self, ask: Ask | None = None) -> None:
        """Begin to hold back effects; without `ask` none can be let through."""
        self._thread = threading.get_ident()
        self._ask = ask
        for name in _LOOKS:
            setattr(os, name, self._looking(name))
        os.open = self._open
        _thread.start_new_thread = self._no_thread

    def open(self) -> None:
        """Let everything through again."""
        self._thread = None
        for name, function in _LOOKS.items():
            setattr(os, name, function)
        os.open = _open
        _thread.start_new_thread = _start_new_thread

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Inside the block, hold back what the user's modules do when they are imported.

        Raises:
            GateReached: one of them was stopped, also if it has caught that.
        """
        self._thread, self._ask, self._preparing = threading.get_ident(), None, True
        try:
            yield
        finally:
            self._thread, self._preparing = None, False
        if self.reached:
            raise GateReached(self.reached)

    def stop(self, what: str) -> NoReturn:
        """End the attempt, also if its code catches what is raised here."""
        self.reached = self.reached or what.strip()
        raise GateReached(what)

    def _no_thread(self, *_arguments: Any) -> NoReturn:
        """Stand for the way past `threading`: such a thread is counted only once it runs."""
        self.stop("a thread that cannot be watched")

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """Stand for `os.open`: its audit event does not tell the folder."""
        if dir_fd is not None and flags & WRITES and not self._own:
            self.stop(f"open {path!r} for writing, relative to a descriptor")
        return _open(path, flags, mode, dir_fd=dir_fd)

    # What the attempt looks at -----------------------------------------------------------------

    def _looking(self, name: str) -> Any:
        """Return `os.<name>`, which has no audit event, so that it remembers what it looked at."""
        function = _LOOKS[name]

        @functools.wraps(function)
        def look(path: Any, *arguments: Any, **keywords: Any) -> Any:
            if not isinstance(path, int):
                self._remember(path, _KIND if name == "access" or _asks_kind() else _STATE)
            return function(path, *arguments, **keywords)

        return look

    def _remember(self, path: Any, way: str) -> None:
        if self.passed or self._own or isinstance(path, int):
            return
        name = os.path.abspath(os.fsdecode(path))
        if name.startswith(("/proc/", "/sys/", "/dev/")):
            return
        if (name, way) not in self._seen:
            with self._aside():
                self._seen[name, way] = (
                    kind_state(name) if way == _KIND else file_state(name, entries=way == _ENTRIES)
                )

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """What the block does is ours, not the attempt's."""
        before, self._own = self._own, threading.get_ident() == self._thread
        try:
            yield
        finally:
            self._own = before

    # What the attempt does ---------------------------------------------------------------------

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._thread is None or event in _HARMLESS or self._is_own():
            return
        if self._preparing:
            if _may_change(event, arguments) and _user_module_imports():
                self.stop(f"{event} {arguments[0] if arguments else ''}, while it is imported")
        elif event == "sys._getframe":
            self._looks_at_frame()
        else:
            self._happens(event, arguments)

    def _looks_at_frame(self) -> None:
        reader = reads_names() if threading.get_ident() == self._thread else ""
        if reader:
            self.stop(f"{reader} may read the names of its caller")

    def _happens(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            self._opened(arguments, importing=_importing())
        elif event in {"os.listdir", "os.scandir"}:
            if not _importing():
                path = arguments[0] if arguments[0] is not None else "."
                self._remember(path, _ENTRIES if event == "os.scandir" else _STATE)
        elif event in TOUCHES:
            if _CACHE not in str(arguments[0]):
                self._touch(event, arguments, f"{event} {arguments[0]}")
        elif event in _EFFECTS:
            self.stop(f"{event} {arguments[0] if arguments else ''}")

    def _is_own(self) -> bool:
        return self._own and threading.get_ident() == self._thread

    def _opened(self, arguments: tuple[Any, ...], *, importing: bool) -> None:
        path, _, flags = arguments
        if isinstance(path, int):
            return
        name = os.fsdecode(path)
        writes = opens_for_writing(arguments)
        if not writes and not importing:
            self._remember(name, _STATE)
        elif writes and _CACHE not in name and name != os.devnull:
            what = f"open {name!r} for writing"
            if _UNNAMED and isinstance(flags, int) and flags & _UNNAMED == _UNNAMED:
                self.stop(what)
            self._touch("open", arguments, what)

    def _touch(self, event: str, arguments: tuple[Any, ...], what: str) -> None:
        """An effect on files: wait for home, write it into the journal, let it happen."""
        if self.reached or self._ask is None or threading.get_ident() != self._thread:
            self.stop(what)
        try:
            with self._aside():
                touches = TOUCHES[event](arguments)
                why = self.journal.refusal(touches) if touches else ""
                if touches and not why:
                    if not self.passed and not self._ask(what):
                        why = "home did not come to it"
                    else:
                        self.passed = True
                        self.journal.save(touches)
        except (Refused, OSError) as error:
            why = str(error)
        except BaseException:  # an interrupt
            self.reached = self.reached or what
            raise
        if why:
            self.stop(f"{what} ({why})")


def _may_change(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether the event tells of an effect on the outside world, compiled modules excepted."""
    if event == "open":
        return _CACHE not in str(arguments[0]) and opens_for_writing(arguments)
    return event in _EFFECTS or (event in TOUCHES and _CACHE not in str(arguments[0]))


def _user_module_imports() -> bool:
    """Whether the top level of a module of the user's is being run."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name, file = (frame.f_globals.get(n) for n in ("__name__", "__file__"))
        if frame.f_code.co_name == "<module>" and name != "__main__" and is_users_file(name, file):
            return True
        frame = frame.f_back
    return False


def _importing() -> bool:
    """Whether the import system itself looks for a module."""
    frame = sys._getframe(3)
    return frame.f_code.co_filename == "<frozen importlib._bootstrap_external>"


def _asks_kind() -> bool:
    """Whether `os.stat` or `os.lstat` is called only to learn if a path is there, and what it is.

    `if not os.path.exists(folder)` must not depend on what others put into the folder meanwhile.
    """
    frame: FrameType | None = sys._getframe(2)
    for _ in range(2):  # `Path.exists` asks by way of `Path.stat`
        if frame is None or frame.f_globals.get("__name__") not in _PATH_MODULES:
            return False
        if frame.f_code.co_name in _ASK_KIND:
            return True
        frame = frame.f_back
    return False


_PATH_MODULES = frozenset({"genericpath", "posixpath", "pathlib", "pathlib._local", "pathlib._abc"})
_ASK_KIND = frozenset(
    [
        "exists",
        "lexists",
        "isfile",
        "isdir",
        "islink",
        "is_file",
        "is_dir",
        "is_symlink",
        "_joinrealpath",
    ]
)

_HARMLESS = frozenset(
    {
        "import",
        "compile",
        "exec",
        "marshal.loads",
        "object.__getattr__",
        "pickle.find_class",
    }
)


_LOOKS = {name: getattr(os, name) for name in ("stat", "lstat", "access", "readlink")}
_open = os.open
_start_new_thread = _thread.start_new_thread
