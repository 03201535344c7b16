"""The subcommands of `%taskpar`: the rest of a line comes in, text or a display goes out.

The rule: each subcommand declares its options to IPython's `magic_arguments`, which gives its help
and its completions; whatever is wrong with a line is one clear line and no traceback.
"""

from __future__ import annotations

import argparse
import ast
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError as ShellUsageError
from IPython.core.magic_arguments import argument, magic_arguments

from taskpar_kernel.errors import TaskParError, UsageError
from taskpar_kernel.settings import ALLOWED, check_workers, usable_cores
from taskpar_kernel.subcommands import ABOUT_TEXT, COMMANDS

if TYPE_CHECKING:
    from argparse import Namespace

    from taskpar_kernel.door import Door
    from taskpar_kernel.model.run import RunRecord
    from taskpar_kernel.report.graph import CellGraph

Run = Callable[["_Asked"], None]
_GRAPH_FORMATS = ("html", "text", "svg", "dot", "mermaid")


class _Asked:
    """One call of a subcommand: its options, the shell's door, and how to answer."""

    def __init__(self, magics: Any, options: Namespace, cell: str | None):
        self.shell: Any = magics.shell
        self.door: Door = magics.door
        self.options = options
        self.cell = cell

    def say(self, text: str) -> None:
        """Answer in plain text."""
        sys.stdout.write(text + "\n")

    def show(self, text: str, html: str) -> None:
        """Answer in HTML where that can be shown, and in text where it cannot, or was asked for."""
        if self.options.text:
            self.say(text)
        else:
            self.shell.display_pub.publish({"text/plain": text, "text/html": html})

    def record(self) -> RunRecord:
        """Return the record of the last cell."""
        from taskpar_kernel.engine.session import last_run  # with the engine

        self.door.take_in_early()
        return self.door.explained(last_run())

    def code(self) -> tuple[str, str]:
        """Return the text of the cell that is asked about, and what it is called."""
        if self.cell is not None:
            before = len(self.cell) - len(self.cell.lstrip("\n"))  # IPython takes these away
            text = "\n" * (1 + before) + self.shell.transform_cell(self.cell)
            return text, "this cell"
        number = getattr(self.options, "CELL", None)
        if number is None:
            if not self.door.last_text.strip():
                raise UsageError("no cell has run under taskpar yet")
            return self.door.last_text, "the last cell"
        cells = self.shell.history_manager.input_hist_parsed
        if not 0 < number < len(cells) or not cells[number].strip():
            raise UsageError(f"there is no cell In[{number}] in this session")
        return cells[number], f"In[{number}]"

    def seconds(self, code: str) -> dict[int, float]:
        """Return measured seconds by first line, if `code` is the last cell; else nothing."""
        if code.strip() != self.door.last_text.strip():
            return {}
        from taskpar_kernel.report.bounds import seconds_by_line  # with the reports

        try:
            spans = [(node.lineno, node.end_lineno or 0) for node in ast.parse(code).body]
            return seconds_by_line(self.record(), spans)
        except (SyntaxError, TaskParError):
            return {}


@magic_arguments("taskpar on")
def _on(asked: _Asked) -> None:
    """Run every cell through the engine from now on."""
    asked.door.on = True
    asked.door.always_on()
    asked.door.session.start()


@magic_arguments("taskpar off")
def _off(asked: _Asked) -> None:
    """Run every cell serially from now on."""
    asked.door.on = False


@magic_arguments("taskpar last")
@argument("--text", action="store_true", help="as plain text")
@argument("--json", action="store_true", help="the whole record as JSON")
@argument("--trace", metavar="FILE", help="write a trace that Perfetto and chrome://tracing open")
@argument("--save", metavar="FILE", help="write the report (.html) or the timeline (.svg, .png)")
def _last(asked: _Asked) -> None:
    """Tell what ran where in the last cell, and what bounds its speed."""
    record, options = asked.record(), asked.options
    from taskpar_kernel.report import last  # with the engine
    from taskpar_kernel.report.files import write  # with the engine

    if options.trace:
        from taskpar_kernel.report.trace import trace_json  # for this option only

        write(_path(options.trace), trace_json(record).encode())
        asked.say(f"wrote {options.trace}: open it in https://ui.perfetto.dev")
    if options.save:
        last.save_last(record, _path(options.save))
        asked.say(f"wrote {options.save}")
    if options.json:
        asked.say(record.to_json())
    elif not (options.trace or options.save):
        asked.show(last.last_text(record), "" if options.text else last.last_html(record))


