"""What a worker imports beside home, it imports as home does: where, and with what environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from taskpar_kernel.ambient.providers import around_imports
from taskpar_kernel.model.messages import Preload
from taskpar_kernel.transport.segments import NO_SEGMENTS
from taskpar_kernel.worker.attempt import Attempts
from taskpar_kernel.worker.store import Store

LIBRARY = """
import os
mode, here = os.environ.get("LOOKS_MODE"), os.getcwd()
"""


def test_a_library_looks_at_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "looks.py").write_text(LIBRARY)
    with monkeypatch.context() as home:
        home.setenv("LOOKS_MODE", "fast")
        home.chdir(tmp_path)
        home.syspath_prepend(str(tmp_path))
        preload = Preload(("looks", "not_there"), around_imports())
    monkeypatch.chdir(Path.cwd())  # all three are put back afterwards
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("LOOKS_MODE", "slow")
    shown: Any = None
    Attempts(Store(), NO_SEGMENTS, shown).preload(preload)
    looks = sys.modules.pop("looks")
    assert (looks.mode, looks.here) == ("fast", str(tmp_path))
