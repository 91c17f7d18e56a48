"""BigQuery's columns and Arrow's, in the library's vocabulary."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from b2brecs.backends.protocols import PRIVATE
from b2brecs.errors import WarehouseError, show
from b2brecs.sql.arrow import arrow_type
from b2brecs.types import COLUMN_TYPES, Column, ColumnType, TableSchema

if TYPE_CHECKING:
    from google.cloud import bigquery

# Number of the row within a load, by which the last of equal keys is known. Only in staged tables.
ROW = f"{PRIVATE}row"

# Parquet cannot bring these exactly: they travel as text and are read when the rows are committed.
AS_TEXT = frozenset({"JSON", "BIGNUMERIC"})

_LEGACY = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC"}
_STRUCTS = frozenset({"RECORD", "STRUCT", "RANGE"})
_REFUSED = re.compile(r"[\x00-\x1f!\"$()*,./;?@\[\\\]^`{}~]")
_RESERVED = ("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier", "_change_")
_MAX_NAME = 300
_PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def read_column(field: bigquery.SchemaField) -> Column:
    """Describe one of BigQuery's columns; structs, and arrays without a place of their own, are JSON."""
    kind = _LEGACY.get(field.field_type, field.field_type)
    if field.mode == "REPEATED":
        array = f"ARRAY<{kind}>"
        return Column(field.name, cast("ColumnType", array if array in COLUMN_TYPES else "JSON"))
    if kind in _STRUCTS:
        kind = "JSON"
    found = cast("ColumnType", kind if kind in COLUMN_TYPES else "STRING")
    return Column(field.name, found, nullable=field.mode != "REQUIRED")


def described(found: bigquery.Table) -> TableSchema:
    """Return a table's columns, key and rows."""
    columns = tuple(read_column(field) for field in found.schema)
    constraints = found.table_constraints
    key = constraints.primary_key.columns if constraints and constraints.primary_key else ()
    return TableSchema(found.table_id, columns, tuple(key), found.num_rows)


def write_column(column: Column) -> bigquery.SchemaField:
    """Describe a column to BigQuery, whose arrays are never NULL."""
    from google.cloud import bigquery

    if column.type.startswith("ARRAY<"):
        return bigquery.SchemaField(column.name, column.type[6:-1], mode="REPEATED")
    return bigquery.SchemaField(column.name, column.type, mode="NULLABLE" if column.nullable else "REQUIRED")


def staged_columns(schema: TableSchema) -> list[Column]:
    """Return the columns of staged rows: all may be NULL, so that the commit is what refuses."""
    columns = [Column(column.name, "STRING" if column.type in AS_TEXT else column.type) for column in schema]
    return [*columns, Column(ROW, "INT64")]


def is_plain(columns: Iterable[Column]) -> bool:
    """Say whether all names are plain ASCII identifiers."""
    return all(_PLAIN.match(column.name) for column in columns)


def check_names(schema: TableSchema) -> None:
    """Refuse names that BigQuery does not take.

    Raises
    ------
    WarehouseError
        With every such name.
    """
    found: list[str] = []
    seen: dict[str, str] = {}
    for column in schema:
        name, folded = column.name, column.name.casefold()
        odd = _REFUSED.search(name)
        if not name or len(name) > _MAX_NAME:
            found.append(f"column {show(name)}: a name has 1 to {_MAX_NAME} characters.")
        elif odd:
            found.append(f"column {show(name)}: BigQuery allows no {odd[0]!r} in a name.")
        elif folded.startswith((*_RESERVED, PRIVATE)):
            found.append(f"column {show(name)}: names that begin so are reserved.")
        elif folded in seen:
            found.append(f"column {show(name)}: BigQuery does not tell it from {show(seen[folded])}.")
        seen[folded] = name
    if not schema.columns:
        found.append("a table needs at least one column.")
    if schema.name.startswith(PRIVATE):
        found.append(f"names that begin with {PRIVATE} are the library's own.")
    elif not schema.name or re.search(r"[^\w\- ]", schema.name):
        found.append("a table's name holds letters, digits, '_', '-' and spaces only.")
    if found:
        raise WarehouseError(f"BigQuery cannot take table {show(schema.name)}: {' '.join(found)} Rename it.")


def staged_batch(batch: pa.RecordBatch, schema: TableSchema, start: int) -> pa.RecordBatch:
    """Cast rows to their staged form and number them from ``start``."""
    odd = sorted(set(batch.schema.names) ^ set(schema.names))
    if odd:
        raise WarehouseError(f"the rows' columns are not those announced: {', '.join(map(repr, odd))}.")
    fields, arrays = [], []
    for column in staged_columns(schema)[:-1]:
        kind = arrow_type(column.type)
        fields.append(pa.field(column.name, kind))
        arrays.append(_cast(batch.column(column.name), kind, f"table {schema.name!r}, column {column.name!r}"))
    fields.append(pa.field(ROW, pa.int64()))
    arrays.append(pa.array(range(start, start + batch.num_rows), pa.int64()))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def result_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Cast rows that BigQuery returned to the library's types."""
    arrays = [_cast(column, field.type, field.name) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _cast(array: pa.Array[Any], kind: pa.DataType, where: str) -> pa.Array[Any]:
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if array.type == kind:
        return array
    if pa.types.is_string(kind) and (pa.types.is_nested(array.type) or pa.types.is_interval(array.type)):
        return pa.array(_texts(array.to_pylist()), kind)
    try:
        return array.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise WarehouseError(f"{where}: {str(error).splitlines()[0]}.") from error


def _texts(values: Sequence[object]) -> list[str | None]:
    return [None if value is None else json.dumps(value, default=str, ensure_ascii=False) for value in values]
