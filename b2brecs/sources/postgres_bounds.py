"""How much there is to read of a PostgreSQL table, and where to cut it: from statistics, samples and indexes only."""

from __future__ import annotations

import json
from typing import Any

from sqlglot import exp

from b2brecs.sources.base import KeyRange, Part, Since
from b2brecs.sources.postgres_metadata import NativeColumn, NativeTable
from b2brecs.sources.postgres_read import quoted_table
from b2brecs.sources.postgres_session import ask
from b2brecs.sources.select import column, select_part
from b2brecs.types import ColumnType

# Types that can be cut, and how the planner knows them. Not floats: NaN has a place of its own among them.
_KINDS: dict[str, ColumnType] = {
    "int2": "INT64", "int4": "INT64", "int8": "INT64", "numeric": "NUMERIC",
    "date": "DATE", "timestamp": "DATETIME", "timestamptz": "TIMESTAMP",
    "text": "STRING", "varchar": "STRING", "bpchar": "STRING", "uuid": "STRING",
}  # fmt: skip
# What lies beyond is of no use for cutting: infinite times, years that Python cannot say, NaN.
_USEFUL: dict[str, tuple[str | None, str]] = {
    "DATE": ('"0001-01-01"', '"10000-01-01"'),
    "DATETIME": ('"0001-01-01"', '"10000-01-01"'),
    "TIMESTAMP": ('"0001-01-02"', '"9999-12-31"'),
    "NUMERIC": (None, '"NaN"'),
}
_SAMPLED_PAGES = 300
# Fewer sampled rows than this for each part tell too little.
_SAMPLED_ROWS = 4

# Pages of a table, or of all its partitions.
_PAGES = """
WITH RECURSIVE tree (oid) AS (
    SELECT %(oid)s::oid
  UNION
    SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
)
SELECT COALESCE(sum(pg_catalog.pg_relation_size(c.oid)), 0)::bigint
       / pg_catalog.current_setting('block_size')::bigint
FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid
WHERE c.relkind IN ('r', 'm')
"""


class Measure:
    """What can be known of a table without reading it."""

    def __init__(self, connection: Any, schema: str, native: NativeTable) -> None:
        self.connection, self.schema, self.native = connection, schema, native

    def estimate(self, since: Since | None) -> int:
        """Return the planner's guess of how many rows there are; it goes by the table's size at this moment."""
        if self.native.relkind in "rm" and not self.pages():
            return 0
        tree = self._select([exp.Literal.number(1)], Part(since=since))
        plan = ask(self.connection, f"EXPLAIN (FORMAT JSON) {tree.sql('postgres')}")[0][0]
        return int(plan[0]["Plan"]["Plan Rows"])

    def pages(self) -> int:
        """Return how many pages the table takes on disk."""
        return int(ask(self.connection, _PAGES, {"oid": self.native.oid})[0][0])

    def key_range(self, since: Since | None, parts: int) -> KeyRange | None:
        """Find a column to cut along, and its quantiles in a sample; where that has too few rows, the two ends."""
        found = self._column(since)
        if found is None:
            return None
        kind = _KINDS[found.kind]
        bounds = self._quantiles(found, since, parts)
        if bounds is None and found.indexed and kind != "STRING":
            bounds = self._ends(found, since)
        if not bounds:
            return None
        return KeyRange(found.name, kind, tuple(bounds), found.nullable, self.estimate(since))

    def _column(self, since: Since | None) -> NativeColumn | None:
        """Choose: the watermark if it narrows the read down by an index, else the key, else the watermark."""
        if self.native.relkind not in "rmp":
            return None
        keys = [item for item in self.native.columns if item.key]
        key = keys[0] if len(keys) == 1 and keys[0].kind in _KINDS else None
        watermark = self.native.column(since.column) if since is not None else None
        if watermark is not None and watermark.kind not in _KINDS:
            watermark = None
        if watermark is not None and watermark.indexed and since is not None and since.value is not None:
            return watermark
        return key or watermark

    def _quantiles(self, found: NativeColumn, since: Since | None, parts: int) -> list[str] | None:
        """Return the bounds of even shares of a sample; None: it holds too few rows."""
        share = max(_SAMPLED_PAGES, 8 * parts) / max(self.pages(), 1)
        fractions = [exp.Literal.number(repr(number / parts)) for number in range(parts + 1)]
        quantiles = exp.WithinGroup(
            this=exp.Anonymous(this="percentile_disc", expressions=[exp.Array(expressions=fractions)]),
            expression=exp.Order(expressions=[column(found.name)]),
        )
        chosen = [exp.Count(this=exp.Star()), _text("array_to_json", quantiles)]
        low, high = _USEFUL.get(_KINDS[found.kind], (None, None))
        tree = self._select(chosen, Part(since, found.name, low, high), share)
        count, bounds = ask(self.connection, tree.sql("postgres"))[0]
        return _texts(bounds) if count >= _SAMPLED_ROWS * parts else None

    def _ends(self, found: NativeColumn, since: Since | None) -> list[str]:
        """Return the least and the greatest value, which an index knows."""
        low, high = _USEFUL.get(_KINDS[found.kind], (None, None))
        if since is not None and since.column == found.name and since.value is not None:
            low = since.value
        both = _text("json_build_array", exp.Min(this=column(found.name)), exp.Max(this=column(found.name)))
        tree = self._select([both], Part(column=found.name, low=low, high=high))
        bounds = _texts(ask(self.connection, tree.sql("postgres"))[0][0])
        return [] if "null" in bounds else bounds

    def _select(self, chosen: list[exp.Expr], part: Part, share: float = 1.0) -> exp.Select:
        table = quoted_table(self.schema, self.native.name)
        if share < 1:
            percent = exp.Literal.number(f"{share * 100:.9f}")
            table.set("sample", exp.TableSample(method=exp.var("SYSTEM"), percent=percent))
        return select_part(table, chosen, part, self.native.kinds, dialect="postgres")


def _text(function: str, *values: exp.Expr) -> exp.Expr:
    return exp.cast(exp.Anonymous(this=function, expressions=list(values)), "text")


def _texts(array: str | None) -> list[str]:
    """Take a JSON array apart into the JSON texts of its values, digits as they are."""
    values = json.loads(array or "[]", parse_int=_Digits, parse_float=_Digits)
    return [str(value) if isinstance(value, _Digits) else json.dumps(value) for value in values]


class _Digits(str):
    __slots__ = ()
