"""What rules say of a value, as SQL: exact, typed as the column, and the same in both homes.

Every constant is a quoted text under a cast, so that no digit passes through a float.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, DecimalException
from typing import Any, Literal

from sqlglot import exp

from b2brecs.configs.rules import Scalar
from b2brecs.types import NUMERIC_TYPES, Column, ColumnType

Side = Literal["least", "greatest"]

_DUCKDB: dict[str, str] = {
    "INT64": "BIGINT", "FLOAT64": "DOUBLE", "NUMERIC": "DECIMAL(38, 9)", "BIGNUMERIC": "DECIMAL(38, 19)",
    "BOOL": "BOOLEAN", "DATE": "DATE", "DATETIME": "TIMESTAMP", "TIMESTAMP": "TIMESTAMPTZ", "TIME": "TIME",
    "STRING": "VARCHAR", "BYTES": "BLOB",
}  # fmt: skip
_COMPARED = frozenset(_DUCKDB) - {"BYTES"}
_EXACT = Context(prec=200)
_WORDS = {"BOOL": "true or false", "DATE": "a date: '2024-12-31'", "TIME": "a time of day: '23:59'"}


def column(name: str, of: str | None = None) -> exp.Column:
    """Return a column, its name quoted."""
    return exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(of, quoted=True) if of else None)


def value_of(item: Column, dialect: str, of: str | None = None) -> exp.Expr:
    """Return a staged column's value. Numbers that a warehouse stages as text are numbers here."""
    found = column(item.name, of)
    return exp.Cast(this=found, to=_type("BIGNUMERIC", dialect)) if item.type == "BIGNUMERIC" else found


def is_null(value: exp.Expr) -> exp.Expr:
    """Say that a value is NULL."""
    return exp.Is(this=value.copy(), expression=exp.Null())


def holds(condition: exp.Expr) -> exp.Expression:
    """Return a condition that is false where it was NULL."""
    return exp.Coalesce(this=exp.Paren(this=condition), expressions=[exp.false()])


def outside(item: Column, minimum: Scalar | None, maximum: Scalar | None, dialect: str) -> exp.Expression:
    """Say that a value lies below a least or above a greatest value. NULL does not; NaN does.

    A day as the greatest time means all of that day.

    Raises
    ------
    ValueError
        A bound is no value of the column's type.
    """
    value = value_of(item, dialect)
    found: list[exp.Expr] = [exp.IsNan(this=value.copy())] if item.type == "FLOAT64" else []
    for bound, side, compare in ((minimum, "least", exp.LT), (maximum, "greatest", exp.GT)):
        if bound is None:
            continue
        read = _read(item.type, bound, dialect, side)  # type: ignore[arg-type]
        if read is _NEVER:
            found.append(exp.Not(this=is_null(value)))
        elif read is not _ALWAYS:
            found.append(compare(this=value.copy(), expression=_written(item.type, read, dialect)))
    return holds(exp.or_(*found)) if found else exp.false()


def not_among(item: Column, values: Iterable[Scalar], dialect: str) -> exp.Expression:
    """Say that a value is none of these. NULL is not looked at.

    Raises
    ------
    ValueError
        One of them is no value of the column's type.
    """
    written = [_written(item.type, _read(item.type, value, dialect, None), dialect) for value in values]
    return holds(exp.Not(this=exp.In(this=value_of(item, dialect), expressions=written)))


def constant(kind: ColumnType, value: Scalar, dialect: str) -> exp.Expr:
    """Return a value of a warehouse type.

    Raises
    ------
    ValueError
        It is none.
    """
    return _written(kind, _read(kind, value, dialect, None), dialect)


def nothing(kind: ColumnType, dialect: str) -> exp.Expr:
    """Return a NULL of a type that has groups; see ``can_group``."""
    return exp.Cast(this=exp.Null(), to=_type(kind, dialect))


def can_group(kind: ColumnType) -> bool:
    """Say whether values of a type can be told to be equal."""
    return kind in _DUCKDB


def alike(
    left: exp.Expr, left_kind: ColumnType, right: exp.Expr, right_kind: ColumnType, dialect: str
) -> tuple[exp.Expr, exp.Expr]:
    """Return two values as one type, to be compared.

    Raises
    ------
    ValueError
        Their types have nothing in common.
    """
    if left_kind == right_kind and can_group(left_kind):
        return left, right
    widest = next((kind for kind in ("FLOAT64", "BIGNUMERIC", "NUMERIC") if kind in (left_kind, right_kind)), None)
    if widest is None or not {left_kind, right_kind} <= NUMERIC_TYPES:
        raise ValueError(f"values of {left_kind} and of {right_kind} are not compared.")
    return exp.Cast(this=left, to=_type(widest, dialect)), exp.Cast(this=right, to=_type(widest, dialect))


