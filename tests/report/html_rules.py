"""What the sanitisers of untrusted notebooks let through, as far as the reports make use of it.

The tags, attributes and styles here are a subset of what JupyterLab's sanitiser allows (package
`apputils`, `Sanitizer`, of JupyterLab 4); `tests/browser` holds them against the real one.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

TAGS = {
    *("p", "div", "ul", "li", "img", "details", "summary"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
}
VOID = {"img"}
ATTRIBUTES = {
    "*": {"style"},
    "th": {"scope"},
    "img": {"src", "alt", "width", "height"},
}
STYLES = {
    "text-align": r"left|right",
    "vertical-align": r"top",
    "padding": r"(\d+(px)? ?)+",
    "margin": r"(\d+(px)? ?)+",
    "overflow": r"hidden",
    "overflow-x": r"auto",
    "white-space": r"nowrap",
    "font-size": r"\d+px",
    "line-height": r"\d+px",
    "height": r"\d+px",
}


class Checked(HTMLParser):
    """Collects what would not survive, and the text and pictures that would."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.breaches: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.alternatives: list[str] = []
        self.feed(html)
        self.close()
        self.breaches += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        if tag not in TAGS:
            self.breaches.append(f"<{tag}>")
        for name, value in attrs:
            if name not in ATTRIBUTES["*"] | ATTRIBUTES.get(tag, set()):
                self.breaches.append(f"<{tag} {name}>")
            if name == "style":
                self._style(value)
            if name == "src" and not value.startswith("data:image/svg+xml;base64,"):
                self.breaches.append(f"src {value[:40]}")
        if tag == "img":
            self.alternatives.append(dict(attrs).get("alt", ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.breaches.append(f"</{tag}>")

    def handle_data(self, data):
        self.text += data + " "

    def _style(self, value):
        for part in filter(None, value.split(";")):
            name, _, given = part.partition(":")
            if not re.fullmatch(STYLES.get(name.strip(), "$^"), given.strip()):
                self.breaches.append(f"style {part}")
