"""Types of text columns, by looking at every value, not at a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2brecs.types import ColumnType

if TYPE_CHECKING:
    import duckdb

# Tried in this order: warehouse type, the type that must read every value, the pattern each must match too.
_TRIED: tuple[tuple[ColumnType, str, str], ...] = (
    ("INT64", "BIGINT", r"^\s*[-+]?(0|[1-9]\d*)\s*$"),
    ("FLOAT64", "DOUBLE", r"^\s*[-+]?(0|[1-9]\d*)?(\.\d*)?([eE][-+]?\d+)?\s*$"),
    ("DATE", "DATE", r"^\s*\d{4}-\d{1,2}-\d{1,2}\s*$"),
    ("TIMESTAMP", "TIMESTAMPTZ", r"\d{1,2}:\d{2}.*(Z|[+-]\d{2}(:?\d{2})?)\s*$"),
    ("DATETIME", "TIMESTAMP", r"\d{1,2}:\d{2}"),
    ("BOOL", "BOOLEAN", r"^\s*(?i:true|false|t|f|yes|no|y|n)\s*$"),
)
_NATIVE: dict[str, ColumnType] = {
    "BIGINT": "INT64", "INTEGER": "INT64", "HUGEINT": "NUMERIC", "UBIGINT": "NUMERIC", "DOUBLE": "FLOAT64",
    "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "DATE": "DATE", "TIMESTAMP": "DATETIME",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP", "TIME": "TIME", "UUID": "STRING", "BLOB": "BYTES",
}  # fmt: skip


def infer_types(relation: duckdb.DuckDBPyRelation, names: list[str]) -> dict[str, ColumnType]:
    """Find a type for each column of a relation, by one scan.

    A text column is a number, a date or a truth value only if every value is written as one. Codes stay text:
    one leading zero (``00123``) makes the column STRING.
    """
    import duckdb

    call, constant = duckdb.FunctionExpression, duckdb.ConstantExpression
    kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
    found: dict[str, ColumnType] = {}
    measured: list[str] = []
    aggregates: list[duckdb.Expression] = []
    for name in names:
        if kinds[name] != "VARCHAR":
            nested = kinds[name].endswith("[]") or kinds[name].startswith(("STRUCT", "MAP", "JSON"))
            found[name] = _NATIVE.get(kinds[name], "JSON" if nested else "STRING")
            continue
        measured.append(name)
        column = duckdb.ColumnExpression(name)
        aggregates.append(call("count", column))
        for _, native, pattern in _TRIED:
            fits = column.try_cast(native).isnotnull() & call("regexp_matches", column, constant(pattern))
            aggregates.append(call("count_if", fits))
    if not measured:
        return found
    counts = iter(relation.aggregate(aggregates).fetchall()[0])
    for name in measured:
        total = next(counts)
        fitting = [target for target, _, _ in _TRIED if next(counts) == total]
        found[name] = fitting[0] if total and fitting else "STRING"
    return found
