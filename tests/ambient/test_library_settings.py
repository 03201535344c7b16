"""What a library is set to is seen, told, and put elsewhere; caches and counters are not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from taskpar_kernel.ambient.libraries import Libraries, dotted
from taskpar_kernel.errors import NotPortable

TEXT = """
import collections
import threading
import numpy as np
defaults = {"scale": 1, "inner": {"shift": 0}, "kind": np.float64(2.0), "how": sorted}
order = ["a", "b"]
names = {"x"}
scale = 1
mode = None
lock = threading.Lock()
results_cache = {}
made_count = 0
gc_start = 1.5
table = list(range(5000))
class Options(collections.UserDict):
    pass
options = Options(depth=1)
class Model:
    power = 1
    style = {"k": 1}
    next_id = 0
def compute(x): return x
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "settable.py").write_text(TEXT, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    yield import_module("settable")
    sys.modules.pop("settable", None)


@pytest.fixture
def libraries(library: ModuleType) -> Libraries:
    libraries = Libraries()
    libraries.update()
    return libraries


def told(libraries: Libraries) -> list[str]:
    libraries.suspect(["settable"])
    return [dotted(place) for place, _ in libraries.state()]


def drop_backend(m: Any) -> None:
    m.mode = m.lock


CHANGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "item": (lambda m: m.defaults.update(scale=2), "settable.defaults"),
    "deep inside": (lambda m: m.defaults["inner"].update(shift=1), "settable.defaults"),
    "NumPy's number": (lambda m: m.defaults.update(kind=np.float32(1)), "settable.defaults"),
    "function": (lambda m: m.defaults.update(how=len), "settable.defaults"),
    "list": (lambda m: m.order.append("c"), "settable.order"),
    "set": (lambda m: m.names.add("y"), "settable.names"),
    "number": (lambda m: setattr(m, "scale", 2), "settable.scale"),
    "of another type": (lambda m: setattr(m, "scale", 1.0), "settable.scale"),
    "text for nothing": (lambda m: setattr(m, "mode", "fast"), "settable.mode"),
    "object's data": (lambda m: m.options.update(depth=2), "settable.options"),
    "class": (lambda m: setattr(m.Model, "power", 2), "settable.Model.power"),
    "dict of a class": (lambda m: m.Model.style.update(k=2), "settable.Model.style"),
    "cache": (lambda m: m.results_cache.update(k=2), ""),
    "counter": (lambda m: setattr(m, "made_count", 2), ""),
    "what a clock said": (lambda m: setattr(m, "gc_start", 2.5), ""),
    "number to come": (lambda m: setattr(m.Model, "next_id", 2), ""),
    "table": (lambda m: m.table.append(1), ""),
}


@pytest.mark.parametrize(("change", "place"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_told_and_can_be_put_elsewhere(
    libraries: Libraries, library: ModuleType, change: Callable[[Any], object], place: str
) -> None:
    assert told(libraries) == []
    before = libraries.snapshot(["settable"])
    change(library)
    assert told(libraries) == ([place] if place else [])
    assert [dotted(p) for p in libraries.moved(before)] == ([place] if place else [])
    state = libraries.state()
    libraries.put_back(before)
    assert told(libraries) == []
    assert libraries.moved(before) == []
    elsewhere = Libraries()  # as in a worker: it has the library as it was imported
    elsewhere.update()
    elsewhere.put(state)
    assert told(libraries) == ([place] if place else [])
    elsewhere.put(())
    assert told(libraries) == []


def test_containers_stay_the_objects_that_others_know(libraries: Libraries, library: Any) -> None:
    known = library.defaults, library.options.data, library.order
    libraries.suspect(["settable"])
    library.defaults["scale"], library.options["depth"] = 5, 6
    library.order.append("c")
    state = told(libraries) and libraries.state()
    elsewhere = Libraries()
    elsewhere.update()
    elsewhere.put(state)
    assert (library.defaults, library.options.data, library.order) == known
    assert library.defaults is known[0]
    assert library.options.data is known[1]


def test_what_is_no_data_cannot_be_put_elsewhere(libraries: Libraries, library: Any) -> None:
    drop_backend(library)
    assert told(libraries) == ["settable.mode"]
    with pytest.raises(NotPortable, match=r"settable\.mode"):
        Libraries().put(libraries.state())


def test_a_module_with_a_second_name_is_watched_by_its_own(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "other.name", library)
    libraries = Libraries()
    libraries.update()
    library.scale = 2
    libraries.suspect(["settable", "other"])
    assert told(libraries) == ["settable.scale"]


def test_what_is_not_suspected_is_not_looked_at(libraries: Libraries, library: Any) -> None:
    library.scale = 2
    assert libraries.state() == ()
    libraries.suspect(["settable"])
    assert libraries.state() != ()


def test_how_a_statement_can_reach_a_library(libraries: Libraries, library: Any) -> None:
    exec("def uses(): return inner()\ndef inner(): return lib.compute(1)", space := {})
    space["lib"] = library
    exec("def closed():\n    x = lib\n    return lambda: x", space)
    exec("class Box:\n    def __init__(self, held): self.held = held", space)
    space["Box"].__module__ = "__main__"
    closure = space["closed"]()
    closure.__module__ = "__main__"
    exec("def imports():\n    import settable.part\n    return settable", space)
    for name in ("uses", "inner", "imports"):
        space[name].__module__ = "__main__"
    reached = {
        "the module": [library],
        "its function": [library.compute],
        "a class": [library.Model],
        "an object": [library.Model()],
        "a method": [library.options.update],
        "a partial call": [partial(library.compute, 1)],
        "an argument of one": [partial(len, library.order), library.options],
        "a function of the notebook": [space["uses"]],
        "a function that imports it": [space["imports"]],
        "a closure": [closure],
        "an object that holds one of its": [space["Box"]({"k": [library.Model()]})],
    }
    for what, values in reached.items():
        assert libraries.packages(values, space) == {"settable"}, what
    assert libraries.packages(range(900), space) == libraries.all()
    assert libraries.packages([1, "text", len, np], space) == frozenset()
