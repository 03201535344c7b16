"""Little programs and the effects they must be predicted to have.

A `Case` names a program; all statements but the last are its past (the way a cell's earlier
statements are), the last one is judged. `home`, `reads`, `writes`, `changes` and `deletes` are
always compared; the other members only where a case gives them.
"""

from __future__ import annotations

import ast
import functools
import linecache
from dataclasses import dataclass

import pytest

from taskpar_kernel.analysis.api import advance
from taskpar_kernel.analysis.predict import predict
from taskpar_kernel.model.effects import Effects, Scope, Touch

TOUCH = {"nothing": Touch.NOTHING, "objects": Touch.OBJECTS, "any": Touch.ANY}

PLAIN = """
import math, random, time, os, sys, json, itertools, functools, threading, collections, datetime
import re, copy, warnings, logging, subprocess, contextlib, operator, io, heapq, glob, shutil
from collections import defaultdict, deque, Counter
n = 3
x = 2.5
text = "hello"
flag = True
xs = [1, 2, 3]
ys = [4, 5]
d = {"a": 1}
s = {1, 2}
t = (1, 2)
q = deque()
dd = defaultdict(list)
buffer = bytearray(b"abc")
nested = [[1], [2]]
nothing = None
"""

SCIENCE = """
import numpy as np
import pandas as pd
import scipy.stats
from scipy import optimize
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_score, train_test_split, GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
X = np.zeros((10, 2))
y = np.arange(10)
df = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
col = df["a"]
rng = np.random.default_rng(0)
model = LinearRegression()
scaler = StandardScaler()
models = [LinearRegression(), LinearRegression()]
"""

FUNCTIONS = """
total = 0
rate = 2
log = []
class Account:
    bank = "b"
    def __init__(self, balance):
        self.balance = balance
    def interest(self):
        return self.balance * rate
    def deposit(self, amount):
        self.balance = self.balance + amount
    def note(self):
        log.append(self.balance)
    @property
    def doubled(self):
        return self.balance * rate
    @staticmethod
    def fee(k):
        return k * rate
    @classmethod
    def make(cls, k):
        return cls(k + total)
    def __add__(self, other):
        return Account(self.balance + rate)
    def __call__(self, k):
        return k + rate
    def __enter__(self):
        return self
    def __exit__(self, *args):
        return None
account = Account(1)
accounts = [Account(1), Account(2)]

def add_one(v):
    return v + 1
def scaled(v):
    return v * rate
def outer(v):
    return scaled(v) + add_one(v)
def append_to(target, value):
    target.append(value)
def pass_on(a, b):
    append_to(b, a)
def count():
    global total
    total += 1
def remember(v):
    log.append(v)
def say(v):
    print(v)
def looped(k):
    result = 0
    for i in range(k):
        result += i * rate
    return result
def gen(k):
    for i in range(k):
        yield i * rate
def fib(k):
    return k if k < 2 else fib(k - 1) + fib(k - 2)
def even(k):
    return True if k == 0 else odd(k - 1)
def odd(k):
    return False if k == 0 else even(k - 1)
def slow(k):
    time.sleep(k)
    return rate
def timed():
    return time.time()
def default(v, seen=[]):
    seen.append(v)
    return seen
def keyword(*, into):
    into.append(1)
def starred(*many):
    many[0].append(1)
def local_list(k):
    out = []
    for i in range(k):
        out.append(i * rate)
    return out
def fill(target, k):
    for i in range(k):
        target[i] = k
def inner_user(k):
    def inner(v):
        return v + rate
    return inner(k)
def make_counter():
    state = []
    def step():
        state.append(1)
        return len(state)
    return step
counter = make_counter()
def make_adder(k):
    def adder(v):
        return v + k
    return adder
adder = make_adder(3)
square = lambda v: v * rate
first, second = (lambda v: v + rate), (lambda v: v + total)
async def fetch():
    return rate
def read_file(path):
    with open(path) as file:
        return file.read()
def write_file(path):
    with open(path, "w") as file:
        file.write("x")
def shadow(rate):
    return rate + 1
def alias_change(a):
    b = a
    b.append(1)
def item_change(a):
    a[0].append(1)
@functools.lru_cache
def cached(k):
    return k * rate
def ask():
    return input("?")
"""

SETUPS = {"plain": (PLAIN,), "science": (PLAIN, SCIENCE), "functions": (PLAIN, FUNCTIONS)}


@dataclass(frozen=True)
class Case:
    """One program; names are separated by spaces, aliases written `new:old`."""

    id: str
    code: str
    reads: str = ""
    writes: str = ""
    changes: str = ""
    deletes: str = ""
    home: str = ""
    touch: str | None = None
    cost: str | None = None
    draws: str | None = None
    prints: bool | None = None
    aliases: str | None = None
    files: str | None = None
    extra: str = ""
    opaque: str = ""


@functools.cache
def namespace_of(setup: str, extra: str = "") -> dict[str, object]:
    """Run a setup once, as a notebook would, its source kept where functions are looked up."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, text in enumerate((*SETUPS[setup], extra)):
        filename = f"<cell {setup} {number} {hash(extra)}>"
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        exec(compile(text, filename, "exec"), namespace)
    return namespace


def effects_of(case: Case, setup: str) -> Effects:
    """Predict the last statement of a case."""
    scope = Scope(dict(namespace_of(setup, case.extra)), {}, frozenset(case.opaque.split()))
    *past, last = ast.parse(case.code).body
    for node in past:
        scope = advance(scope, node, predict(node, scope))
    return predict(last, scope)


def check(case: Case, setup: str) -> None:
    """Compare every member the case gives."""
    effects = effects_of(case, setup)
    found = {
        "reads": effects.reads,
        "writes": effects.writes,
        "changes": effects.changes,
        "deletes": effects.deletes,
        "home": frozenset(reason.blocker.name.lower() for reason in effects.home),
    }
    expected = {name: frozenset(getattr(case, name).split()) for name in found}
    optional: dict[str, tuple[object, object]] = {
        "touch": (case.touch, effects.touch.value),
        "cost": (case.cost, _cost_class(effects.cost_s)),
        "draws": (case.draws, " ".join(sorted(effects.draws))),
        "prints": (case.prints, effects.prints),
        "aliases": (case.aliases, " ".join(sorted(f"{a}:{b}" for a, b in effects.aliases))),
        "files": (case.files, _files(effects)),
    }
    for name, (wanted, got) in optional.items():
        if wanted is not None:
            expected[name] = wanted  # type: ignore[assignment]
            found[name] = got  # type: ignore[assignment]
    wrong = {
        name: f"expected {expected[name]!r}, found {found[name]!r}"
        for name in found
        if found[name] != expected[name]
    }
    assert not wrong, wrong


def _cost_class(cost_s: float | None) -> str:
    return "unknown" if cost_s is None else "zero" if cost_s == 0 else "some"


def _files(effects: Effects) -> str:
    return " ".join(["read"] * effects.files_read + ["written"] * effects.files_written)


def table(*cases: Case) -> pytest.MarkDecorator:
    """Parametrise a test with cases, named by their ids."""
    ids = [case.id for case in cases]
    assert len(ids) == len(set(ids))
    return pytest.mark.parametrize("case", cases, ids=ids)
