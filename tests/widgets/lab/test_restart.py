"""What is on the screen is what Python holds, also after the kernel was restarted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from playwright.sync_api import expect

from tests.widgets.lab.conftest import READY, Notebook

pytestmark = pytest.mark.browser

CELLS = [
    """
import pathlib
from IPython.display import display
from b2brecs.configs.dataset import Dataset
from b2brecs.widgets import FilterPanel, ParetoChart, SchemaBuilder
from b2brecs.widgets.coverage import coverage
from tests.widgets import samples

saved = pathlib.Path("dataset.json")
start = Dataset.from_json(saved.read_text()) if saved.exists() else samples.lines()
warehouse = samples.warehouse()
builder = SchemaBuilder(start, [samples.PRODUCTS, samples.CUSTOMERS])
display(builder)
""",
    """
chart = ParetoChart(builder.value, coverage(warehouse, builder.value))
display(chart)
""",
    """
panel = FilterPanel(chart.value, warehouse)
display(panel)
""",
]


def code(lab: Notebook, number: int) -> str:
    """Return the Python that a widget shows."""
    return str(lab.widget.nth(number).get_by_label("Equivalent Python").inner_text())


def held(lab: Notebook, number: int, name: str) -> str:
    """Return the Python of what the kernel holds."""
    return lab.python(f"from b2brecs.configs.code import dataset_parts; print(dataset_parts({name}.value).chain)")


def test_what_is_on_the_screen_survives_a_restart(notebook: Callable[[Sequence[str]], Notebook]) -> None:
    lab = notebook(CELLS)
    builder, chart, panel = (lab.widget.nth(number) for number in range(3))
    lab.python("import pathlib; pathlib.Path('dataset.json').unlink(missing_ok=True)")

    # A join is dragged, columns are ticked, and one step is taken back.
    builder.get_by_role("button", name="order_lines.sku,").drag_to(builder.get_by_role("button", name="products.sku,"))
    shown = builder.get_by_label("Equivalent Python")
    expect(shown).to_contain_text('.join(products, on="sku")', timeout=20_000)
    builder.get_by_label("Select products.title").uncheck()
    builder.get_by_label("Select products.list_price").uncheck()
    expect(builder.get_by_text("2 tables, 8 columns")).to_be_visible(timeout=20_000)
    builder.get_by_role("button", name="Undo").click()
    expect(builder.get_by_text("2 tables, 9 columns")).to_be_visible(timeout=20_000)
    expect(shown).not_to_contain_text('"title"', timeout=20_000)
    assert code(lab, 0) == held(lab, 0, "builder")

    # The threshold is moved on, and one step taken back.
    lab.python("chart.value = builder.value")
    slider = chart.get_by_label("Threshold", exact=True)
    slider.fill("70")
    expect(chart.get_by_label("Equivalent Python")).to_contain_text(".top_products(70)", timeout=20_000)
    chart.get_by_role("button", name="90%").click()
    chart.get_by_role("button", name="Undo").click()
    expect(chart.get_by_label("Equivalent Python")).to_contain_text(".top_products(70)", timeout=20_000)
    assert code(lab, 1) == held(lab, 1, "chart")

    lab.python("panel.value = chart.value")
    rows = panel.locator(".steps tbody tr")
    expect(rows).to_have_count(2, timeout=20_000)
    panel.get_by_role("button", name="Number of rows").click()
    panel.get_by_role("button", name="Add filter").click()
    expect(rows).to_have_count(3, timeout=20_000)
    expect(panel.locator(".steps:not([data-stale])")).to_have_count(1, timeout=20_000)
    before = code(lab, 2)
    assert before == held(lab, 2, "panel")
    counts = rows.all_inner_texts()

    lab.python("saved.write_text(panel.value.to_json())")
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.restart()")
    lab.page.wait_for_function(READY, timeout=60_000)
    assert lab.python("print('panel' in globals())") == "False"
    lab.command("notebook:run-all-cells")
    expect(panel.get_by_label("Equivalent Python")).to_have_text(before, timeout=60_000)
    assert held(lab, 2, "panel") == before
    assert code(lab, 0) == before
    expect(chart.get_by_label("Share of revenue, percent")).to_have_value("70")
    expect(panel.locator(".steps:not([data-stale])")).to_have_count(1, timeout=20_000)
    assert rows.all_inner_texts() == counts
    expect(builder.get_by_label("Select products.title")).not_to_be_checked()
    expect(builder.get_by_role("group", name="Join of products to order_lines")).to_be_visible()
