"""Files: whatever a program does to a folder, it holds afterwards what the serial run leaves."""

# ruff: noqa: E501 - one case, one line

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from attempt_cases import Case, cases
from laboratory import Laboratory, Report

WORK = """
import os, pathlib, shutil, tempfile
def write(name, text="x"):
    with open(D + name, "w") as f:
        f.write(text)
    return name
def append(name, text):
    with open(D + name, "a") as f:
        f.write(text)
def read(name):
    return open(D + name).read()
def there(name):
    return os.path.exists(D + name)
def fails(name):
    write(name)
    raise ValueError(name)
def handle(name):
    write(name)
    return open(D + name)
def old(name, text, mode=0o640):
    write(name, text)
    os.chmod(D + name, mode)
    os.utime(D + name, (1000, 2000))
"""

PASSES = cases(r"""
None
==
write("a")
== None
---
write("a", "old")
==
write("a", "new")
== None
---
write("a", "one\n")
==
append("a", "two\n")
== None
---
old("a", "x")
==
os.remove(D + "a")
== None
---
old("a", "x"); old("b", "y", 0o600)
==
os.replace(D + "a", D + "b")
== None
---
write("a")
==
os.makedirs(D + "d/e/f"); write("d/e/f/g")
== None
---
write("a")
==
os.link(D + "a", D + "b"); os.symlink("a", D + "c"); write("c", "through")
== None
---
write("a", "long text")
==
os.truncate(D + "a", 4); os.chmod(D + "a", 0o600); os.utime(D + "a", (5, 6))
== None
---
write("a"); os.mkdir(D + "d"); write("d/x")
==
shutil.copy(D + "a", D + "b"); shutil.copytree(D + "d", D + "e"); shutil.move(D + "d", D + "f")
== None
---
os.makedirs(D + "d/e"); write("d/e/x"); write("d/y")
==
shutil.rmtree(D + "d")
== None
---
None
==
t = tempfile.mkdtemp(dir=D); pathlib.Path(t, "x").write_text("x"); shutil.rmtree(t); del t
== None
---
None
==
for i in range(3): append("log", f"{i}\n"); write("same", str(i)); os.replace(D + "same", D + "kept")
== None
---
None
==
seen = [there("a"), write("a"), there("a"), read("a"), os.listdir(D)]
== seen
---
import json, pickle, csv
==
json.dump([1], open(D + "a", "w")); pickle.dump([1], open(D + "b", "wb")); n = csv.writer(open(D + "c", "w")).writerow([1])
== n
---
import numpy as np; import pandas as pd
==
np.save(D + "a.npy", np.arange(3)); np.savez(D + "b.npz", a=np.arange(2)); np.savetxt(D + "c", np.arange(2)); pd.DataFrame({"a": [1]}).to_csv(D + "d")
== None
""")

