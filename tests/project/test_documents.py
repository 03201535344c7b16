"""What the documents say is so: links lead somewhere, what they name exists, the site builds."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterator
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import nbformat
import pytest

import taskpar_kernel
from taskpar_kernel import cli, commands
from taskpar_kernel.settings import ALLOWED, TaskPar
from taskpar_kernel.subcommands import ABOUT_TEXT, COMMANDS
from taskpar_kernel.testing.observe import KernelRun

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCUMENTS = sorted([README, ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
_OPTION = re.compile(r"(?<![\w-])(--[a-zA-Z][\w-]*)")


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _prose(text: str) -> str:
    """Return Markdown without its blocks of code."""
    return _FENCE.sub("", text)


def _pieces(text: str) -> Iterator[str]:
    """Give what is marked as something to type: code in a line, and lines of blocks but outputs."""
    for language, block in _FENCE.findall(text):
        if language != "text":
            yield from (line.strip() for line in block.splitlines())
    yield from _SPAN.findall(_prose(text))


# Links ---------------------------------------------------------------------------------------


def _anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _prose(text), re.MULTILINE)
    plain = (re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", one.strip().lower()).replace(" ", "-") for one in plain}


def _broken(file: Path, text: str) -> list[str]:
    """Return the links of a file that lead nowhere."""
    found = []
    for link in _LINK.findall(re.sub(r"(?<!`)`[^`\n]+`(?!`)", "", _prose(text))):
        name, _, anchor = link.partition("#")
        target = (file.parent / name).resolve() if name else file
        if not target.exists():
            found.append(f"{_named(file)}: there is no {link}")
        elif anchor and anchor not in _anchors(target.read_text(encoding="utf-8")):
            found.append(f"{_named(file)}: {name or 'it'} has no heading for #{anchor}")
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=_named)
def test_links_lead_somewhere(document: Path) -> None:
    assert _broken(document, document.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=_named)
def test_links_of_notebooks_lead_somewhere(notebook: Path) -> None:
    cells = nbformat.read(notebook, as_version=4).cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert _broken(notebook, text) == []


def test_a_broken_link_is_found() -> None:
    text = "# One, *two*\n\n[a](no.md) [b](#one-two) [c](docs/design.md#no) `[d](x)`"
    assert _broken(README, text.replace("(#", "(#x")) == [
        "README.md: there is no no.md",
        "README.md: it has no heading for #xone-two",
        "README.md: docs/design.md has no heading for #no",
    ]


# Commands and options ------------------------------------------------------------------------


@cache
def _targets() -> frozenset[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))


@cache
def _of_shell(name: str) -> frozenset[str]:
    """Return the options of `taskpar NAME`, or of `taskpar` alone."""
    words = [name, "--help"] if name else ["--help"]
    told = subprocess.run(
        [sys.executable, "-m", "taskpar_kernel", *words], capture_output=True, text=True, check=True
    )
    return frozenset(_OPTION.findall(told.stdout))


@cache
def _of_magic(name: str) -> frozenset[str]:
    """Return the options of `%taskpar NAME`; of `%taskpar` alone they are those of `last`."""
    return frozenset(["--help", *_OPTION.findall(commands.help_of(name or "last"))])


_OF_CELL = frozenset(["--workers", "--serial"])


def _of_program(path: Path) -> frozenset[str]:
    """Return the options that a program's text declares."""
    declared = re.findall(r"""["'](--[a-z][\w-]*)["']""", path.read_text(encoding="utf-8"))
    return frozenset(declared)


@cache
def _of_any() -> frozenset[str]:
    """Return all options there are: for those that stand alone, without their command."""
    programs = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "taskpar_kernel").rglob("*.py")]
    programs += [*(ROOT / "tests").glob("*/run.py"), *(ROOT / "docs").glob("*.py")]
    found = frozenset().union(*(_of_program(path) for path in programs))
    return found.union(*map(_of_shell, ["", *cli.COMMANDS]), *map(_of_magic, COMMANDS), _OF_CELL)


_KNOWN: dict[str, Collection[str]] = {
    "make": _targets(),
    "taskpar": cli.COMMANDS,
    "%taskpar": COMMANDS,
    "%%taskpar": ABOUT_TEXT,
}
"""What may follow these words."""


def _wrong(piece: str) -> list[str]:
    """Return what a piece of code names that does not exist."""
    piece = piece.replace("python -m taskpar_kernel ", "taskpar ")
    words = re.split(r"[\s|]+", re.sub(r"[][]", " ", piece).strip())
    first, name = words[0], next(iter(words[1:]), "")
    name = "" if name.startswith("-") or name in {"COMMAND", "…"} else name
    if name and name not in _KNOWN.get(first, [name]):
        return [f"{first} {name}"]
    if first == "jupyter":
        return []  # options of another program
    allowed, options = _options(words, name), _OPTION.findall(piece)
    found = [one for one in options if one not in allowed and one != "--TaskPar"]
    known = {*TaskPar.class_trait_names(config=True), "NAME"}
    found += [one for one in re.findall(r"TaskPar\.(\w+)", piece) if one not in known]
    return [f"{one} in {piece!r}" for one in found]


