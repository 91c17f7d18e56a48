"""Column statistics of a dataset or a table: every row, one query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from b2brecs.backends.protocols import Warehouse
from b2brecs.display import Table
from b2brecs.sql.dataset import aliased, name
from b2brecs.types import NUMERIC_TYPES, TIME_TYPES, Column

_ORDERED = NUMERIC_TYPES | TIME_TYPES | {"STRING"}


@dataclass(frozen=True)
class ColumnProfile:
    """One column: NULLs, distinct values (NULL not counted), smallest and largest value."""

    name: str
    type: str
    nulls: int
    distinct: int
    minimum: Any = None
    maximum: Any = None


@dataclass(frozen=True)
class Profile:
    """A dataset's rows and columns in numbers."""

    title: str
    rows: int
    columns: tuple[ColumnProfile, ...]

    @property
    def cardinality(self) -> dict[str, int]:
        """Distinct values by column."""
        return {column.name: column.distinct for column in self.columns}

    def __getitem__(self, name: str) -> ColumnProfile:
        return next(column for column in self.columns if column.name == name)

    def _table(self) -> Table:
        share = max(self.rows, 1)
        return Table(
            f"Profile of {self.title}",
            ["column", "type", "distinct", "NULL %", "smallest", "largest"],
            [
                [c.name, c.type, c.distinct, round(100 * c.nulls / share, 2), _short(c.minimum), _short(c.maximum)]
                for c in self.columns
            ],
            subtitle=f"{self.rows:,} rows",
        )

    def __repr__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table().to_html()


def profile(warehouse: Warehouse, rows: exp.Query, columns: tuple[Column, ...], title: str) -> Profile:
    """Profile the rows of a query, by one scan."""
    items: list[exp.Expr] = [aliased(exp.Count(this=exp.Star()), "n")]
    for index, column in enumerate(columns):
        items.append(aliased(exp.Count(this=name(column.name)), f"c{index}"))
        if column.type.startswith("ARRAY") or column.type == "JSON":
            continue
        items.append(aliased(exp.Count(this=exp.Distinct(expressions=[name(column.name)])), f"d{index}"))
        if column.type in _ORDERED:
            items.append(aliased(exp.Min(this=name(column.name)), f"a{index}"))
            items.append(aliased(exp.Max(this=name(column.name)), f"z{index}"))
    tree = exp.select(*items).from_(rows.subquery(exp.to_identifier("profiled", quoted=True)))
    found = warehouse.query(tree).read_all().to_pylist()[0]
    return Profile(
        title,
        found["n"],
        tuple(
            ColumnProfile(
                column.name,
                column.type,
                found["n"] - found[f"c{index}"],
                found.get(f"d{index}", 0),
                found.get(f"a{index}"),
                found.get(f"z{index}"),
            )
            for index, column in enumerate(columns)
        ),
    )


def _short(value: Any) -> str | None:
    if value is None:
        return None
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 32 else text[:31] + "…"
