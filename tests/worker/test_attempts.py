"""What an attempt may do, and what makes it fail: every case is compared with its serial run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from attempt_cases import Case, cases
from laboratory import Laboratory

TAKEN = cases(r"""
xs = [3, 1, 2]; ys = xs
==
xs.sort()
xs = xs + [9]
== xs, ys
---
a = [1]
==
b = [a]
== b[0] is a
---
a = [1]; b = [a]; c = {"k": a}
==
b[0].append(2)
== a, b[0] is a, c["k"] is a
---
d = {"x": [1], "y": [2]}
==
d["x"].append(5); d["z"] = d["x"]
== d, d["z"] is d["x"]
---
x = 5
==
del x
x = 7
== x
---
import math
==
del math
== "math" in dir()
---
from collections import Counter, OrderedDict, defaultdict, deque
d = defaultdict(list); c = Counter("aab"); q = deque([1], maxlen=3); o = OrderedDict(a=1, b=2)
==
d["x"].append(1)
c.update("b")
q.extend([2, 3, 4])
o.move_to_end("a")
== d, c, q, q.maxlen, o
---
class C: pass
c = C()
==
c.x = [1]
d = C()
== (type(d) is C, c.x, isinstance(d, C))
---
class S:
    __slots__ = ("__p", "q")
    def __init__(self): self.__p = 1
    def up(self): self.__p += 1; self.q = self.__p
    def get(self): return self.__p
s = S()
==
s.up()
== (s.get(), s.q, hasattr(s, "__dict__"))
---
class S:
    __slots__ = ("a",)
s = S()
def add():
    try:
        s.b = 1
    except AttributeError:
        return "refused"
==
r = add()
== r
---
from dataclasses import MISSING, dataclass, field, fields
@dataclass
class P:
    x: int
    y: list = field(default_factory=list)
p = P(1)
==
q = P(2, [p])
== (q, q.y[0] is p, type(q) is P, [f.default is MISSING for f in fields(q)])
---
from dataclasses import MISSING, dataclass, fields
@dataclass
class P:
    x: int
==
r = [f.default is MISSING for f in fields(P)]
== r
---
from enum import Enum
class C(Enum):
    A = 1
    B = 2
==
c = [C.A, C.B]
== c[0] is C.A
---
def make():
    n = 0
    def inc():
        nonlocal n
        n += 1
        return n
    def get(): return n
    return inc, get
==
inc, get = make()
== (inc(), inc(), get())
---
def fact(n): return 1 if n < 2 else n * fact(n - 1)
k = 3
f = lambda x, y=[1]: x * k + len(y)
==
r = f(fact(10))
== r
---
def f(n): return 0 if n == 0 else 1 + f(n - 1)
==
r = f(800)
== r
---
def f(n): return f(n + 1)
==
try:
    f(0)
except RecursionError:
    r = "deep"
== r
---
def f():
    try:
        return undefined_name
    except NameError:
        return "no"
==
r = f()
== r
---
import random
r = random.Random(3)
==
a = r.random()
b = r.random()
== a, b, r.random()
---
s = {"a", "b", "c", "d"}
==
t = sorted(s); s2 = set(t)
== list(s), list(s2)
---
ba = bytearray(b"abc")
==
ba.extend(b"d")
== ba
---
x = 3
==
e = ValueError("a")
== e.args
---
import warnings
def f():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("x")
    return 1
==
r = f()
== r
---
class N:
    def __eq__(self, other): raise ValueError
    def __hash__(self): return 1
    def __bool__(self): raise ValueError
