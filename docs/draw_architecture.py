"""Draw `docs/architecture.svg`: the processes, their threads and sockets, and the stages of a cell.

`python docs/draw_architecture.py`. Boxes and arrows are listed below, in pixels.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

TARGET = Path(__file__).with_name("architecture.svg")
WIDTH, HEIGHT = 1040, 624
TITLE = "Home runs the cell, workers run ahead of it"
DESCRIPTION = (
    "Jupyter talks to home, the front kernel's process. In home, the main thread takes a cell "
    "through source, analysis, look-ahead, validation and commit; an I/O thread owns all sockets. "
    "Scripts go from home to the inbox of each worker; values go from worker to worker; events, "
    "values and outputs come back to home. Large buffers lie in segments that everybody maps "
    "privately."
)
GROUPS = (
    (20, 20, 210, 80, "#eef1f5", "Jupyter", "notebook, console, nbclient"),
    (20, 150, 560, 350, "#e8f0fa", "home", "the front kernel's process: an ipykernel"),
    (720, 150, 300, 165, "#fdf3df", "worker 1", "a subkernel in its own process group"),
    (720, 345, 300, 155, "#fdf3df", "worker n", ""),
    (20, 540, 1000, 64, "#eaf5ea", "segments", "shared memory: written once, mapped copy-on-write"),
)
BOXES = (
    (40, 205, 150, 44, "source", "stream of steps"),
    (40, 265, 150, 44, "analysis", "predicted effects"),
    (40, 325, 150, 44, "planning", "graph, plan"),
    (215, 205, 165, 44, "walk", "main thread, in order"),
    (215, 265, 165, 44, "look-ahead", "which units go out"),
    (215, 325, 165, 44, "validation", "inputs still the same?"),
    (215, 385, 165, 44, "commit", "names, objects, outputs"),
    (40, 445, 340, 40, "the user's namespace", ""),
    (410, 205, 150, 104, "I/O thread", "owns all sockets"),
    (410, 345, 150, 44, "inbox (PULL)", "events, values, outputs"),
    (735, 203, 115, 40, "inbox (PULL)", ""),
    (890, 203, 115, 40, "service", ""),
    (735, 258, 270, 40, "attempts behind the gate", ""),
    (735, 398, 115, 40, "inbox (PULL)", ""),
    (890, 398, 115, 40, "service", ""),
    (735, 448, 270, 40, "attempts behind the gate", ""),
)
# points, label, label's place, dashed
ARROWS = (
    (((95, 100), (95, 150)), "execute_request", (105, 130), False),
    (((115, 249), (115, 265)), "", (0, 0), False),
    (((115, 309), (115, 325)), "", (0, 0), False),
    (((190, 287), (215, 287)), "", (0, 0), False),
    (((190, 347), (203, 347), (203, 297), (215, 297)), "", (0, 0), False),
    (((297, 249), (297, 265)), "", (0, 0), False),
    (((297, 309), (297, 325)), "", (0, 0), False),
    (((297, 369), (297, 385)), "", (0, 0), False),
    (((297, 429), (297, 445)), "", (0, 0), False),
    (((380, 287), (410, 287)), "", (0, 0), False),
    (((485, 345), (485, 309)), "", (0, 0), False),
    (((410, 300), (395, 300), (395, 347), (380, 347)), "", (0, 0), False),
    (((560, 223), (735, 223)), "scripts, values", (600, 216), False),
    (((620, 223), (620, 412), (735, 412)), "", (0, 0), False),
    (((735, 278), (670, 278), (670, 367), (560, 367)), "", (0, 0), False),
    (((735, 468), (670, 468), (670, 367), (560, 367)), "", (0, 0), False),
    (((850, 223), (890, 223)), "", (0, 0), False),
    (((850, 418), (890, 418)), "", (0, 0), False),
    (((947, 243), (947, 258)), "", (0, 0), False),
    (((947, 438), (947, 448)), "", (0, 0), False),
    (((930, 298), (930, 380), (792, 380), (792, 398)), "values", (938, 335), False),
    (((300, 500), (300, 540)), "map", (310, 525), True),
    (((870, 500), (870, 540)), "write once, map", (880, 525), True),
)
Area = tuple[int, int, int, int]


def centred(x: float, y: float, text: str, kind: str = "") -> str:
    """Return one line of text around `x`."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="middle">{escape(text)}</text>'


def box(area: Area, title: str, text: str) -> str:
    """Return a white box with a title and one line below it."""
    x, y, width, height = area
    middle, centre = x + width / 2, y + height / 2
    edge = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6"'
    lines = [f'{edge} fill="#ffffff" stroke="#5b6b80"/>']
    lines.append(centred(middle, centre - 3 if text else centre + 5, title, "title"))
    if text:
        lines.append(centred(middle, centre + 13, text))
    return "\n".join(lines)


def group(area: Area, colour: str, title: str, text: str) -> str:
    """Return a coloured area with its title in the corner."""
    x, y, width, height = area
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="{colour}" '
        'stroke="#b8c2cf"/>\n'
        f'<text x="{x + 14}" y="{y + 26}" class="head">{escape(title)}</text>\n'
        f'<text x="{x + 14}" y="{y + 43}">{escape(text)}</text>'
    )


def arrow(
    points: tuple[tuple[int, int], ...], label: str, place: tuple[int, int], *, dashed: bool
) -> str:
    """Return a line with a head and, if there is one, its label."""
    path = " ".join(f"{x},{y}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    line = (
        f'<polyline points="{path}" fill="none" stroke="#1f3a5f" stroke-width="1.5"{dash} '
        'marker-end="url(#head)"/>'
    )
    if not label:
        return line
    return f'{line}\n<text x="{place[0]}" y="{place[1]}" class="label">{escape(label)}</text>'


def picture() -> str:
    """Return the whole picture as SVG text."""
    parts = [group(g[:4], *g[4:]) for g in GROUPS] + [box(b[:4], *b[4:]) for b in BOXES]
    parts += [arrow(p, label, place, dashed=dashed) for p, label, place, dashed in ARROWS]
    body = "\n".join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">
<title>{escape(TITLE)}</title>
<desc>{escape(DESCRIPTION)}</desc>
<style>
text {{ font: 12px sans-serif; fill: #33404f }}
.title {{ font-weight: bold; font-size: 13px }}
.head {{ font-weight: bold; font-size: 16px }}
.label {{ fill: #1f3a5f; font-style: italic }}
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#1f3a5f"/></marker></defs>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
{body}
</svg>
"""


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
