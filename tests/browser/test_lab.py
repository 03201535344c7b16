"""JupyterLab with this kernel, as a user meets it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from lab import Lab, Notebook

INTERRUPT_S = 1.0
NAPS = """import time
def nap(s):
    time.sleep(s)
    return s
session = get_ipython().door.session
session.start()
session.pool.wait_ready(60)
"""


def test_the_launcher_offers_the_kernel_and_it_runs(server: Lab, page: Any, pictures: Path) -> None:
    page.goto(f"{server.address}/lab/workspaces/launcher?reset")
    card = page.locator(".jp-LauncherCard[title='Python 3 (taskpar)']").first
    card.wait_for()
    page.screenshot(path=pictures / "launcher.png")
    assert card.locator("img").evaluate("e => e.naturalWidth") > 0, "the kernel has no logo"
    card.click()
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.sessionContext?.session")
    page.locator(".jp-Notebook .cm-content").first.click()
    page.keyboard.type("print(6 * 7)")
    page.keyboard.press("Shift+Enter")
    page.locator(".jp-Cell-outputArea", has_text="42").first.wait_for()


_LINE = """
known => {
    const areas = [...document.querySelectorAll('.jp-Cell-outputArea .jp-RenderedHTML div')];
    const line = areas.find(e => e.textContent.startsWith('taskpar '));
    if (!line || known.includes(line.textContent)) return false;
    const box = line.closest('.jp-OutputArea-child').getBoundingClientRect();
    return {text: line.textContent, height: box.height};
}
"""
"""The line as it is now, if it says something else than is known."""


def test_the_progress_line_comes_and_goes(server: Lab, page: Any, pictures: Path) -> None:
    naps = "print('first')\na = nap(6)\nb = nap(6.1)\nc = nap(1)\nprint('last')"
    name = server.notebook("progress.ipynb", [NAPS, naps, "print('quick')"])
    notebook = Notebook(page, server, name)
    notebook.run(0)
    notebook.wait_done(0)
    notebook.run(1)
    seen = {}
    for _ in range(3):  # the line is drawn anew with each update
        found = page.wait_for_function(_LINE, arg=list(seen), timeout=20_000).json_value()
        seen[found["text"]] = found["height"]
        page.screenshot(path=pictures / "progress.png")
    assert len(set(seen.values())) == 1, f"its height changes: {seen}"
    assert all("statement" in text and "workers busy" in text for text in seen)
    notebook.wait_done(1)
    notebook.wait_idle()
    assert notebook.output(1).get_by_text("taskpar ").count() == 0
    assert notebook.output(1).inner_text().split() == ["first", "last"]
    notebook.run(2)
    notebook.wait_done(2)
    notebook.save()
    texts = [
        "".join(output.get("text", "")) + "".join(output.get("data", {}).get("text/html", ""))
        for output in server.saved(name)[1]["outputs"]
    ]
    assert "".join(texts).split() == ["first", "last"]


def test_a_page_reloaded_in_mid_cell_finds_the_kernel_and_its_results(
    server: Lab, page: Any
) -> None:
    naps = "print('first')\na = nap(4)\nb = nap(4.1)\nprint('last', a + b)"
    name = server.notebook("reload.ipynb", [NAPS, naps, "print('all of it', a + b)"])
    notebook = Notebook(page, server, name)
    notebook.run(0)
    notebook.wait_done(0)
    notebook.save()
    notebook.run(1)
    notebook.output(1).get_by_text("taskpar ").wait_for(timeout=20_000)
    page.reload()
    notebook = Notebook(page, server, name)
    notebook.wait_idle()
    assert notebook.output(1).get_by_text("taskpar ").count() == 0, "a line stays behind"
    notebook.run(2)
    notebook.output(2).get_by_text("all of it 8.1").wait_for(timeout=20_000)


def test_the_interrupt_button_stops_home_and_workers(server: Lab, page: Any) -> None:
    naps = "a = nap(30)\nb = nap(31)\nc = nap(32)"
    name = server.notebook("interrupt.ipynb", [NAPS, naps, "print('goes on')"])
    notebook = Notebook(page, server, name)
    notebook.run(0)
    notebook.wait_done(0)
    notebook.run(1)
    notebook.output(1).get_by_text("taskpar ").wait_for(timeout=20_000)
    begin_s = time.monotonic()
    page.locator("[data-jp-item-name='interrupt']").first.click()
    notebook.output(1).get_by_text("KeyboardInterrupt").first.wait_for()
    took_s = time.monotonic() - begin_s
    assert took_s < INTERRUPT_S + 1.0, "a second for the kernel, one for the page"
    notebook.run(2)
    notebook.output(2).get_by_text("goes on").wait_for(timeout=20_000)


def test_a_restarted_kernel_runs_again(server: Lab, page: Any) -> None:
    name = server.notebook("restart.ipynb", ["x = 1", "print('x' in globals())"])
    notebook = Notebook(page, server, name)
    notebook.run(0)
    notebook.wait_done(0)
    page.locator("[data-jp-item-name='restart']").first.click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    page.locator(".jp-Dialog").wait_for(state="detached")
    notebook.wait_idle()
    notebook.run(1)
    notebook.output(1).get_by_text("False").wait_for()


def test_tab_completes_subcommands(server: Lab, page: Any) -> None:
    notebook = Notebook(page, server, server.notebook("tab.ipynb", ["%taskpar gra"]))
    notebook.cell(0).locator(".cm-content").click()
    page.keyboard.press("End")
    page.keyboard.press("Tab")
    page.wait_for_function(
        "() => document.querySelector('.jp-Notebook .cm-content').textContent.includes('graph')"
        " || document.querySelector('.jp-Completer-item')"
    )
    items = page.locator(".jp-Completer-item .jp-Completer-match")
    offered = items.all_inner_texts() or ["graph"]
    assert offered == ["graph"]


VIEWS = ["%taskpar", "%taskpar why", "%taskpar graph", "%taskpar plan", "%taskpar workers"]
CELL = "print('begin')\nxs = [nap(s) for s in (0.3, 0.4, 0.5)]\na = nap(0.6)\nb = nap(0.5)\na + b"


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_the_views_render_and_can_be_read(
    server: Lab, page: Any, pictures: Path, theme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    server.choose_theme(theme)
    kind = theme.rpartition(" ")[2].lower()
    try:
        name = server.notebook(f"views-{kind}.ipynb", [NAPS, CELL, CELL + "\n", *VIEWS])
        notebook = Notebook(page, server, name)
        notebook.run_all()
        notebook.wait_done(len(VIEWS) + 2, 120)
        notebook.wait_idle()
        for index, view in enumerate(VIEWS, 3):
            output = notebook.output(index)
            output.locator(".jp-RenderedHTML").first.wait_for(state="attached")
            output.scroll_into_view_if_needed()
            output.screenshot(path=pictures / f"{view.split()[-1].strip('%')}-{kind}.png")
        images = page.locator(".jp-Cell-outputArea img")
        widths = images.evaluate_all("all => all.map(e => e.naturalWidth)")
        assert len(widths) == 3
        assert all(width > 300 for width in widths)
        page.evaluate("() => document.querySelectorAll('details').forEach(d => d.open = true)")
        found = Axe().run(
            page,
            context=".jp-Cell-outputArea .jp-RenderedHTMLCommon",
            options={"resultTypes": ["violations"]},
        )
        serious = [
            (v["id"], v["help"], [n["html"][:200] for n in v["nodes"]][:3])
            for v in found.response["violations"]
            if v["impact"] in {"serious", "critical"}
        ]
        assert serious == []
    finally:
        server.choose_theme("JupyterLab Light")


def test_run_all_on_the_tutorial(server: Lab, page: Any, pictures: Path) -> None:
    source = Path(__file__).parents[2] / "notebooks" / "tutorial.ipynb"
    (server.work / "tutorial.ipynb").write_bytes(source.read_bytes())
    number = len(server.saved("tutorial.ipynb"))
    notebook = Notebook(page, server, "tutorial.ipynb")
    notebook.run_all()
    notebook.wait_done(number - 1, 150)
    notebook.wait_idle()
    notebook.save()
    code = [c for c in server.saved("tutorial.ipynb") if c["cell_type"] == "code"]
    assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1))
    kinds = [output["output_type"] for cell in code for output in cell["outputs"]]
    assert "error" not in kinds
    assert "".join(code[-1]["outputs"][0]["text"]) == "{'z': 42}\n"
    timing = code[1]["metadata"].get("execution", {})
    assert "iopub.status.busy" in timing or not timing
    page.screenshot(path=pictures / "tutorial.png")
