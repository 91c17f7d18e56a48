"""Opens the widgets with what they need from the warehouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from b2brecs.configs.dataset import Dataset
from b2brecs.configs.features import FeatureConfig
from b2brecs.configs.filters import Side
from b2brecs.configs.model import ModelConfig
from b2brecs.errors import B2BRecsError

if TYPE_CHECKING:
    from b2brecs.widgets.filter_panel import FilterPanel
    from b2brecs.widgets.pareto_chart import ParetoChart
    from b2brecs.widgets.schema_builder import SchemaBuilder
    from b2brecs.widgets.tower_designer import TowerDesigner
    from b2brecs.workspace.data import DataVerbs


def schema_builder(workspace: DataVerbs, dataset: Dataset) -> SchemaBuilder:
    """Open the schema builder with every loaded table at hand."""
    from b2brecs.widgets.schema_builder import SchemaBuilder

    return SchemaBuilder(dataset, [workspace.table(name) for name in workspace.home.warehouse.tables()])


def filter_panel(workspace: DataVerbs, dataset: Dataset) -> FilterPanel:
    """Open the filter panel; columns are looked at, and steps counted, in the warehouse."""
    from b2brecs.widgets.filter_panel import FilterPanel

    return FilterPanel(dataset, workspace.home.warehouse)


def pareto_chart(workspace: DataVerbs, dataset: Dataset, side: Side) -> ParetoChart:
    """Open the Pareto chart; what its thresholds keep is computed in the warehouse once.

    Raises
    ------
    ConfigError
        The dataset has no revenue role, or no role for the side.
    """
    from b2brecs.widgets.coverage import coverage
    from b2brecs.widgets.pareto_chart import ParetoChart

    (dataset.top_products if side == "product" else dataset.top_buyers)()
    return ParetoChart(dataset, coverage(workspace.home.warehouse, dataset, side), side=side)


def tower_designer(*nouns: Any) -> TowerDesigner:
    """Open the tower designer on features, a model, or both.

    Raises
    ------
    B2BRecsError
        There are no features among the nouns.
    """
    from b2brecs.widgets.tower_designer import TowerDesigner

    features = next((noun for noun in nouns if isinstance(noun, FeatureConfig)), None)
    model = next((noun for noun in nouns if isinstance(noun, ModelConfig)), None)
    if features is None:
        raise B2BRecsError("the tower designer needs features: ws.edit(features, model)")
    return TowerDesigner(features, model if model is not None else ModelConfig.preset())