def group_key(value: exp.Expr, kind: ColumnType, dialect: str) -> exp.Expr:
    """Return what equal values share. BigQuery does not partition by floats, but by what they are written as."""
    return exp.Cast(this=value, to=_type("STRING", dialect)) if kind == "FLOAT64" else value


# Bounds that no value, and that every value of the type keeps.
_NEVER, _ALWAYS = object(), object()


def _type(kind: str, dialect: str) -> exp.DataType:
    return exp.DataType.build(_DUCKDB[kind] if dialect == "duckdb" else kind, dialect=dialect)


def _written(kind: ColumnType, value: Any, dialect: str) -> exp.Expr:
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, Decimal):
        text = format(value, "f")
    elif isinstance(value, dt.datetime):
        text = value.isoformat(sep=" ") + ("+00:00" if kind == "TIMESTAMP" else "")
    elif isinstance(value, dt.date | dt.time):
        text = value.isoformat()
    else:
        text = value if isinstance(value, str) else repr(value)
    literal = exp.Literal.string(text)
    return literal if kind == "STRING" else exp.Cast(this=literal, to=_type(kind, dialect))


def _read(kind: ColumnType, value: Scalar, dialect: str, side: Side | None) -> Any:
    """Return a value as Python holds the type; as a bound, it may be rounded towards what it lets in."""
    if kind not in _COMPARED:
        raise ValueError(f"a {kind} column is not compared; only not_null can be asked of it.")
    try:
        found = _parsed(kind, value, dialect, side)
    except (ValueError, DecimalException, OverflowError):
        found = None
    if found is None:
        raise ValueError(f"{value!r} is no value of a {kind} column. Give {_WORDS.get(kind, _word(kind))}.")
    return found


def _word(kind: str) -> str:
    if kind in ("DATETIME", "TIMESTAMP"):
        return "a time: '2024-12-31T23:59:00'"
    return "a text" if kind == "STRING" else "a number"


def _parsed(kind: ColumnType, value: Scalar, dialect: str, side: Side | None) -> Any:
    if kind == "STRING":
        return value if isinstance(value, str) else str(value) if side is None and type(value) is int else None
    if kind == "BOOL":
        if isinstance(value, str):
            return {"true": True, "false": False}.get(value.casefold())
        return value if isinstance(value, bool) and side is None else None
    if isinstance(value, bool):
        return None
    if kind == "FLOAT64":
        number = float(value)
        return None if math.isnan(number) else number
    if kind in ("INT64", "NUMERIC", "BIGNUMERIC"):
        return _exact(kind, Decimal(str(value)), dialect, side)
    return _time(kind, value, side) if isinstance(value, str) else None


def _exact(kind: str, value: Decimal, dialect: str, side: Side | None) -> Any:
    if value.is_nan():
        return None
    if kind == "INT64":
        scale, low, high = 0, Decimal(-(2**63)), Decimal(2**63 - 1)
    else:
        digits, scale = (38, 9) if kind == "NUMERIC" else ((38, 19) if dialect == "duckdb" else (76, 38))
        high = Decimal(10**digits - 1).scaleb(-scale, _EXACT)
        low = -high
    if side is None:
        return (
            value if low <= value <= high and value == value.quantize(Decimal(1).scaleb(-scale), None, _EXACT) else None
        )
    least = side == "least"
    if value > high:
        return _NEVER if least else _ALWAYS
    if value < low:
        return _ALWAYS if least else _NEVER
    return value.quantize(Decimal(1).scaleb(-scale), ROUND_CEILING if least else ROUND_FLOOR, _EXACT)


def _time(kind: str, value: str, side: Side | None) -> Any:
    if kind == "TIME":
        return dt.time.fromisoformat(value).replace(tzinfo=None)
    day = _day(value)
    if day is not None and kind == "DATE":
        return day
    if day is not None:
        # Of the whole day, the last moment that both homes know.
        return dt.datetime.combine(day, dt.time.max if side == "greatest" else dt.time.min)
    moment = dt.datetime.fromisoformat(value)
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    if kind != "DATE":
        return moment
    if moment.time() == dt.time.min or side == "greatest":
        return moment.date()
    return moment.date() + dt.timedelta(days=1) if side == "least" else None


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


__all__ = [
    "alike", "can_group", "column", "constant", "group_key", "holds", "is_null", "not_among", "nothing", "outside",
    "value_of",
]  # fmt: skip
