"""The comparison of two runs sees what it must see, and nothing else."""

from __future__ import annotations

import json
import pickle
import textwrap
from typing import Any

import pytest

from taskpar_kernel.testing.compare import (
    CellResult,
    Observation,
    canonical_outputs,
    differences,
    first_difference,
)
from taskpar_kernel.testing.digests import is_users, report
from taskpar_kernel.testing.walk import Walk, digest_of


def namespace(code: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(textwrap.dedent(code), "cell", "exec"), space)
    return space


def digests(code: str) -> dict[str, str]:
    names = json.loads(report(namespace(code)))["names"]
    return {name: digest for name, (digest, _) in names.items()}


SAME = {
    "plain values": "a = [1, 2.5, float('nan'), 'x', None, b'y', (1, 2), 1j]",
    "dict and set": "a = {'x': {1, 2}, 3: frozenset({'q'})}",
    "cycle": "a = []\na.append(a)",
    "long chain": "a = []\nfor _ in range(5000):\n    a = [a]",
    "function": "def a(x, y=[1]):\n    def inner():\n        return x\n    return inner",
    "class and object": "class K:\n    z = 1\n    def m(self): return self\na = K()\na.me = a",
    "slots": "class K:\n    __slots__ = ('x',)\na = K()\na.x = [1]",
    "objects in a set": "class K: pass\na = {K(), K()}",
    "array": "import numpy as np\na = np.arange(6.0).reshape(2, 3)\nb = a[::2]",
    "padding": (
        "import numpy as np\na = np.empty(3, dtype=np.dtype('u1,f8', align=True))\na[:] = (1, 2)"
    ),
    "frame": (
        "import pandas as pd\na = pd.DataFrame({'x': [1, 2], 'y': ['p', None]}, index=['i', 'j'])"
    ),
    "generator of numbers": "import numpy as np\na = np.random.default_rng(1)\nb = a.random(3)",
    "iterator": "a = iter([1, 2, 3])\nnext(a)",
    "generator": "a = (i for i in range(3))\nnext(a)",
    "file in memory": "import io\na = io.StringIO('text')\na.read(2)",
    "exception": "a = ValueError('x', [1])",
    "lock": "import threading\na = threading.Lock()",
}


@pytest.mark.parametrize("code", SAME.values(), ids=SAME.keys())
def test_the_same_code_gives_the_same_digests(code: str) -> None:
    assert digests(code) == digests(code)


