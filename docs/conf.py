"""How Sphinx builds the site; `docs/make_site.py` prepares its pages and runs it."""

from __future__ import annotations

from pathlib import Path

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
