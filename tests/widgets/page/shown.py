"""One of each widget, as the page tests show them."""

from __future__ import annotations

from collections.abc import Callable

from b2brecs.widgets import ParetoChart, SchemaBuilder, TowerDesigner
from b2brecs.widgets.base import ConfigWidget
from tests.widgets import samples


def builder() -> SchemaBuilder:
    """Return a schema builder on two tables, two more to join."""
    tables = [samples.LINES, samples.PRODUCTS, samples.CUSTOMERS, samples.COUNTRIES]
    return SchemaBuilder(samples.wholesale(), tables)


def chart() -> ParetoChart:
    """Return a chart at 80 percent."""
    return ParetoChart(samples.lines().top_products(80), samples.curve())


def designer() -> TowerDesigner:
    """Return a designer on a few features and two layers a tower."""
    return TowerDesigner(samples.features(), samples.model())


WIDGETS: dict[str, Callable[[], ConfigWidget]] = {
    "schema_builder": builder,
    "pareto_chart": chart,
    "tower_designer": designer,
}