DIFFERENT = {
    "value": ("a = 1", "a = 2"),
    "type": ("a = 1", "a = True"),
    "type of a number": ("a = 1", "a = 1.0"),
    "sign of zero": ("a = 0.0", "a = -0.0"),
    "last bit": ("a = 0.3", "a = 0.1 + 0.2"),
    "list for tuple": ("a = [1]", "a = (1,)"),
    "order of a dict": ("a = {1: 1, 2: 2}", "a = {2: 2, 1: 1}"),
    "alias between names": ("a = [1]\nb = a", "a = [1]\nb = [1]"),
    "alias in a container": ("a = [[], []]", "x = []\na = [x, x]\ndel x"),
    "alias deep": ("a = [1]\nb = {'k': (a,)}", "a = [1]\nb = {'k': ([1],)}"),
    "cycle": ("a = []\na.append(a)", "a = []\na.append([a])"),
    "attribute": ("class K: pass\na = K()\na.x = 1", "class K: pass\na = K()\na.y = 1"),
    "slot": (
        "class K:\n    __slots__ = ('x',)\na = K()\na.x = 1",
        "class K:\n    __slots__ = ('x',)\na = K()\na.x = 2",
    ),
    "code": ("def a(): return 1", "def a(): return 2"),
    "default": ("def a(x=1): pass", "def a(x=2): pass"),
    "line of a function": ("def a(): pass", "\ndef a(): pass"),
    "closure": (
        "def f(n):\n    return lambda: n\na = f(1)",
        "def f(n):\n    return lambda: n\na = f(2)",
    ),
    "class attribute": ("class K:\n    x = 1", "class K:\n    x = 2"),
    "place of an iterator": ("a = iter([1, 2])", "a = iter([1, 2])\nnext(a)"),
    "place of a generator": ("a = (i for i in [1, 2])", "a = (i for i in [1, 2])\nnext(a)"),
    "dtype": (
        "import numpy as np\na = np.zeros(2, 'f8')",
        "import numpy as np\na = np.zeros(2, 'f4')",
    ),
    "shape": (
        "import numpy as np\na = np.zeros((2, 3))",
        "import numpy as np\na = np.zeros((3, 2))",
    ),
    "memory order": (
        "import numpy as np\na = np.zeros((2, 3))",
        "import numpy as np\na = np.zeros((2, 3), order='F')",
    ),
    "read-only": (
        "import numpy as np\na = np.zeros(2)",
        "import numpy as np\na = np.zeros(2)\na.flags.writeable = False",
    ),
    "view": (
        "import numpy as np\na = np.zeros(4)\nb = a[1:]",
        "import numpy as np\na = np.zeros(4)\nb = a[1:].copy()",
    ),
    "which view": (
        "import numpy as np\na = np.zeros(4)\nb = a[:3]",
        "import numpy as np\na = np.zeros(4)\nb = a[1:]",
    ),
    "drawn numbers": (
        "import numpy as np\na = np.random.default_rng(1)",
        "import numpy as np\na = np.random.default_rng(1)\na.random()",
    ),
    "index": (
        "import pandas as pd\na = pd.Series([1, 2])",
        "import pandas as pd\na = pd.Series([1, 2], index=[0, 1])",
    ),
    "column": (
        "import pandas as pd\na = pd.DataFrame({'x': ['p', 'q']})",
        "import pandas as pd\na = pd.DataFrame({'x': ['p', 'r']})",
    ),
    "dtype of a column": (
        "import pandas as pd\na = pd.DataFrame({'x': ['p']})",
        "import pandas as pd\na = pd.DataFrame({'x': ['p']}, dtype='category')",
    ),
    "attrs": (
        "import pandas as pd\na = pd.DataFrame({'x': [1]})",
        "import pandas as pd\na = pd.DataFrame({'x': [1]})\na.attrs['k'] = 1",
    ),
    "deque": (
        "from collections import deque\na = deque([1])",
        "from collections import deque\na = deque([1], 3)",
    ),
    "list of a class": (
        "class L(list): pass\na = L([1])",
        "class L(list): pass\na = L([1])\na.note = 1",
    ),
}


@pytest.mark.parametrize(("one", "two"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_what_differs_is_seen(one: str, two: str) -> None:
    assert digests(one) != digests(two)


def test_an_estimator_is_told_by_what_it_learned() -> None:
    code = """
        from sklearn.ensemble import RandomForestRegressor
        a = RandomForestRegressor(3, random_state={seed})
        a.fit([[1.0], [2.0], [3.0], [4.0]], [1, 2, 4, 3])
        """
    assert digests(code.format(seed=0)) == digests(code.format(seed=0))
    assert digests(code.format(seed=0)) != digests(code.format(seed=1))


def test_a_figure_is_told_by_its_picture() -> None:
    code = """
        from matplotlib.figure import Figure
        a = Figure()
        ax = a.add_subplot()
        ax.plot([1, {y}])
        """
    assert digests(code.format(y=2)) == digests(code.format(y=2))
    assert digests(code.format(y=2))["a"] != digests(code.format(y=3))["a"]


def test_frames_that_share_memory_are_not_told_apart_from_copies() -> None:
    shared = "import pandas as pd\na = pd.DataFrame({'x': [1.0]})\nb = a['x']"
    copied = "import pandas as pd\na = pd.DataFrame({'x': [1.0]})\nb = a['x'].copy()"
    assert digests(shared) == digests(copied)


def test_an_array_over_a_frames_memory_is() -> None:
    shared = "import pandas as pd\na = pd.Series([1.0])\nb = a.to_numpy()"
    copied = shared + ".copy()\nb.flags.writeable = False"
    assert digests(shared)["b"] != digests(copied)["b"]


def test_a_pickled_copy_is_equal() -> None:
    space = namespace(
        """
        import numpy as np
        import pandas as pd
        shared = [1, 2]
        frame = pd.DataFrame({'x': [1.0, None], 'y': pd.Categorical(['a', 'b']), 'z': ['p', 'q']})
        all_of_it = {'s': shared, 'again': shared, 'array': np.arange(12).reshape(3, 4).T,
                     'frame': frame, 'day': pd.Timestamp('2013-01-01'), 'index': frame.index}
        """
    )
    value = space["all_of_it"]
    assert digest_of(value) == digest_of(pickle.loads(pickle.dumps(value, protocol=5)))


def test_a_difference_is_told_with_its_path() -> None:
    one, two = ({"k": [1, {"deep": 2}]}, {"k": [1, {"deep": 3}]})
    lines = [list(Walk({}).lines("a", value)) for value in (one, two)]
    found = first_difference(*lines)
    assert found == "a['k'][1]['deep'] builtins.int 2  |  a['k'][1]['deep'] builtins.int 3"


def test_looking_changes_nothing() -> None:
    space = namespace("a = iter([1, 2])\nb = [a]\nimport io\nf = io.StringIO('xy')\nf.read(1)")
    before = set(space)
    report(space)
    assert set(space) == before
    assert next(space["a"]) == 1
    assert space["f"].read() == "y"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("x", 1, True), ("_", 1, True), ("Out", {}, True), ("_private", 1, True), ("_i3", "", False),
     ("_3", 1, False), ("In", [], False), ("quit", "hidden", False), ("quit", "mine", True),
     ("__name__", "x", False)],
)  # fmt: skip
def test_the_users_names(name: str, value: object, expected: bool) -> None:
    assert is_users(name, value, {"quit": "hidden"}) is expected


