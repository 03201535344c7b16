"""Rows and sentences come in, aligned text or plain HTML goes out: what every view is made of.

The rule: HTML is tables, paragraphs, lists and images with inline styles that the sanitisers of
untrusted notebooks let through; it sets no colour of text or ground, so that it is as readable as
the page it stands on, light or dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_CELL = "text-align:left;vertical-align:top;padding:2px 8px"
_NUMBER = "text-align:right;vertical-align:top;padding:2px 8px"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text aligned in columns under `head`."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    ]
    return "\n".join(lines)


def html_table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()
) -> str:
    """Return an HTML table; the columns named in `numbers` are set to the right."""
    styles = [_NUMBER if name in numbers else _CELL for name in head]
    titles = "".join(
        f'<th scope="col" style="{style}">{escape(name)}</th>'
        for name, style in zip(head, styles, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{style}">{escape(cell)}</td>'
            for cell, style in zip(row, styles, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<table><caption style="text-align:left;padding:2px 8px">{escape(caption)}</caption>'
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
    )


def paragraphs(lines: Iterable[str]) -> str:
    """Return one `<p>` for each line."""
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def bullets(lines: Sequence[str]) -> str:
    """Return a list, or nothing for no lines."""
    if not lines:
        return ""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def shortened(text: str, columns: int) -> str:
    """Return the first line of `text`, cut to so many columns."""
    first, _, rest = text.strip().partition("\n")
    cut = first if len(first) <= columns and not rest else f"{first[: columns - 1]}…"
    return cut or "…"


def page(title: str, body: str) -> str:
    """Return a whole HTML document that needs nothing else; it follows the reader's theme."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        '</title><meta name="viewport" content="width=device-width">'
        '<meta name="color-scheme" content="light dark">'
        "<style>body{font-family:sans-serif;margin:1em auto;max-width:70em;padding:0 1em}"
        "img{max-width:100%;height:auto}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )
