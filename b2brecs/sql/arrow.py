"""Warehouse types as Arrow types and back: the one currency between sources and warehouses."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pyarrow as pa

from b2brecs.types import Column, ColumnType, TableSchema

if TYPE_CHECKING:
    from collections.abc import Iterable

_SCALARS: dict[str, pa.DataType] = {
    "STRING": pa.string(),
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal256(76, 38),
    "BOOL": pa.bool_(),
    "DATE": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "TIME": pa.time64("us"),
    "JSON": pa.string(),
    "BYTES": pa.binary(),
}


def arrow_type(kind: ColumnType) -> pa.DataType:
    """Return the Arrow type of a warehouse type."""
    if kind.startswith("ARRAY<"):
        return pa.list_(_SCALARS[kind[6:-1]])
    return _SCALARS[kind]


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the Arrow schema of a table."""
    return pa.schema([pa.field(c.name, arrow_type(c.type), nullable=c.nullable) for c in columns])


def column_type(kind: pa.DataType) -> ColumnType:
    """Return the warehouse type that holds an Arrow type; what has no place becomes STRING."""
    found = "STRING"
    if pa.types.is_dictionary(kind):
        return column_type(kind.value_type)
    if pa.types.is_boolean(kind):
        found = "BOOL"
    elif pa.types.is_integer(kind):
        found = "INT64" if not pa.types.is_uint64(kind) else "NUMERIC"
    elif pa.types.is_floating(kind):
        found = "FLOAT64"
    elif pa.types.is_decimal(kind):
        small = kind.precision - kind.scale <= 29 and kind.scale <= 9
        found = "NUMERIC" if small else "BIGNUMERIC"
    elif pa.types.is_date(kind):
        found = "DATE"
    elif pa.types.is_timestamp(kind):
        found = "TIMESTAMP" if kind.tz else "DATETIME"
    elif pa.types.is_time(kind):
        found = "TIME"
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        found = "BYTES"
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        found = f"ARRAY<{column_type(kind.value_type)}>"
    return cast("ColumnType", found)


def table_schema(name: str, schema: pa.Schema, *, rows: int | None = None) -> TableSchema:
    """Describe an Arrow schema as a table."""
    return TableSchema(
        name, tuple(Column(field.name, column_type(field.type), field.nullable) for field in schema), rows=rows
    )
