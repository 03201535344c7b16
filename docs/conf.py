"""How Sphinx builds the site; `docs/make_site.py` prepares its pages and runs it."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

from taskpar_kernel import __version__

project = "taskpar_kernel"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
templates_path: list[str] = []

# Markdown as GitHub reads it: headings have anchors, and code without a language is left alone
myst_heading_anchors = 4
highlight_language = "none"

# in docstrings `name` is code, as in Markdown
default_role = "code"
add_module_names = False
python_use_unqualified_type_names = True
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Source", "notes_style"), ("Cost", "notes_style")]
# nothing is fetched while building, so only names of this package can be looked up
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!taskpar_kernel\.(?!model\.ids\.)).*")]

html_theme = "furo"
html_title = f"taskpar_kernel {__version__}"
html_logo = str(Path(__file__).resolve().parents[1] / "kernelspec" / "logo-svg.svg")
html_copy_source = False
html_show_copyright = False
html_theme_options = {"sidebar_hide_name": True}


_ATTRIBUTES = {"attribute", "property", "data"}


def setup(app: Sphinx) -> None:
    """Leave docstrings of attributes as they are written.

    Napoleon takes what stands before a colon for a type; so a copy is made before its turn
    (priority 500), and put back after it.
    """
    kept: list[list[str]] = []

    def keep(_app: Sphinx, what: str, _n: str, _o: object, _options: object, it: list[str]) -> None:
        kept[:] = [list(it)] if what in _ATTRIBUTES else []

    def restore(
        _app: Sphinx, _w: str, _n: str, _o: object, _options: object, it: list[str]
    ) -> None:
        if kept:
            it[:] = kept[0]

    app.connect("autodoc-process-docstring", keep, priority=400)
    app.connect("autodoc-process-docstring", restore, priority=600)
