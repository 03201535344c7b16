"""What home imports, workers import: libraries only, one worker at a time."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from taskpar_kernel.engine import preloads
from taskpar_kernel.engine.preloads import Preloads
from taskpar_kernel.model.ids import Place

ONE, TWO = Place(1), Place(2)


class Posted:
    """A `Preloads`, what it posted, and what it asked a zygote for, if there is one."""

    def __init__(self, *, has_zygote: bool = False) -> None:
        self.posts: list[tuple[Place, tuple[str, ...]]] = []
        self.asked: list[tuple[str, ...]] = []
        self.has_zygote = has_zygote
        self.preloads = Preloads(
            lambda worker, modules: self.posts.append((worker, modules)), self._prepare
        )

    def _prepare(self, modules: tuple[str, ...]) -> bool:
        if self.has_zygote:
            self.asked.append(modules)
        return self.has_zygote

    def imports(self, text: str) -> None:
        node = ast.parse(text).body[0]
        assert isinstance(node, ast.Import | ast.ImportFrom)
        self.preloads.imported(node, (ONE, TWO))

    def begins(self, text: str) -> None:
        self.preloads.announced(ast.parse(text).body, (ONE,))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed libraries; `to_come` is one of them, `of_ours` a file of the user's."""
    library = tmp_path / "site-packages" / "to_come"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("raise AssertionError('it was imported here')")
    (tmp_path / "of_ours.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(library.parent))
    return library.parent


ANNOUNCED = {
    "import to_come": ("to_come",),
    '"""What it is about."""\nimport os\nimport to_come as t, json': ("to_come",),
    "from to_come.inner import f\nfrom to_come import g": ("to_come.inner", "to_come"),
    "import os\nos.environ['TO_COME'] = '1'\nimport to_come": (),
    "import nowhere_at_all\nimport to_come": (),
    "import of_ours\nimport to_come": (),
    "import to_come, of_ours\nimport to_come.inner": ("to_come",),
    "try:\n    import to_come\nexcept ImportError: pass": (),
    "from .x import y\nimport to_come": (),
    "import matplotlib.pyplot as plt\nimport to_come": ("to_come",),
    "x = 1": (),
}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("text", "expected"), ANNOUNCED.items(), ids=range(len(ANNOUNCED)))
def test_what_a_cell_begins_with_importing(text: str, expected: tuple[str, ...]) -> None:
    posted = Posted()
    posted.begins(text)
    assert posted.posts == ([(ONE, expected)] if expected else [])
    assert "to_come" not in sys.modules


@pytest.mark.usefixtures("installed")
def test_what_was_announced_is_not_passed_on_again() -> None:
    posted = Posted()
    posted.begins("import to_come")
    posted.begins("import to_come")
    posted.preloads.done(ONE)
    assert posted.posts == [(ONE, ("to_come",))]
    assert posted.preloads.told == ("to_come",)


def test_one_worker_imports_at_a_time():
    posted = Posted()
    posted.imports("import json, decimal")
    assert posted.posts == [(ONE, ("json", "decimal"))]
    assert posted.preloads.is_importing(ONE)
    assert posted.preloads.is_importing(TWO)
    posted.preloads.done(ONE)
    assert posted.posts[1:] == [(TWO, ("json", "decimal"))]
    assert not posted.preloads.is_importing(ONE)
    posted.preloads.done(TWO)
    assert not posted.preloads.is_importing(TWO)


def test_a_module_is_imported_once():
    posted = Posted()
    posted.imports("import json")
    posted.imports("from json import loads")
    posted.preloads.done(ONE)
    posted.preloads.done(TWO)
    assert len(posted.posts) == 2


def test_only_libraries_that_are_there():
    posted = Posted()
    posted.imports("from . import something")
    posted.imports("import a_module_that_is_nowhere")
    posted.imports("import test_preloads")
    assert posted.posts == []


def test_a_new_worker_imports_all_of_it():
    posted = Posted()
    posted.imports("import json")
    posted.preloads.done(ONE)
    posted.preloads.done(TWO)
    posted.imports("import decimal")
    posted.preloads.lost(ONE)
    posted.preloads.lost(TWO)
    posted.preloads.came_up(ONE)
    assert posted.posts[-1] == (ONE, ("json", "decimal"))


