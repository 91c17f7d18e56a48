"""The filters of a dataset: how they are added, counted and removed."""

from __future__ import annotations

import datetime as dt
from typing import Any, Self

from b2brecs.configs.base import Config
from b2brecs.configs.filters import (
    Aggregate,
    Category,
    DateRange,
    Dates,
    Entities,
    Filter,
    Measure,
    MinCount,
    Numbers,
    Side,
    TopRevenue,
)
from b2brecs.configs.tables import Roles
from b2brecs.errors import FilterConflict, Problem, nearest
from b2brecs.types import NUMERIC_TYPES, TIME_TYPES, Column, ColumnType


class Filtered(Config):
    """A configuration with roles and filters on its columns."""

    role: Roles = Roles()
    filters: tuple[Filter, ...] = ()
    sequential: bool = False

    def __init__(self, name: str | None = None, /, **fields: Any) -> None:
        super().__init__(name, **fields)

    @property
    def known(self) -> bool:
        """Whether the columns are known."""
        raise NotImplementedError

    def output(self) -> tuple[Column, ...]:
        """Return the columns."""
        raise NotImplementedError

    def dates(
        self,
        *,
        rolling_days: int | None = None,
        start: dt.date | str | None = None,
        end: dt.date | str | None = None,
        as_of: dt.date | str | None = None,
        column: str | None = None,
    ) -> Self:
        """Keep a time window; see ``Dates``. The column defaults to the timestamp role.

        ``as_of`` takes the data as it was on a day: nothing later is kept, and ``rolling_days`` counts back from the
        latest time up to it.
        """
        if as_of is not None and end is not None:
            raise self._error("dates.as_of", as_of, "end is given too.", "Leave one out.")
        chosen = column or self.role.timestamp
        if chosen is None:
            raise self._error("dates.column", None, "no column to filter by.", "Set roles(timestamp=...) first.")
        window = Dates(column=chosen, rolling_days=rolling_days, start=start, end=end if as_of is None else as_of)
        return self.filter(window)

    def keep(self, column: str, *values: str | int | bool, side: Side = "product", include_nulls: bool = False) -> Self:
        """Keep the rows whose column has one of the values."""
        return self.filter(Category(side=side, column=column, values=values, include_nulls=include_nulls))

    def drop(self, column: str, *values: str | int | bool, side: Side = "product", include_nulls: bool = True) -> Self:
        """Drop the rows whose column has one of the values; NULL stays unless told otherwise."""
        return self.filter(
            Category(side=side, column=column, values=values, mode="exclude", include_nulls=include_nulls)
        )

    def between(
        self,
        column: str,
        minimum: float | None = None,
        maximum: float | None = None,
        *,
        above: float | None = None,
        below: float | None = None,
        side: Side = "product",
        include_nulls: bool = False,
    ) -> Self:
        """Keep the rows whose number lies within bounds: ``minimum`` and ``maximum`` stay, ``above``, ``below`` go."""
        bounds = {"minimum": minimum, "maximum": maximum, "above": above, "below": below}
        return self.filter(Numbers(side=side, column=column, include_nulls=include_nulls, **bounds))

    def within(
        self,
        column: str,
        *,
        last_days: int | None = None,
        start: dt.date | str | None = None,
        end: dt.date | str | None = None,
        side: Side = "product",
        include_nulls: bool = False,
    ) -> Self:
        """Keep the rows whose date lies within days, both inclusive; see ``DateRange``."""
        return self.filter(
            DateRange(side=side, column=column, last_days=last_days, start=start, end=end, include_nulls=include_nulls)
        )

    def buyers_with(self, measure: Measure, **bounds: float) -> Self:
        """Keep the buyers whose rows sum up to so much: ``buyers_with("revenue", above=1000)``; see ``Aggregate``."""
        return self.filter(Aggregate(side="buyer", measure=measure, **bounds))

    def products_with(self, measure: Measure, **bounds: float) -> Self:
        """Keep the products whose rows sum up to so much: ``products_with("partners", minimum=5)``."""
        return self.filter(Aggregate(side="product", measure=measure, **bounds))

    def sequentially(self, sequential: bool = True) -> Self:  # noqa: FBT001, FBT002
        """Take the filters of whole products first, and those of buyers on what they leave; see ``ws.what_if``."""
        return self.changed(sequential=sequential)

    def top_products(self, percent: float = 80.0) -> Self:
        """Keep the fewest products that make ``percent`` of the revenue."""
        return self.filter(TopRevenue(side="product", percent=percent))

    def top_buyers(self, percent: float = 80.0) -> Self:
        """Keep the fewest buyers that make ``percent`` of the revenue."""
        return self.filter(TopRevenue(side="buyer", percent=percent))

    def min_purchases(self, *, buyers: int | None = None, products: int | None = None) -> Self:
        """Keep buyers, and products, with at least so many rows."""
        dataset = self
        if buyers is not None:
            dataset = dataset.filter(MinCount(side="buyer", count=buyers))
        if products is not None:
            dataset = dataset.filter(MinCount(side="product", count=products))
        return dataset

    def filter(self, new: Filter, *, allow_reuse: bool = False) -> Self:
        """Add a filter; one of the same kind on the same column replaces the earlier.

        Raises
        ------
        FilterConflict
            A filter of another section uses the column already.
        ConfigError
            Unknown column, wrong type, or a role that the filter needs is not set.
        """
        column = getattr(new, "column", None)
        if column is not None and self.known:
            self._check_column(column, type(new).__name__.lower())
        if isinstance(new, Dates | DateRange) and self.known and self._type(new.column) not in TIME_TYPES:
            raise self._error(
                f"{new.kind}.column", new.column, f"is {self._type(new.column)}, not a date or a time.",
                "Load it as TIMESTAMP or DATE.",
            )  # fmt: skip
        if isinstance(new, Numbers) and self.known and self._type(new.column) not in NUMERIC_TYPES:
            raise self._error("numbers.column", new.column, f"is {self._type(new.column)}, not a number.",
                              "Load it as a number, or use keep() or within().")  # fmt: skip
        if isinstance(new, Entities):
            for role in new.needs:
                if getattr(self.role, role) is None:
                    raise self._error(new.kind, new.side, f"needs the role {role!r}.", f"Set roles({role}=...) first.")
        if column is not None and not allow_reuse:
            for other in self.filters:
                if getattr(other, "column", None) == column and other.section != new.section:
                    raise FilterConflict(
                        self._title(),
                        [Problem(f"{new.section}.column", repr(column), f"is used by the {other.section} filter "
                                 f"“{other}” already.", "Remove one, or pass allow_reuse=True.")],
                    )  # fmt: skip
        kept = [other for other in self.filters if _slot(other) != _slot(new)]
        return self.changed(filters=(*kept, new))

    def without_filter(self, number: int) -> Self:
        """Remove filter #number, as ``summary`` counts them from 1."""
        if not 1 <= number <= len(self.filters):
            raise self._error("filter", number, f"there are {len(self.filters)} filters.")
        return self.changed(filters=self.filters[: number - 1] + self.filters[number:])

    def summary(self) -> list[str]:
        """Return the numbered filters."""
        return [f"Filter #{index}: {item}" for index, item in enumerate(self.filters, 1)]

    def _type(self, column: str) -> ColumnType:
        return next(item.type for item in self.output() if item.name == column)

    def _check_column(self, column: str, where: str) -> None:
        names = [item.name for item in self.output()]
        if column not in names:
            raise self._error(f"{where}.column", column, "is not a column.", nearest(column, names))


def _slot(item: Filter) -> tuple[str, str, str]:
    return item.kind, item.section, getattr(item, "column", getattr(item, "measure", ""))
