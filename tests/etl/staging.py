"""Staged rows in either home, held against rules."""

import datetime as dt
import uuid
from typing import Any

import pyarrow as pa
import pytest
from sqlglot import exp

from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.backends.protocols import Change
from b2brecs.configs import rules as of
from b2brecs.etl.quality import check
from b2brecs.sql.arrow import arrow_schema
from b2brecs.types import Column, TableSchema

# Mypy's plugin for pydantic does not see a constructor that is inherited.
Accepted: Any = of.Accepted
ForeignKey: Any = of.ForeignKey
Fresh: Any = of.Fresh
NotNull: Any = of.NotNull
Range: Any = of.Range
Unique: Any = of.Unique

UTC = dt.UTC
NOW = dt.datetime(2024, 6, 1, 12, tzinfo=UTC)
BOTH = pytest.mark.parametrize("home", ["local", "gcp"], indirect=True)


def opened(home, request, tmp_path):
    """An empty warehouse of a home; BigQuery's is on the emulator."""
    if home == "local":
        warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
        yield warehouse
        warehouse.close()
        return
    bigquery = pytest.importorskip("b2brecs.backends.gcp.bigquery")
    emulator = request.getfixturevalue("bigquery_emulator")
    warehouse = bigquery.BigQueryWarehouse(emulator.project, "EU", f"d{uuid.uuid4().hex[:12]}")
    yield warehouse
    warehouse._open().delete_dataset(warehouse._path, delete_contents=True, not_found_ok=True)
    warehouse.close()


def table(rows, /, name="orders", **kinds):
    schema = TableSchema(name, tuple(Column(column, kind) for column, kind in kinds.items()))
    arrays = {column: [row[i] for row in rows] for i, column in enumerate(kinds)}
    return schema, pa.record_batch(arrays, arrow_schema(schema.columns))


def stage(warehouse, rows, /, name="orders", run="r1", **kinds):
    schema, batch = table(rows, name, **kinds)
    return warehouse.stage(schema, run, [batch])


def commit(warehouse, rows, /, name="orders", run="r0", **kinds):
    warehouse.commit(Change(stage(warehouse, rows, name, run, **kinds), "swap"))


def held(warehouse, staged, *rules, target_rows=None, mode="swap", keys=(), now=NOW, **more):
    return check(warehouse, staged, rules, target_rows=target_rows, mode=mode, keys=keys, now=now, **more)


def counts(warehouse, staged, *rules, **how):
    return [result.rows for result in held(warehouse, staged, *rules, **how)]


def rows_of(warehouse, name):
    tree = exp.select("*").from_(exp.Table(this=exp.to_identifier(name, quoted=True)))
    return [tuple(row.values()) for row in warehouse.query(tree).read_all().to_pylist()]
