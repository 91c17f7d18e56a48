"""The prebuilt extension in a real JupyterLab: what the launcher and the palette offer, and what they write."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.services.need import need
from tests.widgets.conftest import ROOT
from tests.widgets.lab.conftest import READY, Lab, Notebook

pytestmark = pytest.mark.browser

BUILT = ROOT / "b2brecs" / "lab" / "labextension"
CONNECT = 'import b2brecs as b2b\n\nws = b2b.connect("local")'


@pytest.fixture(scope="module", autouse=True)
def extension(lab: Lab) -> Iterator[None]:
    """Install the extension into the running JupyterLab, for this module."""
    need("labextension", "npm ci && npm run build in widgets/lab/", [BUILT / "package.json"])
    place = lab.folder.parent / "data" / "labextensions" / "b2brecs"
    shutil.copytree(BUILT, place)
    yield
    shutil.rmtree(place)


def palette(page: Page, label: str) -> Locator:
    """Return what the palette lists for a label."""
    page.keyboard.press("Control+Shift+c")
    search = page.locator(".lm-CommandPalette-input")
    search.fill(label)
    return page.locator(".lm-CommandPalette-item", has_text=label)


def start(lab: Lab, page: Page) -> None:
    """Open JupyterLab with its launcher."""
    page.set_viewport_size({"width": 1500, "height": 1100})
    page.goto(f"{lab.url}/lab?reset")
    expect(page.locator(".jp-Launcher")).to_be_visible(timeout=60_000)


def ready(page: Page) -> Notebook:
    """Wait for the notebook in front and its kernel; no dialog asks for one."""
    page.wait_for_function(READY, timeout=60_000)
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    return Notebook(page)


def test_the_launcher_opens_a_notebook_that_runs(lab: Lab, page: Page) -> None:
    (lab.folder / "sub").mkdir(exist_ok=True)
    start(lab, page)
    page.locator(".jp-DirListing-item", has_text="sub").dblclick()
    expect(page.locator(".jp-BreadCrumbs-item", has_text="sub")).to_be_visible()
    page.locator(".jp-LauncherCard", has_text="Quickstart").click()
    notebook = ready(page)
    made = lab.folder / "sub" / "Untitled.ipynb"
    cells = json.loads(made.read_text())["cells"]
    assert [cell["cell_type"] for cell in cells] == ["markdown", "code", "code", "code"]
    notebook.command("notebook:run-all-cells")
    expect(page.locator(".jp-InputPrompt").last).not_to_have_text("[ ]:", timeout=60_000)
    expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_attached(timeout=120_000)
    assert notebook.python("print(ws.home.warehouse.tables())") == "['customers', 'order_lines', 'orders', 'products']"
    page.close()


def test_the_palette_opens_it_too(lab: Lab, page: Page) -> None:
    start(lab, page)
    palette(page, "b2brecs: new quickstart notebook").click()
    notebook = ready(page)
    expect(notebook.cells).to_have_count(4)
    page.close()


def test_without_a_notebook_no_cell_is_offered(lab: Lab, page: Page) -> None:
    start(lab, page)
    item = palette(page, "b2brecs: insert connect cell")
    expect(item).to_have_class(re.compile("lm-mod-disabled"))
    page.close()


def test_a_connect_cell_is_inserted_below_the_active_one(notebook: Callable[[Sequence[str]], Notebook]) -> None:
    opened = notebook(["1", "2", "3"])
    opened.cells.nth(0).click()
    palette(opened.page, "b2brecs: insert connect cell").click()
    expect(opened.cells).to_have_count(4)
    sources = "() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells.map((cell) => cell.source)"
    opened.page.wait_for_function(f"() => ({sources})()[1] !== ''")
    assert opened.page.evaluate(sources) == ["1", CONNECT, "2", "3"]