def _options(words: list[str], name: str) -> frozenset[str]:
    """Return the options of what these words call; of anything if they call nothing known."""
    for word in words:
        if word.endswith(".py") and (ROOT / word).is_file():
            return _of_program(ROOT / word)
    if words[0] == "%%taskpar" and not name:
        return _OF_CELL
    if words[0] in {"%taskpar", "%%taskpar"}:
        return _of_magic(name)
    return _of_shell(name) if words[0] == "taskpar" else _of_any()


@pytest.mark.parametrize("document", DOCUMENTS, ids=_named)
def test_commands_and_options_exist(document: Path) -> None:
    pieces = list(_pieces(document.read_text(encoding="utf-8")))
    assert [wrong for piece in pieces for wrong in _wrong(piece)] == []


@pytest.mark.parametrize(
    ("piece", "wrong"),
    [
        ("make coffee", ["make coffee"]),
        ("make test", []),
        ("taskpar brew x.py", ["taskpar brew"]),
        ("taskpar run x.py --serial --brew", ["--brew in 'taskpar run x.py --serial --brew'"]),
        ("python -m taskpar_kernel install --user  # or --sys-prefix", []),
        ("%taskpar graph [CELL] [--format F]", []),
        ("%taskpar graph --json", ["--json in '%taskpar graph --json'"]),
        ("%%taskpar --eager", ["--eager in '%%taskpar --eager'"]),
        ("%%taskpar last", ["%%taskpar last"]),
        ("--nowhere", ["--nowhere in '--nowhere'"]),
        ("%config TaskPar.tea = 1", ["tea in '%config TaskPar.tea = 1'"]),
    ],
)
def test_what_does_not_exist_is_found(piece: str, wrong: list[str]) -> None:
    assert _wrong(piece) == wrong


def test_every_target_says_what_it_does_and_is_phony() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert set(phony.split()) == _targets()


def test_extras_that_are_named_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    named = {one for found in re.findall(r"'\.\[([\w,]+)\]'", text) for one in found.split(",")}
    assert named
    assert named <= project["optional-dependencies"].keys()


def test_files_that_are_named_exist() -> None:
    folders = ("docs", "tests", "benchmarks", "notebooks", "taskpar_kernel")
    packages = sorted(path.name for path in (ROOT / "taskpar_kernel").iterdir() if path.is_dir())
    pattern = re.compile(rf"(?:{'|'.join([*folders, *packages])})/[\w./*-]+\.(?:py|ipynb|toml|md)")
    missing = []
    for document in DOCUMENTS:
        for name in pattern.findall("\n".join(_pieces(document.read_text(encoding="utf-8")))):
            places = (ROOT, ROOT / "taskpar_kernel")
            if not any(True for place in places for _ in place.glob(name)):
                missing.append(f"{_named(document)}: {name}")
    assert missing == []


# The README ----------------------------------------------------------------------------------


def _settings_rows() -> dict[str, list[str]]:
    """Return environment name, default and meaning by setting, as the table has them."""
    section = README.read_text(encoding="utf-8").partition("\n## Settings\n")[2]
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", section.partition("\n## ")[0], re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split(" | ")] for name, rest in rows}


_OF_MACHINES = {
    "workers": "the cores this process may use, at least 2",
    "shared_mb": "a quarter of the memory this process may use",
}


def test_the_table_of_settings_is_that_of_the_class() -> None:
    traits, rows = TaskPar.class_traits(config=True), _settings_rows()
    assert rows.keys() == traits.keys()
    blank = TaskPar(environ={})
    for name, (variable, default, _) in rows.items():
        assert variable == f"`TASKPAR_{name.upper()}`"
        value = getattr(blank, name)
        told = _OF_MACHINES.get(name) or (value if isinstance(value, str) else f"{value:g}")
        assert default == told, name
    for name, words in ALLOWED.items():
        assert all(re.search(rf"\b{word}\b", rows[name][2]) for word in words), name


def test_the_environment_is_read_as_the_table_says() -> None:
    other = {"workers": "3", "policy": "peft", "progress": "stay"}
    for name, (variable, default, _) in _settings_rows().items():
        text = other.get(name) or {"0": "1", "1": "0"}.get(default, "7")
        read = TaskPar(environ={variable.strip("`"): text})
        assert getattr(read, name) != getattr(TaskPar(environ={}), name)


