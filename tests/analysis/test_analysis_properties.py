"""Laws that hold for any program: what is written is bound, what is missed is read."""

# ruff: noqa: E501 - one program, one line

from __future__ import annotations

import ast
import builtins
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskpar_kernel.analysis.predict import predict
from taskpar_kernel.model.effects import Effects, Scope, Touch

NAMES = ["a", "b", "c", "d", "e"]
names = st.sampled_from(NAMES)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 2) -> str:
    if depth == 0:
        return draw(names | st.sampled_from(["1", "2"]))
    inner = expressions(depth=depth - 1)
    one, two, name = draw(inner), draw(inner), draw(names)
    return draw(
        st.sampled_from([
            name, f"({one} + {two})", f"[{name} for {name} in ({one}, {two})][0]",
            f"({one} if {two} else {name})", f"({name} := {one})", f"(lambda {name}: {two})({one})",
            f"sum({one} for {name} in (1, 2))", f"max({one}, {two})", f"[{two} for _ in (1,)][0]",
            f"({one} and {two})", f"(lambda: {one})()",
        ])
    )  # fmt: skip


@st.composite
def statements(draw: st.DrawFn, depth: int = 2) -> str:
    name, other, value = draw(names), draw(names), draw(expressions())
    simple = [
        f"{name} = {value}", f"{name} += {value}", f"{name}, {other} = {value}, {other}",
        f"del {name}", f"{name} = {other} = {value}", f"[{name}, *{other}] = [{value}, 1]; {other} = 1",
        f"{name}: int = {value}", value,
    ]  # fmt: skip
    if depth == 0:
        return draw(st.sampled_from(simple))
    body = draw(statements(depth=depth - 1)).replace("\n", "\n ")
    rest = draw(statements(depth=depth - 1)).replace("\n", "\n ")
    compound = [
        f"if {value}:\n {body}\nelse:\n {rest}",
        f"for {name} in (1, 2):\n {body}\nelse:\n {rest}",
        f"try:\n {body}\nexcept ZeroDivisionError as {name}:\n {rest}",
        f"if True:\n {body}\n {rest}",
        f"if True:\n def {name}({other}={value}):\n  {other}\n {rest}",
        f"if True:\n class {name}:\n  {other} = {value}\n {rest}",
        f"match {value}:\n case int() as {name}:\n  pass",
    ]
    return draw(st.sampled_from([*simple, *compound]))


def _run(code: str, namespace: dict[str, object]) -> Exception | None:
    try:
        exec(compile(code, "<generated>", "exec"), namespace)
    except Exception as error:  # noqa: BLE001 - any program is allowed to fail
        return error
    return None


def _parsed(code: str) -> ast.stmt | None:
    """Parse one statement the compiler accepts (some scoping errors are its alone)."""
    try:
        compile(code, "<generated>", "exec")
        body = ast.parse(code).body
    except SyntaxError:
        return None
    return body[0] if len(body) == 1 else None


@settings(max_examples=80, deadline=None)
@given(statements())
def test_what_running_binds_and_unbinds_is_predicted(code: str) -> None:
    node = _parsed(code)
    if node is None:
        return
    before: dict[str, object] = dict.fromkeys(NAMES, 7)
    after = dict(before)
    error = _run(code, after)
    effects = predict(node, Scope(dict(before)))
    bound = {name for name in NAMES if after.get(name, 7) is not before[name]}
    gone = {name for name in NAMES if name not in after}
    assert bound <= effects.writes
    assert gone <= effects.deletes
    if error is None and isinstance(node, (ast.Assign, ast.AugAssign)):
        targets = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)
                   and isinstance(each.ctx, ast.Store)}  # fmt: skip
        assert effects.writes <= targets


@settings(max_examples=80, deadline=None)
@given(statements())
def test_a_name_whose_absence_is_felt_is_a_read(code: str) -> None:
    node = _parsed(code)
    if node is None:
        return
    effects = predict(node, Scope(dict.fromkeys(NAMES, 7)))
    for name in NAMES:
        namespace: dict[str, object] = {each: 7 for each in NAMES if each != name}
        error = _run(code, namespace)
        if type(error) is NameError and error.name == name:
            assert name in effects.reads | effects.deletes


@settings(max_examples=80, deadline=None)
@given(statements())
def test_touching_nothing_leaves_lists_alone(code: str) -> None:
    node = _parsed(code)
    if node is None:
        return
    lists: dict[str, object] = {name: [index] for index, name in enumerate(NAMES)}
    effects = predict(node, Scope(dict(lists)))
    kept = dict(lists)
    _run(code, dict(lists))
    changed = {name for index, name in enumerate(NAMES) if kept[name] != [index]}
    assert changed <= effects.changes
    if effects.touch is Touch.NOTHING:
        assert not changed


def test_no_prediction_fails_on_the_standard_library() -> None:
    scope = Scope(dict(vars(builtins)))
    for module in ("argparse", "dataclasses", "typing", "inspect", "contextlib", "ast", "enum"):
        __import__(module)
        tree = ast.parse(Path(sys.modules[module].__file__ or "").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.stmt, ast.Call)):
                assert isinstance(predict(node, scope), Effects)


@pytest.mark.parametrize("code", ["a = " + "[" * 80 + "]" * 80, "a = " + "+".join(["b"] * 400)])
def test_deep_nesting_is_survived(code: str) -> None:
    assert "a" in predict(ast.parse(code).body[0], Scope()).writes
