"""IPython's door: `%load_ext taskpar_kernel`, the `%taskpar` commands, and their completion.

Lines come in, the subcommand's module runs. The rule: what a kernel does not need to start is
imported when a command is called.
"""

from __future__ import annotations

import argparse
import types
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from taskpar_kernel.door import Door
from taskpar_kernel.subcommands import COMMANDS


@magics_class
class TaskParMagics(Magics):  # type: ignore[misc]
    """`%taskpar`: look at, and steer, the parallel engine."""

    def __init__(self, shell: Any, door: Door):
        super().__init__(shell)
        self.door = door

    @magic_arguments()
    @argument(
        "command",
        nargs="?",
        default="last",
        help="; ".join(f"{name}: {what}" for name, what in COMMANDS.items()),
    )
    @argument("options", nargs=argparse.REMAINDER, help="see %%taskpar COMMAND --help")
    @line_cell_magic
    def taskpar(self, line: str, cell: str | None = None) -> None:
        """Look at, and steer, the parallel engine; alone, it tells of the last cell.

        On the first line of a cell:

          %%taskpar [--workers N] [--serial]   run this cell with a pool of N workers, or serially
          %%taskpar plan | graph               tell of this cell instead of running it

        Settings: %config TaskPar
        """
        from taskpar_kernel.commands import run  # wanted by these commands only

        run(self, line, cell)


def register(shell: Any, door: Door) -> None:
    """Add the magics, their completion, the settings, and the transformer for `%%taskpar`."""
    shell.register_magics(TaskParMagics(shell, door))
    shell.input_transformers_cleanup.append(door.transform)
    shell.configurables.append(door.options)
    shell.Completer.custom_matchers.append(_complete)


def unregister(shell: Any, door: Door) -> None:
    """Take them away again."""
    if door.transform in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(door.transform)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("taskpar", None)
    if door.options in shell.configurables:
        shell.configurables.remove(door.options)
    if _complete in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(_complete)


@context_matcher()
def _complete(context: CompletionContext) -> Any:
    """Complete what follows `%taskpar` on a line; nothing else is offered there."""
    line = context.text_until_cursor.lstrip()
    if line.split(" ", 1)[0] not in {"%taskpar", "%%taskpar"} or " " not in line:
        return {"completions": []}
    from taskpar_kernel.commands import completions  # wanted by a Tab only

    begun = "" if line[-1].isspace() else line.split()[-1]
    found = [SimpleCompletion(text=word, type="magic") for word in completions(line)]
    return {"completions": found, "matched_fragment": begun, "suppress": bool(found)}


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
    register(shell, door)
    door.start()


def unload(shell: Any) -> None:
    """Undo `load`; the workers are stopped."""
    door = getattr(shell, _DOOR, None)
    if door is None:
        return
    del shell.run_ast_nodes
    object.__delattr__(shell, _DOOR)
    unregister(shell, door)
    door.close()
