"""What an attempt imported is imported at home, silently, or the outcome is not taken."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from taskpar_kernel.engine.alike import import_alike
from taskpar_kernel.errors import NotPortable


def module(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text, encoding="utf-8")


def test_what_is_missing_is_imported_in_this_order_and_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    shows = "import sys\nprint('shown')\nprint('shown', file=sys.stderr)\n"
    names = ("alike_two", "alike_one")
    for name in names:
        module(tmp_path, name, shows)
    try:
        import_alike(("sys", *names))
        assert tuple(sys.modules)[-2:] == names
    finally:
        for name in names:
            sys.modules.pop(name, None)
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_imported_refuses_the_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module(tmp_path, "alike_broken", "raise ValueError('not today')")
    with pytest.raises(NotPortable, match=r"`alike_broken`, .* not today"):
        import_alike(("alike_broken",))