# Outputs -----------------------------------------------------------------------------------


def stream(name: str, text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def shown(kind: str, **data: str) -> dict[str, Any]:
    return {"output_type": kind, "data": {k.replace("_", "/"): v for k, v in data.items()}}


def observation(*outputs: dict[str, Any], names: dict[str, str] | None = None) -> Observation:
    cell = CellResult(1, "cell", 0.0, canonical_outputs(outputs), 1)
    found = {name: (digest, "int") for name, digest in (names or {}).items()}
    return Observation("a", (cell,), tuple(found), found)


EQUAL_OUTPUTS = {
    "pieces of a stream": (
        [stream("stdout", "a"), stream("stdout", "b")],
        [stream("stdout", "ab")],
    ),
    "which stream is flushed first": (
        [stream("stderr", "e"), stream("stdout", "o")],
        [stream("stdout", "o"), stream("stderr", "e")],
    ),
    "address": (
        [shown("execute_result", text_plain="<object at 0x7f12345678>")],
        [shown("execute_result", text_plain="<object at 0x7fabcdef12>")],
    ),
}


@pytest.mark.parametrize(("one", "two"), EQUAL_OUTPUTS.values(), ids=EQUAL_OUTPUTS.keys())
def test_outputs_that_count_as_equal(one: list[Any], two: list[Any]) -> None:
    assert differences(observation(*one), observation(*two)) == []


UNEQUAL_OUTPUTS = {
    "text": ([stream("stdout", "a")], [stream("stdout", "b")]),
    "stream": ([stream("stdout", "a")], [stream("stderr", "a")]),
    "nothing": ([stream("stdout", "a")], []),
    "order of text and display": (
        [stream("stdout", "a"), shown("display_data", text_plain="x")],
        [shown("display_data", text_plain="x"), stream("stdout", "a")],
    ),
    "result for display": (
        [shown("execute_result", text_plain="x")],
        [shown("display_data", text_plain="x")],
    ),
    "picture": (
        [shown("display_data", image_png="AAAA")],
        [shown("display_data", image_png="AAAB")],
    ),
    "short number that is no address": (
        [shown("execute_result", text_plain="0x1f")],
        [shown("execute_result", text_plain="0x2f")],
    ),
    "error": (
        [{"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["line 1"]}],
        [{"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["line 2"]}],
    ),
}


@pytest.mark.parametrize(("one", "two"), UNEQUAL_OUTPUTS.values(), ids=UNEQUAL_OUTPUTS.keys())
def test_outputs_that_differ(one: list[Any], two: list[Any]) -> None:
    assert differences(observation(*one), observation(*two)) != []


def test_names_that_differ_or_are_missing_are_told() -> None:
    one = observation(names={"a": "1", "b": "2", "c": "3"})
    two = observation(names={"a": "1", "b": "x"})
    assert [d.where for d in differences(one, two)] == ["name b", "name c"]


def test_the_order_of_names_is_told() -> None:
    one, two = observation(names={"a": "1", "b": "2"}), observation(names={"b": "2", "a": "1"})
    assert [d.where for d in differences(one, two)] == ["order of names"]
