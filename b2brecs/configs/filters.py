"""Filters of a dataset, in three sections: dates, buyers, products.

They are evaluated in one order, always: dates; then row filters (categories, numbers); then, on what is
left and independently of each other, the shares by revenue and the minimum counts; a row stays when
all agree.
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


class Numbers(Value):
    """Keep rows whose column lies within bounds, both inclusive."""

    kind: Literal["numbers"] = "numbers"
    side: Side
    column: str
    minimum: float | None = None
    maximum: float | None = None
    include_nulls: bool = False

    @property
    def section(self) -> Section:
        """The section the filter belongs to."""
        return self.side

    def model_post_init(self, _context: Any, /) -> None:
        if self.minimum is None and self.maximum is None:
            raise ConfigError.single(
                "Numbers", "minimum", None, "the range has no bound.", "Give minimum= or maximum=."
            )
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ConfigError.single("Numbers", "minimum", self.minimum, f"is above the maximum ({self.maximum}).",
                                     "Exchange the two.")  # fmt: skip

    def __str__(self) -> str:
        low = "" if self.minimum is None else f"{self.minimum:g} ≤ "
        high = "" if self.maximum is None else f" ≤ {self.maximum:g}"
        return f"{low}{self.column}{high}"


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

    def __str__(self) -> str:
        return f"{self.side}s with at least {self.count} rows"


Filter = Annotated[Dates | Category | Numbers | TopRevenue | MinCount, Field(discriminator="kind")]
