"""The way of cells into the engine, in any kernel: which cells go, and how a cell runs there.

A cell's statements come in, they run at home and ahead. The rule: in any kernel the same code path
is used, which is an override of `run_ast_nodes`; so line numbers, await, magics, `Out` and error
status stay stock.
"""

from __future__ import annotations

import argparse
import ast
import linecache
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError as ShellUsageError

from taskpar_kernel.ambient.libraries import LIBRARIES
from taskpar_kernel.errors import UsageError
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.settings import MAX_WORKERS, Settings, TaskPar, check_workers
from taskpar_kernel.subcommands import ABOUT_TEXT

if TYPE_CHECKING:
    from taskpar_kernel.engine.session import Session
    from taskpar_kernel.model.run import RunRecord
    from taskpar_kernel.report.live import LiveLine

Native = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class CellOptions:
    """The options of one `%%taskpar` line."""

    workers: int | None = None
    serial: bool = False


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line for the notebook instead of an exit."""

    def error(self, message: str) -> NoReturn:
        raise ShellUsageError(f"{self.prog}: {message}. Usage: {self.format_usage()[7:].strip()}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # noqa: ARG002
        raise ShellUsageError((message or self.format_help()).strip())


def _workers(text: str) -> int:
    try:
        return check_workers(text)
    except UsageError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of workers; "
            f"allowed are whole numbers from 1 to {MAX_WORKERS}"
        ) from None


def _cell_parser() -> _Parser:
    parser = _Parser("%%taskpar", add_help=False, allow_abbrev=False)
    parser.add_argument("--workers", type=_workers, metavar="N")
    parser.add_argument("--serial", action="store_true")
    return parser


class Door:
    """One shell's way into the engine: its settings, its session, and whether it is on.

    It makes the session late: importing the engine costs a tenth of a second, and the first cell
    must not wait for that.
    """

    def __init__(self, shell: Any, *, parent: Any = None, always: bool = True):
        self._shell = shell
        self.options = TaskPar(parent=parent)
        self._settings: Settings = self.options.freeze()
        self._always = always
        self.on = self._settings.enabled
        self._session: Session | None = None
        self._cell: CellOptions | None = None
        self._inside = False
        self._early: tuple[tuple[ast.stmt, ...], float, str] | None = None
        self._begun: tuple[ast.stmt, ...] = ()
        """The statements of the cell that began before the engine was there."""
        self._making = threading.Lock()
        self._patched: frozenset[str] = frozenset()
        self._unnoted: list[str] = []
        """Source of cells that ran before the engine was there."""
        self._why_serial: Refusal | None = None
        self._live: LiveLine | None = None
        self.last_text = ""
        """The text of the last cell that was not about the one before it."""
        self.options.observe(self._reconfigured)

    # Life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the workers in the background, if this shell is to use them."""
        if self.on:
            self.session.start()

    def always_on(self) -> None:
        """Run every cell through the engine, not only those that say `%%taskpar`."""
        self._always = True

    def close(self) -> None:
        """Stop the workers."""
        if self._session is not None:
            self._session.close()

    @property
    def session(self) -> Session:
        """The session, made on first use, by the main thread or by the one that starts workers."""
        with self._making:
            if self._session is None:
                from taskpar_kernel.engine.session import Session  # see the class

                session = Session(self._shell, self._settings)
                session.announce(self._begun)
                if self._early:
                    session.ran_early(*self._early)
                self._session = session
            return self._session

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    def _reconfigured(self, change: Any) -> None:
        """Follow a setting that was changed while the kernel runs (`%config TaskPar.workers = 4`).

        The pool is replaced only by one of another size; limits count for the next pool.
        """
        if change["name"] == "workers":
            self.resize(change["new"])
        elif change["name"] == "enabled":
            self.on = change["new"]
        elif change["name"] == "progress" and self._live is not None:
            self._live.mode = change["new"]
        self._settings = replace(self._settings, **{change["name"]: change["new"]})
        if self._session is not None:
            self._session.settings = self._settings

    def resize(self, workers: int) -> None:
        """Use a pool of another size from now on."""
        if workers == self._settings.workers and self._session is not None:
            return
        self._settings = self._settings.with_workers(workers)
        if self._session is not None:
            self._session.resize(self._settings)

    # Cells -----------------------------------------------------------------------------------

    def transform(self, lines: list[str]) -> list[str]:
        """Blank a leading `%%taskpar` line, and remember its options for this cell."""
        self._cell = None
        for index, line in enumerate(lines):
            if not line.strip():
                continue
            words = line.split()
            if words[0] != "%%taskpar" or (words[1:2] and words[1] in ABOUT_TEXT):
                return lines
            options = _cell_parser().parse_args(words[1:])
            self._cell = CellOptions(options.workers, options.serial)
            return [*lines[:index], "\n", *lines[index + 1 :]]
        return lines

    transform.has_side_effects = True  # type: ignore[attr-defined]

    def _takes(self) -> bool:
        """Whether the cell that begins now goes through the engine."""
        options, self._cell = self._cell, None
        if options is None:
            return self.on and self._always
        if options.workers is not None:
            self.resize(options.workers)
        if not options.serial:
            self.session.start()
        return not options.serial

    async def run_ast_nodes(
        self,
        native: Native,
        nodelist: list[ast.stmt],
        cell_name: str,
        interactivity: str = "last_expr",
        compiler: Any = compile,
        result: Any = None,
    ) -> Any:
        """Run a cell's statements; the signature and the result are those of IPython's method.

        An interrupt between two statements ends the cell as one inside a statement does.
        """
        try:
            return await self._run(native, nodelist, cell_name, interactivity, compiler, result)
        except KeyboardInterrupt as interrupt:
            if result is not None:
                result.error_before_exec = interrupt
            self._shell.showtraceback()
            return True

    async def _run(  # noqa: C901 - the cases are one decision
        self,
        native: Native,
        nodelist: list[ast.stmt],
        cell_name: str,
        interactivity: str,
        compiler: Any,
        result: Any,
    ) -> Any:
        if self._inside or not nodelist or not self._takes():
            return await native(nodelist, cell_name, interactivity, compiler, result)
        if self._settings.eager:
            self.session.start()
        begin_s = time.monotonic()
        if self._session is None:  # the first cell does not wait for the engine to be imported
            lines = self._noted(nodelist, cell_name)
            self._begun = tuple(nodelist)
            with self._line_under(nodelist, cell_name):
                failed = await _in_parts(
                    native, nodelist, cell_name, interactivity, compiler, result
                )
            if not _is_own_magic(nodelist):
                self._ran_early(tuple(nodelist), time.monotonic() - begin_s, "".join(lines))
            self._note_patches(nodelist)
            self._unnoted += lines
            return failed
        nodes, shown = _normalised(nodelist, interactivity)
        session = self._session
        lines = self._noted(nodes, cell_name)
        why: Refusal | None = None
        cell = None
        try:
            why = self._serial_reason(nodes, lines)
            session.announce(nodes)
            if why is None:
                cell = session.prepare(nodes, shown, _unit_compiler(cell_name, compiler), lines)
        except Exception as error:  # noqa: BLE001 - the edge: no defect of ours costs a cell
            session.say(f"taskpar: this cell could not be analysed ({error!r}); it runs serially")
        if not _is_own_magic(nodes):
            self._why_serial = why
        self._inside = True
        try:
            if cell is None:
                text = "".join(lines)
                with self._line_under(nodelist, cell_name, session.costs.cell_s(text)):
                    failed = await _in_parts(
                        native, nodelist, cell_name, interactivity, compiler, result
                    )
                if not _is_own_magic(nodes):
                    session.ran_natively(nodes, time.monotonic() - begin_s, text)
                return failed
            with session.running(cell), self._live_line().watching(cell.glance):
                for index, node in cell.statements():
                    mode = "all" if index in shown else "none"
                    if await native([node], cell_name, mode, compiler, result):
                        return True
            return False
        finally:
            self._inside = False

    def _ran_early(self, nodes: tuple[ast.stmt, ...], wall_s: float, text: str) -> None:
        with self._making:  # the thread that starts the workers may have made it meanwhile
            self._early, session = (nodes, wall_s, text), self._session
        if session is not None:
            session.ran_early(nodes, wall_s, text)

    def _noted(self, nodes: Sequence[ast.stmt], cell_name: str) -> list[str]:
        """Return the lines of a cell; what is asked later is asked of it."""
        lines = linecache.getlines(cell_name)
        if not _is_own_magic(nodes):
            self.last_text = "".join(lines)
        return lines

    def _live_line(self) -> LiveLine:
        if self._live is None:
            from taskpar_kernel.report.live import Channel, LiveLine  # not with the kernel's start

            self._live = LiveLine(Channel(self._shell), self._settings.progress)
        return self._live

    def _line_under(
        self, nodes: Sequence[ast.stmt], cell_name: str, expected_s: float | None = None
    ) -> AbstractContextManager[None]:
        """Show how far a cell is that runs as it is, while the block runs."""
        from taskpar_kernel.report.live import NativeLook

        look = NativeLook(nodes, cell_name, self._settings.workers, expected_s)
        return self._live_line().watching(look)

    def _note_patches(self, nodes: Sequence[ast.stmt]) -> None:
        if any(
            isinstance(n, ast.Attribute) and not isinstance(n.ctx, ast.Load)
            for node in nodes
            for n in ast.walk(node)
        ):
            from taskpar_kernel.analysis.patched import patched_packages  # with the engine

            self._patched |= patched_packages(nodes, self._shell.user_ns)

    def _serial_reason(self, nodes: Sequence[ast.stmt], lines: Sequence[str]) -> Refusal | None:
        """Return why this cell must run serially as a whole, or None."""
        from taskpar_kernel.analysis.hooks import note  # with the engine
        from taskpar_kernel.analysis.lifetimes import watches_lifetimes  # with the engine
        from taskpar_kernel.analysis.patched import patched_packages, use_of  # with the engine

        namespace = self._shell.user_ns
        source = "".join(lines)
        note("".join([*self._unnoted, source]), namespace)
        self._unnoted = []
        self._patched |= patched_packages(nodes, namespace, source)
        package = use_of(nodes, namespace, self._patched)
        if package:
            text = f"`{package}` was changed from outside, and workers have it unchanged"
            return Refusal("cell-patched", text, (package,))
        text = watches_lifetimes(nodes, namespace, source)
        return Refusal("cell-lifetimes", text) if text else None

    def take_in_early(self) -> None:
        """Make the session if a cell ran before it was there: that is asked about now."""
        if self._early is not None and self._session is None:
            _ = self.session

    def explained(self, record: RunRecord) -> RunRecord:
        """Return the record of the last cell, with the reason for running all of it serially."""
        why = self._why_serial
        if why is None:
            return record
        from taskpar_kernel.engine.reasons import reason_for  # with the engine

        statements = tuple(
            replace(s, reason=why.text, reason_kind=why.kind) for s in record.statements
        )
        reasons = (reason_for(why, 0, "the cell", record.wall_s),)
        return replace(record, statements=statements, reasons=reasons)