def test_another_pool_begins_with_nothing_under_way():
    posted = Posted()
    posted.imports("import json")
    posted.preloads.all_lost()
    assert not posted.preloads.is_importing(ONE)
    posted.preloads.came_up(ONE)
    assert posted.posts[-1] == (ONE, ("json",))
    posted.preloads.done(ONE)
    assert not posted.preloads.is_importing(ONE)


def test_what_was_loaded_without_a_statement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    posted = Posted()
    posted.preloads.loaded((ONE,))
    before = len(posted.posts)
    library = tmp_path / "site-packages" / "seldom"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("from seldom import inner")
    (library / "inner.py").write_text("")
    (tmp_path / "of_the_user.py").write_text("")
    monkeypatch.syspath_prepend(str(library.parent))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("seldom", "of_the_user"):
        import_module(name)
    monkeypatch.setitem(sys.modules, "made_by_hand", ModuleType("made_by_hand"))
    posted.preloads.done(ONE)
    posted.preloads.loaded((ONE,))
    assert posted.posts[before:] == [(ONE, ("seldom.inner", "seldom"))]  # as they were complete
    posted.preloads.done(ONE)
    posted.preloads.loaded((ONE,))
    assert len(posted.posts) == before + 1
    posted.imports("import json")
    assert posted.preloads.told[0] == "json"
    assert "seldom" in posted.preloads.told
    assert "seldom.inner" not in posted.preloads.told


@pytest.fixture
def of_a_table(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that are installed: `to_come` stands a fork, `other` is not known to."""
    (installed / "other.py").write_text("")
    monkeypatch.setattr(preloads, "_STAND_FORKS", frozenset({"to_come", "json"}))


@pytest.mark.usefixtures("of_a_table")
def test_the_zygote_imports_what_stands_a_fork_and_nothing_is_posted_meanwhile() -> None:
    posted = Posted(has_zygote=True)
    posted.begins("import to_come.inner, other, to_come")
    posted.imports("import decimal")
    posted.preloads.came_up(TWO)
    assert posted.asked == [("to_come.inner", "to_come")]
    assert posted.posts == []
    assert posted.preloads.is_importing(ONE)
    assert posted.preloads.is_importing(TWO)


@pytest.mark.usefixtures("of_a_table")
def test_who_is_replaced_is_given_all_when_it_has_come_up_and_the_others_at_once() -> None:
    posted = Posted(has_zygote=True)
    posted.begins("import to_come, other")
    posted.preloads.prepared((ONE,), (ONE, TWO))
    modules = ("to_come", "other")
    assert posted.posts == [(TWO, modules)]
    posted.preloads.done(TWO)
    assert not posted.preloads.is_importing(TWO)
    posted.preloads.lost(ONE)
    assert posted.preloads.is_importing(ONE)
    posted.preloads.came_up(ONE)
    assert posted.posts[1:] == [(ONE, modules)]
    posted.preloads.done(ONE)
    assert not posted.preloads.is_importing(ONE)


@pytest.mark.usefixtures("of_a_table")
def test_who_does_not_come_up_again_imports_nothing() -> None:
    posted = Posted(has_zygote=True)
    posted.begins("import to_come")
    posted.preloads.prepared((ONE,), (ONE,))
    posted.preloads.lost(ONE, final=True)
    assert not posted.preloads.is_importing(ONE)


@pytest.mark.usefixtures("of_a_table")
def test_what_was_announced_before_there_was_a_pool() -> None:
    posted = Posted()
    posted.begins("import to_come, other")
    posted.preloads.done(ONE)
    posted.has_zygote = True
    posted.preloads.began()
    assert posted.asked == [("to_come",)]
    posted.preloads.all_lost()
    assert not posted.preloads.is_importing(ONE)


def test_what_a_debugger_loads_stays_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    posted = Posted()
    posted.preloads.loaded((ONE,))
    before = len(posted.posts)
    for name in ("pydevd_like", "_pydevd_like"):
        library = tmp_path / "site-packages" / name
        library.mkdir(parents=True)
        (library / "__init__.py").write_text("")
        monkeypatch.syspath_prepend(str(library.parent))
        import_module(name)
    posted.preloads.done(ONE)
    posted.preloads.loaded((ONE,))
    assert len(posted.posts) == before