TAKEN_BACK = cases(r"""
None
==
fails("a")
== None == ValueError
---
old("a", "old")
==
fails("a")
== None == ValueError
---
old("a", "one")
==
append("a", "two"); append("a", "three"); fails("b")
== None == ValueError
---
None
==
h = handle("a")
== h.close() == open handle|cannot|TextIO
---
old("a", "x"); os.link(D + "a", D + "b")
==
append("a", "more"); os.remove(D + "b"); fails("c")
== None == ValueError
---
old("a", "x"); old("b", "y")
==
os.replace(D + "a", D + "b"); write("a"); os.replace(D + "b", D + "c"); fails("c")
== None == ValueError
---
old("a", "x"); os.symlink("a", D + "l"); os.symlink("nowhere", D + "m")
==
write("l", "through"); write("m", "made"); os.remove(D + "l"); os.symlink("b", D + "l"); fails("c")
== None == ValueError
---
os.makedirs(D + "d/e"); old("d/e/x", "x")
==
os.rename(D + "d", D + "f"); write("f/e/x", "new"); write("f/y"); os.makedirs(D + "d/e/g"); fails("c")
== None == ValueError
---
os.makedirs(D + "d/e"); old("d/e/x", "x"); os.utime(D + "d/e", (3, 4))
==
shutil.rmtree(D + "d"); fails("c")
== None == ValueError
---
old("a", "x")
==
os.chmod(D + "a", 0o400); os.utime(D + "a", (7, 8)); os.truncate(D + "a", 0); fails("c")
== None == ValueError
---
old("a", "x")
==
f = open(D + "a", "a"); f.write("never flushed"); f.me = f; del f; fails("b")
== None == ValueError
---
old("a", "x")
==
f = open(D + "a", "a"); f.write("in a cycle"); f.me = [f]; tempfile.kept = f
== tempfile.kept.close() == tempfile|left a file open
---
import subprocess
==
write("a"); r = subprocess.run(["true"]).returncode
== r == subprocess
---
import sqlite3
==
write("a"); c = sqlite3.connect(D + "db").execute("create table t (a)").fetchall()
== c == sqlite3
---
import warnings
==
write("a"); warnings.warn("w")
== None == a warning
---
import os
==
try: fails("a")
finally: os.system("true")
== None == os.system
---
old("a", "x" * 100)
==
f = os.open(D + "a", os.O_RDWR); n = os.write(f, b"yy"); os.close(f); os.remove(D + "a"); fails("b")
== n == ValueError
---
old("a", "x")
==
f = open(D + "a", "r+"); f.truncate(0); f.close(); del f; fails("b")
== None == ValueError
""")

GIVEN_UP = cases(r"""
with open(D + "big", "w") as f: f.truncate(65 * 1024 * 1024)
==
append("big", "x"); os.remove(D + "big")
== None == MB to put back
---
os.mkfifo(D + "pipe")
==
f = os.open(D + "pipe", os.O_RDWR | os.O_NONBLOCK); os.close(f); del f
== None == not an ordinary file
---
os.mkdir(D + "d"); os.mkdir(D + "e")
==
os.rename(D + "d", D + "e")
== None == replaces a folder
---
None
==
d = os.open(D, os.O_RDONLY); f = os.open("a", os.O_CREAT | os.O_WRONLY, dir_fd=d); os.close(f); os.close(d); del f, d
== None == relative to a descriptor
---
write("a")
==
os.setxattr(D + "a", "user.k", b"v") if hasattr(os, "setxattr") else os.system("true")
== None == os\.
---
import numpy as np
==
m = np.memmap(D + "a", dtype="i1", mode="w+", shape=4); m[:] = 1; m.flush(); del m
== None == mmap
""")


def run(case: Case, laboratory: Laboratory, folder: Path, **more: Any) -> Report:
    setup = f"D = {str(folder)!r} + '/'{WORK}{case.setup}"
    return laboratory.run(setup, case.code, case.probe, folder=str(folder), **more)


def one(case: Case) -> Case:
    """Return the case as one statement."""
    return replace(case, code=f"if True:\n{indent(case.code, '    ')}")


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    """A home of its own: other tests leave modules of the user's behind."""
    with tempfile.TemporaryDirectory() as place:
        one = Laboratory(place)
        yield one
        one.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "files"
    path.mkdir()
    return path


@pytest.mark.parametrize("case", PASSES, ids=str)
def test_it_waits_and_goes_on(case: Case, laboratory: Laboratory, folder: Path) -> None:
    report = run(one(case), laboratory, folder)
    assert report.taken[-1], report.statements
    assert report.waited[-1]


@pytest.mark.parametrize("case", TAKEN_BACK, ids=str)
def test_what_failed_behind_the_gate_is_taken_back(
    case: Case, laboratory: Laboratory, folder: Path
) -> None:
    report = run(one(case), laboratory, folder)
    assert not report.taken[-1]
    assert report.waited[-1], report.why
    assert re.search(case.why, report.why), report.why


@pytest.mark.parametrize("case", TAKEN_BACK, ids=str)
def test_nothing_is_left_of_what_stands_behind_an_error(
    case: Case, laboratory: Laboratory, folder: Path
) -> None:
    code = f"k = int(KIND)\n{one(case).code}"
    setup = f"D = {str(folder)!r} + '/'{WORK}{case.setup}\nKIND = 'no number'"
    report = laboratory.run(setup, code, folder=str(folder), places=[1, 2])
    assert not report.taken[-1]


