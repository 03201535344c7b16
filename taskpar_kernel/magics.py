"""IPython's door: `%load_ext taskpar_kernel`, `%%taskpar` cells and the `%taskpar` commands.

The shell's calls come in, the engine runs. The rule: in any kernel the same code path is used,
which is an override of `run_ast_nodes`; so line numbers, await, magics, `Out` and error status
stay stock.
"""

from __future__ import annotations

import argparse
import ast
import linecache
import sys
import threading
import time
import types
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError as ShellUsageError
from IPython.core.magic import Magics, line_magic, magics_class

from taskpar_kernel.errors import TaskParError, UsageError
from taskpar_kernel.model.refusal import Refusal
from taskpar_kernel.settings import MAX_WORKERS, Settings, TaskPar, check_workers

if TYPE_CHECKING:
    from taskpar_kernel.engine.session import Session
    from taskpar_kernel.model.run import RunRecord

Native = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class CellOptions:
    """The options of one `%%taskpar` line."""

    workers: int | None = None
    serial: bool = False


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line for the notebook instead of an exit."""

    def error(self, message: str) -> NoReturn:
        raise ShellUsageError(f"%{self.prog}: {message}. Usage: {self.format_usage()[7:].strip()}")

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
    parser = _Parser("%taskpar", add_help=False, allow_abbrev=False)
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
        self._early: tuple[tuple[ast.stmt, ...], float] | None = None
        self._making = threading.Lock()
        self._patched: frozenset[str] = frozenset()
        self._unnoted: list[str] = []
        """Source of cells that ran before the engine was there."""
        self._why_serial: Refusal | None = None

    # Life ------------------------------------------------------------------------------------

    def register(self) -> None:
        """Add the magics and the transformer for `%%taskpar`."""
        self._shell.register_magics(TaskParMagics(self._shell, self))
        self._shell.input_transformers_cleanup.append(self.transform)

    def unregister(self) -> None:
        """Take them away again."""
        transformers = self._shell.input_transformers_cleanup
        if self.transform in transformers:
            transformers.remove(self.transform)
        self._shell.magics_manager.magics["line"].pop("taskpar", None)

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
                if self._early:
                    session.ran_natively(*self._early)
                self._session = session
            return self._session

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
            if words[0] != "%%taskpar":
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
            failed = await native(nodelist, cell_name, interactivity, compiler, result)
            ran = (tuple(nodelist), time.monotonic() - begin_s)
            with self._making:  # the thread that starts the workers may have made it meanwhile
                self._early, session = ran, self._session
            if session is not None:
                session.ran_natively(*ran)
            self._note_patches(nodelist)
            self._unnoted += linecache.getlines(cell_name)
            return failed
        nodes, shown = _normalised(nodelist, interactivity)
        session = self._session
        lines = linecache.getlines(cell_name)
        why: Refusal | None = None
        cell = None
        try:
            why = self._serial_reason(nodes, lines)
            if why is None:
                cell = session.prepare(nodes, shown, _unit_compiler(cell_name, compiler), lines)
        except Exception as error:  # noqa: BLE001 - the edge: no defect of ours costs a cell
            session.say(f"taskpar: this cell could not be analysed ({error!r}); it runs serially")
        if not _is_own_magic(nodes):
            self._why_serial = why
        self._inside = True
        try:
            if cell is None:
                failed = await native(nodelist, cell_name, interactivity, compiler, result)
                if not _is_own_magic(nodes):
                    session.ran_natively(nodes, time.monotonic() - begin_s)
                return failed
            with session.running(cell):
                for index, node in cell.statements():
                    mode = "all" if index in shown else "none"
                    if await native([node], cell_name, mode, compiler, result):
                        return True
            return False
        finally:
            self._inside = False

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
        note("".join([*self._unnoted, *lines]), namespace)
        self._unnoted = []
        self._patched |= patched_packages(nodes, namespace)
        package = use_of(nodes, namespace, self._patched)
        if package:
            text = f"`{package}` was changed from outside, and workers have it unchanged"
            return Refusal("cell-patched", text, (package,))
        text = watches_lifetimes(nodes, namespace)
        return Refusal("cell-lifetimes", text) if text else None

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


@magics_class
class TaskParMagics(Magics):  # type: ignore[misc]
    """`%taskpar`: look at, and steer, the parallel engine."""

    def __init__(self, shell: Any, door: Door):
        super().__init__(shell)
        self._door = door

    @line_magic  # type: ignore[untyped-decorator]
    def taskpar(self, line: str) -> None:
        """Look at, and steer, the parallel engine.

        %taskpar on | off            run cells through the engine, or serially
        %taskpar workers             the workers: pid, state, memory
        %taskpar last [--json|--text]  what ran where in the last cell
        %taskpar why [--json|--text]   what kept statements of the last cell at home or waiting,
                                     and what would free them; the dearest first
        %taskpar verify [--all] [--eager] [--workers N] [--here]
                                     run the cells so far again in new kernels, serially and in
                                     parallel, and tell what differs in the last one (--all: in all)
        """
        words = line.split()
        commands = {
            "on": self._on,
            "off": self._off,
            "workers": self._show_workers,
            "last": self._last,
            "why": self._why,
            "verify": self._verify,
        }
        name = words[0] if words else "last"
        if name not in commands:
            allowed = ", ".join(commands)
            raise ShellUsageError(f"%taskpar: unknown subcommand {name!r}; allowed are {allowed}")
        commands[name](words[1:])

    def _on(self, words: list[str]) -> None:
        _no_options("on", words)
        self._door.on = True
        self._door.always_on()
        self._door.session.start()

    def _off(self, words: list[str]) -> None:
        _no_options("off", words)
        self._door.on = False

    def _show_workers(self, words: list[str]) -> None:
        _no_options("workers", words)
        from taskpar_kernel.report.workers import workers_text  # with the engine

        pool = self._door.session.pool
        sys.stdout.write(workers_text(() if pool is None else pool.describe()) + "\n")

    def _last(self, words: list[str]) -> None:
        form, record = self._asked("last", words)
        from taskpar_kernel.report.last import last_html, last_text  # with the engine

        if form == "json":
            sys.stdout.write(record.to_json() + "\n")
        else:
            self._show(form, last_text(record), last_html(record))

    def _why(self, words: list[str]) -> None:
        form, record = self._asked("why", words)
        from taskpar_kernel.report.why import why_html, why_json, why_text  # with the engine

        if form == "json":
            sys.stdout.write(why_json(record) + "\n")
        else:
            self._show(form, why_text(record), why_html(record))

    def _asked(self, name: str, words: list[str]) -> tuple[str, RunRecord]:
        """Return the form that was asked for ("json", "text" or ""), and the last cell's record."""
        parser = _Parser(f"taskpar {name}", add_help=False, allow_abbrev=False)
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true")
        form.add_argument("--text", action="store_true")
        options = parser.parse_args(words)
        from taskpar_kernel.engine.session import last_run  # with the engine

        try:
            record = self._door.explained(last_run())
        except TaskParError as error:
            raise ShellUsageError(f"%taskpar {name}: {error}") from None
        return ("json" if options.json else "text" if options.text else ""), record

    def _show(self, form: str, text: str, html: str) -> None:
        if form == "text":
            sys.stdout.write(text + "\n")
        else:
            self.shell.display_pub.publish({"text/plain": text, "text/html": html})

    def _verify(self, words: list[str]) -> None:
        from taskpar_kernel.testing.replay import replay  # with jupyter_client; for this only

        options = [word for word in words if word != "--all"]
        try:
            replay(self.shell, options, every=len(options) < len(words))
        except TaskParError as error:
            raise ShellUsageError(f"%taskpar verify: {error}") from None


def _no_options(name: str, words: list[str]) -> None:
    if words:
        raise ShellUsageError(f"%taskpar {name}: takes no options, got {' '.join(words)!r}")


# As an extension of any kernel --------------------------------------------------------------------

_DOOR = "_taskpar_door"


def load(shell: Any) -> None:
    """Give a shell the magics and, for `%%taskpar` cells, the engine; twice is the same as once."""
    if getattr(shell, "door", None) is not None or hasattr(shell, _DOOR):
        return
    door = Door(shell, parent=shell, always=False)
    native = shell.run_ast_nodes

    async def run_ast_nodes(self: Any, nodelist: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG001
        return await door.run_ast_nodes(native, nodelist, *args, **kwargs)

    object.__setattr__(shell, "run_ast_nodes", types.MethodType(run_ast_nodes, shell))
    object.__setattr__(shell, _DOOR, door)
    door.register()
    door.start()


def unload(shell: Any) -> None:
    """Undo `load`; the workers are stopped."""
    door = getattr(shell, _DOOR, None)
    if door is None:
        return
    del shell.run_ast_nodes
    object.__delattr__(shell, _DOOR)
    door.unregister()
    door.close()
