"""Libraries that read the names of whoever calls them: a frame is asked for, who asks comes out.

`DataFrame.query("x > @limit")`, patsy's formulas and numexpr look up names in the frames that they
were called from. On a worker these hold only what the statement itself reads, so such a library
would find too little, or something else than at home: its call runs at home.

The rule: who asks for a frame may read names of it, unless it is known here only to count frames
or to name a module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

_OURS = "taskpar_kernel."
_COUNT_OR_NAME = frozenset(
    {
        "collections",
        "dataclasses",
        "enum",
        "functools",
        "importlib",
        "logging",
        "matplotlib._api",
        "pandas.util._exceptions",
        "scipy._lib._bunch",
        "tempfile",
        "threading",
        "typing",
        "typing_extensions",
        "unittest.mock",
        "warnings",
        "weakref",
    }
)
"""Modules that ask for frames to name a module or to tell a warning's line, and read nothing else.

A warning or a log record that is shown ends an attempt anyway.
"""
_ON_BEHALF = frozenset({"inspect", "traceback"})
"""Modules that ask for frames in the name of those who call them."""


def reads_names() -> str:
    """Return the module that asks for a frame and may read names of it, or an empty string.

    To be called from an audit hook (PEP 578) that was told of `sys._getframe`.
    """
    frame = _hook().f_back
    while frame is not None and _module(frame) in _ON_BEHALF:
        frame = frame.f_back
    if frame is None:
        return ""
    reader = _module(frame)
    if reader.startswith(_OURS) or reader in _COUNT_OR_NAME or _imported(frame):
        return ""
    return reader


def _hook() -> FrameType:
    """Return the frame of the audit hook, without asking for it, which would call the hook."""
    try:
        _raise()
    except LookupError as error:
        found = error.__traceback__
    frame: FrameType | None = found.tb_frame if found is not None else None
    while frame is not None and not _is_hook(frame):
        frame = frame.f_back
    assert frame is not None, "it is called from an audit hook"
    return frame


def _raise() -> NoReturn:
    raise LookupError


def _is_hook(frame: FrameType) -> bool:
    return frame.f_code.co_name == "_audit"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _imported(frame: FrameType | None) -> bool:
    """Whether it happens while a module is imported: there are no names to be read then."""
    while frame is not None and not _module(frame).startswith(_OURS):
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
