"""Make the kernel selectable in another environment: options come in, a kernelspec folder goes out.

`pip install` already places the spec in its own environment; this module serves the others
(`python -m taskpar_kernel install --user`). The rule: the files of the top folder `kernelspec/` are
the one source; only `argv[0]` changes, to the interpreter that has this package.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_client.kernelspec import KernelSpecManager

from taskpar_kernel.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

KERNEL_NAME = "taskpar"


def packaged_spec() -> Path:
    """Return the folder with `kernel.json` and the logos.

    A checkout (and so an editable install) has it beside the package; an installed distribution
    lists it among its files, wherever the scheme put them (`--user`, `--target`, a prefix).

    Raises:
        UsageError: The installation is damaged; nothing was written.
    """
    beside = Path(__file__).resolve().parents[1] / "kernelspec"
    if (beside / "kernel.json").is_file():
        return beside
    try:
        files = distribution("taskpar_kernel").files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.parts[-3:] == ("kernels", KERNEL_NAME, "kernel.json"):
            found = Path(str(file.locate())).resolve()
            if found.is_file():
                return found.parent
    raise UsageError(
        "no kernelspec among the files of taskpar_kernel: the installation is incomplete; "
        "nothing was written; install the package again"
    )


def install(*, user: bool = False, sys_prefix: bool = False, prefix: str | None = None) -> Path:
    """Install the kernelspec and return the folder written.

    Exactly one place is chosen: the user's Jupyter folder, this environment, or `prefix`.

    Raises:
        UsageError: None or several places are given; nothing was written.
        OSError: The place cannot be written.
    """
    if user + sys_prefix + (prefix is not None) != 1:
        raise UsageError(
            "install: choose one of --user, --sys-prefix and --prefix PATH; nothing was written"
        )
    if prefix == "":
        raise UsageError("install: --prefix needs a path; nothing was written")
    place = sys.prefix if sys_prefix else prefix
    if place is None:
        target = Path(KernelSpecManager().user_kernel_dir) / KERNEL_NAME
    else:
        target = Path(place).expanduser().absolute() / "share" / "jupyter" / "kernels" / KERNEL_NAME
    _write(packaged_spec(), target)
    return target


def _write(source: Path, target: Path) -> None:
    spec = json.loads((source / "kernel.json").read_text(encoding="utf-8"))
    # "python" would mean the server's interpreter, which may not have this package
    spec["argv"][0] = sys.executable
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    for file in sorted(source.iterdir()):
        if file.name.startswith("logo-"):
            shutil.copyfile(file, target / file.name)
    (target / "kernel.json").write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m taskpar_kernel install",
        description="Make the kernel 'Python 3 (taskpar)' selectable in Jupyter.",
    )
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--user", action="store_true", help="for this user, in every environment")
    place.add_argument("--sys-prefix", action="store_true", help="for this Python environment")
    place.add_argument("--prefix", metavar="PATH", help="for the environment at PATH")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 (the place cannot be written) or 2 (wrong use)."""
    parser = _parser()
    try:
        options = parser.parse_args(argv)
    except SystemExit as end:  # argparse has printed its usage or help
        return int(end.code or 0)
    try:
        written = install(user=options.user, sys_prefix=options.sys_prefix, prefix=options.prefix)
    except UsageError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"{parser.prog}: {error}; choose another place (--user, --sys-prefix, --prefix PATH)",
            file=sys.stderr,
        )
        return 1
    print(f"installed kernelspec {KERNEL_NAME} in {written}")
    return 0
