"""The warehouse's types, and the shapes of tables.

One small vocabulary (BigQuery's names) that both homes understand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

ColumnType = Literal[
    "STRING", "INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC", "BOOL", "DATE", "DATETIME", "TIMESTAMP", "TIME",
    "JSON", "BYTES",
    "ARRAY<STRING>", "ARRAY<INT64>", "ARRAY<FLOAT64>", "ARRAY<BOOL>", "ARRAY<DATE>", "ARRAY<TIMESTAMP>",
]  # fmt: skip
COLUMN_TYPES: tuple[str, ...] = get_args(ColumnType)

NUMERIC_TYPES = frozenset({"INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC"})
TIME_TYPES = frozenset({"DATE", "DATETIME", "TIMESTAMP"})


@dataclass(frozen=True)
class Column:
    """A column: its name, type, and whether NULL may stand in it."""

    name: str
    type: ColumnType
    nullable: bool = True


@dataclass(frozen=True)
class TableSchema:
    """A table's name, columns and primary key (empty when unknown).

    ``rows`` is the engine's own estimate, or None.
    """

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    rows: int | None = None

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return one column.

        Raises
        ------
        NotFound
            There is none of this name.
        """
        for column in self.columns:
            if column.name == name:
                return column
        from b2brecs.errors import NotFound

        raise NotFound("column", name, self.names, where=f"table {self.name!r}")
