"""Outputs of an attempt come in, and are shown as if home's own code had made them.

The rules: text goes through `sys.stdout`/`sys.stderr` and displays through the display publisher,
so that whatever the user put in their place (a redirect, `%%capture`) sees them. What was shown
live for an attempt that failed in the end is not shown again by the statement's run at home, also
where that run comes to statements inside the functions it calls, which may fail in the same way.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from taskpar_kernel.model.messages import OWN_OUTPUT, Output


class Relay:
    """Shows outputs at home through `shell`."""

    def __init__(self, shell: Any):
        self._shell = shell
        self._echoes: list[_Echo] = []
        self._depth = 0

    def show(self, outputs: Iterable[Output]) -> None:
        """Show these outputs now, in order."""
        for output in outputs:
            self._one(output)

    def show_live(self, outputs: list[Output], shown: int) -> int:
        """Show what is there beyond the first `shown`; return how many are shown then.

        Only text goes out live, and only to the kernel's own streams: it can be recognised if
        the statement has to be run again. An attempt that has drawn from a shared generator will be
        squashed, and home draws something else.
        """
        for output in outputs[shown:]:
            stream = _stream(output)
            if output.msg_type != "stream" or not type(stream).__module__.startswith("ipykernel."):
                break
            if OWN_OUTPUT in output.metadata:
                break
            self._one(output)
            stream.flush()
            shown += 1
        return shown

    def expect_again(self, outputs: Iterable[Output]) -> None:
        """The statement at which home is has printed these and is run again: keep them back."""
        texts: dict[str, str] = {}
        for output in outputs:
            name = str(output.content.get("name"))
            texts[name] = texts.get(name, "") + str(output.content.get("text", ""))
        for name, text in texts.items():
            self._echoes.append(_Echo(getattr(sys, name), text, self._depth))

    def arrives(self, depth: int) -> None:
        """Home is at a statement inside so many calls: those before, if so deep, are over."""
        self._depth = depth
        while self._echoes and self._echoes[-1].depth >= depth:
            self._echoes.pop().end()

    def _one(self, output: Output) -> None:
        content: dict[str, Any] = output.content
        if output.msg_type == "stream":
            _stream(output).write(content.get("text", ""))
        elif output.msg_type in {"display_data", "update_display_data"}:
            self._shell.display_pub.publish(
                content.get("data", {}),
                content.get("metadata", {}),
                transient=content.get("transient") or {},
                update=output.msg_type == "update_display_data",
            )
        elif output.msg_type == "clear_output":
            self._shell.display_pub.clear_output(wait=bool(content.get("wait")))


def _stream(output: Output) -> Any:
    return sys.stderr if output.content.get("name") == "stderr" else sys.stdout


class _Echo:
    """Swallows from `stream` what was already shown, as long as it is the same text.

    Echoes of one stream are stacked: the last one comes first, and is ended first.
    """

    def __init__(self, stream: Any, text: str, depth: int):
        self.depth = depth
        self._stream = stream
        self._text = text
        self._write = stream.write
        self._is_first = "write" not in vars(stream)
        stream.write = self.write

    def write(self, text: str) -> int:
        """Write what of `text` was not shown before."""
        if self._text.startswith(text):
            self._text = self._text[len(text) :]
        else:
            known = self._text if text.startswith(self._text) else ""
            self._text = ""
            self._write(text[len(known) :])
        return len(text)

    def end(self) -> None:
        """Let everything through again."""
        if not self._is_first:
            self._stream.write = self._write
            return
        with suppress(AttributeError):
            del self._stream.write