n = N()
==
m = [n]
== m[0] is n
---
def f(): print("from f"); return 1
==
r = f()
r2 = f()
== r
---
import enum
from collections import namedtuple
==
p = namedtuple("P", "x y")(1, 2)[0]
e = enum.Enum("E", "A B").A.value
== p, e
""")

SCIENCE = cases(r"""
import numpy as np
a = np.zeros(10)
==
a[0] = 5
== a
---
import numpy as np
X = np.arange(200000.0)
==
v = X[:100]
w = v * 2
== (w[3], np.shares_memory(v, X), v.base is not None)
---
import numpy as np
d = (lambda x: [x, x[:5], x[::2]])(np.zeros(10))
==
d[1][0] = 4
== d
---
import numpy as np
==
x = np.zeros(10); y = x[:5]
== np.shares_memory(x, y)
---
import numpy as np
a = np.array([1, "x", None], dtype=object)
==
a[0] = [1, 2]
b = a[0]
== (b is a[0])
---
import numpy as np
==
v = [np.nan, 1.0]
== (np.nan in v)
---
import numpy as np
x = np.float64("nan")
==
v = [x, 1.0]
== (x in v)
---
import numpy as np
rng = np.random.default_rng(0)
==
a = rng.normal(size=3)
b = rng.normal(size=3)
== a, b, rng.normal()
---
import pandas as pd
df = pd.DataFrame({"a": [1, 2, 3], "s": ["x", None, "z"]}); also = df
==
df["b"] = df["a"] * 2
g = df.groupby("s")["b"].sum()
== df.to_dict(), g.to_dict(), also is df
---
import pandas as pd
df = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
s = df["a"]; df2 = df.copy(deep=False)
==
df.loc[0, "a"] = 9
== df.to_dict(), s.tolist(), df2.to_dict()
---
import pandas as pd
df = pd.DataFrame({"a": [1.5, 2.5]}, index=[4, 5]); df["b"] = df["a"] * 2; i = df.index
==
df["c"] = df["a"] + df["b"]
== df.to_dict(), [b.values.tolist() for b in df._mgr.blocks], df.index is i, df.columns.tolist()
---
import numpy as np, pandas as pd
by_rows = pd.DataFrame(np.arange(6.0).reshape(3, 2), copy=False); by_columns = by_rows.copy()
==
by_rows.iloc[0, 0] = 5.0
by_columns.iloc[0, 0] = 5.0
== [[b.values.strides for b in f._mgr.blocks] for f in (by_rows, by_columns)]
---
import pandas as pd
df = pd.DataFrame({"n": pd.array([1, None], dtype="Int64")})
==
df.loc[0, "n"] = 5
== df.to_dict(), df.dtypes.astype(str).tolist()
---
import pandas as pd
df = pd.DataFrame({"a": [1, 2], "b": [3, 4]}); s = df["a"]
==
t = s.sum() + df["b"].sum()
== t
---
import pandas as pd
s = pd.Series([1, 2, 3]).astype("category")
==
t = s.cat.add_categories([9])
== t
---
from sklearn.linear_model import LogisticRegression
from sklearn.datasets import make_classification
X, y = make_classification(random_state=0)
m = LogisticRegression()
==
m.fit(X, y)
s = m.score(X, y)
== s, m.coef_.tolist(), m.classes_
---
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.datasets import make_classification
X, y = make_classification(random_state=0)
m = RandomForestClassifier(n_estimators=3, random_state=0); k = KNeighborsClassifier()
==
m.fit(X, y)
k.fit(X, y)
s = (m.predict(X), k.predict(X))
== s
""")

REFUSED = cases(r"""
import array
a = array.array("i", [1])
==
a.append(2)
== a == changed a array
---
import numpy as np
a = np.zeros(3)
==
a.flags.writeable = False
== a.flags.writeable == flags in place
---
import numpy as np
m = np.ma.masked_array([1, 2])
==
m[0] = 9
== m == changed a MaskedArray
---
import numpy as np
r = np.zeros(3, dtype=[("a", int), ("b", float)])
==
v = r[0]
== v == record
---
import numpy as np
a = np.arange(4.0)
==
m = np.ma.masked_array(a, copy=False)
== m == view into the memory
---
import numpy as np
ba = bytearray(b"abc")
==
v = np.frombuffer(ba, np.uint8)
== v == view into the memory
---
import numpy as np
rng = np.random.default_rng(0)
==
ks = rng.spawn(2)
== [k.normal() for k in ks], rng.spawn(1)[0].normal() == SeedSequence
---
n = float("nan")
==
v = [n]
== (n in v) == another nan
---
class A: pass
class B: pass
o = A()
==
o.__class__ = B
== type(o).__name__ == changed
---
class C: pass
==
C.n = 5
== C.n == changed a type
---
def f(): pass
==
f.n = 5
== f.n == changed a function
---
class P:
    def __init__(self): self.a = 1; self.cache = 5
    def __getstate__(self): return {"a": self.a}
