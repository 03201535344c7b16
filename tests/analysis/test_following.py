"""Functions and classes of the notebook are followed."""

# ruff: noqa: E501 - one case, one line

from __future__ import annotations

import ast

from analysis_cases import Case, check, namespace_of, table

from taskpar_kernel.analysis import functions
from taskpar_kernel.analysis.predict import predict
from taskpar_kernel.model.effects import Effects, Scope, Touch


@table(
    Case("call", "a = add_one(n)", reads="add_one n", writes="a", touch="nothing", cost="zero"),
    Case("reads a global", "a = scaled(n)", reads="scaled rate n", writes="a", touch="nothing"),
    Case("transitive", "a = outer(n)", reads="outer scaled add_one rate n", writes="a", touch="nothing"),
    Case("parameter hides a global", "a = shadow(n)", reads="shadow n", writes="a"),
    Case("unknown argument", "a = add_one(v)", reads="add_one v", writes="a", opaque="v", touch="any"),
    Case("nested calls", "a = add_one(scaled(n))", reads="add_one scaled rate n", writes="a"),
    Case("changes its argument", "append_to(xs, n)", reads="append_to xs n", changes="xs", touch="objects"),
    Case("changes its argument, by keyword", "append_to(value=n, target=xs)", reads="append_to xs n", changes="xs"),
    Case("changes its argument, two deep", "pass_on(n, xs)", reads="pass_on append_to xs n", changes="xs", touch="objects"),
    Case("changes a keyword-only argument", "keyword(into=xs)", reads="keyword xs", changes="xs"),
    Case("changes a starred argument", "starred(xs, ys)", reads="starred xs ys", changes="xs ys", touch="any"),
    Case("changes an argument through an alias", "alias_change(xs)", reads="alias_change xs", changes="xs"),
    Case("changes what an argument holds", "item_change(nested)", reads="item_change nested", changes="nested", touch="any"),
    Case("changes what a display holds", "item_change([xs])", reads="item_change xs", changes="xs"),
    Case("changes spread arguments", "append_to(*nested)", reads="append_to nested", changes="nested"),
    Case("fills an argument", "fill(d, n)", reads="fill d n", changes="d", touch="objects"),
    Case("a fresh argument is nobody's", "append_to([], n)", reads="append_to n", touch="nothing"),
    Case("global statement", "count()", reads="count total", writes="total", touch="nothing"),
    Case("changes a global", "remember(n)", reads="remember log n", changes="log", touch="objects"),
    Case("prints", "say(n)", reads="say n", prints=True, touch="nothing"),
    Case("loop inside", "a = looped(n)", reads="looped rate n", writes="a", touch="nothing", cost="unknown"),
    Case("local list", "a = local_list(n)", reads="local_list rate n", writes="a", touch="nothing"),
    Case("recursion", "a = fib(n)", reads="fib n", writes="a"),
    Case("mutual recursion", "a = even(n)", reads="even odd n", writes="a"),
    Case("mutual recursion, other end", "a = odd(n)", reads="even odd n", writes="a"),
    Case("inner function", "a = inner_user(n)", reads="inner_user rate n", writes="a"),
    Case("lambda", "a = square(n)", reads="square rate n", writes="a"),
    Case("lambdas on one line, first", "a = first(n)", reads="first rate n", writes="a"),
    Case("lambdas on one line, second", "a = second(n)", reads="second total n", writes="a"),
    Case("lambda called at once", "a = (lambda v: v * rate)(n)", reads="rate n", writes="a"),
    Case("closure that reads", "a = adder(n)", reads="adder n", writes="a", touch="nothing"),
    Case("closure that changes", "a = counter()", reads="counter", writes="a", home="unknown"),
    Case("default argument that changes", "a = default(n)", reads="default n", writes="a", home="unknown"),
    Case("default argument replaced", "a = default(n, xs)", reads="default n xs", writes="a", changes="xs"),
    Case("map", "a = list(map(scaled, xs))", reads="scaled rate xs", writes="a"),
    Case("map to a name", "a = map(scaled, xs)", reads="scaled rate xs", writes="a", home="handle"),
    Case("key function", "a = sorted(xs, key=scaled)", reads="scaled rate xs", writes="a"),
    Case("callback that changes", "list(map(append_to, nested, xs))", reads="append_to nested xs", changes="nested xs"),
    Case("callback lambda", "a = max(xs, key=lambda v: v * rate)", reads="xs rate", writes="a"),
    Case("mentioned", "a = scaled", reads="scaled rate", writes="a", aliases="a:scaled"),
    Case("held in a list", "a = [scaled, add_one]", reads="scaled add_one rate", writes="a"),
    Case("partial", "a = functools.partial(scaled, n)", reads="functools scaled rate n", writes="a"),
    Case("comprehension of calls", "a = [scaled(i) for i in xs]", reads="scaled rate xs", writes="a", touch="nothing"),
    Case("generator to a name", "a = gen(n)", reads="gen rate n", writes="a", home="handle"),
    Case("generator used up", "a = list(gen(n))", reads="gen rate n", writes="a"),
    Case("generator summed", "a = sum(gen(n))", reads="gen rate n", writes="a"),
    Case("generator in a for", "for a in gen(n): b = a", reads="gen rate n", writes="a b"),
    Case("generator unpacked", "a, b, c = gen(n)", reads="gen rate n", writes="a b c"),
    Case("generator starred", "a = [*gen(n)]", reads="gen rate n", writes="a"),
    Case("coroutine", "a = fetch()", reads="fetch rate", writes="a", home="handle"),
    Case("sleeps", "a = slow(n)", reads="slow time rate n", writes="a"),
    Case("reads the clock", "a = timed()", reads="timed time", writes="a", home="clock"),
    Case("reads a file", "a = read_file('p')", reads="read_file", writes="a", files="read", touch="nothing"),
    Case("writes a file", "write_file('p')", reads="write_file", home="", files="written"),
    Case("asks", "a = ask()", reads="ask", writes="a", home="input"),
    Case("cached function is a handle", "a = cached(n)", reads="cached n", writes="a", home="handle"),
    Case("definition earlier in the cell", "def f(v): return v + rate\na = f(n)", reads="f rate n", writes="a", touch="nothing"),
    Case("definition replaces the live one", "def scaled(v): return v + total\na = scaled(n)", reads="scaled total n", writes="a"),
    Case("definition seen through a live caller", "def scaled(v): return v + total\na = outer(n)", reads="outer scaled add_one total n", writes="a"),
    Case("definitions of one another", "def f(v): return g(v)\ndef g(v): return rate\na = f(n)", reads="f g rate n", writes="a"),
    Case("rebound callee is unknown", "scaled = other\na = scaled(n)", reads="scaled n", writes="a", touch="any", opaque="other"),
    Case("rebound in between", "scaled = other\na = outer(n)", reads="outer scaled add_one n", writes="a", touch="any", opaque="other"),
    Case("definition that changes its argument", "def f(v): v.append(1)\nf(xs)", reads="f xs", changes="xs", touch="objects"),
    Case("one of a list of functions", "a = fs[0](n)", reads="fs n rate", writes="a", extra="fs = [lambda v: v + rate, lambda v: v + total]"),
    Case("any of a list of functions", "a = fs[k](n)", reads="fs k n rate total", opaque="k", writes="a", extra="fs = [lambda v: v + rate, lambda v: v + total]"),
    Case("function without source", "a = hidden(xs)", reads="hidden rate xs", writes="a", changes="xs", touch="any", extra="exec('def hidden(v): return v[0] * rate')"),
    Case("print of a call", "print(scaled(n))", reads="scaled rate n", prints=True, touch="nothing"),
    Case("append of a call", "xs.append(scaled(n))", reads="xs scaled rate n", changes="xs", touch="objects"),
    Case("store of a call", "d[n] = scaled(n)", reads="d scaled rate n", changes="d", touch="objects"),
    Case("inner function that changes a parameter", "outer_change(xs)", reads="outer_change xs", changes="xs", extra="def outer_change(a):\n  def g(): a.append(1)\n  g()\n"),
    Case("nonlocal", "a = counting(n)", reads="counting n", writes="a", extra="def counting(k):\n  c = 0\n  def step():\n    nonlocal c\n    c += 1\n  step()\n  return c\n"),
    Case("decorated by the notebook", "a = wrapped(n)", reads="wrapped rate n", writes="a", extra="def deco(g):\n  def wrapper(*args):\n    return g(*args)\n  return wrapper\n@deco\ndef wrapped(v): return v * rate\n"),
    Case("decorated with wraps", "a = wrapped(n)", reads="wrapped rate n", writes="a", extra="def deco(g):\n  @functools.wraps(g)\n  def wrapper(*args, **kw):\n    return g(*args, **kw)\n  return wrapper\n@deco\ndef wrapped(v): return v * rate\n"),
    Case("context manager of the notebook", "with timed_block() as a: b = n", reads="timed_block rate n", writes="a b", extra="@contextlib.contextmanager\ndef timed_block():\n  yield rate\n"),
    Case("global list replaced", "reset()", reads="reset", writes="log", extra="def reset():\n  global log\n  log = []\n"),
    Case("yield from", "a = list(both(n))", reads="both gen rate n", writes="a", extra="def both(k):\n  yield from gen(k)\n"),
    Case("method given away, of the notebook", "list(map(account.deposit, xs))", reads="account xs", changes="account xs"),
    Case("written here, read by the callee", "if flag:\n  rate = 5\n  a = scaled(n)", reads="flag scaled n", writes="rate a"),
)  # fmt: skip
def test_functions(case: Case) -> None:
    check(case, "functions")


