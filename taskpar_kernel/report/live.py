"""What a running cell says of itself comes in, one line under the cell goes out while it runs.

Theory of operation. One thread serves all cells of a shell. It sleeps until a cell begins, then for
a second; if the cell is over by then, nothing was shown. Else it shows one display and updates it
in place four times a second, and the end of the cell takes it away again. The two orders at the
end: an update is on its way, and the end waits for it; or the end comes first, and no update
follows. What the cell printed before is flushed first, so the line comes below it.

The rule: the line goes only to front ends that name the cell they run (JupyterLab, Notebook, VS
Code), never into what nbclient or papermill record, so that recorded outputs are those of a serial
run; and it never waits for, or makes wait, the cell.
"""

from __future__ import annotations

import ast
import logging
import sys
import threading
import time
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from taskpar_kernel.threads import start_thread

if TYPE_CHECKING:
    from taskpar_kernel.model.run import Glance

_log = logging.getLogger(__name__)
AFTER_S = 1.0
EVERY_S = 0.25
MODES = ("auto", "on", "off", "stay")
"""auto: where the front end names the cell; on: everywhere; stay: everywhere, and not removed."""
_STYLE = (
    "margin:0;padding:2px 0;font-size:13px;line-height:18px;height:18px;white-space:nowrap;"
    "overflow:hidden"
)


def progress_text(glance: Glance, elapsed_s: float) -> str:
    """Return the line: statements done, ahead and to go, workers busy, time, estimate."""
    parts = [f"taskpar {_duration(elapsed_s)}", f"statement {glance.at} of {glance.of}"]
    if glance.taken:
        parts.append(f"{glance.taken} taken from workers")
    if glance.ahead:
        parts.append(f"{glance.ahead} ahead")
    parts.append(f"{glance.busy} of {glance.workers} workers busy")
    if glance.expected_s is not None and glance.expected_s > elapsed_s:
        parts.append(f"about {_duration(glance.expected_s - elapsed_s)} left")
    return " · ".join(parts)


def progress_html(text: str) -> str:
    """Return the line as HTML of constant height."""
    return f'<div style="{_STYLE}">{escape(text)}</div>'


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


@dataclass(slots=True, eq=False)
class _Watched:
    """A cell that runs: how to look at it, whose it is, and what was shown of it."""

    look: Callable[[], Glance]
    parent: Any
    begin_s: float
    display: str = ""
    text: str = ""
    over: bool = False


class LiveLine:
    """Shows the line of one shell's cells. It decides when; `Channel` knows how to show."""

    def __init__(self, channel: Channel, mode: str):
        self.mode = mode
        self._channel = channel
        self._lock = threading.Lock()
        self._begun = threading.Event()
        self._ended = threading.Event()
        self._watched: _Watched | None = None
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, look: Callable[[], Glance]) -> Iterator[None]:
        """Show the line while the block runs, if that takes longer than a second."""
        parent = self._channel.parent()
        if self.mode == "off" or (self.mode == "auto" and not names_cell(parent)):
            yield
            return
        watched = _Watched(look, parent, time.monotonic())
        self._start()
        self._watched = watched
        self._ended.clear()
        self._begun.set()
        try:
            yield
        finally:
            self._end(watched)

    def _end(self, watched: _Watched) -> None:
        with self._lock:
            watched.over = True
            self._watched = None
            self._begun.clear()
            self._ended.set()
            if watched.display and self.mode != "stay":
                self._safely(self._remove, watched)

    def _remove(self, watched: _Watched) -> None:
        self._channel.update(watched.parent, watched.display, {})

    def _start(self) -> None:
        if self._thread is None:
            self._thread = start_thread(self._run, "line")

    def _run(self) -> None:
        while True:
            self._begun.wait()
            watched = self._watched
            if watched is None:  # it is over, and `_end` is about to say so
                continue
            rest_s = watched.begin_s + AFTER_S - time.monotonic()
            if self._ended.wait(max(rest_s, EVERY_S) if not watched.display else EVERY_S):
                self._begun.wait()
                continue
            self._safely(self._show, watched)

    def _safely(self, act: Callable[[_Watched], None], watched: _Watched) -> None:
        """Do it, or have no line from here on: no defect of it costs a cell anything."""
        try:
            act(watched)
        except Exception:  # noqa: BLE001 - an edge: a thread's loop, and the end of a cell
            _log.debug("the progress line is off", exc_info=True)
            self.mode = "off"

    def _show(self, watched: _Watched) -> None:
        if not watched.display:
            self._channel.flush()
        text = progress_text(watched.look(), time.monotonic() - watched.begin_s)
        bundle = {"text/plain": text, "text/html": progress_html(text)}
        with self._lock:
            if watched.over or text == watched.text:
                return
            watched.text = text
            if watched.display:
                self._channel.update(watched.parent, watched.display, bundle)
            else:
                watched.display = uuid.uuid4().hex
                self._channel.show(watched.parent, watched.display, bundle)


class NativeLook:
    """How far a cell is that runs as it is: the frame of its thread tells the line it is at."""

    def __init__(
        self, nodes: Sequence[ast.stmt], cell_name: str, workers: int, expected_s: float | None
    ):
        self._lines = [node.lineno for node in nodes]
        self._cell_name = cell_name
        self._workers, self._expected_s = workers, expected_s
        self._thread = threading.get_ident()

    def __call__(self) -> Glance:
        """Return it; any thread may ask."""
        from taskpar_kernel.model.run import Glance  # a first cell over by now did not wait for it

        at = max(bisect_right(self._lines, self._line()), 1)
        return Glance(at, len(self._lines), 0, 0, 0, self._workers, self._expected_s)

    def _line(self) -> int:
        """Return the line of the cell's own frame: of those of its functions, the outermost."""
        line = 0
        frame = sys._current_frames().get(self._thread)
        while frame is not None:
            if frame.f_code.co_filename == self._cell_name:
                line = frame.f_lineno or line
            frame = frame.f_back
        return line


def names_cell(parent: Any) -> bool:
    """Whether a request came from a front end that shows cells: it says which one it runs."""
    return bool((parent or {}).get("metadata", {}).get("cellId"))


class Channel:
    """The way of displays to a shell's front ends, from any thread."""

    def __init__(self, shell: Any):
        self._shell = shell

    def parent(self) -> Any:
        """Return the request that the present cell answers; None without a kernel."""
        if getattr(self._shell, "kernel", None) is None:
            return None
        return self._shell.get_parent()

    @staticmethod
    def flush() -> None:
        """Send off what the cell has printed so far."""
        sys.stdout.flush()
        sys.stderr.flush()

    def show(self, parent: Any, display: str, bundle: dict[str, str]) -> None:
        """Publish a display."""
        self._send("display_data", parent, display, bundle)

    def update(self, parent: Any, display: str, bundle: dict[str, str]) -> None:
        """Replace what a display shows."""
        self._send("update_display_data", parent, display, bundle)

    def _send(self, kind: str, parent: Any, display: str, bundle: dict[str, str]) -> None:
        kernel = self._shell.kernel
        content = {"data": bundle, "metadata": {}, "transient": {"display_id": display}}
        topic = self._shell.display_pub.topic
        kernel.session.send(kernel.iopub_socket, kind, content, parent=parent, ident=topic)


__all__ = ["MODES", "Channel", "LiveLine", "NativeLook", "progress_html", "progress_text"]
