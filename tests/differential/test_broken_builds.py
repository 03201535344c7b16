"""A test of the tester: builds that were broken on purpose, each of which it must catch.

A build is a copy of the package with one place changed; if the place is not found in the source,
the test says so and has to follow the source. The tester of the copy runs the copy's kernel.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import taskpar_kernel

PACKAGE = Path(taskpar_kernel.__file__).parent


@dataclass(frozen=True, slots=True)
class Broken:
    """One broken build: in `file`, `old` is replaced by `new`; and so on in `also`.

    It must be caught within so many `programs` with hazards of the families `only`.
    """

    name: str
    file: str
    old: str
    new: str
    only: str
    programs: int
    also: tuple[tuple[str, str, str], ...] = ()
    """Further (file, old, new): what would keep the first from doing harm."""


NO_SPLITS = (
    "engine/splits.py",
    "    distinct = {b.key: b for b in inputs}.values()\n",
    "    distinct: list[Bundle] = []\n",
)


def without(provider: str, programs: int) -> Broken:
    """Return the build whose ambient state lacks one provider."""
    return Broken(
        f"no {provider}",
        "ambient/providers.py",
        "\n)\n\n\ndef fingerprint(",
        f"\n)\nPROVIDERS = tuple(p for p in PROVIDERS if p.name != {provider!r})\n"
        "\n\ndef fingerprint(",
        "ambient",
        programs,
    )


BROKEN = (
    Broken(
        "the commits of two outcomes swapped",
        "commit/apply.py",
        '    """Write the changed states into home\'s objects, bind and unbind names."""\n',
        "    _late.append(opened)\n"
        "    for one in (opened, *(_late[-2:-1] if len(_late) % 2 == 0 else ())):\n"
        "        _write(one, namespace)\n"
        "\n\n_late: list[Opened] = []\n"
        "\n\ndef _write(opened: Opened, namespace: MutableMapping[str, Any]) -> None:\n",
        "aliases,loops",
        40,
    ),
    Broken(
        "the outputs of an outcome shown late",
        "engine/taking.py",
        "self._session.relay.show(attempt.outputs[attempt.shown :])\n        step",
        "_late.append(attempt.outputs[attempt.shown :])\n"
        "        self._session.relay.show(_late.pop(0) if len(_late) > 1 else [])\n"
        "        step",
        "outputs,loops",
        40,
    ),
    Broken(
        "aliases of what comes back dropped",
        "worker/attempt.py",
        "    parcel = pickle_value(value, known)\n"
        "    parcel.refuse_kept()\n"
        "    if parcel.spans and",
        "    parcel = pickle_value(value)\n    parcel.refuse_kept()\n    if False and",
        "aliases",
        40,
    ),
    Broken(
        "aliases of what goes out dropped",
        "engine/ledger.py",
        "        groups = _groups(\n",
        "        groups = [{n} for n in parcels] if values else _groups(\n",
        "aliases,arrays",
        60,
        also=(
            NO_SPLITS,
            (
                "engine/dispatch.py",
                "    seen: dict[int, Bundle] = {}\n",
                "    return\n    seen: dict[int, Bundle] = {}\n",
            ),
        ),
    ),
    Broken(
        "copies beside outcomes not looked for",
        *NO_SPLITS,
        "alias-through-outcomes,alias-and-view-through-outcomes,class-attribute,list-in-list",
        60,
    ),
    Broken(
        "the gate open",
        "worker/gate.py",
        "        self._thread = threading.get_ident()\n        self._ask = ask\n",
        "        return\n",
        "files,errors",
        40,
    ),
    Broken(
        "stale inputs taken for good",
        "engine/taking.py",
        "        ledger = scene.ledger\n        why = self._rebound(",
        "        if attempt:\n            return None\n"
        "        ledger = scene.ledger\n        why = self._rebound(",
        "aliases,scopes",
        60,
    ),
    Broken(
        "what an attempt does to its process not looked at",
        "worker/watch.py",
        "        found = ambient.differences(self._ambient, now)\n",
        "        return []\n        found = ambient.differences(self._ambient, now)\n",
        "ambient,randomness",
        60,
    ),
    without("cwd", 150),
    without("environ", 150),
    without("decimal", 150),
)
assert len({broken.name for broken in BROKEN}) == len(BROKEN)


def run_build(folder: Path, options: Sequence[str]) -> tuple[int, int, str]:
    """Run the tester of the package in `folder`; return programs, differences, what it told."""
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    sums = folder / "sums.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "taskpar_kernel.testing.differential", "--modes", "eager"),
            *("--most", "0", "--first", "--out", str(folder / "out"), "--tally", str(sums)),
            *options,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    told = done.stdout + done.stderr
    assert sums.exists(), told
    ((_, _, count),) = json.loads(sums.read_text(encoding="utf-8"))["modes"]
    return count["programs"], count["differences"] + count["hangs"], told


def copied(folder: Path) -> Path:
    """Return a copy of the package in `folder`, to be broken."""
    target = folder / PACKAGE.name
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


@pytest.mark.timeout(300)
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name.replace(" ", "-"))
def test_a_broken_build_is_caught(broken: Broken, tmp_path: Path) -> None:
    package = copied(tmp_path)
    for file, old, new in ((broken.file, broken.old, broken.new), *broken.also):
        source = (package / file).read_text(encoding="utf-8")
        assert source.count(old) == 1, f"{file} no longer holds what was to be broken"
        (package / file).write_text(source.replace(old, new), encoding="utf-8")
    programs, failed, told = run_build(
        tmp_path, ["--only", broken.only, "--count", str(broken.programs)]
    )
    assert failed, f"not caught within {programs} programs\n{told}"
    print(f"caught by program {programs}")


@pytest.mark.timeout(300)
def test_a_whole_build_passes_what_broken_ones_fail(tmp_path: Path) -> None:
    copied(tmp_path)
    families = sorted({family for broken in BROKEN for family in broken.only.split(",")})
    programs, failed, told = run_build(tmp_path, ["--only", ",".join(families), "--count", "30"])
    assert (programs, failed) == (30, 0), told
