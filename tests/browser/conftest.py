"""A real JupyterLab in a real browser; what is not installed here leaves these tests out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from lab import Lab

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PACKAGES = ("playwright", "jupyterlab", "axe_playwright_python")
_BIG = {"width": 1280, "height": 1500}


def _browser() -> str | None:
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)


def _missing() -> str:
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    return ", ".join([*missing, *([] if _browser() else ["a Chromium (apt-get install chromium)"])])


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    missing = _missing()
    if missing and os.environ.get("TASKPAR_BROWSER") == "required":
        pytest.fail(f"the browser tests need {missing}")
    if missing:
        pytest.skip(f"left out, for want of {missing}")


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots are kept, to be looked at."""
    folder = Path("out/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def chromium(installed: None) -> Iterator[Any]:
    """A browser; Playwright's loop runs in this thread, and no test of others may find it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_browser(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    context = chromium.new_context(viewport=_BIG)
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()
