"""SQLite's values as Arrow, exactly. Any column may hold any kind of value: each batch is looked at."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from b2brecs.sql.arrow import arrow_type
from b2brecs.types import ColumnType

Value = int | float | str | bytes | None
Kinds = AbstractSet[Any]
_ERRORS = (pa.ArrowException, ValueError, OverflowError)
# A zone at the end of a time; not the day at the end of a date.
_ZONED = r":.*(?:Z|[+-]\d\d(?::?\d\d)?)$"
_WHOLE = r"^-?(?:0|[1-9]\d*)$"
_KINDS = {int: "an integer", float: "a float", str: "a text", bytes: "a blob"}


def array(values: Sequence[Value], wanted: ColumnType) -> tuple[pa.Array, list[int]]:
    """Return values as a warehouse type's Arrow array, with NULL where one does not fit, and where that is.

    Integers, floats, texts and blobs are taken for a type only if nothing of them is lost or made up.
    """
    kind = arrow_type(wanted)
    misfits: list[int] = []
    pieces: list[pa.Array] = []

    def work(start: int, length: int) -> None:
        piece = values[start : start + length]
        try:
            pieces.append(_MADE[wanted](piece, set(map(type, piece)) - {type(None)}))
        except _ERRORS:
            if length == 1:
                misfits.append(start)
                pieces.append(pa.nulls(1, kind))
                return
            work(start, length // 2)
            work(start + length // 2, length - length // 2)

    if wanted not in _MADE:
        return pa.nulls(len(values), kind), [place for place, value in enumerate(values) if value is not None]
    work(0, len(values))
    return (pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)), misfits


def bound(json_text: str, wanted: ColumnType) -> pa.Scalar:
    """Return a bound, given as JSON text, as a value of a warehouse type. Without a zone it is in UTC.

    Raises
    ------
    ValueError
        It is no such value.
    """
    value = json.loads(json_text, parse_float=Decimal)
    if wanted in ("DATE", "DATETIME", "TIMESTAMP"):
        moment = dt.datetime.fromisoformat(str(value))
        if moment.tzinfo is not None:
            moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
        return pa.scalar(moment, pa.timestamp("us")).cast(arrow_type(wanted), safe=False)
    text = value if isinstance(value, str) else json_text
    made, misfits = array([text], wanted)
    if misfits:
        raise ValueError(f"{json_text} is no {wanted}")
    return made[0]


def shown(value: Value) -> str:
    """Say what a value is, for people."""
    if isinstance(value, bytes):
        return f"a blob of {len(value)} bytes"
    return f"{_KINDS[type(value)]}, {_plain(value)!r}"


def row_text(names: Sequence[str], row: Sequence[Value]) -> str:
    """Return a row as JSON text; blobs are hexadecimal."""
    return json.dumps(dict(zip(names, map(_plain, row), strict=True)), ensure_ascii=False)


def _plain(value: Value) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    # What a broken text is shown with is no letter of JSON.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _integers(values: Sequence[Any], kinds: Kinds) -> pa.Array:
    if kinds <= {int}:
        return pa.array(values, pa.int64())
    if kinds <= {str}:
        return _matching(values, _WHOLE).cast(pa.int64())
    if kinds <= {int, float} and all(value is None or value == int(value) for value in values):
        return pa.array([None if value is None else int(value) for value in values], pa.int64())
    raise ValueError


def _floats(values: Sequence[Any], kinds: Kinds) -> pa.Array:
    if kinds <= {int, float}:
        return pa.array(values, pa.float64())
    if kinds <= {str}:
        made = pa.array(values, pa.string()).cast(pa.float64())
        if not pc.all(pc.is_finite(made)).as_py():
            raise ValueError
        return made
    raise ValueError


def _decimals(kind: pa.DataType) -> Callable[[Sequence[Any], Kinds], pa.Array]:
    def made(values: Sequence[Any], kinds: Kinds) -> pa.Array:
        if bytes in kinds:
            raise ValueError
        # The shortest text of a float: 12.1, where SQLite made a float of what was written as 12.10.
        texts = (
            values if kinds <= {str} else [None if v is None else v if isinstance(v, str) else repr(v) for v in values]
        )
        return pa.array(texts, pa.string()).cast(kind)

    return made


def _truths(values: Sequence[Any], kinds: Kinds) -> pa.Array:
    if kinds <= {int} and set(values) <= {0, 1, None}:
        return pa.array(values, pa.int64()).cast(pa.bool_())
    if kinds <= {str}:
        return pa.array([None if value is None else _TRUTHS[value.lower()] for value in values], pa.bool_())
    raise ValueError


class _Truths(dict[str, bool]):
    def __missing__(self, key: str) -> bool:
        raise ValueError(key)


_TRUTHS = _Truths({"0": False, "1": True, "false": False, "true": True})


def _strings(values: Sequence[Any], kinds: Kinds) -> pa.Array:
    if kinds <= {str}:
        return pa.array(values, pa.string())
    if bytes in kinds:
        raise ValueError
    return pa.array([v if v is None or isinstance(v, str) else repr(v) for v in values], pa.string())


def _json(values: Sequence[Any], kinds: Kinds) -> pa.Array:
    if float in kinds and not all(math.isfinite(value) for value in values if isinstance(value, float)):
        raise ValueError
    return _strings(values, kinds)


def _blobs(values: Sequence[Any], kinds: Kinds) -> pa.Array:
    if kinds <= {bytes, str}:
        return pa.array(values, pa.binary())
    raise ValueError


def _dates(values: Sequence[Any], kinds: Kinds) -> pa.Array:
    return _texts(values, kinds).cast(pa.date32())


def _moments(values: Sequence[Any], kinds: Kinds) -> pa.Array:
    return _texts(values, kinds).cast(pa.timestamp("us"))


def _instants(values: Sequence[Any], kinds: Kinds) -> pa.Array:
    texts = _texts(values, kinds)
    zoned = pc.match_substring_regex(texts, _ZONED)
    nothing = pa.scalar(None, pa.string())
    kind = pa.timestamp("us", "UTC")
    # SQLite's own times are UTC, and do not say so.
    plain = pc.if_else(zoned, nothing, texts).cast(pa.timestamp("us")).cast(kind)
    return pc.coalesce(plain, pc.if_else(zoned, texts, nothing).cast(kind))


def _times(values: Sequence[Any], kinds: Kinds) -> pa.Array:
    if not kinds <= {str}:
        raise ValueError
    read = [None if value is None else dt.time.fromisoformat(value) for value in values]
    if any(value is not None and value.tzinfo is not None for value in read):
        raise ValueError
    return pa.array(read, pa.time64("us"))


def _texts(values: Sequence[Any], kinds: Kinds) -> pa.Array:
    if not kinds <= {str}:
        raise ValueError
    return pa.array(values, pa.string())


def _matching(values: Sequence[Any], pattern: str) -> pa.Array:
    texts = pa.array(values, pa.string())
    if not pc.all(pc.match_substring_regex(texts, pattern)).as_py():
        raise ValueError
    return texts


_MADE: dict[str, Callable[[Sequence[Any], Kinds], pa.Array]] = {
    "INT64": _integers, "FLOAT64": _floats, "NUMERIC": _decimals(arrow_type("NUMERIC")),
    "BIGNUMERIC": _decimals(arrow_type("BIGNUMERIC")), "BOOL": _truths, "STRING": _strings, "JSON": _json,
    "BYTES": _blobs, "DATE": _dates, "DATETIME": _moments, "TIMESTAMP": _instants, "TIME": _times,
}  # fmt: skip
