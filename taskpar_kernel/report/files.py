"""Where a report is saved: a path and bytes come in, a file or one clear line goes out."""

from __future__ import annotations

from pathlib import Path

from taskpar_kernel.errors import UsageError


def write(path: Path, content: bytes) -> None:
    """Write a file.

    Raises:
        UsageError: that is not possible; the message says why.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"{str(path)!r} cannot be written: {why}; nothing was saved") from None
