"""Build the site in `out/site`: documents, tutorials, and a reference made from the code.

The documents of the tree are copied to a folder of their own, where links lead to pages, and the
generated pages are written beside them; Sphinx builds from there, and any warning of it is an
error. Nothing is fetched while building, and nothing in `docs/` is changed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from sphinx.cmd.build import main as sphinx

import taskpar_kernel
from taskpar_kernel import cli, commands, magics
from taskpar_kernel.settings import TaskPar
from taskpar_kernel.subcommands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PARTS = {
    "Tutorials": ("tutorial", "loops", "timeline", "no_gain", "api"),
    "About it": ("guarantee", "architecture", "design", "figures", "glossary"),
    "Reference": ("magics", "command_line", "settings", "reference", "changes"),
}
"""The site's pages by the heading under which they are listed."""
MOVED = {"README.md": "index.md", "CHANGELOG.md": "changes.md"}
"""Documents outside of `docs/`, and what they are called in the site."""
RETURNED = {
    "pool.answers": ("RunResult",),
    "pool.shared": ("WorkerState",),
    "settings": ("Settings",),
    "analysis.api": ("Analysis", "AnalysedStatement"),
    "model.effects": ("Effects", "Reason", "Touch", "Blocker"),
    "planning.plan": ("Plan",),
    "model.run": (
        "RunRecord",
        "StatementRecord",
        "PlannedRecord",
        "TransferRecord",
        "ReasonRecord",
    ),
}
"""What the public names return, by module of the package."""
TESTING = ("observe", "compare", "verify", "replay", "notebooks", "folders", "digests", "ready")
"""Modules of `taskpar_kernel.testing` that are of use elsewhere."""
_LINK = re.compile(r"(\]\()(?!https?:|#)([^)\s#]+)")
_WIDTH = "96"


def main(argv: list[str] | None = None) -> int:
    """Build; return Sphinx's exit code, 0 if there was no warning."""
    parser = argparse.ArgumentParser(description="Build the site; a warning is an error.")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "site", help="its folder")
    site: Path = parser.parse_args(argv).out.resolve()
    source = site.with_name(f"{site.name}-source")
    for folder in (site, source):
        shutil.rmtree(folder, ignore_errors=True)
    write_sources(source)
    trees = source / ".doctrees"
    options = ["-q", "-W", "--keep-going", "-n", "-b", "html", "-c", str(DOCS), "-d", str(trees)]
    code = int(sphinx([*options, str(source), str(site)]))
    if code == 0:
        print(f"wrote {os.path.relpath(site / 'index.html')}")
    return code


def write_sources(folder: Path) -> None:
    """Write everything that Sphinx reads into `folder`, which must not exist."""
    folder.mkdir(parents=True)
    for picture in DOCS.glob("*.svg"):
        shutil.copyfile(picture, folder / picture.name)
    pages = {page.name: page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")}
    for file, page in MOVED.items():
        pages[page] = (ROOT / file).read_text(encoding="utf-8")
    pages = {name: _LINK.sub(_as_in_the_site, text) for name, text in pages.items()}
    pages["index.md"] += "".join(_contents())
    pages["magics.md"] = _magics_page()
    pages["command_line.md"] = _command_line_page()
    pages["settings.md"] = _settings_page()
    pages["reference.rst"] = _reference_page()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def _as_in_the_site(link: re.Match[str]) -> str:
    """Return a link of the tree, as it is where all pages lie in one folder."""
    target = link[2].removeprefix("../").removeprefix("docs/")
    return link[1] + MOVED.get(target, target)


def _contents() -> Iterator[str]:
    for heading, names in PARTS.items():
        listed = "\n".join(names)
        yield f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{listed}\n```\n"


# Pages made from the code ------------------------------------------------------------------------


def _magics_page() -> str:
    """Return the help of `%taskpar` and its subcommands, as IPython shows it."""
    parts = [
        "# Magics",
        "Written from the help that `%taskpar help` shows.",
        _help("%taskpar", commands.help_of("")),
        _help("%%taskpar", _on_the_first_line()),
    ]
    parts += [_help(f"%taskpar {name}", commands.help_of(name)) for name in COMMANDS]
    return "\n\n".join(parts) + "\n"


def _on_the_first_line() -> str:
    """Return what the magic's own help says of `%%taskpar`."""
    told = (magics.TaskParMagics.taskpar.__doc__ or "").splitlines()
    return "\n".join(line.strip() for line in told if line.strip().startswith("%%taskpar"))


def _command_line_page() -> str:
    """Return the help of the shell's commands."""
    parts = [
        "# Command line",
        "Written from what `--help` tells. `python -m taskpar_kernel COMMAND` is the same.",
        _help("taskpar", help_of_command()),
    ]
    parts += [_help(f"taskpar {name}", help_of_command(name)) for name in cli.COMMANDS]
    return "\n\n".join(parts) + "\n"


def help_of_command(*words: str) -> str:
    """Return what `taskpar WORDS --help` prints."""
    said, before = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _WIDTH
    try:
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            cli.main([*words, "--help"])
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return said.getvalue()


def _help(heading: str, text: str) -> str:
    return f"## `{heading}`\n\n```text\n{text.strip()}\n```"


def _settings_page() -> str:
    """Return the settings as the class `TaskPar` declares them."""
    rows = ["| setting | environment | default | meaning |", "|---|---|---|---|"]
    for name, trait in TaskPar.class_traits(config=True).items():
        default = "the cores, at least 2" if name == "workers" else f"`{trait.default()!r}`"
        rows.append(f"| `{name}` | `TASKPAR_{name.upper()}` | {default} | {trait.help} |")
    told = (
        "Written from the class `taskpar_kernel.TaskPar`. Which of several values counts is told "
        "in [the overview](index.md#settings)."
    )
    return "\n\n".join(["# Settings", told, "\n".join(rows)]) + "\n"


def _reference_page() -> str:
    """Return the directives by which Sphinx takes the reference from the docstrings."""
    package = taskpar_kernel.__name__
    parts = [_title("Reference", "="), "Names that are imported from the package itself."]
    parts += [_directive(f"{package}.{name}") for name in taskpar_kernel.__all__]
    parts.append(_title("What they return", "-"))
    for module, names in RETURNED.items():
        parts += [_directive(f"{package}.{module}.{name}") for name in names]
    parts.append(_title("Errors", "-"))
    parts.append(f".. automodule:: {package}.errors\n   :members:\n   :show-inheritance:")
    parts.append(_title("Comparing kernels", "-"))
    parts.append("What `taskpar verify` is made of, in `taskpar_kernel.testing`.")
    for module in TESTING:
        parts.append(_title(f"{package}.testing.{module}", "~"))
        parts.append(f".. automodule:: {package}.testing.{module}\n   :members:")
    return "\n\n".join(parts) + "\n"


def _title(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}"


def _directive(name: str) -> str:
    """Return the directive for a class or function."""
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute)
    if found is TaskPar:  # traitlets hide its signature
        return f".. autoclass:: {name}()\n   :members: freeze\n\n   Its traits: :doc:`settings`."
    if isinstance(found, type):
        return f".. autoclass:: {name}\n   :members:"
    return f".. autofunction:: {name}"


if __name__ == "__main__":
    sys.exit(main())
