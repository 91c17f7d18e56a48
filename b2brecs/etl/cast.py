"""Batches brought to the warehouse's types, exactly or not at all: what does not fit leaves with a reason."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from b2brecs.errors import LoadError
from b2brecs.sources import OnReject, Reject
from b2brecs.sql.arrow import arrow_schema
from b2brecs.types import TableSchema

Bounds = Mapping[str, tuple[Any, Any]]
_CAST_ERRORS = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, ValueError, OverflowError)


class Caster:
    """Casts batches, by position, to a table's columns.

    Parameters
    ----------
    target
        The columns as they are written. A value that they cannot hold exactly is never rounded, cut or made NULL.
    bounds
        Least and greatest values that the warehouse can hold: ``Warehouse.bounds``.
    on_reject
        Takes the rows that do not fit. Without it, the first one is an error.
    """

    def __init__(self, target: TableSchema, bounds: Bounds | None = None, on_reject: OnReject | None = None) -> None:
        self.target, self.on_reject = target, on_reject
        self.schema = arrow_schema(target.columns)
        pairs = zip(target, self.schema, strict=True)
        self.bounds = [_bound(bounds or {}, column.type, field.type) for column, field in pairs]

    def cast(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows that fit.

        Raises
        ------
        LoadError
            A value does not fit, and nobody takes rejects.
        """
        arrays: list[pa.Array] = []
        wrong: dict[int, tuple[str, str]] = {}
        for array, field, bound in zip(batch.columns, self.schema, self.bounds, strict=True):
            try:
                cast = _cast(array, field.type)
                misfits: dict[int, str] = {}
            except _CAST_ERRORS:
                cast, misfits = _cast_slowly(array, field.type)
            if bound is not None:
                misfits.update(_beyond(cast, bound))
            if not field.nullable and cast.null_count:
                misfits.update((i, "a key must not be NULL") for i in _indices(pc.is_null(cast)) if i not in misfits)
            for index, reason in misfits.items():
                wrong.setdefault(index, (field.name, reason))
            arrays.append(cast)
        if not wrong:
            return pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        self._reject(batch, wrong)
        kept = pa.array([index not in wrong for index in range(batch.num_rows)])
        return pa.RecordBatch.from_arrays([array.filter(kept) for array in arrays], schema=self.schema)

    def _reject(self, batch: pa.RecordBatch, wrong: Mapping[int, tuple[str, str]]) -> None:
        for index in sorted(wrong):
            column, reason = wrong[index]
            if self.on_reject is None:
                raise LoadError(
                    f"column {column!r} of table {self.target.name!r} cannot be {self.target.column(column).type}: "
                    f"{reason}. Say types={{{column!r}: 'STRING'}} to load it as text."
                )
            self.on_reject(Reject(row_text(batch, index, self.target.names), column, reason))


def cast_batches(
    batches: Iterator[pa.RecordBatch] | pa.RecordBatchReader,
    target: TableSchema,
    *,
    bounds: Bounds | None = None,
    on_reject: OnReject | None = None,
) -> Iterator[pa.RecordBatch]:
    """Cast a stream of batches, by position; see ``Caster``."""
    caster = Caster(target, bounds, on_reject)
    for batch in batches:
        yield caster.cast(batch)


def row_text(batch: pa.RecordBatch, index: int, names: Sequence[str] | None = None) -> str:
    """Return one row as JSON text, values that JSON does not know as their own text."""
    return json.dumps(
        {name: _plain(array[index]) for name, array in zip(names or batch.schema.names, batch.columns, strict=True)},
        ensure_ascii=False,
    )


