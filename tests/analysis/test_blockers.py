"""What must stay at home, and what may travel although it looks as if it must not."""

# ruff: noqa: E501 - one case, one line

from __future__ import annotations

import ast

from analysis_cases import Case, check, table

from taskpar_kernel.analysis.predict import predict
from taskpar_kernel.model.effects import Blocker, Scope

LIVE = """
open_file = open(os.devnull)
some_gen = (i for i in xs)
some_map = map(str, xs)
lock = threading.Lock()
gens = [some_gen]
by_name = {"k": lock}
stream = io.StringIO()
regex = re.compile("x")
logger = logging.getLogger("l")
"""


@table(
    Case("get_ipython", "get_ipython().run_line_magic('time', '')", reads="get_ipython", home="shell", extra="def get_ipython(): pass\nget_ipython.__module__ = 'IPython.core.getipython'"),
    Case("get_ipython, not defined", "get_ipython().system('ls')", reads="get_ipython", home="shell"),
    Case("await", "a = await v", reads="v", writes="a", home="await"),
    Case("async for", "async for i in v: pass", reads="v", writes="i", home="await"),
    Case("async with", "async with v as w: pass", reads="v", writes="w", home="await", changes="v"),
    Case("async comprehension", "a = [i async for i in v]", reads="v", writes="a", home="await"),
    Case("input", "a = input('?')", writes="a", home="input"),
    Case("globals", "a = globals()", writes="a", home="namespace"),
    Case("locals", "a = locals()['n']", writes="a", home="namespace"),
    Case("eval", "a = eval(text)", reads="text", writes="a", home="namespace"),
    Case("exec", "exec(text)", reads="text", home="namespace"),
    Case("vars of nothing", "a = vars()", writes="a", home="namespace"),
    Case("dir of nothing", "a = dir()", writes="a", home="namespace"),
    Case("dir of something", "a = dir(xs)", reads="xs", writes="a"),
    Case("breakpoint", "breakpoint()", home="namespace"),
    Case("dunder import", "a = __import__('os')", writes="a", home="namespace"),
    Case("importlib", "import importlib\na = importlib.import_module('os')", reads="importlib", writes="a", home="import"),
    Case("exit", "exit()", home="control"),
    Case("thread", "a = threading.Thread(target=len)", reads="threading", writes="a", home="thread"),
    Case("process number", "a = os.getpid()", reads="os", writes="a", home="process"),
    Case("modules", "a = list(sys.modules)", reads="sys", writes="a", home="process"),
    Case("modules by name", "a = 'json' in modules", reads="modules", writes="a", home="process", extra="from sys import modules"),
    Case("modules in a function", "a = f()", reads="f sys", writes="a", home="process", extra="def f():\n    return sorted(sys.modules)"),
    Case("references", "a = sys.getrefcount(xs)", reads="sys xs", writes="a", home="process"),
    Case("arguments", "a = sys.argv[0]", reads="sys", writes="a"),
    Case("thread number", "a = threading.get_ident()", reads="threading", writes="a", home="process"),
    Case("depth of the stack", "import inspect\na = len(inspect.stack())", reads="inspect", writes="a", home="namespace"),
    Case("executor", "import concurrent.futures\nwith concurrent.futures.ThreadPoolExecutor() as e: pass", reads="concurrent", writes="e", home="thread"),
    Case("subprocess", "subprocess.run(['ls'])", reads="subprocess", home="world"),
    Case("os.system", "os.system('ls')", reads="os", home="world"),
    Case("os.remove", "os.remove('p')", reads="os", home="files", files="written"),
    Case("os.getcwd", "a = os.getcwd()", reads="os", writes="a"),
    Case("os.path", "a = os.path.join('a', text)", reads="os text", writes="a", touch="nothing", cost="zero"),
    Case("chdir", "os.chdir('p')", reads="os", home="ambient"),
    Case("environ store", "os.environ['K'] = 'v'", reads="os", home="ambient"),
    Case("environ read", "a = os.environ['PATH']", reads="os", writes="a"),
    Case("environ by name", "environ['K'] = 'v'", reads="environ", changes="environ", home="ambient", extra="from os import environ"),
    Case("sys.path", "sys.path.append('p')", reads="sys", home="ambient"),
    Case("warnings", "warnings.filterwarnings('ignore')", reads="warnings", home="ambient"),
    Case("warn", "warnings.warn('w')", reads="warnings", home="ambient"),
    Case("logging", "logging.info('x')", reads="logging", home="ambient"),
    Case("logger", "logger.info('x')", reads="logger", home="ambient", extra=LIVE),
    Case("random", "a = random.random()", reads="random", writes="a", home="ambient", draws="random"),
    Case("random by name", "a = choice(xs)", reads="choice xs", writes="a", home="ambient", draws="random", extra="from random import choice"),
    Case("random shuffle", "random.shuffle(xs)", reads="random xs", changes="xs", home="ambient", draws="random"),
    Case("own generator", "a = r.random()", reads="r", writes="a", changes="r", draws="", extra="r = random.Random(1)"),
    Case("time", "a = time.time()", reads="time", writes="a", home="clock"),
    Case("perf_counter by name", "a = perf_counter()", reads="perf_counter", writes="a", home="clock", extra="from time import perf_counter"),
    Case("datetime.now", "a = datetime.datetime.now()", reads="datetime", writes="a", home="clock"),
    Case("datetime.now by name", "a = dt.now()", reads="dt", writes="a", home="clock", extra="from datetime import datetime as dt"),
    Case("datetime itself", "a = datetime.datetime(2020, 1, 1)", reads="datetime", writes="a", touch="nothing", cost="zero"),
    Case("sleep", "time.sleep(0.1)", reads="time", touch="nothing", cost="some"),
    Case("sleep, unknown time", "time.sleep(x)", reads="time x", touch="nothing", cost="unknown"),
    Case("open to a name", "a = open('p')", writes="a", home="handle", files="read"),
    Case("open and read", "a = open('p').read()", writes="a", files="read", touch="nothing"),
    Case("with open", "with open('p') as f: a = f.read()", writes="f a", files="read", touch="nothing"),
    Case("IPython's own open", "with open('p') as f: a = f.read()", writes="f a", files="read", touch="nothing", extra="from IPython.core.interactiveshell import _modified_open as open"),
    Case("an open of the user's", "a = open('p')", reads="open", writes="a", touch="nothing", files="", extra="def open(p): return p"),
    Case("with open, lines", "with open('p') as f:\n  for line in f: xs.append(line)", reads="xs", writes="f line", changes="xs", files="read"),
    Case("with open, json", "with open('p') as f: a = json.load(f)", reads="json", writes="f a", files="read"),
    Case("with open, write", "with open('p', 'w') as f: f.write(text)", reads="text", writes="f", home="files", files="written"),
    Case("open for append", "a = open('p', mode='a')", writes="a", home="files handle"),
    Case("open, unknown mode", "with open('p', v) as f: pass", reads="v", writes="f", home="files", opaque="v"),
    Case("generator expression to a name", "a = (i for i in xs)", reads="xs", writes="a", home="handle"),
    Case("generator expression used up", "a = sum(i for i in xs)", reads="xs", writes="a", touch="nothing"),
    Case("generator expression joined", "a = ''.join(str(i) for i in xs)", reads="xs", writes="a", touch="nothing"),
    Case("generator expression in a list", "a = [(i for i in xs)]", reads="xs", writes="a", home="handle"),
    Case("generator expression stored", "d['k'] = (i for i in xs)", reads="d xs", changes="d", home="handle"),
    Case("zip to a name", "a = zip(xs, ys)", reads="xs ys", writes="a", home="handle"),
    Case("zip used up", "a = dict(zip(xs, ys))", reads="xs ys", writes="a", touch="nothing"),
    Case("iter", "a = iter(xs)", reads="xs", writes="a", home="handle"),
    Case("next of a name", "a = next(v)", reads="v", writes="a", changes="v", home="handle", opaque="v"),
    Case("next of a new iterator", "a = next(iter(xs))", reads="xs", writes="a"),
    Case("itertools to a name", "a = itertools.count()", reads="itertools", writes="a", home="handle"),
    Case("range is no iterator", "a = range(n)", reads="n", writes="a", touch="nothing", cost="zero"),
    Case("live file", "a = open_file.name", reads="open_file", writes="a", home="handle", extra=LIVE),
    Case("live generator", "a = list(some_gen)", reads="some_gen", writes="a", home="handle", extra=LIVE),
    Case("live map", "a = list(some_map)", reads="some_map", writes="a", home="handle", extra=LIVE),
    Case("live lock", "with lock: a = 1", reads="lock", writes="a", changes="lock", home="handle", extra=LIVE),
    Case("live generator in a list", "a = len(gens)", reads="gens", writes="a", home="handle", extra=LIVE),
    Case("live lock in a dict", "a = len(by_name)", reads="by_name", writes="a", home="handle", extra=LIVE),
    Case("live memory file is no handle", "a = stream.getvalue()", reads="stream", writes="a", extra=LIVE),
    Case("live pattern is no handle", "a = regex.findall(text)", reads="regex text", writes="a", touch="nothing", extra=LIVE),
    Case("live handle that is rebound", "a = open_file", reads="open_file", writes="a", extra=LIVE, opaque="open_file"),
    Case("break", "break", home="control"),
    Case("continue in an if", "if flag: continue", reads="flag", home="control"),
    Case("break in its loop", "for i in xs: break", reads="xs", writes="i"),
    Case("return", "return n", reads="n", home="control"),
    Case("raise", "raise ValueError(text)", reads="text", home="control"),
    Case("raise in an if", "if flag: raise ValueError", reads="flag", home="control"),
    Case("raise in a try", "try: raise ValueError\nexcept ValueError: pass"),
    Case("assert travels", "assert n", reads="n"),
    Case("print", "print(n, text)", reads="n text", prints=True, touch="nothing", cost="zero"),
    Case("print to stderr", "print(n, file=sys.stderr)", reads="n sys", prints=True),
    Case("print to a file", "print(n, file=v)", reads="n v", changes="v", home="handle", prints=False, opaque="v"),
    Case("print of unknown", "print(v)", reads="v", prints=True, touch="any", opaque="v"),
    Case("print shadowed", "print = f\nprint(n)", reads="print n", prints=False, opaque="f"),
    Case("display", "display(xs)", reads="display xs", prints=True),
    Case("user's module", "a = mine.work(n)", reads="mine n", writes="a", home="unknown", extra="import analysis_cases as mine\nmine.work = mine.check"),
    Case("known cost and unknown cost", "a = n + len(sorted(v))", reads="n v", writes="a", opaque="v", cost="unknown"),
    Case("display of elements is trivial", "a = [n, x, {'k': text}, (1, 2)]", reads="n x text", writes="a", cost="zero", touch="nothing"),
    Case("isinstance is trivial", "a = isinstance(v, int)", reads="v", writes="a", opaque="v", touch="nothing", cost="zero"),
    Case("loop over a short literal", "for i in (1, 2): a = i + n", reads="n", writes="i a", cost="zero", touch="nothing"),
    Case("loop of unknown length", "for i in v: a = n", reads="v n", writes="i a", opaque="v", cost="unknown"),
    Case("star import forgets", "from math import *\na = n", reads="n", writes="a"),
)  # fmt: skip
def test_blockers(case: Case) -> None:
    check(case, "plain")


def test_a_reason_names_the_text_and_the_line() -> None:
    node = ast.parse("\n\nimport_time = __import__('time').time()").body[0]
    reason = predict(node, Scope()).home[0]
    assert (reason.blocker, reason.what, reason.line) == (
        Blocker.NAMESPACE,
        "__import__('time')",
        3,
    )


def test_reasons_come_in_program_order() -> None:
    node = ast.parse("if True:\n  a = input()\n  b = eval(a)\n  c = input()").body[0]
    assert [reason.line for reason in predict(node, Scope()).home] == [2, 3, 4]


def test_an_expression_is_predicted_by_itself() -> None:
    node = ast.parse("f(x)", mode="eval").body
    effects = predict(node, Scope({"x": 1}))
    assert effects.reads == {"f", "x"}
    assert effects.travels
