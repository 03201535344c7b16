"""A picture comes in as boxes, lines and words; SVG or pixels go out.

The rule: one list of shapes is all a picture is, so what is shown and what is saved are the same.
An SVG brings its own light ground: inside `<img>` it does not know the page's theme, and a contrast
that was chosen once then holds on light and dark pages.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from html import escape
from io import BytesIO

from taskpar_kernel.errors import UsageError

GROUND = "#f6f8fa"
INK = "#1f2328"
FAINT = "#57606a"
RULE = "#c9d1d9"
HOME_FILL = "#34547a"
AHEAD_FILL = "#0f6e56"
AGAIN_FILL = "#99400a"
FAMILY = "DejaVu Sans Mono, Menlo, Consolas, monospace"
CHARACTER_PX = 0.61
"""Width of a character in that font, of its size."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; `edge` is the colour of its outline, `dashed` how that is drawn."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    edge: str = ""
    edge_px: float = 1.0
    dashed: bool = False
    round_px: float = 2.0


@dataclass(frozen=True, slots=True)
class Words:
    """Text whose baseline begins at x, y; `anchor` start, middle or end."""

    x: float
    y: float
    text: str
    colour: str = INK
    size_px: float = 12.0
    anchor: str = "start"
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points; `arrow` puts a head on its last one."""

    points: tuple[tuple[float, float], ...]
    colour: str = RULE
    width_px: float = 1.0
    dashed: bool = False
    arrow: bool = False


@dataclass(slots=True)
class Picture:
    """Shapes in the order they are drawn, the size, and the words that stand for the picture."""

    width: float
    height: float
    alternative: str
    shapes: list[Box | Words | Line] = field(default_factory=list)

    def svg(self) -> str:
        """Return the picture as an SVG document without scripts, links or style sheets."""
        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:.0f}" '
                f'height="{self.height:.0f}" viewBox="0 0 {self.width:.0f} {self.height:.0f}" '
                f'role="img" font-family="{FAMILY}">'
            ),
            f"<title>{_safe(self.alternative)}</title>",
            f'<rect width="100%" height="100%" rx="4" fill="{GROUND}"/>',
        ]
        parts += [_drawn(shape) for shape in self.shapes]
        return "".join([*parts, "</svg>"])

    def image(self) -> str:
        """Return an `<img>` element that holds the picture and its alternative."""
        data = base64.b64encode(self.svg().encode()).decode("ascii")
        return (
            f'<img src="data:image/svg+xml;base64,{data}" alt="{_safe(self.alternative)}" '
            f'width="{self.width:.0f}" height="{self.height:.0f}">'
        )

    def png(self) -> bytes:
        """Return the picture as a PNG, at twice its size.

        Raises:
            UsageError: Pillow is not installed.
        """
        try:
            from PIL import Image, ImageDraw, ImageFont  # only this form of saving needs it
        except ImportError:
            raise UsageError(
                "a .png needs Pillow, which is not installed: pip install pillow, or save as .svg"
            ) from None
        image = Image.new("RGB", (round(2 * self.width), round(2 * self.height)), GROUND)
        draw = ImageDraw.Draw(image)
        for shape in self.shapes:
            if isinstance(shape, Box):
                corners = (shape.x, shape.y, shape.x + shape.width, shape.y + shape.height)
                draw.rounded_rectangle(
                    [2 * c for c in corners],
                    2 * shape.round_px,
                    None if shape.fill == "none" else shape.fill,
                    shape.edge or None,
                    max(1, round(2 * shape.edge_px)) if shape.edge else 0,
                )
            elif isinstance(shape, Line):
                flat = [2 * c for point in shape.points for c in point]
                draw.line(flat, shape.colour, max(1, round(2 * shape.width_px)))
            else:
                font = ImageFont.load_default(2 * shape.size_px)
                anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
                draw.text((2 * shape.x, 2 * shape.y), shape.text, shape.colour, font, anchor)
        out = BytesIO()
        image.save(out, "PNG")
        return out.getvalue()


def _drawn(shape: Box | Words | Line) -> str:
    if isinstance(shape, Words):
        bold = ' font-weight="bold"' if shape.bold else ""
        return (
            f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" fill="{shape.colour}" '
            f'font-size="{shape.size_px:g}" text-anchor="{shape.anchor}"{bold}>'
            f"{_safe(shape.text)}</text>"
        )
    if isinstance(shape, Line):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
        dashes = ' stroke-dasharray="4 3"' if shape.dashed else ""
        head = _head(shape) if shape.arrow else ""
        return (
            f'<polyline points="{points}" fill="none" stroke="{shape.colour}" '
            f'stroke-width="{shape.width_px:g}"{dashes}/>{head}'
        )
    edge = ""
    if shape.edge:
        dashes = ' stroke-dasharray="4 3"' if shape.dashed else ""
        edge = f' stroke="{shape.edge}" stroke-width="{shape.edge_px:g}"{dashes}'
    return (
        f'<rect x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" '
        f'height="{shape.height:.1f}" rx="{shape.round_px:g}" fill="{shape.fill}"{edge}/>'
    )


def _head(line: Line) -> str:
    """Return a small triangle that points down at the line's end."""
    x, y = line.points[-1]
    return (
        f'<path d="M{x - 4:.1f},{y - 6:.1f} L{x + 4:.1f},{y - 6:.1f} L{x:.1f},{y:.1f} Z" '
        f'fill="{line.colour}"/>'
    )


def _safe(text: str) -> str:
    """Escape, and drop what XML cannot hold."""
    kept = "".join(c for c in text if c in "\t\n" or (c >= " " and not "\ud800" <= c <= "\udfff"))
    return escape(kept.replace("\ufffe", "").replace("\uffff", ""), quote=True)


__all__ = ["Box", "Line", "Picture", "Words"]
