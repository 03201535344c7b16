"""What an untrusted notebook shows of the views is what they are: JupyterLab's own sanitiser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from lab import Lab, Notebook

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from report_records import EVERY, MIXED

from taskpar_kernel.report.graph import cell_graph, graph_html
from taskpar_kernel.report.last import last_html
from taskpar_kernel.report.live import progress_html
from taskpar_kernel.report.planned import plan_report
from taskpar_kernel.report.why import why_html
from taskpar_kernel.report.workers import workers_html

_SAME = """
([shown, given]) => {
    const plain = root => [...root.querySelectorAll('*')].map(e =>
        e.tagName + ' ' + [...e.attributes].filter(a => a.name !== 'style')
            .map(a => a.name + '=' + a.value).sort().join(' ')
        + ' ' + [...e.style].sort().map(n => n + ':' + e.style.getPropertyValue(n)).join(';')
        + ' ' + (e.children.length ? '' : e.textContent));
    const wanted = document.createElement('div');
    wanted.innerHTML = given;
    return [plain(shown), plain(wanted)];
}
"""


def views() -> dict[str, str]:
    from taskpar_kernel.planning.choose import choose_plan

    graph = cell_graph("import os\na = f(1)\nb = g(a)\nprint(b)\n")
    found = {f"last of {name}": last_html(record) for name, record in EVERY.items()}
    found["why"] = why_html(MIXED)
    found["graph"] = graph_html(graph)
    found["plan"] = plan_report(choose_plan(graph.graph, 2), timed=False)[1]
    found["workers"] = workers_html([])
    found["progress"] = progress_html("taskpar 3 s · statement 4 of 9")
    return found


def test_an_untrusted_notebook_shows_every_view_unchanged(
    server: Lab, page: Any, pictures: Path
) -> None:
    cells = [
        (
            f"# {name}",
            [
                {
                    "output_type": "display_data",
                    "data": {"text/html": html, "text/plain": name},
                    "metadata": {},
                }
            ],
        )
        for name, html in views().items()
    ]
    notebook = Notebook(page, server, server.notebook("untrusted.ipynb", cells))
    trusted = page.evaluate(
        "() => [...window.jupyterapp.shell.currentWidget.content.model.cells].map(c => c.trusted)"
    )
    assert not any(trusted), "the notebook is trusted: nothing would be sanitised"
    for index, (name, html) in enumerate(views().items()):
        notebook.cell(index).scroll_into_view_if_needed()
        shown = notebook.output(index).locator(".jp-RenderedHTML").first
        shown.wait_for(state="attached")
        got, wanted = page.evaluate(_SAME, [shown.element_handle(), html])
        assert got == wanted, name
    page.screenshot(path=pictures / "untrusted.png")


if __name__ == "__main__":
    pytest.main([__file__])