@pytest.mark.timeout(400)
def test_python_blocks_of_the_readme_run(tmp_path: Path) -> None:
    """They run one after the other in a plain kernel; a comment with a value is what is printed."""
    text = README.read_text(encoding="utf-8")
    blocks = [block for language, block in _FENCE.findall(text) if language == "python"]
    assert len(blocks) == 3
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in blocks])

    async def run() -> list[nbformat.NotebookNode]:
        environ = {"TASKPAR_WORKERS": "2"}
        async with KernelRun(notebook, "python3", folder=str(tmp_path), environ=environ) as kernel:
            await kernel.observe()
            return list(kernel.notebook.cells)

    outputs = [output for cell in asyncio.run(run()) for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    printed = "".join(output.get("text", "") for output in outputs).splitlines()
    promised = re.findall(r"print\(.*\)  # (\{.*\})$", "\n".join(blocks), re.MULTILINE)
    assert promised == ["{'z': 42}"]
    assert set(promised) <= set(printed)


def _commands_of_the_readme() -> list[str]:
    """Return the lines of its blocks that call the command line, without what is said of them."""
    blocks = [
        block for language, block in _FENCE.findall(README.read_text("utf-8")) if not language
    ]
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if re.match(r"(python -m )?taskpar", line)]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("command", _commands_of_the_readme())
def test_a_command_of_the_readme_runs(command: str, tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell(code) for code in ("a = sum(range(10))", "a")]
    for name in ("analysis.ipynb", "notebook.ipynb"):
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / name)
    (tmp_path / "script.py").write_text("import sys\nprint(open(sys.argv[1]).read())\n")
    (tmp_path / "data.csv").write_text("1,2\n")
    words = re.sub(r"^(python -m taskpar_kernel|taskpar)", "", command)
    done = subprocess.run(
        [sys.executable, "-m", "taskpar_kernel", *shlex.split(words)],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_tells_the_seconds_of_its_picture() -> None:
    """The picture is that of the second run in the tutorial; so are the seconds in the table."""
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    sentence = re.compile(
        r"^4 statements, .*: ([\d.]+) s instead of about ([\d.]+) s", re.MULTILINE
    )
    _, second = sentence.findall(page)
    taken, serial = (float(one) for one in second)
    text = README.read_text(encoding="utf-8")
    assert f"; {taken:.1f} s instead of {serial:.0f} s](docs/timeline.svg)" in text
    assert f"| {serial:.1f} s, one after the other | {taken:.1f} s, side by side |" in text


# The figures ---------------------------------------------------------------------------------


def test_the_figures_are_what_the_commands_of_the_table_printed() -> None:
    """No word stands on the page but those of the table, facts of the run, and what was printed."""
    spec = spec_from_file_location("make_figures", ROOT / "docs" / "make_figures.py")
    assert spec is not None
    assert spec.loader is not None
    writer = module_from_spec(spec)
    sys.modules[spec.name] = writer  # its dataclass looks itself up there
    spec.loader.exec_module(writer)
    text = writer.PAGE.read_text(encoding="utf-8")
    found = writer.sections(text)
    assert found.keys() == writer.SECTIONS.keys()
    assert writer.page(found) == text
    for name, section in writer.SECTIONS.items():
        title, about, facts, printed = found[name].split("\n\n", 3)
        assert (title, about) == (f"## {section.title}", section.about)
        assert re.fullmatch(
            rf"`{re.escape(section.command)}`, [\d-]+, \d+ s; \w+, CPython [\d.]+, \d+ cores, "
            r"load [\d.]+ before\.( Exit code \d+\.)?",
            facts,
        )
        assert re.fullmatch(r"```text\n.+\n```\n", printed, re.DOTALL)


# The site ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site: a warning of Sphinx is a failure."""
    missing = [name for name in ("sphinx", "myst_parser", "furo") if find_spec(name) is None]
    if missing and os.environ.get("TASKPAR_DOCS") == "required":
        pytest.fail(f"the site needs {', '.join(missing)}: pip install '.[docs]'")
    if missing:
        pytest.skip(f"left out, for want of {', '.join(missing)}: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("built") / "site"
    command = [sys.executable, str(ROOT / "docs" / "make_site.py"), "--out", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, f"{shlex.join(command)}\n{built.stdout}{built.stderr}"
    return folder


@pytest.mark.timeout(600)
def test_the_site_holds_all_documents(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    names = {path.stem for path in (ROOT / "docs").glob("*.md")}
    for name in names | {"magics", "command_line", "settings", "reference", "changes"}:
        assert (site / f"{name}.html").is_file()
        assert f'href="{name}.html"' in index
    assert "What it promises" in index


@pytest.mark.timeout(600)
def test_the_reference_holds_the_public_names(site: Path) -> None:
    text = (site / "reference.html").read_text(encoding="utf-8")
    for name in taskpar_kernel.__all__:
        assert f'id="taskpar_kernel.{name}"' in text
    assert 'id="taskpar_kernel.Pool.gather"' in text
    assert 'id="taskpar_kernel.testing.observe.KernelRun.observe"' in text
    settings = (site / "settings.html").read_text(encoding="utf-8")
    assert all(f"TASKPAR_{name.upper()}" in settings for name in TaskPar.class_traits(config=True))
    for page, names in (("magics", COMMANDS), ("command_line", cli.COMMANDS)):
        text = (site / f"{page}.html").read_text(encoding="utf-8")
        assert all(f"taskpar {name}" in text for name in names)


@pytest.mark.timeout(600)
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loads = re.compile(r"""<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=["'](?:https?:)?//""")
    pages = list(site.glob("*.html"))
    assert pages
    assert [p.name for p in pages if loads.search(p.read_text(encoding="utf-8"))] == []
    styles = site.rglob("*.css")
    assert [p.name for p in styles if re.search(r"url\(['\"]?https?:", p.read_text("utf-8"))] == []
