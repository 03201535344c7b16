"""Stand in for meson-python while pip downloads an sdist: answer with its own PKG-INFO.

pip asks every sdist for its metadata, for which meson-python would configure a build with
compilers. Nothing is built here, only the examples are read.
"""

from __future__ import annotations

from email.parser import HeaderParser
from pathlib import Path
from typing import Any


def prepare_metadata_for_build_wheel(folder: str, _settings: Any = None) -> str:
    """Write the `.dist-info` folder and return its name."""
    text = Path("PKG-INFO").read_text(encoding="utf-8")
    headers = HeaderParser().parsestr(text, headersonly=True)
    name = f"{headers['Name'].replace('-', '_')}-{headers['Version']}.dist-info"
    target = Path(folder, name)
    target.mkdir()
    (target / "METADATA").write_text(text, encoding="utf-8")
    return name