def _plain(scalar: pa.Scalar) -> Any:
    try:
        value = scalar.as_py()
    except (OverflowError, ValueError):
        return _extreme(scalar)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return value if isinstance(value, list | dict | float) and _is_json(value) else str(value)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _extreme(scalar: pa.Scalar) -> str:
    """Databases know infinite times; Arrow carries them as its extreme values."""
    number = scalar.cast(pa.int32() if pa.types.is_date32(scalar.type) else pa.int64()).as_py()
    limit = 2**31 - 1 if pa.types.is_date32(scalar.type) else 2**63 - 1
    return "infinity" if number == limit else "-infinity" if number <= -limit else str(scalar)


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_timestamp(array.type) and pa.types.is_timestamp(kind) and kind.tz and not array.type.tz:
        # The same instant in UTC; assume_timezone refuses infinite times.
        array = pc.cast(array, pa.timestamp(array.type.unit)).cast(pa.timestamp(array.type.unit, "UTC"))
    if pa.types.is_string(kind):
        return _as_text(array)
    if pa.types.is_decimal(kind) and pa.types.is_integer(array.type):
        # Arrow first needs the digits that the integer type can have.
        return pc.cast(pc.cast(array, pa.decimal128(20, 0)), kind)
    if pa.types.is_time(kind) and _is_text(array.type):
        return pa.array([None if text is None else dt.time.fromisoformat(text) for text in array.to_pylist()], kind)
    if pa.types.is_integer(kind) and _is_text(array.type):
        array = pc.utf8_trim_whitespace(array)
        if pc.any(pc.match_substring_regex(array, r"^[-+]?0\d")).as_py():
            raise ValueError("a code with leading zeros is not a number")
    return pc.cast(array, kind)


def _as_text(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_timestamp(kind) or pa.types.is_list(kind) or pa.types.is_struct(kind) or pa.types.is_map(kind):
        return pa.array([_text(scalar) for scalar in array], pa.string())
    return pc.cast(array, pa.string())


def _text(scalar: pa.Scalar) -> str | None:
    if not scalar.is_valid:
        return None
    value = _plain(scalar)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _cast_slowly(array: pa.Array, kind: pa.DataType) -> tuple[pa.Array, dict[int, str]]:
    """Cast what can be; halves that fail are halved again, until the single values that do not fit are found."""
    misfits: dict[int, str] = {}
    pieces: list[pa.Array] = []

    def work(start: int, length: int) -> None:
        piece = array.slice(start, length)
        try:
            pieces.append(_cast(piece, kind))
        except _CAST_ERRORS as error:
            if length == 1:
                misfits[start] = str(error).splitlines()[0].rstrip(".")
                pieces.append(pa.nulls(1, kind))
                return
            half = length // 2
            work(start, half)
            work(start + half, length - half)

    work(0, len(array))
    return pa.concat_arrays(pieces), misfits


def _bound(bounds: Bounds, name: str, kind: pa.DataType) -> tuple[pa.Scalar, pa.Scalar] | None:
    found = bounds.get(name)
    if found is None:
        return None
    zone = dt.UTC if pa.types.is_timestamp(kind) and kind.tz else None
    low, high = (value.replace(tzinfo=zone) if isinstance(value, dt.datetime) else value for value in found)
    return pa.scalar(low, kind), pa.scalar(high, kind)


def _beyond(array: pa.Array, bound: tuple[pa.Scalar, pa.Scalar]) -> dict[int, str]:
    if len(array) == array.null_count:
        return {}
    low, high = bound
    outside = pc.or_(pc.less(array, low), pc.greater(array, high))
    if not pc.any(outside).as_py():
        return {}
    return {i: f"{_plain(array[i])} is beyond what the warehouse holds ({low} to {high})" for i in _indices(outside)}


def _indices(mask: pa.Array) -> list[int]:
    return [int(i) for i in pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist()]


def json_value(value: Any) -> str:
    """Return a watermark as JSON text."""
    if isinstance(value, dt.date | dt.datetime | dt.time):
        return json.dumps(value.isoformat())
    return json.dumps(str(value) if isinstance(value, Decimal) else value)


def finite_max(array: pa.Array) -> Any:
    """Return the greatest value that Python can hold, so none of a database's infinite times; None if there is none."""
    try:
        return pc.max(array).as_py()
    except (OverflowError, ValueError):
        pass
    days = pa.types.is_date32(array.type)
    numbers = array.cast(pa.int32() if days else pa.int64())
    limit = _LAST.days if days else _LAST // dt.timedelta(microseconds=1)
    kept = numbers.filter(pc.less_equal(numbers, pa.scalar(limit, numbers.type)))
    try:
        return pc.max(kept).cast(array.type).as_py()
    except (OverflowError, ValueError):
        return None


# From the epoch to the last moment that Python can say.
_LAST = dt.datetime.max.replace(tzinfo=dt.UTC) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
