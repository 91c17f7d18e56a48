"""One of each widget, as the page tests show them."""

from __future__ import annotations

from collections.abc import Callable

from b2brecs.widgets import FilterPanel, ParetoChart, SchemaBuilder, TowerDesigner
from b2brecs.widgets.base import ConfigWidget
from b2brecs.widgets.coverage import coverage
from tests.widgets import samples


def builder() -> SchemaBuilder:
    """Return a schema builder on two tables, two more to join."""
    tables = [samples.LINES, samples.PRODUCTS, samples.CUSTOMERS, samples.COUNTRIES]
    return SchemaBuilder(samples.wholesale(), tables)


def chart() -> ParetoChart:
    """Return a chart at 80 percent, with all that its thresholds keep."""
    return ParetoChart(samples.lines().top_products(80), coverage(samples.warehouse(), samples.lines()))


def panel() -> FilterPanel:
    """Return a filter panel on some filters, with a warehouse that counts."""
    dataset = samples.wholesale().min_purchases(buyers=3).keep("category", "group 1", "group 2").top_products(80)
    return FilterPanel(dataset, samples.warehouse())


def designer() -> TowerDesigner:
    """Return a designer on a few features and two layers a tower."""
    return TowerDesigner(samples.features(), samples.model())


WIDGETS: dict[str, Callable[[], ConfigWidget]] = {
    "schema_builder": builder,
    "pareto_chart": chart,
    "filter_panel": panel,
    "tower_designer": designer,
}
