"""Cells that run serially as a whole: what was patched, and who can tell how long objects live."""

from __future__ import annotations

import ast
import types
from typing import Any

import pytest

from taskpar_kernel.analysis.lifetimes import watches_lifetimes
from taskpar_kernel.analysis.patched import patched_packages, use_of

PATCHED = {
    "function of a module": ("import json", "json.dumps = len", "json"),
    "imported in the same cell": ("", "import json\njson.dumps = len", "json"),
    "under another name": ("import json as j", "j.dumps = len", "json"),
    "class of a library": ("import collections", "collections.Counter.top = len", "collections"),
    "class by its name": ("from collections import Counter", "Counter.top = len", "collections"),
    "deletion": ("import json", "del json.dumps", "json"),
    "one of two targets": ("import math", "root, math.sqrt = 1, 2", "math"),
    "increment": ("import json", "json.count += 1", "json"),
    "setattr": ("import json", "setattr(json, 'dumps', len)", "json"),
    "in a function": ("import json", "def f():\n    json.dumps = len", "json"),
    "builtins": ("import builtins", "builtins.abs = len", "builtins"),
    "an object of the notebook": ("class K: pass\nk = K()", "k.x = 1", ""),
    "a class of the notebook": ("class K: pass", "K.x = 1", ""),
    "an object of a library": ("import fractions\nf = fractions.Fraction(1)", "f.x = 1", ""),
    "an item": ("import os", "os.environ['A'] = '1'", ""),
    "a reading": ("import json", "a = json.dumps", ""),
}


@pytest.mark.parametrize(("before", "cell", "package"), PATCHED.values(), ids=PATCHED.keys())
def test_patched_packages(before: str, cell: str, package: str) -> None:
    found = patched_packages(ast.parse(cell).body, _after(before))
    assert found == (frozenset({package}) if package else frozenset())


USES = {
    "the module": ("import json", "json.loads('1')", True),
    "an import": ("", "from json import loads", True),
    "a function of it": ("from json import loads", "loads('1')", True),
    "through a function": ("import json\ndef f(): return json.dumps(1)", "f()", True),
    "through two": ("import json\ndef f(): return json\ndef g(): return f()", "g()", True),
    "through a method": (
        "import json\nclass K:\n    def m(self): return json\nk = K()",
        "k.m()",
        True,
    ),
    "through a list": ("import json\ndef f(): return json\nfs = [f]", "fs[0]()", True),
    "through a closure": (
        "def make():\n    import json\n    return lambda: json\nf = make()",
        "f()",
        True,
    ),
    "another module": ("import json, math", "math.sqrt(4)", False),
    "another function": ("import json\ndef f(): return json\ndef g(): return 1", "g()", False),
}


@pytest.mark.parametrize(("before", "cell", "used"), USES.values(), ids=USES.keys())
def test_use_of_a_patched_package(before: str, cell: str, used: bool) -> None:
    found = use_of(ast.parse(cell).body, _after(before), frozenset({"json"}))
    assert found == ("json" if used else "")


def test_everything_uses_builtins() -> None:
    assert use_of(ast.parse("x = 1").body, {}, frozenset({"builtins"})) == "builtins"


WATCHES = {
    "import": ("", "import weakref", True),
    "from": ("", "from weakref import ref", True),
    "module": ("import weakref", "x = 1", True),
    "a weak reference": ("class W: pass\nw = W()\nimport weakref as _w\nr = _w.ref(w)", "1", True),
    "a class with __del__": ("class D:\n    def __del__(self): pass", "x = 1", True),
    "an instance of one": (
        "class D:\n    def __del__(self): pass\nd = D()\ndel D",
        "x = 1",
        True,
    ),
    "it is being defined": ("", "class D:\n    def __del__(self): pass", True),
    "an ordinary class": ("class K: pass\nk = K()", "x = k", False),
    "a library": ("import json, math", "x = json.dumps([1])", False),
}


@pytest.mark.parametrize(("before", "cell", "watches"), WATCHES.values(), ids=WATCHES.keys())
def test_who_watches_lifetimes(before: str, cell: str, watches: bool) -> None:
    assert bool(watches_lifetimes(ast.parse(cell).body, _after(before))) is watches


def _after(code: str) -> dict[str, Any]:
    module = types.ModuleType("__main__")
    exec(code, vars(module))
    return vars(module)