@table(
    Case("construct", "a = Account(n)", reads="Account n", writes="a", touch="nothing", cost="zero"),
    Case("method", "a = account.interest()", reads="account rate", writes="a"),
    Case("method that changes", "account.deposit(n)", reads="account n", changes="account", touch="any"),
    Case("method that changes a global", "account.note()", reads="account log", changes="log"),
    Case("method of a new instance", "a = Account(n).interest()", reads="Account rate n", writes="a"),
    Case("change of a new instance", "Account(n).deposit(1)", reads="Account n"),
    Case("property", "a = account.doubled", reads="account rate", writes="a"),
    Case("attribute", "a = account.balance", reads="account", writes="a", touch="nothing", aliases=""),
    Case("attribute store", "account.balance = n", reads="account n", changes="account", touch="any"),
    Case("static method", "a = account.fee(n)", reads="account rate n", writes="a"),
    Case("static method of the class", "a = Account.fee(n)", reads="Account rate n", writes="a"),
    Case("class method", "a = Account.make(n)", reads="Account total n", writes="a"),
    Case("unbound method", "Account.deposit(account, n)", reads="Account account n", changes="account"),
    Case("operator", "a = account + n", reads="account Account rate n", writes="a"),
    Case("callable instance", "a = account(n)", reads="account rate n", writes="a"),
    Case("with an instance", "with account as a: b = n", reads="account n", writes="a b"),
    Case("class attribute", "Account.bank = n", reads="Account n", changes="Account", home="definition"),
    Case("instances in a list", "a = [each.interest() for each in accounts]", reads="accounts rate", writes="a"),
    Case("instances changed in a loop", "for each in accounts: each.deposit(1)", reads="accounts", writes="each", changes="each accounts"),
    Case("instance given away", "a = make(account)", reads="make account rate log Account total", writes="a", opaque="make"),
    Case("class given away", "a = list(map(Account, xs))", reads="Account rate log total xs", writes="a"),
    Case("class of the cell", "class K:\n  def __init__(self, v): self.v = v * rate\na = K(n)", reads="K rate n", writes="a", touch="nothing"),
    Case("method of a class of the cell", "class K:\n  def m(self): return rate\na = K().m()", reads="K rate", writes="a"),
    Case("inherited method of the cell", "class K(Account):\n  pass\na = K(n).interest()", reads="K Account rate n", writes="a"),
    Case("dataclass", "a = Point(n, x)", reads="Point n x", writes="a", extra="from dataclasses import dataclass\n@dataclass\nclass Point:\n  a: int\n  b: float\n", touch="nothing"),
    Case("inherited from a live class", "a = Child(n).interest()", reads="Child rate n", writes="a", extra="class Child(Account):\n  def __init__(self, v):\n    super().__init__(v)\n"),
    Case("unknown method name", "a = account.missing()", reads="account", writes="a", touch="any"),
)  # fmt: skip
def test_classes(case: Case) -> None:
    check(case, "functions")


