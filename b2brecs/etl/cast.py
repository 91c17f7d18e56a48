"""Batches brought to the warehouse's types. What does not fit is an error that names the column."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from b2brecs.errors import LoadError
from b2brecs.sql.arrow import arrow_schema
from b2brecs.types import TableSchema


def cast_batches(
    batches: Iterator[pa.RecordBatch] | pa.RecordBatchReader, target: TableSchema
) -> Iterator[pa.RecordBatch]:
    """Rename and cast batches to a table's columns, by position.

    Raises
    ------
    LoadError
        A value does not fit the column's type, or a required column holds NULL.
    """
    schema = arrow_schema(target.columns)
    for batch in batches:
        arrays = []
        for array, field in zip(batch.columns, schema, strict=True):
            try:
                cast = _cast(array, field.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                reason = str(error).splitlines()[0]
                raise LoadError(
                    f"column {field.name!r} of table {target.name!r} cannot be read as "
                    f"{target.column(field.name).type}: {reason}. "
                    f"Say types={{{field.name!r}: 'STRING'}} to load it as text."
                ) from None
            if not field.nullable and cast.null_count:
                raise LoadError(
                    f"key column {field.name!r} of table {target.name!r} holds NULL in {cast.null_count} rows."
                )
            arrays.append(cast)
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_timestamp(array.type) and pa.types.is_timestamp(kind) and kind.tz and not array.type.tz:
        array = pc.assume_timezone(array, "UTC")
    if pa.types.is_string(kind) and (pa.types.is_timestamp(array.type) or pa.types.is_list(array.type)):
        return pa.array([None if item is None else str(item) for item in array.to_pylist()], kind)
    if pa.types.is_decimal(kind) and pa.types.is_string(array.type):
        return pc.cast(array, kind)
    if pa.types.is_decimal(kind) and pa.types.is_integer(array.type):
        # Arrow first needs the digits that the integer type can have.
        return pc.cast(pc.cast(array, pa.decimal128(20, 0)), kind)
    return pc.cast(array, kind)
