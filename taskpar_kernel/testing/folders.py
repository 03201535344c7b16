"""A folder comes in, a copy to run in goes out, and what a run left in it.

The rule: every run finds the same files under the same path, and nothing it writes reaches the
original. A folder too large to copy is refused, never half copied.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from taskpar_kernel.errors import UsageError

MOST_BYTES = 500_000_000
_LEFT_OUT = frozenset({"__pycache__", "node_modules"})


class Copy:
    """A folder to run in, which can be set back to what the original holds.

    Hidden files and folders, `__pycache__` and `node_modules` are not copied. Setting back empties
    the folder and does not remove it: a kernel of an earlier run may still stand in it.
    """

    def __init__(self, original: Path, folder: Path, most_bytes: int = MOST_BYTES):
        self._original = original
        self._files = list(_files_of(original))
        self.folder = folder
        size = sum((original / name).stat().st_size for name in self._files)
        if size > most_bytes:
            raise UsageError(
                f"{original} holds {size / 1e6:.0f} MB, more than the {most_bytes / 1e6:.0f} MB "
                "that are copied for a run; nothing was run; say --here to run in it"
            )

    def set_back(self) -> None:
        """Make the folder hold what the original holds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        for name in self._files:
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self._original / name, target)

    def digests(self) -> dict[str, str]:
        """Return a digest for each file in the folder, hidden ones left out, by path."""
        return {
            name.as_posix(): hashlib.blake2b((self.folder / name).read_bytes()).hexdigest()[:16]
            for name in _files_of(self.folder)
        }


def _files_of(folder: Path) -> Iterator[Path]:
    """Yield the regular files that a copy has, as paths inside the folder, sorted."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _LEFT_OUT:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from (Path(path.name) / name for name in _files_of(path))
        elif path.is_file():
            yield Path(path.name)
