"""BigQuery's columns as columns of the warehouse, and the expressions by which those without a like are read."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
from sqlglot import exp

from b2brecs.sources.select import column, named
from b2brecs.sql.arrow import arrow_type
from b2brecs.types import COLUMN_TYPES, Column, ColumnType

if TYPE_CHECKING:
    from google.cloud.bigquery import SchemaField

DIALECT = "bigquery"
_LEGACY = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT",
           "DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC"}  # fmt: skip
_PICOSECONDS = 12


def column_of(field: SchemaField) -> Column:
    """Describe a column.

    Structs, ranges, and arrays that have no type here are JSON; intervals, geographies (WKT) and times finer than a
    microsecond are text.
    """
    kind = _kind(field)
    if field.mode == "REPEATED":
        array = f"ARRAY<{kind}>"
        return Column(field.name, cast("ColumnType", array if array in COLUMN_TYPES else "JSON"))
    if kind in ("STRUCT", "RANGE"):
        kind = "JSON"
    found = cast("ColumnType", kind if kind in COLUMN_TYPES and not _is_fine(field) else "STRING")
    return Column(field.name, found, nullable=field.mode != "REQUIRED")


def expression(field: SchemaField) -> exp.Expr | None:
    """Return what reads a column that cannot be read as it is; None: it can."""
    kind, value = _kind(field), column(field.name)
    if field.mode == "REPEATED":
        return None if f"ARRAY<{kind}>" in COLUMN_TYPES else _unless_null(value, _json(value))
    if kind == "STRUCT":
        return _unless_null(value, _json(value))
    if kind == "RANGE":
        ends = [named(exp.Anonymous(this=f"RANGE_{end}", expressions=[value]), end.lower()) for end in ("START", "END")]
        return _unless_null(value, _json(exp.Struct(expressions=ends)))
    if kind in COLUMN_TYPES and not _is_fine(field):
        return None
    return None if kind == "GEOGRAPHY" else exp.Cast(this=value, to=exp.DataType.build("STRING", dialect=DIALECT))


def chosen(fields: Sequence[SchemaField]) -> list[exp.Expr]:
    """Return what is selected of a table."""
    return [
        column(field.name) if (value := expression(field)) is None else named(value, field.name) for field in fields
    ]


def native_kinds(fields: Sequence[SchemaField]) -> dict[str, str]:
    """Return the types in which bounds are compared, by column."""
    return {field.name: _kind(field) for field in fields}


def arrow_of(fields: Sequence[SchemaField]) -> pa.Schema:
    """Return the Arrow schema in which columns are read."""
    return pa.schema([pa.field(field.name, arrow_type(column_of(field).type)) for field in fields])


def conform(batch: pa.RecordBatch, schema: pa.Schema, most: int) -> Iterator[pa.RecordBatch]:
    """Bring a batch as BigQuery sent it, in its own order of columns, to a schema, and cut it."""
    arrays = []
    for field in schema:
        array = batch.column(field.name)
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        arrays.append(array if array.type == field.type else array.cast(field.type))
    whole = pa.RecordBatch.from_arrays(arrays, schema=schema)
    for start in range(0, whole.num_rows, most):
        yield whole.slice(start, most)


def cell(field: SchemaField, value: Any) -> Any:
    """Return a value as the client library gives it, for a column of the schema."""
    if value is None:
        return None
    kind = column_of(field).type
    if kind == "JSON":
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return _plain(value) if kind == "STRING" and not isinstance(value, str) else value


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return _interval(value) if hasattr(value, "normalized") else str(value)


def _interval(value: Any) -> str:
    """Write an interval as BigQuery does: 1-2 3 4:5:6.789."""
    months = value.years * 12 + value.months
    micros = ((value.hours * 60 + value.minutes) * 60 + value.seconds) * 1_000_000 + value.microseconds
    seconds, fraction = divmod(abs(micros), 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    tail = f".{fraction:06}".rstrip("0") if fraction else ""
    year, month = divmod(abs(months), 12)
    return (
        f"{'-' if months < 0 else ''}{year}-{month} {value.days} "
        f"{'-' if micros < 0 else ''}{hour}:{minute}:{second}{tail}"
    )


def _kind(field: SchemaField) -> str:
    kind = str(field.field_type).upper().partition("<")[0]
    return _LEGACY.get(kind, kind)


def _is_fine(field: SchemaField) -> bool:
    precision = getattr(field, "timestamp_precision", None)
    return getattr(precision, "value", precision) == _PICOSECONDS


def _json(value: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="TO_JSON_STRING", expressions=[value.copy()])


def _unless_null(value: exp.Expr, text: exp.Expr) -> exp.Expr:
    # TO_JSON_STRING writes NULL as the text null.
    return exp.If(this=exp.Is(this=value.copy(), expression=exp.Null()), true=exp.Null(), false=text)
