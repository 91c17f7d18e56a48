"""The revenue curve of buyers or products, as aggregates: what a Pareto chart draws."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CurvePoint:
    """The first ``count`` entities by revenue: their share of all entities, and of the revenue, in percent."""

    count: int
    entity_percent: float
    revenue_percent: float


@dataclass(frozen=True)
class ParetoCurve:
    """Cumulated revenue over entities, largest first.

    Parameters
    ----------
    entities
        Number of buyers, or of products.
    revenue
        Their revenue, in the unit of the revenue column.
    points
        The curve, in order of count; some 150 points are enough to draw it.
    counts_at
        101 numbers: how many entities the filter keeps at 0, 1, … 100 percent, exactly.
    negative
        Entities whose revenue is not positive; no threshold ever needs them.

    Raises
    ------
    ValueError
        ``counts_at`` does not hold 101 numbers that never fall.

    Examples
    --------
    >>> points = (CurvePoint(1, 50.0, 90.0), CurvePoint(2, 100.0, 100.0))
    >>> curve = ParetoCurve(2, 10.0, points, (0, *[1] * 90, *[2] * 10))
    >>> curve.counts_at[90], curve.counts_at[91]
    (1, 2)
    """

    entities: int
    revenue: float
    points: tuple[CurvePoint, ...]
    counts_at: tuple[int, ...]
    negative: int = 0

    def __post_init__(self) -> None:
        if len(self.counts_at) != 101 or list(self.counts_at) != sorted(self.counts_at):
            raise ValueError("counts_at holds one count for each percent from 0 to 100, and they never fall.")
