"""Pictures can be read: contrast of every word and bar, whatever the page's theme."""

from __future__ import annotations

import sys

import pytest
from report_records import LOOP, MIXED

from taskpar_kernel.errors import UsageError
from taskpar_kernel.report.bounds import bounds_of
from taskpar_kernel.report.graph import cell_graph, graph_picture
from taskpar_kernel.report.shapes import (
    AGAIN_FILL,
    AHEAD_FILL,
    FAINT,
    GROUND,
    HOME_FILL,
    INK,
    Box,
    Picture,
    Words,
)
from taskpar_kernel.report.timeline import timeline

TEXT_CONTRAST = 4.5
"""WCAG 2.1, success criterion 1.4.3; bars need 3 (1.4.11)."""


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def ground_of(words: Words, picture: Picture) -> str:
    """Return the colour of the last box below the words, or the picture's own ground."""
    found = GROUND
    for shape in picture.shapes:
        if isinstance(shape, Box) and shape.fill != "none":
            inside_x = shape.x <= words.x <= shape.x + shape.width
            if inside_x and shape.y <= words.y <= shape.y + shape.height:
                found = shape.fill
    return found


@pytest.mark.parametrize(
    "picture",
    [
        timeline(MIXED, bounds_of(MIXED)),
        timeline(LOOP, bounds_of(LOOP)),
        graph_picture(cell_graph("import os\na = f(1)\nb = g(a)\n")),
    ],
    ids=["timeline", "loop", "graph"],
)
def test_every_word_has_contrast(picture: Picture) -> None:
    words = [s for s in picture.shapes if isinstance(s, Words)]
    assert words
    for one in words:
        assert contrast(one.colour, ground_of(one, picture)) >= TEXT_CONTRAST, one


@pytest.mark.parametrize("fill", [HOME_FILL, AHEAD_FILL, AGAIN_FILL, INK, FAINT])
def test_bars_stand_out_from_the_ground(fill: str) -> None:
    assert contrast(fill, GROUND) >= TEXT_CONTRAST


def test_states_differ_by_more_than_colour() -> None:
    svg = timeline(MIXED, bounds_of(MIXED)).svg()
    assert 'stroke-dasharray="4 3"' in svg
    assert svg.count('stroke="#7ee0c0"') == 3 + 1  # three bars and the legend


def test_without_pillow_a_png_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UsageError, match=r"needs Pillow.*save as \.svg"):
        Picture(10, 10, "nothing").png()
