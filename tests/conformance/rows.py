"""Small tables for the warehouse's tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from sqlglot import exp

from b2brecs.backends.protocols import Change, CommitMode, LoadState, Staged, Warehouse
from b2brecs.sql.arrow import arrow_schema
from b2brecs.types import Column, TableSchema

Rows = list[dict[str, Any]]

ORDERS = TableSchema("orders", (Column("id", "INT64", nullable=False), Column("note", "STRING")))


def batches(schema: TableSchema, rows: Iterable[dict[str, Any]]) -> list[pa.RecordBatch]:
    """Return rows as one batch of a schema."""
    return [pa.RecordBatch.from_pylist(list(rows), schema=arrow_schema(schema.columns))]


def stage(warehouse: Warehouse, rows: Rows, schema: TableSchema = ORDERS, run: str = "r1") -> Staged:
    """Stage rows."""
    return warehouse.stage(schema, run, batches(schema, rows))


def change(
    warehouse: Warehouse, rows: Rows, mode: CommitMode, schema: TableSchema = ORDERS, *, run: str = "r2", **more: Any
) -> Change:
    """Stage rows for a change."""
    return Change(stage(warehouse, rows, schema, run), mode, **more)


def load(
    warehouse: Warehouse,
    rows: Rows,
    schema: TableSchema = ORDERS,
    *,
    mode: CommitMode = "swap",
    keys: Sequence[str] = (),
    run: str = "r1",
    state: LoadState | None = None,
    expect: str | None = None,
) -> int:
    """Stage rows and commit them."""
    staged = stage(warehouse, rows, schema, run)
    return warehouse.commit(Change(staged, mode, tuple(keys)), state=state, expect=expect)


def table(name: str) -> exp.Table:
    """Name a table in a tree."""
    return exp.Table(this=exp.to_identifier(name, quoted=True))


def column(name: str) -> exp.Column:
    """Name a column in a tree."""
    return exp.Column(this=exp.to_identifier(name, quoted=True))


def everything(name: str, *, by: str | None = None) -> exp.Select:
    """Select all rows, ordered by a column."""
    tree = exp.select("*").from_(table(name))
    return tree.order_by(exp.Ordered(this=column(by), nulls_first=True)) if by else tree


def read(warehouse: Warehouse, name: str = "orders", *, by: str | None = "id") -> Rows:
    """Read all rows of a table."""
    found: Rows = warehouse.query(everything(name, by=by)).read_all().to_pylist()
    return found


def pairs(warehouse: Warehouse, name: str = "orders") -> list[tuple[Any, ...]]:
    """Read all rows of a table as tuples, by id."""
    return [tuple(row.values()) for row in read(warehouse, name)]
