from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from playwright.sync_api import expect

from tests.widgets.lab.conftest import Notebook

pytestmark = pytest.mark.browser

CELL = """
from b2brecs.widgets import ParetoChart
from tests.widgets import samples
chart = ParetoChart(samples.lines().top_products(80), samples.curve())
chart
"""


def test_the_value_follows_the_page_and_the_page_the_value(notebook: Callable[[Sequence[str]], Notebook]) -> None:
    lab = notebook([CELL])
    cells = lab.cells.count()
    slider = lab.widget.get_by_label("Threshold", exact=True)
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    expect(lab.widget.get_by_label("Equivalent Python")).to_contain_text(".top_products(82)", timeout=20_000)
    assert lab.python("print(chart.value.filters[-1].percent)") == "82.0"

    field = lab.widget.get_by_label("Share of revenue, percent")
    lab.python("chart.value = samples.lines().top_products(55)")
    expect(field).to_have_value("55", timeout=20_000)

    slider.press("b")
    slider.press("d")
    slider.press("d")
    slider.press("x")
    lab.page.wait_for_timeout(500)
    assert lab.cells.count() == cells


def test_saving_from_within_the_widget_saves_the_notebook(notebook: Callable[[Sequence[str]], Notebook]) -> None:
    lab = notebook([CELL])
    dirty = lab.page.locator(".lm-DockPanel-tabBar .jp-mod-dirty")
    expect(dirty).to_have_count(1)
    lab.widget.get_by_label("Threshold", exact=True).press("Control+s")
    expect(dirty).to_have_count(0, timeout=20_000)
