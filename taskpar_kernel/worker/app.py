"""A subkernel: a real ipykernel with one more queue, and nothing outside the private folder.

The command line comes in, a running kernel comes out. It differs from a stock kernel in this: no
history, no debugger, no tcp socket (also not on the loopback interface), outputs that can be
counted, and a `Service` on the main loop.
"""

from __future__ import annotations

import atexit
import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from tornado.ioloop import IOLoop
from traitlets import Bool, Float, Int, Type, Unicode

from taskpar_kernel.model.ids import Place
from taskpar_kernel.transport.segments import Segments
from taskpar_kernel.transport.sockets import publisher
from taskpar_kernel.worker.log import Log
from taskpar_kernel.worker.outbound import Post
from taskpar_kernel.worker.outputs import (
    CountingSession,
    Outputs,
    PrivateIOPubThread,
    TicketStream,
)
from taskpar_kernel.worker.service import Service

LINGER_S = 2.0


class WorkerKernel(IPythonKernel):  # type: ignore[misc]
    """The stock kernel; user code on a worker has nobody to ask for input."""

    def start(self) -> None:
        """Start, and refuse `input()` from the beginning."""
        super().start()
        self._forward_input(allow_stdin=False)


class WorkerApp(IPKernelApp):  # type: ignore[misc]
    """The application around a worker's kernel."""

    name = "taskpar-worker"
    number = Int(1, help="Number of this worker.").tag(config=True)
    incarnation = Int(1, help="How many processes this worker has had, with this one.").tag(
        config=True
    )
    segments = Unicode(help="Folder for shared segments.").tag(config=True)
    shared_mb = Float(math.inf, help="How much all of them may hold.").tag(config=True)
    iopub_port: int
    extensions: list[str]
    extra_extensions: list[str]
    streams: tuple[TicketStream, ...]
    armed = Bool(False, help="The system ends this process with its parent.")
    kernel_class = Type(WorkerKernel, klass=IPythonKernel)

    def _session_default(self) -> CountingSession:
        return CountingSession(parent=self)

    def _in_folder(self, ending: str) -> str:
        folder = Path(self.abs_connection_file).parent
        return str(folder / f"w{self.number}-{self.incarnation}.{ending}")

    def init_poller(self) -> None:
        """Watch the parent by polling only where the system does not do it."""
        if not self.armed:
            super().init_poller()

    def init_iopub(self, context: Any) -> None:
        """Publish without a limit on the queue, and without a tcp pipe for forked children."""
        self.iopub_socket = publisher(context)
        self._apply_curve_server_options(self.iopub_socket)
        self.iopub_port = self._bind_socket(self.iopub_socket, self.iopub_port)
        self.configure_tornado_logger()
        self.iopub_thread = PrivateIOPubThread(
            self.iopub_socket, self._in_folder("pipe"), self.session
        )
        self.iopub_thread.start()
        self.iopub_socket = self.iopub_thread.background_socket

    def init_io(self) -> None:
        """Use streams that can be settled."""
        self.outstream_class = f"{TicketStream.__module__}.{TicketStream.__qualname__}"
        super().init_io()
        self.streams = (sys.stdout, sys.stderr)  # type: ignore[assignment]

    def init_extensions(self) -> None:
        """Load the user's extensions, but never the parallel engine inside a worker."""
        self.extensions = [e for e in self.extensions if not e.startswith("taskpar_kernel")]
        self.extra_extensions = [
            e for e in self.extra_extensions if not e.startswith("taskpar_kernel")
        ]
        super().init_extensions()

    def start(self) -> None:
        """Run the loop until home says stop, the user's code exits, or home is gone."""
        IOLoop.current().add_callback(self._serve)
        super().start()

    def _serve(self) -> None:
        post = Post(
            Place(self.number),
            self.incarnation,
            os.getpid(),
            self._in_folder("inbox"),
            str(Path(self.abs_connection_file).parent / "home.inbox"),
        )
        segments = Segments(
            self.segments or None, f"w{self.number}-{self.incarnation}", self.shared_mb * 1e6
        )
        outputs = Outputs(self.kernel, self.session, self.streams)
        service = Service(post, self.shell, outputs, segments, Log(Path(self._in_folder("log"))))
        atexit.register(service.close, LINGER_S)
        service.begin()


def launch(*, armed: bool) -> None:
    """Run a worker; `armed`: the system ends it with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    app = WorkerApp.instance(armed=armed)
    app.initialize()
    app.start()