@magic_arguments("taskpar why")
@argument("--text", action="store_true", help="as plain text")
@argument("--json", action="store_true", help="as JSON")
def _why(asked: _Asked) -> None:
    """Tell what kept statements of the last cell at home or waiting; the dearest first."""
    record = asked.record()
    from taskpar_kernel.report.why import why_html, why_json, why_text  # with the engine

    if asked.options.json:
        asked.say(why_json(record))
    else:
        asked.show(why_text(record), why_html(record))


@magic_arguments("taskpar graph")
@argument("CELL", nargs="?", type=int, help="its number, as in In[7]; default: the last cell")
@argument("--format", choices=_GRAPH_FORMATS, default="html", help="html, text, svg, dot, mermaid")
@argument("--save", metavar="FILE", help="write the picture (.svg, .png)")
@argument("--text", action="store_true", help="the same as --format text")
def _graph(asked: _Asked) -> None:
    """Tell which statements of a cell need which; `%%taskpar graph` tells it of the text below."""
    one, options = _cell_graph(asked), asked.options
    from taskpar_kernel.report import graph  # with the analysis

    if options.save:
        graph.save_graph(one, _path(options.save))
        asked.say(f"wrote {options.save}")
    elif options.text or options.format == "text":
        asked.say(graph.graph_text(one))
    elif options.format == "html":
        asked.show(graph.graph_text(one), graph.graph_html(one))
    else:
        asked.say(graph.WRITERS[options.format](one))


@magic_arguments("taskpar plan")
@argument("CELL", nargs="?", type=int, help="its number, as in In[7]; default: the last cell")
@argument("--workers", metavar="N", help="for a pool of this size")
@argument("--policy", choices=ALLOWED["policy"], help="auto, heft, peft, online, listing or serial")
@argument("--text", action="store_true", help="as plain text")
def _plan(asked: _Asked) -> None:
    """Tell what would run where; nothing is run. `%%taskpar plan` tells it of the text below."""
    settings, options = asked.door.settings, asked.options
    workers = settings.workers if options.workers is None else check_workers(options.workers)
    one = _cell_graph(asked)
    from taskpar_kernel.planning.choose import choose_plan  # with the analysis
    from taskpar_kernel.report.planned import plan_report  # with the analysis

    policy = options.policy or settings.policy
    plan = choose_plan(one.graph, workers, policy, cores=usable_cores())
    asked.show(*plan_report(plan, timed=one.timed))


@magic_arguments("taskpar workers")
@argument("--text", action="store_true", help="as plain text")
def _workers(asked: _Asked) -> None:
    """Tell of the workers: pid, state, memory, how long they are up, what each holds."""
    from taskpar_kernel.report.workers import workers_html, workers_text  # with the engine

    session = asked.door.session
    conditions = () if session.pool is None else session.pool.describe()
    asked.show(
        workers_text(conditions, session.imported), workers_html(conditions, session.imported)
    )


@magic_arguments("taskpar doctor")
@argument("--quick", action="store_true", help="without the self-test, which takes some seconds")
def _doctor(asked: _Asked) -> None:
    """Look at versions, ipc, shared memory, encryption and left-overs, and run a self-test."""
    from taskpar_kernel.doctor import examine  # for this only

    examine(asked.say, test=not asked.options.quick)


def _verify(magics: Any, words: list[str]) -> None:
    """Run the cells so far again in two new kernels, serially and in parallel, and compare."""
    from taskpar_kernel.testing.replay import replay  # with jupyter_client; for this only

    options = [word for word in words if word != "--all"]
    replay(magics.shell, options, every=len(options) < len(words))


_SUBCOMMANDS: dict[str, Any] = {
    "on": _on,
    "off": _off,
    "last": _last,
    "why": _why,
    "graph": _graph,
    "plan": _plan,
    "workers": _workers,
    "doctor": _doctor,
}
_VERIFY_OPTIONS = ("--all", "--eager", "--here", "--timeout", "--workers")