async def _in_parts(
    native: Native,
    nodes: Sequence[ast.stmt],
    cell_name: str,
    interactivity: str,
    compiler: Any,
    result: Any,
) -> Any:
    """Run a cell as it is; what it has imported is looked at before it can change its settings."""
    begin = 0
    for end in range(1, len(nodes)):
        if isinstance(nodes[end - 1], _IMPORTS) and not isinstance(nodes[end], _IMPORTS):
            mode = "all" if interactivity == "all" else "none"
            if await native(list(nodes[begin:end]), cell_name, mode, compiler, result):
                return True
            LIBRARIES.update()
            begin = end
    return await native(list(nodes[begin:]), cell_name, interactivity, compiler, result)


_IMPORTS = (ast.Import, ast.ImportFrom)


def _normalised(
    nodelist: Sequence[ast.stmt], interactivity: str
) -> tuple[list[ast.stmt], frozenset[int]]:
    """Return the statements, and the indexes of those whose value IPython would display."""
    nodes = list(nodelist)
    last = nodes[-1]
    if interactivity == "last_expr_or_assign":
        targets = last.targets if isinstance(last, ast.Assign) else [getattr(last, "target", None)]
        assigns = isinstance(last, ast.Assign | ast.AugAssign | ast.AnnAssign)
        if assigns and len(targets) == 1 and isinstance(targets[0], ast.Name):
            shown = ast.Expr(ast.Name(targets[0].id, ast.Load()))
            nodes.append(ast.fix_missing_locations(shown))
        interactivity = "last_expr"
    if interactivity == "last_expr":
        interactivity = "last" if isinstance(nodes[-1], ast.Expr) else "none"
    if interactivity == "last":
        return nodes, frozenset({len(nodes) - 1})
    if interactivity == "all":
        return nodes, frozenset(range(len(nodes)))
    if interactivity == "none":
        return nodes, frozenset()
    raise ValueError(f"Interactivity was {interactivity!r}")


def _unit_compiler(cell_name: str, compiler: Any) -> Callable[[ast.AST], Any]:
    flags = getattr(compiler, "flags", 0)

    def compile_unit(node: ast.AST) -> Any:
        mode = "eval" if isinstance(node, ast.Expression) else "exec"
        return compile(node, cell_name, mode, flags=flags, dont_inherit=True)  # type: ignore[call-overload]

    return compile_unit


def _is_own_magic(nodes: Sequence[ast.stmt]) -> bool:
    """Whether a cell only asks about the one before it."""
    return all(
        isinstance(n, ast.Expr)
        and isinstance(n.value, ast.Call)
        and bool(n.value.args)
        and isinstance(n.value.args[0], ast.Constant)
        and n.value.args[0].value == "taskpar"
        for n in nodes
    )
