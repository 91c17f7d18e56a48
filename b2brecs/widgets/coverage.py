"""What every threshold of a Pareto chart keeps, by several measures: aggregates whose size knows no number of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from b2brecs.backends.protocols import Warehouse
from b2brecs.configs.dataset import Dataset
from b2brecs.configs.filters import Aggregate, Entities, Side, TopRevenue
from b2brecs.data.curve import ParetoCurve
from b2brecs.sql.dataset import aliased, name, revenue_sum, rows

Measured = Literal["revenue", "rows", "quantity"]
MEASURED: tuple[Measured, ...] = ("revenue", "rows", "quantity")
_POINTS = 100
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Thresholds:
    """The buyers, or products, that together make a share of a measure, for 0 to 100 percent.

    Attributes
    ----------
    cuts
        The smallest measure that is kept; those that have as much stay together. None at 0 percent, where nobody is.
    counts, rows, revenue, quantity, covered
        What is kept: buyers or products, their rows, revenue and quantity, and how many of the other side appear in
        those rows. ``quantity`` is empty where the dataset has none, ``covered`` where it has no other side.
    points
        The curve: (share of entities, share of the measure), in percent, largest first.
    needless
        Entities whose measure is not positive; no threshold needs them.
    """

    total: float
    cuts: tuple[float | None, ...]
    counts: tuple[int, ...]
    rows: tuple[int, ...]
    revenue: tuple[float, ...]
    quantity: tuple[float, ...]
    covered: tuple[int, ...]
    points: tuple[tuple[float, float], ...]
    needless: int


@dataclass(frozen=True)
class Coverage:
    """The thresholds of one side by each measure that the dataset has, and what there is without any."""

    entities: int
    rows: int | None
    others: int | None
    revenue: float | None
    quantity: float | None
    measures: Mapping[Measured, Thresholds]

    @classmethod
    def of_curve(cls, curve: ParetoCurve) -> Coverage:
        """Take a revenue curve alone: rows and the other side are not known."""
        points = tuple((point.entity_percent, point.revenue_percent) for point in curve.points)
        known = Thresholds(curve.revenue, (), curve.counts_at, (), (), (), (), points, curve.negative)
        return cls(curve.entities, None, None, curve.revenue, None, {"revenue": known})


def coverage(warehouse: Warehouse, dataset: Dataset, side: Side = "product") -> Coverage:
    """Count what every threshold keeps.

    It is held against the rows that the threshold's filter is held against: those that dates and row filters leave,
    and of a sequential dataset's buyers those that the products' filters leave.

    Raises
    ------
    WarehouseError
        The dataset's tables are not as it knows them.
    """
    role = dataset.role
    key, other = (role.user, role.product) if side == "buyer" else (role.product, role.user)
    assert key is not None  # the chart is opened on datasets with the role
    before = [
        each
        for each in dataset.filters
        if not isinstance(each, Entities) or (dataset.sequential and side == "buyer" and each.side == "product")
    ]
    bare = dataset.changed(filters=before)
    taken = {each.measure for each in dataset.filters if isinstance(each, Aggregate) and each.side == side
             and not is_threshold(each, side)}  # fmt: skip
    sums: dict[Measured, exp.Expr] = {"rows": exp.Count(this=exp.Star())}
    for measure, column in (("revenue", role.revenue), ("quantity", role.quantity)):
        if column is not None:
            sums[measure] = exp.Coalesce(this=revenue_sum(column), expressions=[exp.Literal.number(0)])  # type: ignore[index]
    base = rows(bare)
    entities = (
        exp.select(aliased(name(key), "k"), *(aliased(node, measure) for measure, node in sums.items()))
        .from_(base.subquery(exp.to_identifier("purchases", quoted=True)))
        .where(_present(name(key)))
        .group_by(name(key))
    )
    found = warehouse.query(entities).read_all()
    values = {each: _floats(found[each].to_numpy(zero_copy_only=False)) for each in sums}
    best = None if other is None else _best(warehouse, base, entities, key, other, list(sums))
    others = None if best is None else len(next(iter(best.values())))
    measures = {
        each: thresholds(each, values, None if best is None else best[each])
        for each in MEASURED
        if each in values and each not in taken
    }
    totals = {each: round(float(values[each].sum()), 2) if each in values else None for each in MEASURED}
    return Coverage(len(found), int(values["rows"].sum()), others, totals["revenue"], totals["quantity"], measures)


def is_threshold(each: object, side: Side) -> bool:
    """Say whether a filter is one that the chart sets."""
    if isinstance(each, TopRevenue):
        return each.side == side
    return (
        isinstance(each, Aggregate)
        and each.side == side
        and each.measure in ("rows", "quantity")
        and (each.maximum, each.above, each.below) == (None, None, None)
    )


def thresholds(measure: Measured, values: Mapping[Measured, _Floats], best: _Floats | None) -> Thresholds:
    """Compute the thresholds by one measure, of one value per entity and measure.

    ``best`` has, for each of the other side, the largest value among the entities that it has rows with: it is
    covered by whatever keeps that one.
    """
    own = values[measure]
    order = np.argsort(-own, kind="stable")
    ranked = own[order][: int(np.count_nonzero(own > 0))]
    running = np.cumsum(ranked)
    total = float(running[-1]) if len(ranked) else 0.0
    # What the strictly larger ones make together: those of equal value stay or go together, as in the query.
    first = np.searchsorted(-ranked, -ranked, side="left")
    before = np.where(first > 0, running[np.maximum(first - 1, 0)], 0.0)
    counts = [int(np.count_nonzero(before < total * (percent / 100))) for percent in range(100)] + [len(ranked)]
    cuts = [float(ranked[count - 1]) if count else None for count in counts]

    def kept(of: Measured) -> _Floats:
        """Return the sum over the first so many, for each count."""
        if of not in values:
            return np.zeros(0)
        sums = np.concatenate([[0.0], np.cumsum(values[of][order])])
        return np.asarray(sums[counts], dtype=np.float64)

    covered: list[int] = []
    if best is not None:
        sorted_best = np.sort(best)
        covered = [
            0 if cut is None else int(len(best) - np.searchsorted(sorted_best, cut, side="left")) for cut in cuts
        ]
    places = np.unique(np.linspace(1, max(1, len(ranked)), min(_POINTS, max(1, len(ranked)))).round().astype(np.int64))
    points = [(0.0, 0.0)]
    if total > 0:
        points += [
            (round(100 * n / len(own), 3), round(100 * float(running[n - 1]) / total, 3)) for n in places.tolist()
        ]
    return Thresholds(
        total=round(total, 6),
        cuts=tuple(cuts),
        counts=tuple(counts),
        rows=tuple(int(value) for value in kept("rows")),
        revenue=tuple(round(float(value), 2) for value in kept("revenue")),
        quantity=tuple(round(float(value), 2) for value in kept("quantity")),
        covered=tuple(covered),
        points=tuple(points),
        needless=len(own) - len(ranked),
    )


def _best(
    warehouse: Warehouse, base: exp.Select, entities: exp.Select, key: str, other: str, measures: list[Measured]
) -> dict[Measured, _Floats]:
    """Return, for each of the other side, the largest values among the entities that it has rows with."""
    columns = [aliased(exp.Max(this=name(each, "b2b_entities")), each) for each in measures]
    tree = (
        exp.select(aliased(name(other, "b2b_purchases"), "o"), *columns)
        .from_(base.subquery(exp.to_identifier("b2b_purchases", quoted=True)))
        .join(
            entities.subquery(exp.to_identifier("b2b_entities", quoted=True)),
            on=exp.EQ(this=name(key, "b2b_purchases"), expression=name("k", "b2b_entities")),
            join_type="INNER",
        )
        .where(_present(name(other, "b2b_purchases")))
        .group_by(name(other, "b2b_purchases"))
    )
    found = warehouse.query(tree).read_all()
    return {each: _floats(found[each].to_numpy(zero_copy_only=False)) for each in measures}


def _present(column: exp.Expr) -> exp.Expr:
    return exp.Not(this=exp.Is(this=column, expression=exp.Null()))


def _floats(values: NDArray[np.generic]) -> _Floats:
    return np.nan_to_num(np.asarray(values, dtype=np.float64))
