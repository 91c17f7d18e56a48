"""Where no kernel runs: an exported notebook still shows the cards, without scripts and without a network."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, Route, expect

from tests.widgets.conftest import ROOT

pytestmark = pytest.mark.browser

CELL = """
import sys
sys.path.insert(0, {root!r})
from IPython.display import display
from tests.widgets.page.shown import WIDGETS
for make in WIDGETS.values():
    display(make())
"""


def executed(folder: Path) -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(CELL.format(root=str(ROOT)))]
    )
    # nbclient would store each widget's state, its bundle included, and nbconvert would then drop the cards.
    client = NotebookClient(notebook, timeout=120, store_widget_state=False, resources={"metadata": {"path": folder}})
    client.execute()
    return notebook


def test_the_cards_are_there_without_scripts(bundles: Path, tmp_path: Path, browser: Browser) -> None:
    del bundles
    notebook = executed(tmp_path)
    assert len(nbformat.writes(notebook)) < 60 * 1024
    body, _ = HTMLExporter(template_name="lab").from_notebook_node(notebook)
    page = browser.new_context(java_script_enabled=False).new_page()

    def serve(route: Route) -> None:
        if route.request.url == "http://export.test/":
            route.fulfill(body=body, content_type="text/html")
        else:
            route.abort()

    page.route("**/*", serve)
    page.goto("http://export.test/", wait_until="domcontentloaded")
    cards = page.locator(".b2b-card")
    expect(cards).to_have_count(6)
    for index in range(6):
        expect(cards.nth(index)).to_be_visible()
    expect(cards.first).to_contain_text("left join products")
    expect(page.get_by_text("What the filters of wholesale keep")).to_be_visible()
    page.context.close()
