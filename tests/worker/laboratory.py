"""The home process of `home_process.py`, as the tests use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Report:
    """How a program went, serially and with its statements ahead."""

    serial: list[str]
    parallel: list[str]
    statements: list[dict[str, Any]]

    @property
    def taken(self) -> list[bool]:
        return [s["taken"] for s in self.statements]

    @property
    def waited(self) -> list[bool]:
        """Which statements came to the gate and waited there."""
        return [s["waited"] for s in self.statements]

    @property
    def why(self) -> str:
        """Why the last statement was not taken."""
        return str(self.statements[-1]["why"])


class Laboratory:
    """A home process and its workers; `run` raises if parallel and serial differ."""

    def __init__(self, folder: str):
        self._process = subprocess.Popen(
            [sys.executable, "-c", "import home_process as h; h.main()", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}",
                "PYTHONHASHSEED": "7",
            },
            text=True,
        )

    def run(self, setup: str, code: str, probe: str = "None", **more: Any) -> Report:
        request = {"setup": setup, "code": code, "probe": probe, **more}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "broken" not in answer, answer["broken"]
        report = Report(**answer)
        assert report.parallel == report.serial, report
        return report

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
