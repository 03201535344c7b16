from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from laboratory import Laboratory


@pytest.fixture(scope="session")
def laboratory() -> Iterator[Laboratory]:
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        one = Laboratory(folder)
        yield one
        one.close()
