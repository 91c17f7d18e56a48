"""Firestore's values as cells of a column, exactly or not at all.

Values are read from the messages themselves: they keep whole numbers apart from floats, every digit of a time, and
references that lead to other databases.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa

from b2brecs.sql.arrow import arrow_type
from b2brecs.types import ColumnType

# The name of the column that holds a document's id.
ID = "document_id"

# A number as JSON writes it, of a length that is worth a look.
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,400})(\.\d{1,400})?([eE][+-]?\d{1,3})?", re.ASCII)
_BELOW_MICROSECOND = re.compile(r"[.,]\d{6}\d*[1-9]", re.ASCII)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_KINDS = {
    "null_value": "null", "boolean_value": "bool", "integer_value": "int", "double_value": "float",
    "timestamp_value": "timestamp", "string_value": "string", "bytes_value": "bytes",
    "reference_value": "reference", "geo_point_value": "geopoint", "array_value": "list", "map_value": "map",
}  # fmt: skip
# What the source itself makes; every other type is handed on as text, for the loader to cast.
_MADE = frozenset({"INT64", "FLOAT64", "BOOL", "TIMESTAMP", "DATE", "BYTES", "ARRAY<STRING>", "ARRAY<INT64>",
                   "ARRAY<FLOAT64>", "ARRAY<BOOL>", "ARRAY<TIMESTAMP>", "ARRAY<DATE>"})  # fmt: skip


class Misfit(ValueError):
    """A value that its column's type cannot hold exactly."""


def kind_of(value: Any) -> str:
    """Name the kind of a value: null, bool, int, float, timestamp, string, bytes, reference, geopoint, list, map."""
    kind = _KINDS.get(value.WhichOneof("value_type"), "unknown")
    return "vector" if kind == "map" and _is_vector(value) else kind


def column_of(field: str) -> str:
    """Name the column of a field. Fields called like the column of ids get one more underscore."""
    return f"{field}_" if field.rstrip("_") == ID else field


def field_of(column: str) -> str:
    """Name the field of a column."""
    return column[:-1] if column.rstrip("_") == ID else column


def text(value: Any) -> str:
    """Write a value as text, whatever it is: texts as they are, times in ISO form, lists and maps as JSON."""
    kind = kind_of(value)
    if kind == "string":
        return str(value.string_value)
    found = plain(value)
    return found if isinstance(found, str) else dumps(found)


def json_text(value: Any) -> str:
    """Write a value as JSON."""
    return dumps(plain(value))


def dumps(value: Any) -> str:
    """Write JSON; Firestore keeps no order of keys, so they are sorted."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def plain(value: Any) -> Any:
    """Return a value in JSON's types: bytes in base64, references as paths, infinite numbers by their names."""
    kind = kind_of(value)
    if kind == "vector":
        return [plain(item) for item in value.map_value.fields["value"].array_value.values]
    reader = _PLAIN.get(kind)
    return reader(value) if reader is not None else str(value).strip()


def path_of(name: str) -> str:
    """Return the path of a document's full name within its database."""
    return name.split("/documents/", 1)[-1]


def cell_type(kind: ColumnType) -> pa.DataType:
    """Return the Arrow type of the cells that ``fit`` makes."""
    return arrow_type(kind) if kind in _MADE else pa.string()


def fit(kind: ColumnType) -> Callable[[Any], Any]:
    """Return what turns a value, not null, into a cell of a column; it raises ``Misfit``."""
    if kind.startswith("ARRAY<"):
        item = _FIT[kind[6:-1]]
        return lambda value: _array(value, item)
    return _FIT.get(kind, text)


def _array(value: Any, item: Callable[[Any], Any]) -> list[Any]:
    if value.WhichOneof("value_type") != "array_value":
        raise Misfit
    if any(each.WhichOneof("value_type") == "null_value" for each in value.array_value.values):
        raise Misfit
    return [item(each) for each in value.array_value.values]


