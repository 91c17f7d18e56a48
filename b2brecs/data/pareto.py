"""The revenue curve of a dataset's buyers or products, by the same rule as the filter it helps to set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from b2brecs.backends.protocols import Warehouse
from b2brecs.configs.dataset import Dataset
from b2brecs.configs.filters import Side, TopRevenue
from b2brecs.data.curve import CurvePoint, ParetoCurve
from b2brecs.errors import ConfigError
from b2brecs.sql.dataset import aliased, name, revenue_sum, rows

_POINTS = 120


def pareto(warehouse: Warehouse, dataset: Dataset, side: Side = "product") -> ParetoCurve:
    """Compute the curve over the dataset's rows, its own revenue filter of this side left out.

    Raises
    ------
    ConfigError
        The dataset has no revenue role, or no role for the side.
    """
    role = "user" if side == "buyer" else "product"
    key, revenue = getattr(dataset.role, role), dataset.role.revenue
    if key is None or revenue is None:
        missing = role if key is None else "revenue"
        raise ConfigError.single(f"Dataset {dataset.name!r}", f"roles.{missing}", None, "is not set.",
                                 f"Set roles({missing}=…) first.")  # fmt: skip
    bare = dataset.changed(filters=[f for f in dataset.filters if not (isinstance(f, TopRevenue) and f.side == side)])
    tree = (
        exp.select(aliased(revenue_sum(revenue), "revenue"))
        .from_(rows(bare).subquery(exp.to_identifier("purchases", quoted=True)))
        .where(exp.Not(this=exp.Is(this=name(key), expression=exp.Null())))
        .group_by(name(key))
    )
    found = warehouse.query(tree).read_all()["revenue"].to_numpy()
    return curve(np.nan_to_num(np.asarray(found, dtype=np.float64)))


def curve(revenue: NDArray[np.float64]) -> ParetoCurve:
    """Compute the curve of one revenue per entity."""
    positive = np.sort(revenue[revenue > 0])[::-1]
    total = float(positive.sum())
    running = np.cumsum(positive)
    # What the strictly larger ones make together: those of equal revenue stay or go together.
    first = np.searchsorted(-positive, -positive, side="left")
    before = np.where(first > 0, running[np.maximum(first - 1, 0)], 0.0)
    counts = [int(np.count_nonzero(before < total * (percent / 100))) for percent in range(100)] + [len(positive)]
    entities = len(revenue)
    places = np.unique(np.linspace(1, len(positive), min(_POINTS, len(positive))).round().astype(np.int64))
    points = [CurvePoint(0, 0.0, 0.0)]
    points += [
        CurvePoint(int(n), round(100 * float(n) / entities, 4), round(100 * float(running[n - 1]) / total, 4))
        for n in places.tolist()
    ]
    return ParetoCurve(entities, total, tuple(points), tuple(counts), entities - len(positive))
