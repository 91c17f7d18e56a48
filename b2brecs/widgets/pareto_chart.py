"""The Pareto chart: choose, on the revenue curve, which buyers or products a dataset keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import traitlets

from b2brecs.configs.code import Code, dataset_parts
from b2brecs.configs.dataset import Dataset
from b2brecs.configs.filters import Side
from b2brecs.data.curve import ParetoCurve
from b2brecs.errors import Problem
from b2brecs.widgets.base import ConfigWidget
from b2brecs.widgets.coverage import Coverage


class ParetoChart(ConfigWidget):
    """Set a dataset's threshold, by revenue, rows or quantity, by dragging or typing it.

    Parameters
    ----------
    dataset
        The dataset; ``value`` is the same with the filter set.
    curve
        What every threshold keeps, or the curve of its revenue alone. No query runs while the threshold is dragged.
    side
        ``"product"`` or ``"buyer"``.

    Raises
    ------
    ConfigError
        The dataset lacks a role that the filter needs.
    """

    BUNDLE: ClassVar[str] = "pareto_chart"
    value = traitlets.Instance(Dataset, allow_none=False)

    def __init__(self, dataset: Dataset, curve: Coverage | ParetoCurve, *, side: Side = "product") -> None:
        (dataset.top_products if side == "product" else dataset.top_buyers)()
        self.curve = curve
        self.coverage = curve if isinstance(curve, Coverage) else Coverage.of_curve(curve)
        self.side = side
        super().__init__(dataset)

    def _read(self, draft: Mapping[str, Any]) -> Dataset:
        return Dataset.from_dict(draft)

    def _write(self, value: Dataset) -> dict[str, Any]:
        return value.to_dict()

    def _describe(self, value: Dataset) -> dict[str, Any]:
        del value
        return {"side": self.side, **asdict(self.coverage)}

    def _check(self, value: Dataset) -> Sequence[Problem]:
        return value.problems()

    def _codes(self, value: Dataset) -> Sequence[Code]:
        return (dataset_parts(value),)
