"""Settings: where they come from, which of them counts, and what may not be."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from traitlets import TraitError
from traitlets.config import Config

from taskpar_kernel.errors import UsageError
from taskpar_kernel.report.live import MODES
from taskpar_kernel.settings import ALLOWED, Settings, TaskPar

ROOT = Path(__file__).parents[2]


def test_the_environment_is_below_configuration_and_that_below_an_option() -> None:
    environ = {"TASKPAR_WORKERS": "3", "TASKPAR_PROGRESS": "off"}
    assert TaskPar(environ).freeze().workers == 3
    configured = TaskPar(environ, config=Config(TaskPar={"workers": 4})).freeze()
    assert configured.workers == 4
    assert configured.progress == "off"
    assert configured.with_workers(5).workers == 5


def test_defaults_are_those_of_the_frozen_value() -> None:
    given = TaskPar({}).freeze()
    assert given == Settings(workers=given.workers, shared_mb=given.shared_mb)
    assert given.workers >= 2


WRONG = {
    "TASKPAR_WORKERS": ("abc", "workers='abc': the number of workers is a whole number from 1"),
    "TASKPAR_EAGER": ("maybe", "TASKPAR_EAGER='maybe': allowed are 1 and 0"),
    "TASKPAR_START_LIMIT_S": ("-1", "a number, 0 or more, is allowed"),
    "TASKPAR_POLICY": (
        "best",
        "policy='best': allowed are auto, heft, peft, online",
    ),
    "TASKPAR_PROGRESS": ("yes", "progress='yes': allowed are auto, on, off, stay"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_environment_is_one_line(name: str) -> None:
    value, says = WRONG[name]
    with pytest.raises(UsageError, match=re.escape(says)):
        TaskPar({name: value})


@pytest.mark.parametrize(("name", "value"), [("policy", "x"), ("progress", "x"), ("workers", 0)])
def test_a_wrong_trait_is_refused_and_changes_nothing(name: str, value: object) -> None:
    options = TaskPar({})
    before = getattr(options, name)
    with pytest.raises(TraitError, match="nothing was started"):
        setattr(options, name, value)
    assert getattr(options, name) == before


def test_every_setting_is_a_trait_with_help_and_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    traits = TaskPar.class_traits(config=True)
    assert set(traits) == {field.name for field in fields(Settings)}
    for name, trait in traits.items():
        assert trait.help, name
        assert f"| `{name}` | `TASKPAR_{name.upper()}` |" in text


def test_the_line_knows_its_modes() -> None:
    assert ALLOWED["progress"] == MODES
