"""One worker without sockets: carries out what comes in on its standard input, in order.

Started as a process of its own, because carrying out an attempt clears `__main__`.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
from dataclasses import replace
from typing import Any

from taskpar_kernel.errors import NotPortable
from taskpar_kernel.model.ids import Place, Ticket
from taskpar_kernel.model.messages import AtGate
from taskpar_kernel.seed import HashSeed
from taskpar_kernel.transport.segments import Segments
from taskpar_kernel.worker.attempt import Attempts
from taskpar_kernel.worker.store import Store


class Output:
    """What attempts print; what is printed around them goes nowhere."""

    def __init__(self) -> None:
        self._text = io.StringIO()

    def begin(self, ticket: Ticket, is_own: Any = None) -> None:
        """Let `sys.stdout` be kept."""
        sys.stdout, self._around = self._text, sys.stdout

    def end(self, ticket: Ticket) -> int:
        """Let it go nowhere again."""
        sys.stdout = self._around
        return int(bool(self._text.getvalue()))

    def take(self) -> str:
        """Return what was kept, and keep it no longer."""
        text, self._text = self._text.getvalue(), io.StringIO()
        return text


def main() -> None:
    """Serve until the input ends."""
    HashSeed.learn()
    place = Place(int(sys.argv[1]))
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    folder = sys.argv[2] or None
    store = Store()
    shown = sys.stdout

    def ask(question: AtGate) -> bool:
        pickle.dump((question, ""), sink)
        sink.flush()
        answer, _ = pickle.load(source)
        return bool(answer == "proceed")

    output = Output()
    attempts = Attempts(store, Segments(folder, f"w{place}"), output, ask, folder or "")
    while True:
        try:
            kind, argument = pickle.load(source)
        except EOFError:
            return
        sys.stdout = io.StringIO()
        answer: Any = None
        try:
            answer = _serve(kind, argument, attempts, store, place)
        finally:
            sys.stdout = shown
        pickle.dump((answer, output.take()), sink)
        sink.flush()


def _serve(kind: str, argument: Any, attempts: Attempts, store: Store, place: Place) -> Any:
    if kind == "value":
        store.put(*argument)
    elif kind == "forward":
        try:
            return attempts.bundles.forward(argument)
        except NotPortable as why:
            return str(why)
    elif kind == "attempt":
        missing = [key for key in argument.needs if key not in store]
        if missing:
            return f"value {missing[0]} is not here"
        finished = attempts.carry_out(argument)
        if not finished.ok:
            finished = attempts.take_back(finished)
        return replace(finished, worker=place)
    elif kind == "forget":
        attempts.forget(argument)
        for key in argument:
            store.drop(key)
    return None
