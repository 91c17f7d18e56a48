"""Filters of a dataset, in three sections: dates, buyers, products.

They are evaluated in one order, always: dates; then row filters (categories, numbers, date ranges); then, on what
is left and independently of each other, those of whole buyers and products (shares by revenue, counts, aggregates);
a row stays when all agree. A ``sequential`` dataset takes the products' first, and the buyers' on what they leave.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from b2brecs.configs.base import Value
from b2brecs.errors import ConfigError

Side = Literal["buyer", "product"]
Section = Literal["dates", "buyer", "product"]


class Dates(Value):
    """Keep rows of a time window; ``rolling_days`` counts back from the latest date in the data, never from today.

    ``start`` and ``end`` are inclusive.
    """

    kind: Literal["dates"] = "dates"
    column: str
    rolling_days: Annotated[int, Field(ge=1)] | None = None
    start: dt.date | None = None
    end: dt.date | None = None

    section: ClassVar[Section] = "dates"

    def model_post_init(self, _context: Any, /) -> None:
        if self.rolling_days is None and self.start is None and self.end is None:
            raise ConfigError.single("Dates", "start", None, "the window has no bound.",
                                     "Give rolling_days=, start= or end=.")  # fmt: skip
        if self.rolling_days is not None and self.start is not None:
            raise ConfigError.single("Dates", "rolling_days", self.rolling_days,
                                     "a window is rolling or has a start, not both.", "Leave one out.")  # fmt: skip
        if self.start and self.end and self.start > self.end:
            raise ConfigError.single("Dates", "start", str(self.start), f"is after the end ({self.end}).",
                                     "Exchange start and end.")  # fmt: skip

    def __str__(self) -> str:
        if self.rolling_days:
            text = f"last {self.rolling_days} days of {self.column}"
        else:
            text = f"{self.column} from {self.start or 'the beginning'}"
        return text + (f" to {self.end}" if self.end else "")


class Category(Value):
    """Keep, or drop, rows whose column has one of the values; NULL is kept only with ``include_nulls``."""

    kind: Literal["category"] = "category"
    side: Side
    column: str
    values: Annotated[tuple[str | int | bool, ...], Field(min_length=1)]
    mode: Literal["include", "exclude"] = "include"
    include_nulls: bool = False

    @property
    def section(self) -> Section:
        """The section the filter belongs to."""
        return self.side

    def __str__(self) -> str:
        listed = ", ".join(map(str, self.values[:4])) + ("…" if len(self.values) > 4 else "")
        return f"{self.column} {'in' if self.mode == 'include' else 'not in'} ({listed})"


class _Bounds(Value):
    """``minimum`` and ``maximum`` belong to what is kept, ``above`` and ``below`` do not."""

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None

    def model_post_init(self, _context: Any, /) -> None:
        title = type(self).__name__
        if (self.minimum, self.maximum, self.above, self.below) == (None, None, None, None):
            raise ConfigError.single(title, "minimum", None, "the range has no bound.",
                                     "Give minimum=, maximum=, above= or below=.")  # fmt: skip
        for one, other in (("minimum", "above"), ("maximum", "below")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ConfigError.single(title, other, getattr(self, other), f"{one} is given too.", "Leave one out.")
        low = self.minimum if self.minimum is not None else self.above
        high = self.maximum if self.maximum is not None else self.below
        if low is not None and high is not None and low > high:
            raise ConfigError.single(title, "minimum" if self.minimum is not None else "above", low,
                                     f"is above the upper bound ({high:g}).", "Exchange the two.")  # fmt: skip

    def _said(self, what: str) -> str:
        if self.minimum is not None and self.minimum == self.maximum:
            return f"{what} = {self.minimum:g}"
        low = (
            f"{self.minimum:g} ≤ "
            if self.minimum is not None
            else f"{self.above:g} < "
            if self.above is not None
            else ""
        )
        high = (
            f" ≤ {self.maximum:g}"
            if self.maximum is not None
            else f" < {self.below:g}"
            if self.below is not None
            else ""
        )
        return f"{low}{what}{high}"


class Numbers(_Bounds):
    """Keep rows whose column lies within bounds; NULL is kept only with ``include_nulls``."""

    kind: Literal["numbers"] = "numbers"
    side: Side
    column: str
    include_nulls: bool = False

    @property
    def section(self) -> Section:
        """The section the filter belongs to."""
        return self.side

    def __str__(self) -> str:
        return self._said(self.column)


class DateRange(Value):
    """Keep rows whose date or time lies within days, both inclusive; NULL is kept only with ``include_nulls``.

    ``last_days`` counts back from the column's latest value in the dataset's rows, never from today.
    """

    kind: Literal["date_range"] = "date_range"
    side: Side
    column: str
    last_days: Annotated[int, Field(ge=1)] | None = None
    start: dt.date | None = None
    end: dt.date | None = None
    include_nulls: bool = False

    @property
    def section(self) -> Section:
        """The section the filter belongs to."""
        return self.side

    def model_post_init(self, _context: Any, /) -> None:
        if self.last_days is None and self.start is None and self.end is None:
            raise ConfigError.single("DateRange", "start", None, "the range has no bound.",
                                     "Give last_days=, start= or end=.")  # fmt: skip
        if self.last_days is not None and (self.start is not None or self.end is not None):
            raise ConfigError.single("DateRange", "last_days", self.last_days,
                                     "a range counts back or has fixed days, not both.", "Leave one out.")  # fmt: skip
        if self.start and self.end and self.start > self.end:
            raise ConfigError.single("DateRange", "start", str(self.start), f"is after the end ({self.end}).",
                                     "Exchange start and end.")  # fmt: skip

    def __str__(self) -> str:
        if self.last_days:
            return f"last {self.last_days} days of {self.column}"
        return f"{self.column} from {self.start or 'the beginning'}" + (f" to {self.end}" if self.end else "")


class TopRevenue(Value):
    """Keep the fewest buyers, or products, that together make ``percent`` of the revenue.

    Ranked by summed revenue, largest first; the one that crosses the line stays, and so do those of equal
    revenue. Rows without revenue add nothing; entities whose sum is not positive are never needed.
    """

    kind: Literal["top_revenue"] = "top_revenue"
    side: Side
    percent: Annotated[float, Field(gt=0, le=100)] = 80.0

    @property
    def section(self) -> Section:
        """The section the filter belongs to."""
        return self.side

    @property
    def needs(self) -> tuple[str, ...]:
        """The roles that must be set."""
        return ("user" if self.side == "buyer" else "product", "revenue")

    def __str__(self) -> str:
        return f"{self.side}s that make {self.percent:g} % of revenue"


class MinCount(Value):
    """Keep buyers, or products, with at least ``count`` rows."""

    kind: Literal["min_count"] = "min_count"
    side: Side
    count: Annotated[int, Field(ge=1)]

    @property
    def section(self) -> Section:
        """The section the filter belongs to."""
        return self.side

    @property
    def needs(self) -> tuple[str, ...]:
        """The roles that must be set."""
        return ("user" if self.side == "buyer" else "product",)

    def __str__(self) -> str:
        return f"{self.side}s with at least {self.count} rows"


Measure = Literal["rows", "partners", "revenue", "average_revenue", "quantity"]
_MEASURES = {"rows": "rows", "revenue": "revenue", "average_revenue": "revenue per row", "quantity": "quantity"}


class Aggregate(_Bounds):
    """Keep buyers, or products, by what their rows sum up to.

    ``rows`` counts them; ``partners`` the different products of a buyer, or buyers of a product; ``revenue`` and
    ``quantity`` are sums, NULL adding nothing; ``average_revenue`` is the mean over rows that have one.
    """

    kind: Literal["aggregate"] = "aggregate"
    side: Side
    measure: Measure = "rows"

    @property
    def section(self) -> Section:
        """The section the filter belongs to."""
        return self.side

    @property
    def needs(self) -> tuple[str, ...]:
        """The roles that must be set."""
        own, other = ("user", "product") if self.side == "buyer" else ("product", "user")
        more = {"partners": (other,), "quantity": ("quantity",), "rows": ()}.get(self.measure, ("revenue",))
        return (own, *more)

    def __str__(self) -> str:
        partners = "products" if self.side == "buyer" else "buyers"
        return f"{self.side}s with {self._said(_MEASURES.get(self.measure, partners))}"


Entities = TopRevenue | MinCount | Aggregate
Filter = Annotated[
    Dates | Category | Numbers | DateRange | TopRevenue | MinCount | Aggregate, Field(discriminator="kind")
]
