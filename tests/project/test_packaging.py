"""The wheel makes the kernel selectable; `install` does it elsewhere; wrong use is told."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from taskpar_kernel import install
from taskpar_kernel.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
SHARE = Path("share", "jupyter", "kernels", "taskpar")
FILES = {"kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_carries_the_kernelspec(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        spec = [n for n in names if n.endswith(f"data/{SHARE.as_posix()}/kernel.json")]
        found = json.loads(archive.read(*spec))
    assert {n.rpartition("/")[2] for n in names if SHARE.as_posix() in n} == FILES
    assert found["argv"] == ["python", "-m", "taskpar_kernel", "-f", "{connection_file}"]
    assert found["metadata"] == {"debugger": True, "supported_encryption": ["curve"]}
    assert found["interrupt_mode"] == "signal"


def test_an_installed_wheel_can_install_its_spec_elsewhere(wheel: Path, tmp_path: Path) -> None:
    place, prefix = tmp_path / "place", tmp_path / "prefix"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--ignore-installed",
        "--prefix",
        place,
        wheel,
    ]
    subprocess.run(pip, check=True, capture_output=True)
    assert {p.name for p in (place / SHARE).iterdir()} == FILES
    (library,) = place.glob("lib*/python*/site-packages")
    # only what is under `library` may serve: not the checkout, not its editable install
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from taskpar_kernel import install; "
        "assert install.__file__.startswith(sys.argv[1]); "
        "sys.exit(install.main(['--prefix', sys.argv[2]]))"
    )
    subprocess.run([sys.executable, "-c", code, library, prefix], check=True, cwd=tmp_path)
    assert {p.name for p in (prefix / SHARE).iterdir()} == FILES


def test_install_into_a_prefix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install.main(["--prefix", str(tmp_path)]) == 0
    assert str(tmp_path / SHARE) in capsys.readouterr().out
    manager = KernelSpecManager(kernel_dirs=[str(tmp_path / SHARE.parent)])
    spec = manager.get_kernel_spec("taskpar")
    assert spec.argv[0] == sys.executable
    assert spec.display_name == "Python 3 (taskpar)"
    assert {p.name for p in (tmp_path / SHARE).iterdir()} == FILES


def test_install_again_replaces_what_was_there(tmp_path: Path) -> None:
    install.install(prefix=str(tmp_path))
    (tmp_path / SHARE / "stale.txt").write_text("of an earlier version")
    install.install(prefix=str(tmp_path))
    assert {p.name for p in (tmp_path / SHARE).iterdir()} == FILES


def test_install_for_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    assert install.install(user=True) == tmp_path / "kernels" / "taskpar"


@pytest.mark.parametrize(
    "words", [[], ["--user", "--sys-prefix"], ["--prefix"], ["--everywhere"], ["--prefix", ""]]
)
def test_wrong_use_is_told_and_writes_nothing(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert install.main(words) == 2
    assert "--prefix" in capsys.readouterr().err


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "share").write_text("a file where a folder is wanted")
    assert install.main(["--prefix", str(tmp_path)]) == 1
    assert "choose another place" in capsys.readouterr().err


def test_two_places_are_refused() -> None:
    with pytest.raises(UsageError, match="choose one"):
        install.install(user=True, prefix="x")
