"""The law, parallel == serial, for programs over a few files that nobody thought of.

Statements that write, append, read, list, move, remove and fail are put together at random; some
stay home, one to three workers share the rest. What they saw and what they left is compared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from laboratory import Laboratory

SETUP = """
import os, pathlib, shutil, threading
seen = []
def put(name, text, mode="w"):
    with open(D + name, mode) as f:
        f.write(text)
    return len(text)
def get(name):
    try:
        with open(D + name) as f:
            return f.read()
    except OSError as error:
        return type(error).__name__
def look(name): return os.path.exists(D + name), os.path.isdir(D + name)
def names(at=""): return sorted(os.listdir(D + at)) if os.path.isdir(D + at) else None
def sizes(): return sorted((e.name, e.is_dir() or e.stat().st_size) for e in os.scandir(D))
def move(a, b):
    try:
        os.replace(D + a, D + b)
    except OSError as error:
        return type(error).__name__
def drop(name):
    try:
        os.remove(D + name)
    except OSError as error:
        return type(error).__name__
def grow(name):
    text = get(name)
    put(name, text + "!")
    return text
def swap(a, b):
    x, y = get(a), get(b)
    put(a, y); put(b, x)
def bad(name):
    put(name, "bad", "a")
    raise KeyError(name)
def stuck(name):
    put(name, "stuck", "a")
    return [threading.Lock()]
def quiet(name):
    try:
        bad(name)
    except:
        return "caught"
put("a", "A"); os.mkdir(D + "d"); put("d/x", "X")
"""
STATEMENTS = [
    "k = put('a', '1')",
    "k = put('a', '2')",
    "k = put('b', '3')",
    "k = put('a', '4', 'a')",
    "k = put('d/x', '5', 'a')",
    "k = put('new', '6', 'x')",
    "r = get('a')",
    "s = get('b')",
    "t = get('d/x'), get('new')",
    "u = look('b'), look('d'), look('d/x')",
    "v = names(), names('d')",
    "w = sizes()",
    "m = move('a', 'b')",
    "m = move('b', 'a')",
    "m = move('d', 'e')",
    "m = move('e', 'd')",
    "n = drop('a')",
    "n = drop('b')",
    "g = grow('a')",
    "g = grow('b')",
    "swap('a', 'b')",
    "bad('b')",
    "l = len(stuck('b'))",
    "l = stuck('a')[0].locked()",
    "q = quiet('a')",
    "z = [grow('a') for _ in range(2)]",
    "os.makedirs(D + 'e/f', exist_ok=True)",
    "shutil.rmtree(D + 'd', ignore_errors=True)",
    "pathlib.Path(D, 'a').touch()",
    "c = shutil.copy(D + 'a', D + 'c') and 0",
    "e = 1 / len(get('b'))",
]
PROBE = "[(k, v) for k, v in sorted(globals().items()) if k in 'rstuvwmngqzlkce']"


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    with tempfile.TemporaryDirectory() as place:
        one = Laboratory(place)
        yield one
        one.close()


@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    statements=st.lists(st.sampled_from(STATEMENTS), min_size=2, max_size=7),
    home=st.lists(st.integers(0, 6), max_size=2),
    places=st.sampled_from([[1], [1, 2], [1, 2, 3]]),
)
def test_parallel_is_serial(
    statements: list[str], home: list[int], places: list[int], laboratory: Laboratory
) -> None:
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base, "files")
        folder.mkdir()
        setup = f"D = {str(folder)!r} + '/'{SETUP}"
        code = "\n".join(statements)
        laboratory.run(setup, code, PROBE, folder=str(folder), home=home, places=places)