==
p = P()
== p.__dict__ == hand-written pickling
---
class P:
    def __reduce__(self): raise OSError("no")
p = P()
==
q = [p]
== q[0] is p == hand-written pickling
---
class P:
    def __del__(self): pass
==
p = P()
== type(p) is P == __del__
---
class M(type): pass
class C(metaclass=M): pass
==
c = C()
== type(c) is C == metaclass
---
class Base:
    known = []
    def __init_subclass__(cls): Base.known.append(cls.__name__)
class S(Base): pass
==
n = list(S.known)
== n == hears of each new subclass
---
from functools import lru_cache
@lru_cache
def f(x): return x + 1
==
r = f(2)
== r, f.cache_info().misses == has a cache
---
d = {1: 2}
==
k = d.keys()
== list(k) == bound to another
---
ba = bytearray(b"abc")
==
m = memoryview(ba)
== bytes(m) == bound to another
---
xs = [1, 2]
==
it = iter(xs)
== next(it) == iterator
---
import itertools
c = itertools.count()
==
n = next(c)
== n, next(c) == iterator
---
xs = [1, 2]
==
g = (x for x in xs)
== next(g) == generator
---
import os
==
f = open(os.devnull)
== f.read() == open handle
---
import threading
==
lock = threading.Lock()
== lock.locked() == lock
---
import threading
def leave():
    threading.Thread(target=threading.Event().wait, args=(0.5,), daemon=True).start()
==
leave()
== None == thread running
---
import _thread, threading
def leave():
    e = threading.Event()
    _thread.start_new_thread(e.wait, (0.5,))
==
leave()
== None == thread
---
err = None
def f(): raise ValueError("a")
def g():
    try:
        f()
    except ValueError as e:
        return e
==
err = g()
== err.__traceback__ is not None == lose its traceback
---
def f(): raise SystemExit(3)
==
f()
== None == SystemExit: 3
---
def f(): raise KeyboardInterrupt
==
f()
== None == interrupted
---
class E(BaseException):
    def __str__(self): raise ValueError("x")
==
raise E
== None == raised E
---
class E(BaseException): pass
==
raise E(5)
== None == raised E: 5
---
x = 1
==
y = x + undefined
== x == does not exist|NameError
---
x = 1
==
y: int = x
== y == annotated
---
x = 1
==
__name__ = "foo"
== __name__ == belongs to the module
---
s = set(range(1000))
for i in range(990): s.discard(i)
==
s.add(5)
== list(s) == another order
---
class O: pass
s = {O(), O()}
==
n = [len(s)]
== n == hash differs
---
l = []
for _ in range(10000): l = [l]
==
x = len(l)
== x == cannot be pickled
---
class V(int): pass
import weakref
w = weakref.WeakSet()
==
n = len(w)
== n == bound to another
""")

GATE = cases(r"""
path = "/tmp/taskpar-never"
==
f = open(path + "/x", "w")
== None == FileNotFoundError
---
import os
==
os.remove("/tmp/taskpar-never-there")
== None == FileNotFoundError
---
import os
==
os.mkdir("/proc/taskpar-never")
== None == os.mkdir
---
import subprocess
==
r = subprocess.run(["true"]).returncode
== r == subprocess
---
import os
==
r = os.system("true")
== r == os.system
---
import socket
==
s = socket.gethostbyname("localhost")
== s == socket
---
import sqlite3
==
c = sqlite3.connect(":memory:").execute("select 1").fetchone()
== c == sqlite3
---
import os
def f():
    try:
        os.mkdir("/proc/taskpar-never")
    except:
        return 1
