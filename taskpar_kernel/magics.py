"""IPython's door: `%load_ext taskpar_kernel`, the `%taskpar` commands, and their completion.

Lines come in, the subcommand's module runs. The rule: what a kernel does not need to start is
imported when a command is called.
"""

from __future__ import annotations

import argparse
import types
from typing import Any

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
    for name in ("%taskpar", "%%taskpar"):
        shell.set_hook("complete_command", _complete, str_key=name)


def unregister(shell: Any, door: Door) -> None:
    """Take them away again."""
    if door.transform in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(door.transform)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("taskpar", None)
    if door.options in shell.configurables:
        shell.configurables.remove(door.options)
    for name in ("%taskpar", "%%taskpar"):
        shell.strdispatchers["complete_command"].strs.pop(name, None)


def _complete(shell: Any, event: Any) -> list[str]:  # noqa: ARG001 - IPython's signature
    from taskpar_kernel.commands import completions  # wanted by a Tab only

    return completions(event.line)


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
