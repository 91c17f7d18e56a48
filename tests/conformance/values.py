"""Values that are easily changed on their way, and names that are easily taken for something else."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from b2brecs.types import Column, TableSchema

UTC = dt.UTC
VALUES: dict[str, list[Any]] = {
    "STRING": ["", None, "Größe 😀 日本", "a'b\"c\\d`e", "  kept  ", "two\nlines\ttab", "NULL", "x" * 10_000],
    "INT64": [0, None, -(2**63), 2**63 - 1],
    "FLOAT64": [0.0, None, 1.7976931348623157e308, 5e-324, 0.1, float("inf"), float("-inf")],
    "NUMERIC": [
        Decimal(0), None, Decimal("99999999999999999999999999999.999999999"),
        Decimal("-99999999999999999999999999999.999999999"), Decimal("0.000000001"), Decimal("0.1"),
    ],
    "BOOL": [True, None, False],
    "DATE": [dt.date(1, 1, 1), None, dt.date(1969, 12, 31), dt.date(2024, 2, 29), dt.date(9999, 12, 31)],
    "DATETIME": [
        dt.datetime(1, 1, 1),
        None,
        dt.datetime(2024, 3, 31, 2, 30),
        dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
    ],
    "TIMESTAMP": [
        dt.datetime(1, 1, 1, tzinfo=UTC), None, dt.datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
        dt.datetime(2024, 3, 31, 1, 30, tzinfo=UTC), dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
    "TIME": [dt.time(0), None, dt.time(23, 59, 59, 999999)],
    "JSON": ['{"a": [1, null, "ü"], "b": {}}', None, "[]", '"text"', "1.5"],
    "BYTES": [b"", None, b"\x00\xff\x80", "ü".encode()],
    "ARRAY<STRING>": [["a", "", "😀"], [], ["b"]],
    "ARRAY<INT64>": [[1, -(2**63)], [], [2**63 - 1]],
    "ARRAY<FLOAT64>": [[0.5, 1e308], [], [0.0]],
    "ARRAY<BOOL>": [[True, False], [], [True]],
    "ARRAY<DATE>": [[dt.date(2024, 2, 29)], [], [dt.date(1, 1, 1), dt.date(9999, 12, 31)]],
    "ARRAY<TIMESTAMP>": [[dt.datetime(2024, 1, 1, tzinfo=UTC)], [], [dt.datetime(1999, 1, 1, tzinfo=UTC)]],
}  # fmt: skip
HOSTILE = [
    '"; DROP TABLE orders; --', "😀", "select", "a.b", "a b", "it's", "`tick`", "x" * 300, "/etc/passwd", "rowid",
    "{x}", "%s", "?", "$1", "\\", "group", "[a]", "información", "orders.csv",
]  # fmt: skip
# Rows to be compared whole: duplicates, NULLs, and in each column what is easily taken for something else.
WIDE = TableSchema(
    "wide",
    (
        Column("id", "STRING"), Column("f", "FLOAT64"), Column("j", "JSON"), Column("b", "BYTES"),
        Column("a", "ARRAY<STRING>"), Column("x", "ARRAY<FLOAT64>"), Column("n", "NUMERIC"), Column("t", "TIMESTAMP"),
        Column("d", "DATETIME"), Column("ok", "BOOL"),
    ),
)  # fmt: skip
_FULL: dict[str, Any] = {
    "id": "ü", "f": 0.0, "j": '{"a":[1,null]}', "b": b"\x00", "a": ["a"], "x": [0.0, 1.5], "n": Decimal("0.1"),
    "t": dt.datetime(2024, 1, 1, tzinfo=UTC), "d": dt.datetime(2024, 1, 1), "ok": False,
}  # fmt: skip
_BARE: dict[str, Any] = {**dict.fromkeys(WIDE.names), "id": "bare", "a": [], "x": []}
EQUAL_ROWS = [_FULL, _FULL, _BARE, _BARE, {**_FULL, "id": None, "f": float("nan"), "x": [float("nan")], "ok": True}]
OTHER_ROWS: list[tuple[str, Any]] = [
    ("f", -0.0), ("f", float("nan")), ("f", None), ("f", 5e-324), ("j", '{"a":[null,1]}'), ("j", "null"), ("j", None),
    ("b", b""), ("b", b"\\x00"), ("b", None), ("a", ["a", "a"]), ("a", ['a"']), ("a", []), ("x", [1.5, 0.0]),
    ("x", [-0.0, 1.5]), ("n", Decimal("0.100000001")), ("t", dt.datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
    ("d", None), ("ok", None), ("id", "u"), ("id", None),
]  # fmt: skip
