from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.widgets.lab.conftest import Notebook

pytestmark = pytest.mark.browser

CELL = """
from b2brecs.widgets import SchemaBuilder
from tests.widgets import samples
builder = SchemaBuilder(samples.lines(), [samples.PRODUCTS, samples.CUSTOMERS])
builder
"""


def test_the_kernel_follows_a_drag_and_the_page_the_kernel(notebook: Callable[[Sequence[str]], Notebook]) -> None:
    lab = notebook([CELL])
    cells = lab.cells.count()
    source = lab.widget.get_by_role("button", name="order_lines.sku,")
    target = lab.widget.get_by_role("button", name="products.sku,")
    source.drag_to(target)
    expect(lab.widget.get_by_label("Equivalent Python")).to_contain_text('.join(products, on="sku")', timeout=20_000)
    assert lab.python("print(builder.value == samples.wholesale())") == "True"

    lab.python("builder.value = builder.value.join(samples.CUSTOMERS, on=('customer_id', 'id'), how='inner')")
    card = lab.widget.get_by_role("group", name="Join of customers")
    expect(card.get_by_label("Kind of join")).to_have_value("inner", timeout=20_000)

    for key in ("a", "b", "d", "d", "x", "Enter"):
        source.press(key)
    lab.page.wait_for_timeout(500)
    assert lab.cells.count() == cells


def test_the_look_follows_the_theme(notebook: Callable[[Sequence[str]], Notebook], tmp_path: Path) -> None:
    lab = notebook([CELL])
    shade = "element => getComputedStyle(element).backgroundColor"
    light = lab.widget.evaluate(shade)
    lab.command("apputils:change-theme", theme="JupyterLab Dark")
    expect(lab.page.locator("body")).to_have_attribute("data-jp-theme-light", "false", timeout=20_000)
    expect(lab.page.locator("#jupyterlab-splash")).to_have_count(0)
    dark = lab.widget.evaluate(shade)
    lab.page.screenshot(path=Path(os.environ.get("B2BRECS_SCREENSHOTS", tmp_path)) / "lab-dark.png")
    lab.command("apputils:change-theme", theme="JupyterLab Light")
    expect(lab.page.locator("body")).to_have_attribute("data-jp-theme-light", "true", timeout=20_000)
    assert light != dark