def _effects(code: str, **objects: object) -> Effects:
    namespace = dict(namespace_of("functions"), **objects)
    return predict(ast.parse(code).body[0], Scope(namespace))


def test_a_followed_body_is_looked_at_again_when_its_globals_change_their_type() -> None:
    assert _effects("a = scaled(2)").touch is Touch.NOTHING
    assert _effects("a = scaled(2)", rate=object()).touch is Touch.ANY
    assert _effects("a = scaled(2)", rate=2.5).touch is Touch.NOTHING


def test_a_followed_body_is_looked_at_again_when_a_callee_is_redefined() -> None:
    add_one = namespace_of("functions")["add_one"]
    assert "rate" in _effects("a = outer(2)").reads
    assert "rate" not in _effects("a = outer(2)", scaled=add_one).reads
    assert "rate" in _effects("a = outer(2)").reads


def test_a_body_is_looked_at_for_each_type_of_argument() -> None:
    assert _effects("a = add_one(n)", n=1).touch is Touch.NOTHING
    assert _effects("a = add_one(n)", n=object()).touch is Touch.ANY


def test_what_was_followed_is_kept_within_bounds() -> None:
    for number in range(functions._LIMIT + 50):
        node = ast.parse(f"def f(): return {number}").body[0]
        predict(ast.parse("f()").body[0], Scope({}, {"f": node}))
    assert len(functions._kept) <= functions._LIMIT


def test_many_functions_that_call_one_another_are_followed_in_reasonable_time() -> None:
    calls = " + ".join(f"f{number}(v)" for number in range(12))
    definitions = {f"f{n}": ast.parse(f"def f{n}(v): return {calls}").body[0] for n in range(12)}
    effects = predict(ast.parse("a = f0(1)").body[0], Scope({}, dict(definitions)))
    assert effects.reads == set(definitions)
