"""Notebook widgets: each edits an immutable configuration, shows the equivalent Python, and follows it both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from b2brecs.widgets.filter_panel import FilterPanel
    from b2brecs.widgets.pareto_chart import ParetoChart
    from b2brecs.widgets.schema_builder import SchemaBuilder
    from b2brecs.widgets.tower_designer import Design, TowerDesigner

__all__ = ["Design", "FilterPanel", "ParetoChart", "SchemaBuilder", "TowerDesigner"]

_HOMES = {
    "Design": "tower_designer",
    "FilterPanel": "filter_panel",
    "ParetoChart": "pareto_chart",
    "SchemaBuilder": "schema_builder",
    "TowerDesigner": "tower_designer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