@pytest.mark.parametrize("case", GIVEN_UP, ids=str)
def test_what_cannot_be_put_back_is_given_up(
    case: Case, laboratory: Laboratory, folder: Path
) -> None:
    report = run(one(case), laboratory, folder)
    assert not report.taken[-1]
    assert re.search(case.why, report.why), report.why


SEVERAL = cases(r"""
None
==
write("a", "1")
write("a", "2")
write("a", "3")
== read("a")
---
None
==
append("log", "1")
append("log", "2")
append("log", "3")
== read("log")
---
write("a", "old")
==
write("a", "new")
x = read("a")
== x
---
None
==
write("a")
x = there("a")
y = os.path.isfile(D + "b"), os.access(D + "a", os.R_OK)
== x, y
---
None
==
write("a")
x = sorted(os.listdir(D)), [e.stat().st_size for e in os.scandir(D)]
os.remove(D + "a")
== x
---
write("a", "old!")
==
write("a", "new!")
x = [e.stat().st_size for e in os.scandir(D)], read("a")
write("a", "NEW!")
y = read("a")
== x, y
---
write("a", "1"); write("b", "2")
==
os.replace(D + "a", D + "b")
x = there("a"), read("b")
== x
---
None
==
write("a")
x = 1 / 0
write("b")
== None
---
None
==
fails("a")
write("b")
== None
---
write("m.py", "1"); write("m.so", "2")
==
write("m.py", "2"); write("m.so", "3")
x = read("m.py"), read("m.so")
== x
---
import glob
==
write("a")
x = glob.glob(D + "*"); write("b")
y = sorted(glob.glob(D + "*"))
== x, y
---
write("a"); os.symlink("a", D + "l"); write("b", "other")
==
os.remove(D + "l"); os.symlink("b", D + "l")
x = read("l"), os.readlink(D + "l")
== x
""")


@pytest.mark.parametrize("case", SEVERAL, ids=str)
@pytest.mark.parametrize("places", [[1, 2, 3], [1]])
def test_effects_come_in_program_order(
    case: Case, places: list[int], laboratory: Laboratory, folder: Path
) -> None:
    run(case, laboratory, folder, places=places)


PASSING = cases(r"""
None
==
put_in("f", "1")
put_in("f", "2")
put_in("f/g", "3")
== None
---
write("a", "1")
==
write("a", "12")
x = there("a"), os.path.isfile(D + "a"), pathlib.Path(D, "a").exists()
write("b", str(os.path.exists(D)))
== x
""")


@pytest.mark.parametrize("case", PASSING, ids=str)
def test_to_ask_if_it_is_there_is_not_to_look_inside(
    case: Case, laboratory: Laboratory, folder: Path
) -> None:
    setup = (
        "def put_in(at, text):\n"
        "    if not os.path.exists(D + at): os.makedirs(D + at)\n"
        "    pathlib.Path(D + at).mkdir(exist_ok=True)\n"
        "    write(at + '/' + text, text)\n"
        "os.mkdir(D + 'f')\n"
    )
    case = replace(case, setup=setup + case.setup)
    report = run(case, laboratory, folder, places=[1, 2, 3])
    assert all(report.taken), report.statements


def test_a_replica_that_differs_does_not_pass(laboratory: Laboratory, folder: Path) -> None:
    case = Case(
        "n = [0]\ndef up(): n[0] += 1; return n[0]",
        "k = id(n) % 7\nwrite('a', str(k))",
        "read('a')",
        "",
    )
    report = run(case, laboratory, folder, prelude=[0])
    assert report.waited[-1]


def test_cheap_statements_never_change_files(laboratory: Laboratory, folder: Path) -> None:
    case = Case("", "k = write('a')\nm = [k]", "m", "")
    report = run(case, laboratory, folder, prelude=[0])
    assert not any(report.waited)
    assert "open" in report.why