def run(magics: Any, line: str, cell: str | None = None) -> None:
    """Run one line of `%taskpar`, or one `%%taskpar plan` or `graph` cell.

    Raises:
        ShellUsageError: the line is wrong, or what it asks for is not there.
    """
    words = _words(line)
    if not words or words[0].startswith("-"):
        words = ["last", *words]
    name = words[0]
    if name not in COMMANDS:
        allowed = ", ".join(COMMANDS)
        raise ShellUsageError(f"%taskpar: unknown subcommand {name!r}; allowed are {allowed}")
    if cell is not None and name not in ABOUT_TEXT:
        raise ShellUsageError(f"%%taskpar {name}: allowed are {', '.join(ABOUT_TEXT)}")
    rest = words[1:]
    if name == "help":
        name, rest = (rest[0] if rest else ""), ["--help"]
    if "--help" in rest or "-h" in rest:
        sys.stdout.write(help_of(name) + "\n")
        return
    try:
        if name == "verify":
            _verify(magics, rest)
        else:
            _SUBCOMMANDS[name](_Asked(magics, _parsed(name, rest), cell))
    except TaskParError as error:
        raise ShellUsageError(f"%taskpar {name}: {error}") from None


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise ShellUsageError(f"%taskpar: {error}: {line!r}") from None


def _parsed(name: str, words: list[str]) -> Namespace:
    parser: argparse.ArgumentParser = _SUBCOMMANDS[name].parser
    usage = " ".join(parser.format_usage().replace("::", "").split())
    try:
        options = parser.parse_args(words)
    except ShellUsageError as error:
        raise ShellUsageError(f"%taskpar {name}: {error}. Usage: {usage}") from None
    if getattr(options, "text", False) and getattr(options, "json", False):
        raise ShellUsageError(f"%taskpar {name}: --text or --json, not both. Usage: {usage}")
    return options


def help_of(name: str) -> str:
    """Return the help of a subcommand, or of `%taskpar` itself."""
    if name in _SUBCOMMANDS:
        return dedent(_SUBCOMMANDS[name].__doc__).replace("::\n\n  %", "%").strip()
    if name == "verify":
        return (
            "%taskpar verify [--all] [--eager] [--workers N] [--timeout S] [--here]\n\n"
            f"{_verify.__doc__} Differences of the last cell are told, with --all those of all."
        )
    lines = [f"%taskpar {one:8} {what}" for one, what in COMMANDS.items()]
    return "\n".join([*lines, "", "%taskpar COMMAND --help tells its options."])


def completions(line: str) -> list[str]:
    """Return what may stand next on a `%taskpar` line: subcommands, options, their values."""
    words = line.split()
    begun = "" if line[-1:].isspace() else words[-1]
    done = words[1:] if not begun else words[1:-1]
    if words[0] == "%%taskpar":
        start = [*ABOUT_TEXT, "--workers", "--serial"] if not done else []
    else:
        start = list(COMMANDS) if not done else []
    if not done:
        return [word for word in start if word.startswith(begun)]
    name, last = done[0], done[-1]
    if name == "help":
        found = list(COMMANDS)
    elif name == "verify":
        found = [option for option in _VERIFY_OPTIONS if option not in done]
    elif name in _SUBCOMMANDS:
        actions = _SUBCOMMANDS[name].parser._actions
        awaited = next((a for a in actions if last in a.option_strings and a.nargs != 0), None)
        if awaited is not None:
            found = list(awaited.choices or ())
        else:
            options = [option for action in actions for option in action.option_strings]
            found = [option for option in [*options, "--help"] if option not in done]
    else:
        found = []
    return [word for word in found if word.startswith(begun)]


def _cell_graph(asked: _Asked) -> CellGraph:
    from taskpar_kernel.report.graph import cell_graph  # with the analysis

    code, title = asked.code()
    return cell_graph(code, asked.shell.user_ns, asked.seconds(code), title)


def _path(text: str) -> Path:
    return Path(text).expanduser()


__all__ = ["completions", "help_of", "run"]
