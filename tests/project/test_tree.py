"""What must not be in the tree: machine paths, package hosts, notebook outputs, leftovers."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = {".py", ".md", ".toml", ".json", ".ipynb", ".svg", ".sh", "", ".yaml", ".yml", ".cfg"}
UNWANTED = {
    "the home folder of somebody": r"(?<![\w.])/(root|home/\w+|Users/\w+)/",
    "a folder of one machine": r"(?<![\w.~])/(work|opt|mnt|srv)/\w",
    "a package host": r"https?://[\w.:-]*/(simple|pypi)\b|--(extra-)?index-url|find-links",
    "an unfinished merge": r"^(<{7}|>{7}) ",
}
ITSELF = Path(__file__).resolve()


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [f for f in files if f.suffix in TEXT and f.is_file() and f != ITSELF]


@pytest.mark.parametrize("what", UNWANTED)
def test_the_tree_holds_none_of(what: str) -> None:
    pattern, found = re.compile(UNWANTED[what], re.MULTILINE), []
    for file in tracked():
        text = file.read_text(encoding="utf-8", errors="replace")
        found += [f"{file.relative_to(ROOT)}: {m.group()!r}" for m in pattern.finditer(text)]
    # .gitignore names folders of the checkout, anchored at its root
    assert [f for f in found if not f.startswith(".gitignore")] == []


@pytest.mark.parametrize(
    "notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.name
)
def test_notebooks_are_kept_without_outputs(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


def test_the_readme_names_the_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in ("make test", "make demo", "pip install"):
        assert command in text