==
r = f()
== r == os.mkdir
---
import warnings
def f():
    try:
        warnings.warn("x")
    except:
        return "caught"
    return "fine"
==
r = f()
== r == a warning
---
import logging
==
logging.error("hello")
== None == log record
---
import logging
log = logging.getLogger("mine"); log.setLevel(logging.DEBUG)
def f(): log.debug("quiet"); return 1
==
r = f()
== r == log record
---
def draw(xs):
    import matplotlib; matplotlib.use("agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots()
    axes.plot(xs)
    return len(pyplot.get_fignums())
==
n = draw([1, 2])
== n, __import__("matplotlib.pyplot").pyplot.close("all") == pyplot's figures
---
import matplotlib; matplotlib.use("agg")
from matplotlib import pyplot
def drawn(): return len(pyplot.get_fignums())
==
n = drawn()
== n == pyplot's figures
---
import matplotlib; matplotlib.use("agg")
from matplotlib import pyplot
pyplot.close("all")
def current(): return pyplot.gcf().number
==
n = current()
== n, pyplot.close("all") == pyplot's figures
---
import pandas as pd
df = pd.DataFrame({"a": [1, 2, 3]}); limit = 1
==
over = df.query("a > @limit")
== over.to_dict() == may read the names
---
import numpy as np
A = np.ones((1, 2)); B = np.zeros((1, 2))
==
C = np.bmat("A, B")
== C.tolist() == may read the names
---
import traceback
def where(): return len(traceback.extract_stack()[-1].name)
==
n = where()
== n == may read the names
""")

AMBIENT = cases(r"""
import random
==
random.seed(0)
== random.random() == random module
---
import random
random.seed(1)
==
x = random.random()
== x, random.random() == random module
---
import numpy as np
np.random.seed(1)
==
x = np.random.rand()
== x == global generator
---
import os
==
os.environ["TASKPAR_TEST"] = "1"
== os.environ.get("TASKPAR_TEST") == the environment
---
import os
==
os.chdir("/")
== os.getcwd() == working directory
---
import os
==
m = os.umask(0o27)
== os.umask(m) == umask
---
import numpy as np
==
np.set_printoptions(precision=3)
== np.array([1 / 3]) == numpy's print
---
import numpy as np
==
np.seterr(divide="ignore")
== np.geterr() == numpy's print
---
import pandas as pd
==
pd.set_option("display.max_rows", 7)
== pd.get_option("display.max_rows") == pandas' options
---
import sklearn
==
sklearn.set_config(assume_finite=True)
== sklearn.get_config()["assume_finite"] == scikit-learn's options
---
import decimal
==
decimal.getcontext().prec = 5
== decimal.Decimal(1) / 3 == decimal context
---
import decimal
==
x = decimal.Decimal(1) / 3
== x, decimal.getcontext().flags[decimal.Inexact] == decimal context
---
import warnings
==
warnings.filterwarnings("ignore")
== len(warnings.filters) > 0 == warnings filters
---
import sys
==
sys.setrecursionlimit(5000)
== sys.getrecursionlimit() == recursion limit
---
import sys
==
sys.path.append("/nowhere")
== sys.path[-1] == sys.path
---
import logging
==
logging.getLogger("a.b").setLevel(10)
== logging.getLogger("a.b").level == logging
---
import builtins
==
builtins.taskpar_test = 5
== hasattr(builtins, "taskpar_test") == module builtins
---
import math
==
math.zzz = 5
== math.zzz == module math
---
import gc
==
gc.disable()
== gc.isenabled() == interpreter's settings
---
import signal
==
h = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
== signal.getsignal(signal.SIGUSR1) == signal handler
---
import sys, io
==
sys.stderr = io.StringIO()
== type(sys.stderr).__name__ == module sys
""")


@pytest.mark.parametrize("case", TAKEN + SCIENCE, ids=str)
def test_taken(case: Case, laboratory: Laboratory) -> None:
    report = laboratory.run(case.setup, case.code, case.probe)
    assert all(report.taken), report.statements


@pytest.mark.parametrize("case", REFUSED + GATE + AMBIENT, ids=str)
def test_refused(case: Case, laboratory: Laboratory) -> None:
    report = laboratory.run(case.setup, case.code, case.probe)
    assert not report.taken[-1]
    assert re.search(case.why, report.why), report.why


AFTER = "x = [1, {'k': 2}]\nimport os, sys, random, warnings, gc, builtins, math, decimal, logging"


@pytest.mark.parametrize("case", GATE + AMBIENT, ids=str)
def test_the_next_attempt_finds_nothing_of_one_that_failed(
    case: Case, laboratory: Laboratory
) -> None:
    laboratory.run(case.setup, case.code)
    probe = "seen"
    code = (
        "seen = (os.getcwd(), os.environ.get('TASKPAR_TEST'), sys.getrecursionlimit(), sys.path,"
        " len(warnings.filters), gc.isenabled(), hasattr(builtins, 'taskpar_test'),"
        " hasattr(math, 'zzz'), decimal.getcontext().prec, logging.getLogger('a.b').level,"
        " type(sys.stderr).__name__, list(x))"
    )
    laboratory.run(AFTER, code, probe)


FAILS = [
    "raise ValueError",
    "random.seed(3)",
    "os.mkdir('/proc/taskpar-never')",
    "y = iter(x)",
    "__name__ = 'z'",
    "warnings.warn('w')",
    "exit_ = (_ for _ in x)",
]


@pytest.mark.parametrize("fails", FAILS)
def test_a_failed_attempt_leaves_its_input_as_it_was_sent(
    fails: str, laboratory: Laboratory
) -> None:
    setup = f"import random, os, warnings\nx = [1]\ndef f():\n    x.append(2)\n    {fails}\n"
    setup = setup.replace("    __name__", "    global __name__\n    __name__").replace(
        "    y =", "    global y\n    y ="
    )
    setup = setup.replace("    exit_ =", "    global exit_\n    exit_ =")
    setup += "def g():\n    try:\n        f()\n    except Exception:\n        raise\n"
    code = "if True:\n    f()\nz = list(x)"
    # Both read `x` as it was at first; the second may only be taken if the first changed nothing.
    report = laboratory.run(setup, code, "x, z", home=[])
    assert not report.taken[0]
    report = laboratory.run(setup, "if x == []:\n    f()\nz = list(x)", "x, z")
    assert report.taken[-1]


def test_files_read_are_told(laboratory: Laboratory) -> None:
    setup = "import os.path\npath = os.path.abspath(os.path.__file__)[:-3] + '.txt'"
    report = laboratory.run(setup, "there = os.path.exists(path)", "there")
    assert report.taken == [True]
    assert any(name.endswith(".txt") for name in report.statements[0]["files"])


def test_a_file_written_in_between_is_seen(laboratory: Laboratory) -> None:
    setup = (
        "import tempfile, pathlib, os\npath = tempfile.mkdtemp() + '/f'\n"
        "pathlib.Path(path).write_text('old')"
    )
    code = "n = pathlib.Path(path).write_text('newer')\ntext = open(path).read()"
    report = laboratory.run(setup, code, "text", home=[0])
    assert "a file was changed" in report.why
    code = "n = pathlib.Path(path).write_text('newest')\nsize = os.path.getsize(path)"
    report = laboratory.run(setup, code, "size", home=[0])
    assert "a file was changed" in report.why


def test_a_change_at_home_in_between_is_seen(laboratory: Laboratory) -> None:
    report = laboratory.run("a = [1]", "b = [a]\na.append(2)\nc = len(b[0])", "c", home=[1])
    assert report.taken == [True, False, False]


def test_a_change_through_shared_memory_is_seen(laboratory: Laboratory) -> None:
    setup = "import numpy as np\nX = np.arange(200000.0); w = X[5:9]"
    report = laboratory.run(setup, "w[0] = 7\nX[6] = 8", "list(w), X[5]")
    assert report.taken == [True, False]


@pytest.mark.parametrize(
    ("code", "probe", "taken"),
    [
        ("b = [a]\nc = len(b)", "c", [True, True]),
        ("b = [a]\nc = (a is b[0])", "c", [True, False]),
        ("b = [a]\nb[0].append(2)", "a, b", [True, False]),
        ("b = [5, 6]\nb.append(7)", "b", [True, True]),
        ("b = [a, [5]]\nb[1].append(2)\nc = [b[0], b[1]]", "a, b, c[1] is b[1]", [True, 0, 0]),
    ],
)
def test_what_another_worker_made(
    code: str, probe: str, taken: list[bool], laboratory: Laboratory
) -> None:
    report = laboratory.run("a = [1]", code, probe, places=[1, 2])
    assert report.taken == taken


@pytest.mark.parametrize(
    ("setup", "code", "probe"),
    [
        ("x = 2", "ys = [x]\nzs = ys + [3]", "ys, zs"),
        ("x = [2]", "ys = [x]\nzs = [ys, x]", "zs[0] is ys, zs[1] is x"),
        ("x = [2]", "ys = [x]\nys.append(3)", "ys, ys[0] is x"),
        ("class C: pass", "c = C()\nd = [c, C]", "d[0] is c, d[1] is C"),
    ],
)
def test_cheap_statements_repeated_on_the_spot(
    setup: str, code: str, probe: str, laboratory: Laboratory
) -> None:
    report = laboratory.run(setup, code, probe, prelude=[0])
    assert report.taken == [False, True], report.statements


def test_a_prelude_that_raises_leaves_its_input_as_it_was(laboratory: Laboratory) -> None:
    setup = "x = [1]\ndef f():\n    x.append(2)\n    return 1 / 0\nz = 0"
    code = "try:\n    y = [f()]\nexcept ZeroDivisionError:\n    pass\n"
    report = laboratory.run(setup, "y = f()\nz = [y]", "x", prelude=[0])
    assert "ZeroDivisionError" in report.why
    report = laboratory.run("x = [1]", code.replace("f()", "1 / 0") + "z = list(x)", "x, z")
    assert report.taken == [True, True]


def test_a_module_of_the_users_that_differs_is_not_used(
    laboratory: Laboratory, tmp_path: object
) -> None:
    setup = (
        f"import sys\nif {str(tmp_path)!r} not in sys.path: sys.path.insert(0, {str(tmp_path)!r})\n"
        f"open({str(tmp_path)!r} + '/taskpar_users.py', 'w').write('rate = 1\\ncalls = []\\n"
        "def f(x):\\n    return x * rate\\ndef g(x):\\n    calls.append(x)\\n    return x\\n')\n"
        "import taskpar_users\n"
    )
    assert laboratory.run(setup, "r = taskpar_users.f(3)", "r").taken == [True]
    changed = laboratory.run(setup, "r = taskpar_users.g(3)", "r, taskpar_users.calls")
    assert "a module of yours" in changed.why
    report = laboratory.run(setup + "taskpar_users.rate = 5", "r = taskpar_users.f(3)", "r")
    assert "another state at home" in report.why


FORGET = "for name in ('taskpar_users', 'chatty'): sys.modules.pop(name, None)"
"""What workers have of these modules need not be what home has of them in another test."""


def test_what_a_module_prints_that_is_imported_for_its_inputs_is_not_its_output(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    (tmp_path / "chatty.py").write_text("print('imported')\ndef f(x): print('called'); return x\n")
    setup = (
        f"import sys, io, contextlib\nsys.path.insert(0, {str(tmp_path)!r})\n{FORGET}\n"
        "with contextlib.redirect_stdout(io.StringIO()): import chatty"
    )
    assert laboratory.run(setup, "a = chatty.f(1)\nb = chatty.f(2)", "(a, b)").taken == [True] * 2


def test_a_module_that_writes_when_it_is_imported_writes_at_home_alone(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    source = f"try: open({str(log)!r}, 'a').write('x')\nexcept BaseException: pass\nvalue = 1\n"
    (tmp_path / "writing.py").write_text(source)
    setup = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n{FORGET}\nimport writing"
    report = laboratory.run(setup, "a = writing.value", f"open({str(log)!r}).read()")
    assert "while it is imported" in report.why


def test_what_was_to_change_and_did_not_is_watched_under_all_its_names(
    laboratory: Laboratory,
) -> None:
    setup = 'l = list(range(5))\nd = {"a": 1}'
    code = 'd["a"] = 1\nb = d\nb["l"] = l\nd["a"] *= 2'
    laboratory.run(setup, 'd = {"a": 1}\n' + code, 'd["l"] is l, d')
    laboratory.run(setup, code, 'd["l"] is l, d')


def test_an_alias_that_was_to_be_changed_and_was_not_is_no_other_object_elsewhere(
    laboratory: Laboratory,
) -> None:
    code = "a = [x][0]\na[0] = 1\nb = (a is x)"
    laboratory.run("x = [1]", code, "a is x, b", places=[1, 1, 2])


def test_an_object_that_comes_to_refer_to_what_a_library_keeps(laboratory: Laboratory) -> None:
    setup = (
        "import numpy as np\nfrom sklearn.ensemble import GradientBoostingRegressor\n"
        "m = GradientBoostingRegressor(n_estimators=2, random_state=0)\n"
        "x = np.arange(40.0).reshape(20, 2)\ny = x.sum(axis=1)\n"
    )
    probe = "m.predict(x).tolist(), m._loss.interval_y_pred is type(m._loss.link).interval_y_pred"
    assert laboratory.run(setup, "m.fit(x, y)\nz = m.predict(x)", probe).taken == [True, True]


def test_a_change_of_what_a_library_keeps_and_is_no_longer_referred_to(
    laboratory: Laboratory,
) -> None:
    setup = (
        "import sklearn._loss.link as link\nclass Box: pass\nb = Box()\n"
        "b.kept = link.BaseLink.interval_y_pred\nlow = b.kept.low\n"
        "def leave(b):\n    object.__setattr__(b.kept, 'low', 5.0)\n    b.kept = None\n"
    )
    code = "leave(b)"
    probe = "b.kept, link.BaseLink.interval_y_pred.low"
    report = laboratory.run(setup, code, probe)
    laboratory.run("", "object.__setattr__(link.BaseLink.interval_y_pred, 'low', low)", "low")
    assert "a library keeps" in report.why


COUNTING = """
import itertools
_next = 0
_numbers = itertools.count(5)
class Thing:
    made = 0
    def __init__(self):
        global _next
        _next += 1
        Thing.made += 1
        self.name = f"thing {_next} {Thing.made} {next(_numbers)}"
"""


def test_a_number_that_a_library_keeps_is_moved_at_home_alone(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "counting.py").write_text(COUNTING)
    setup = f"import sys\nsys.path.insert(0, {str(folder)!r})\n{FORGET}\nimport counting"
    code = "a = counting.Thing().name\nb = counting.Thing().name\nc = counting.Thing.__name__"
    report = laboratory.run(setup, code, "a, b, c, counting.Thing().name")
    assert report.taken == [False, False, True]
    assert "which its library keeps" in report.statements[0]["why"]
    laboratory.run(setup, code, "a, b, c, counting.Thing().name")
