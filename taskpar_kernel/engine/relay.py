"""Outputs of an attempt come in, and are shown as if home's own code had made them.

The rule: text goes through `sys.stdout`/`sys.stderr` and displays through the display publisher, so
that whatever the user put in their place (a redirect, `%%capture`) sees them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from taskpar_kernel.model.messages import Output


class Relay:
    """Shows outputs at home through `shell`."""

    def __init__(self, shell: Any):
        self._shell = shell

    def show(self, outputs: Iterable[Output]) -> None:
        """Show these outputs now, in order."""
        for output in outputs:
            self._one(output)

    def _one(self, output: Output) -> None:
        content: dict[str, Any] = output.content
        if output.msg_type == "stream":
            stream = sys.stderr if content.get("name") == "stderr" else sys.stdout
            stream.write(content.get("text", ""))
        elif output.msg_type in {"display_data", "update_display_data"}:
            self._shell.display_pub.publish(
                content.get("data", {}),
                content.get("metadata", {}),
                transient=content.get("transient") or {},
                update=output.msg_type == "update_display_data",
            )
        elif output.msg_type == "clear_output":
            self._shell.display_pub.clear_output(wait=bool(content.get("wait")))
