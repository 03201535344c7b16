"""A library's name comes in, the folder of its unpacked source package and its items go out.

The rule: source packages are those of the installed versions; they are downloaded once into the
cache and never committed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Library:
    """One line of the table: what to download, and which of its files are items."""

    name: str
    sdist: str
    items: tuple[str, ...]
    without: dict[str, list[str]]

    @property
    def version(self) -> str:
        """The installed version."""
        return version(self.sdist)


def libraries() -> dict[str, Library]:
    """Return the table `libraries.toml`, in its order."""
    table = tomllib.loads((HERE / "libraries.toml").read_text(encoding="utf-8"))
    return {
        name: Library(name, row.get("sdist", name), tuple(row["items"]), row.get("without", {}))
        for name, row in table.items()
    }


def unpacked(library: Library, cache: Path) -> Path:
    """Return the folder of the unpacked sdist; download it if it is not there.

    Raises:
        RuntimeError: pip could not download it.
    """
    folder = cache / "sources" / f"{library.name}-{library.version}"
    if not folder.is_dir():
        archive = _downloaded(library, cache / "sdists" / library.name)
        half = folder.with_name(f"{folder.name}.half")
        with tarfile.open(archive) as packed:
            packed.extractall(half, filter="data")
        (inner,) = half.iterdir()
        inner.rename(folder)
        half.rmdir()
    return folder


def items_of(library: Library, folder: Path) -> list[str]:
    """Return the items' paths inside `folder`, sorted."""
    found = {p for pattern in library.items for p in folder.glob(pattern)}
    names = (p.relative_to(folder).as_posix() for p in found)
    return sorted(n for n in names if not n.endswith("__init__.py"))


def unsuited(library: Library, item: str) -> str:
    """Return why the table leaves an item out, or ''."""
    for reason, patterns in library.without.items():
        if any(fnmatch(item, pattern) for pattern in patterns):
            return reason
    return ""


def _downloaded(library: Library, target: Path) -> Path:
    print(f"downloading the sdist of {library.sdist} {library.version}", flush=True)
    plain = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    plain += ["--no-binary", ":all:", "--dest", str(target)]
    wanted = f"{library.sdist}=={library.version}"
    environ = os.environ | {"PYTHONPATH": str(HERE / "stub")}
    ways = ([*plain, "--no-build-isolation", wanted], environ), ([*plain, wanted], None)
    for command, variables in ways:  # the stub serves meson-python only
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            (archive,) = target.glob("*.tar.gz")
            return archive
    raise RuntimeError(f"pip could not download {wanted}: {done.stderr.strip()[-300:]}")
