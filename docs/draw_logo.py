"""Draw the kernel's logo: two lanes with arrows that leave one point and meet in another.

`python docs/draw_logo.py` writes `kernelspec/logo-svg.svg`, `logo-64x64.png` and `logo-32x32.png`.
Needs Pillow (it comes with matplotlib). One list of shapes serves both forms.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

TARGET = Path(__file__).resolve().parents[1] / "kernelspec"
GROUND, LANE, POINT = "#1f3a5f", "#f2b134", "#ffffff"
WIDTH = 5
LANES = (
    ((12, 32), (20, 20), (44, 20), (52, 32)),
    ((12, 32), (20, 44), (44, 44), (52, 32)),
)
HEADS = (((30, 13), (40, 20), (30, 27)), ((30, 37), (40, 44), (30, 51)))
POINTS = ((12, 32), (52, 32))
RADIUS = 6


def as_svg() -> str:
    """Return the mark as SVG text."""

    def text(points: tuple[tuple[int, int], ...]) -> str:
        return " ".join(f"{x},{y}" for x, y in points)

    lanes = "".join(
        f'<polyline points="{text(lane)}" fill="none" stroke="{LANE}" stroke-width="{WIDTH}" '
        'stroke-linejoin="round" stroke-linecap="round"/>\n'
        for lane in LANES
    )
    heads = "".join(f'<polygon points="{text(head)}" fill="{LANE}"/>\n' for head in HEADS)
    points = "".join(
        f'<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="{POINT}"/>\n' for x, y in POINTS
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64">\n'
        "<title>taskpar</title>\n"
        f'<rect width="64" height="64" rx="12" fill="{GROUND}"/>\n{lanes}{heads}{points}</svg>\n'
    )


def as_image(size: int) -> Image.Image:
    """Return the mark as a square image of `size` pixels, drawn large and reduced."""
    scale = 16
    image = Image.new("RGBA", (64 * scale, 64 * scale), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, 64 * scale - 1, 64 * scale - 1), 12 * scale, fill=GROUND)
    for lane in LANES:
        draw.line([(x * scale, y * scale) for x, y in lane], LANE, WIDTH * scale, joint="curve")
    for head in HEADS:
        draw.polygon([(x * scale, y * scale) for x, y in head], fill=LANE)
    for x, y in POINTS:
        box = (x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS)
        draw.ellipse([edge * scale for edge in box], fill=POINT)
    return image.resize((size, size), Image.Resampling.LANCZOS)


def main() -> None:
    """Write the three files."""
    (TARGET / "logo-svg.svg").write_text(as_svg(), encoding="utf-8")
    for size in (32, 64):
        as_image(size).save(TARGET / f"logo-{size}x{size}.png", optimize=True)


if __name__ == "__main__":
    main()
