"""How values that have a type already, as in Parquet files, are read as warehouse types. Nothing is rounded."""

from __future__ import annotations

import re

from sqlglot import exp

from b2brecs.sources.files.scan import NOTHING, TEXT
from b2brecs.sources.files.sql import call, cast, duck_type, either, is_null, is_set, number, try_cast
from b2brecs.sources.files.texts import Reading, read_text
from b2brecs.types import ColumnType

_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"})
_NUMBERS = _INTEGERS | {"UBIGINT", "HUGEINT", "UHUGEINT", "FLOAT", "DOUBLE"}
_NAIVE = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})
_ZONED = frozenset({"TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", "TIMESTAMPTZ_NS"})
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_LIST = re.compile(r"(.*)\[\d*\]", re.DOTALL)
# What holds every value of what; the rest is tried, and looked at.
_HOLDS: dict[str, frozenset[str]] = {
    "INT64": _INTEGERS,
    "FLOAT64": frozenset({"FLOAT", "DOUBLE"}) | _INTEGERS - {"BIGINT"},
    "NUMERIC": _INTEGERS | {"UBIGINT"},
    "BOOL": frozenset({"BOOLEAN"}),
    "DATE": frozenset({"DATE"}),
    "DATETIME": _NAIVE | {"DATE"},
    "TIMESTAMP": _ZONED | _NAIVE | {"DATE"},
    "TIME": frozenset({"TIME", "TIME_NS"}),
    "BYTES": frozenset({"BLOB"}),
}


def read_native(source: exp.Expr, native: str, kind: ColumnType, value: exp.Expr) -> Reading:
    """Read a column of a DuckDB type as a warehouse type.

    Structs, maps and lists of them become JSON text, once; lists of plain values become arrays.
    """
    if native == NOTHING:
        return Reading(cast(exp.Null(), duck_type(kind)))
    if native == TEXT:
        return read_text(source, kind, value, "asked")
    if is_nested(native):
        return _read_nested(source, native, kind, value)
    if native == "BLOB" and kind in ("STRING", "JSON"):
        # Some writers do not say that their bytes are text.
        decoded = call("try", call("decode", source))
        return Reading(decoded, None, either(is_set(value), is_null(source)))
    if kind == "STRING":
        return Reading(cast(source, TEXT))
    if kind == "JSON":
        return Reading(source if native == "JSON" else cast(call("to_json", source), TEXT))
    if native.endswith("_NS"):
        return _read_nanoseconds(source, native, kind, value)
    if native in _HOLDS.get(kind, ()) or (kind == "NUMERIC" and _is_numeric(native)):
        target = duck_type(kind)
        return Reading(source if native == target else cast(source, target))
    if kind in ("INT64", "FLOAT64", "NUMERIC") and (native in _NUMBERS or _DECIMAL.fullmatch(native)):
        back = exp.EQ(this=try_cast(value, native), expression=source)
        return Reading(try_cast(source, duck_type(kind)), None, either(is_null(source), back))
    return read_text(cast(source, TEXT), kind, value, "asked")


def _read_nanoseconds(source: exp.Expr, native: str, kind: ColumnType, value: exp.Expr) -> Reading:
    """Cut a time to microseconds, where DuckDB would round it."""
    if native == "TIME_NS":
        return read_native(call("left", cast(source, TEXT), number(15)), TEXT, kind, value)
    micros = exp.IntDiv(this=call("epoch_ns", source), expression=number(1000))
    naive = native == "TIMESTAMP_NS"
    cut = call("make_timestamp" if naive else "make_timestamptz", micros)
    return read_native(cut, "TIMESTAMP" if naive else "TIMESTAMPTZ", kind, value)


def is_nested(native: str) -> bool:
    """Whether a DuckDB type is of several values."""
    return _LIST.fullmatch(native) is not None or native.startswith(("STRUCT(", "MAP(", "UNION(", "VARIANT"))


def _read_nested(source: exp.Expr, native: str, kind: ColumnType, value: exp.Expr) -> Reading:
    found = _LIST.fullmatch(native)
    if kind.startswith("ARRAY<") and found is not None and not is_nested(found[1]):
        item = kind[6:-1]
        if item == "STRING" or found[1] in _HOLDS.get(item, ()):
            return Reading(cast(source, duck_type(kind)))
    return read_text(cast(call("to_json", source), TEXT), kind, value, "asked")


def _is_numeric(native: str) -> bool:
    found = _DECIMAL.fullmatch(native)
    return found is not None and int(found[2]) <= 9 and int(found[1]) - int(found[2]) <= 29
