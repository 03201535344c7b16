"""Outside-world effects stop here: a statement run ahead never touches the world.

An audit hook (PEP 578) sees `open` for writing, `os.remove`, sockets, processes, … before they
happen. During an attempt it raises `GateReached` instead: the attempt is given up, home runs the
statement when its turn comes. Reading a file is let through and remembered, so that home can see
whether the file is still the one that was read.
"""

from __future__ import annotations

import _thread
import functools
import os
import sys
import threading
from typing import Any, NoReturn

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_EFFECTS = frozenset(
    [
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.mkdir",
        "os.link",
        "os.symlink",
        "os.truncate",
        "os.chmod",
        "os.chown",
        "os.lchown",
        "os.lchmod",
        "os.chflags",
        "os.utime",
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
        "shutil.copyfile",
        "shutil.copymode",
        "shutil.copystat",
        "shutil.copytree",
        "shutil.make_archive",
        "shutil.move",
        "shutil.rmtree",
        "shutil.unpack_archive",
        "shutil.chown",
        "tempfile.mkstemp",
        "tempfile.mkdtemp",
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
_CODE = (".py", ".pyc", ".so", ".pyd", ".pth", ".dist-info", ".egg-info")


class GateReached(BaseException):
    """An attempt was about to change the outside world."""


class Gate:
    """The audit hook of one worker process; closed (active) only while an attempt runs."""

    def __init__(self) -> None:
        self._thread: int | None = None
        self.reached = ""
        """What the attempt was about to do, or empty."""
        self.files: dict[str, tuple[int, int]] = {}
        """Files read: absolute path → (mtime in ns, size), or (-1, -1) where there was none."""
        sys.addaudithook(self._audit)

    def forget(self) -> None:
        """A new attempt begins: forget what the one before did."""
        self.reached = ""
        self.files = {}

    def close(self) -> None:
        """Begin to hold back effects."""
        self._thread = threading.get_ident()
        for name in _LOOKS:
            setattr(os, name, self._looking(name))
        _thread.start_new_thread = self._no_thread

    def open(self) -> None:
        """Let everything through again."""
        self._thread = None
        for name, function in _LOOKS.items():
            setattr(os, name, function)
        _thread.start_new_thread = _start_new_thread

    def _no_thread(self, *_arguments: Any) -> NoReturn:
        """Stand for the way past `threading`: such a thread is counted only once it runs."""
        self.stop("a thread that cannot be watched")

    def _looking(self, name: str) -> Any:
        """Return `os.<name>`, which has no audit event, so that it remembers what it looked at."""
        function = _LOOKS[name]

        @functools.wraps(function)
        def look(path: Any, *arguments: Any, **keywords: Any) -> Any:
            if not isinstance(path, int):
                self._remember(path)
            return function(path, *arguments, **keywords)

        return look

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._thread is None or event in _HARMLESS:
            return
        if event == "open":
            self._opened(arguments)
        elif event in {"os.listdir", "os.scandir"}:
            self._remember(arguments[0] if arguments[0] is not None else ".")
        elif event in _EFFECTS:
            self.stop(f"{event} {arguments[0] if arguments else ''}")

    def _opened(self, arguments: tuple[Any, ...]) -> None:
        path, mode, flags = arguments
        if isinstance(path, int):
            return
        name = os.fsdecode(path)
        writes = (isinstance(mode, str) and bool(set(mode) & set("wax+"))) or (
            isinstance(flags, int) and bool(flags & _WRITES)
        )
        if writes and "__pycache__" not in name and name != os.devnull:
            self.stop(f"open {name!r} for writing")
        elif not writes and not name.endswith(_CODE) and not name.startswith(("/proc/", "/sys/")):
            self._remember(name)

    def _remember(self, path: Any) -> None:
        name = os.path.abspath(os.fsdecode(path)) if not isinstance(path, int) else ""  # noqa: PTH100
        if name and name not in self.files:
            self.files[name] = file_state(name)

    def stop(self, what: str) -> NoReturn:
        """End the attempt, also if its code catches what is raised here."""
        self.reached = self.reached or what.strip()
        raise GateReached(what)


_HARMLESS = frozenset(
    {
        "import",
        "compile",
        "exec",
        "marshal.loads",
        "object.__getattr__",
        "pickle.find_class",
        "sys._getframe",
    }
)


_LOOKS = {name: getattr(os, name) for name in ("stat", "lstat", "access", "readlink")}
_stat = os.stat
_start_new_thread = _thread.start_new_thread


def file_state(path: str) -> tuple[int, int]:
    """Return (mtime in ns, size in bytes) of a file, or (-1, -1) where there is none."""
    try:
        status = _stat(path)
    except (OSError, ValueError):
        return -1, -1
    return status.st_mtime_ns, status.st_size