def _int64(value: Any) -> int:
    kind = value.WhichOneof("value_type")
    if kind == "integer_value":
        return int(value.integer_value)
    if kind == "double_value":
        number = value.double_value
        # 2.0 is what some clients write for 2.
        if math.isfinite(number) and number.is_integer() and -(2.0**63) <= number < 2.0**63:
            return int(number)
    elif kind == "string_value":
        written = value.string_value
        # 007 is a code, not a number.
        if _NUMBER.fullmatch(written) and written.lstrip("-").isdigit() and -(2**63) <= int(written) < 2**63:
            return int(written)
    raise Misfit


def _float64(value: Any) -> float:
    kind = value.WhichOneof("value_type")
    if kind == "double_value":
        return float(value.double_value)
    if kind == "integer_value":
        number = float(value.integer_value)
        if int(number) == value.integer_value:
            return number
    elif kind == "string_value":
        written = value.string_value
        if _NUMBER.fullmatch(written) and Decimal(written) == Decimal(repr(float(written))):
            return float(written)
    raise Misfit


def _bool(value: Any) -> bool:
    if value.WhichOneof("value_type") == "boolean_value":
        return bool(value.boolean_value)
    if value.string_value in ("true", "false"):
        return bool(value.string_value == "true")
    raise Misfit


def _timestamp(value: Any) -> int:
    """Return microseconds since 1970."""
    kind = value.WhichOneof("value_type")
    if kind == "timestamp_value":
        stamp = value.timestamp_value
        if stamp.nanos % 1000:
            raise Misfit
        return int(stamp.seconds * 1_000_000 + stamp.nanos // 1000)
    if kind == "string_value":
        try:
            moment = dt.datetime.fromisoformat(value.string_value)
        except ValueError:
            raise Misfit from None
        # Without a zone it is no moment, and Python would cut what lies below a microsecond.
        if moment.tzinfo is not None and not _BELOW_MICROSECOND.search(value.string_value):
            return (moment - _EPOCH) // dt.timedelta(microseconds=1)
    raise Misfit


def _date(value: Any) -> dt.date:
    try:
        return dt.date.fromisoformat(value.string_value)
    except ValueError:
        raise Misfit from None


def _bytes(value: Any) -> bytes:
    if value.WhichOneof("value_type") != "bytes_value":
        raise Misfit
    return bytes(value.bytes_value)


def _is_vector(value: Any) -> bool:
    fields = value.map_value.fields
    return "__type__" in fields and fields["__type__"].string_value == "__vector__"


def _moment(value: Any) -> str:
    stamp = value.timestamp_value
    whole = (_EPOCH + dt.timedelta(seconds=stamp.seconds)).replace(tzinfo=None).isoformat()
    if not stamp.nanos:
        return f"{whole}Z"
    fraction = f"{stamp.nanos:09}"
    return f"{whole}.{fraction if stamp.nanos % 1000 else fraction[:6]}Z"


def _float(value: Any) -> float | str:
    number = float(value.double_value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


_FIT: dict[str, Callable[[Any], Any]] = {
    "STRING": text, "JSON": json_text, "INT64": _int64, "FLOAT64": _float64, "BOOL": _bool, "TIMESTAMP": _timestamp,
    "DATE": _date, "BYTES": _bytes,
}  # fmt: skip

_PLAIN: dict[str, Callable[[Any], Any]] = {
    "null": lambda _: None,
    "bool": lambda value: bool(value.boolean_value),
    "int": lambda value: int(value.integer_value),
    "float": _float,
    "timestamp": _moment,
    "string": lambda value: str(value.string_value),
    "bytes": lambda value: base64.b64encode(value.bytes_value).decode(),
    "reference": lambda value: path_of(value.reference_value),
    "geopoint": lambda value: {
        "latitude": value.geo_point_value.latitude, "longitude": value.geo_point_value.longitude
    },
    "list": lambda value: [plain(item) for item in value.array_value.values],
    "map": lambda value: {name: plain(item) for name, item in value.map_value.fields.items()},
}  # fmt: skip
