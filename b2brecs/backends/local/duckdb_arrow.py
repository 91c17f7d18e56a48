"""Rows between Arrow and DuckDB.

DuckDB's infinite times are not quite Arrow's extremes: ``infinity`` is the greatest number that a DATE or TIMESTAMP
can hold, but ``-infinity`` is the least but one; the least itself is a finite day of the year 5877642 BC, or 290309
BC. Arrow's least value is therefore stored as ``-infinity``, and ``-infinity`` is given back as Arrow's least value.
Every other day, also before Christ, is the same number in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from b2brecs.backends.local.duckdb_sql import column_type
from b2brecs.errors import WarehouseError
from b2brecs.sql.arrow import arrow_type
from b2brecs.types import Column

_BIGNUMERIC = pa.decimal128(38, 19)


def stored_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the Arrow schema in which rows are handed to DuckDB."""
    return pa.schema(
        [
            pa.field(
                item.name, _BIGNUMERIC if item.type == "BIGNUMERIC" else arrow_type(item.type), nullable=item.nullable
            )
            for item in columns
        ]
    )


def conform(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    """Return a batch in the schema that was promised.

    Raises
    ------
    WarehouseError
        A value does not fit, or the columns are others.
    """
    if not batch.schema.equals(wanted):
        if set(batch.schema.names) != set(wanted.names):
            wrong = sorted(set(batch.schema.names) ^ set(wanted.names))
            raise WarehouseError(f"the rows' columns are not those announced: {', '.join(map(repr, wrong))}.")
        try:
            batch = batch.select(wanted.names).cast(wanted)
        except (pa.ArrowException, ValueError) as error:
            raise WarehouseError(f"a value does not fit its column: {error}") from None
    return pa.RecordBatch.from_arrays([_infinite(array, stored=True) for array in batch.columns], schema=wanted)


def result_schema(found: pa.Schema, types: Sequence[str]) -> pa.Schema:
    """Return the schema of a result in the warehouse's vocabulary, given DuckDB's names of its types."""
    kinds = [column_type(duck) for duck in types]
    return pa.schema(
        [
            pa.field(field.name, field.type if kind is None else arrow_type(kind))
            for field, kind in zip(found, kinds, strict=True)
        ]
    )


def fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a result's rows in another schema; decimals are rounded half away from zero, as BigQuery does."""
    arrays = []
    for array, field in zip(batch.columns, schema, strict=True):
        fitted = array
        if not array.type.equals(field.type):
            decimals = pa.types.is_decimal(array.type) and pa.types.is_decimal(field.type)
            if decimals and array.type.scale > field.type.scale:
                fitted = pc.round(array, ndigits=field.type.scale, round_mode="half_towards_infinity")
            fitted = fitted.cast(field.type)
        arrays.append(_infinite(fitted, stored=False))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _infinite(array: pa.Array[Any], *, stored: bool) -> pa.Array[Any]:
    """Exchange Arrow's least time and the number by which DuckDB means ``-infinity``."""
    kind = array.type
    if pa.types.is_list(kind):
        values = array.values
        exchanged = _infinite(values, stored=stored)
        if exchanged is values:
            return array
        known, offsets = array.buffers()[:2]
        return pa.Array.from_buffers(kind, len(array), [known, offsets], offset=array.offset, children=[exchanged])
    if pa.types.is_date32(kind):
        plain, least = pa.int32(), -(2**31)
    elif pa.types.is_timestamp(kind):
        plain, least = pa.int64(), -(2**63)
    else:
        return array
    old, new = (least, least + 1) if stored else (least + 1, least)
    numbers = array.view(plain)
    if pc.min(numbers).as_py() not in (least, least + 1):
        return array
    return pc.if_else(pc.equal(numbers, pa.scalar(old, plain)), pa.scalar(new, plain), numbers).view(kind)
