"""The parts of a dataset: tables, joins, computed columns, roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from b2brecs.configs.base import Value
from b2brecs.types import Column, ColumnType, TableSchema

Text = Annotated[str, StringConstraints(min_length=1)]
JoinType = Literal["left", "inner", "right", "full"]
ROLES = ("user", "product", "timestamp", "revenue", "quantity")


class TableRef(Value):
    """A warehouse table in a dataset, under an alias, with its columns as they were when it was added."""

    name: Text
    alias: Text
    columns: tuple[Column, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)


class Join(Value):
    """A table joined to one that comes before it, on one or several pairs of columns."""

    left: Text
    right: Text
    on: Annotated[tuple[tuple[Text, Text], ...], Field(min_length=1)]
    how: JoinType = "left"

    def __str__(self) -> str:
        pairs = ", ".join(f"{self.left}.{a} = {self.right}.{b}" for a, b in self.on)
        return f"{self.how} join {self.right} on {pairs}"


class Computed(Value):
    """A column made by an expression over the tables' columns, e.g. ``quantity * unit_price``."""

    name: Text
    expression: Text
    type: ColumnType = "FLOAT64"


class Roles(Value):
    """Which output column is the buyer, the product, the time, the revenue, the quantity."""

    user: str | None = None
    product: str | None = None
    timestamp: str | None = None
    revenue: str | None = None
    quantity: str | None = None

    def items(self) -> list[tuple[str, str]]:
        """(role, column) of the roles that are set."""
        return [(role, getattr(self, role)) for role in ROLES if getattr(self, role) is not None]


def reference(table: TableSchema | str, alias: str | None) -> TableRef:
    """Describe a table for a dataset."""
    if isinstance(table, str):
        return TableRef(name=table, alias=alias or table)
    return TableRef(name=table.name, alias=alias or table.name, columns=table.columns)


def pairs_of(on: Any) -> list[tuple[str, str]]:
    """Read the ``on`` of a join."""
    if isinstance(on, str):
        return [(on, on)]
    if isinstance(on, Mapping):
        return list(on.items())
    items = list(on)
    if isinstance(on, tuple) and len(items) == 2 and all(isinstance(item, str) for item in items):
        return [(items[0], items[1])]
    return [(item, item) if isinstance(item, str) else (item[0], item[1]) for item in items]
