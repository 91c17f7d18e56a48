"""Values that are easily changed on their way, and names that are easily taken for something else."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

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
