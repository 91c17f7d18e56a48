"""Types of columns of text, found by their values: by all of them, or by a sample when there are too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from sqlglot import exp

from b2brecs.sources.files.sql import both, call, column, is_set, matches, named, select, sql, text
from b2brecs.sources.files.texts import NUMBERS, TRAITS, WARNINGS, Trait, has_trait
from b2brecs.types import COLUMN_TYPES, ColumnType

if TYPE_CHECKING:
    import duckdb

# Of a sample, so many of the values must be of a type; the others will be rejected.
MAJORITY = 0.95
_JSON_NUMBERS = ("UBIGINT", "BIGINT", "DOUBLE")


@dataclass
class Evidence:
    """What is known of a column: how many values there are, and how many have which trait."""

    total: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def possible(self, share: float) -> list[Trait]:
        """Return the traits that are worth counting further."""
        if share < 1:
            return list(TRAITS)
        kept = [trait for trait in TRAITS if trait in WARNINGS or self.counts[trait] == self.total]
        # Without a type among them, the others say nothing.
        return kept if any(trait not in WARNINGS for trait in kept) else []

    def add(self, total: int, counts: dict[str, int]) -> None:
        """Add what was counted in more values; a trait that was not counted no longer holds for all."""
        self.total += total
        self.counts.update(counts)

    def type(self, share: float) -> ColumnType:
        """Decide.

        Parameters
        ----------
        share
            Of the values, so many must be of a type; 1: all.
        """
        counts, enough = self.counts, max(1, share * self.total)
        if counts["nested"]:
            return self._list_type()
        if not counts["coded"] and max(counts["FLOAT64"], counts["whole"]) >= enough:
            return self._number(enough)
        if counts["DATE"] >= enough and counts["DATE"] >= counts["DATETIME"]:
            return "DATE"
        for trait in ("DATETIME", "TIMESTAMP", "BOOL"):
            if counts[trait] >= enough:
                return trait
        return "STRING"

    def _number(self, enough: float) -> ColumnType:
        counts = self.counts
        if counts["INT64"] >= max(enough, counts["FLOAT64"]):
            return "INT64"
        if counts["FLOAT64"] >= enough and not counts["inexact"]:
            return "FLOAT64"
        if counts["NUMERIC"] >= max(enough, counts["FLOAT64"], counts["whole"]):
            # A double would lose digits, and there are few enough of them.
            return "NUMERIC"
        # Whole numbers with more digits than any type are names of things; all else was measured.
        return "STRING" if counts["whole"] >= enough else "FLOAT64"

    def _list_type(self) -> ColumnType:
        """Return an array for lists of plain values of one kind, else JSON."""
        counts = self.counts
        if counts["list"] != self.total or counts["items"] == 0:
            return "JSON"
        for item, traits in (("STRING", ("item VARCHAR",)), ("BOOL", ("item BOOLEAN",)),
                             ("INT64", ("item UBIGINT", "item BIGINT")),
                             ("FLOAT64", ("item UBIGINT", "item BIGINT", "item DOUBLE"))):  # fmt: skip
            if sum(counts[trait] for trait in traits) == counts["items"] and f"ARRAY<{item}>" in COLUMN_TYPES:
                return cast("ColumnType", f"ARRAY<{item}>")
        return "JSON"


def count_texts(
    connection: duckdb.DuckDBPyConnection, query: exp.Select, found: Sequence[Evidence], share: float
) -> None:
    """Look at columns ``c0``, ``c1``, … of text, one of each evidence; empty text counts as nothing."""
    asked: list[tuple[Evidence, list[str]]] = []
    totals: list[exp.Expr] = []
    for index, evidence in enumerate(found):
        traits = evidence.possible(share)
        if not traits:
            continue
        source = column(f"c{index}")
        there = both(is_set(source), exp.Not(this=matches(source, r"[ \t\r\n]*")))
        totals.append(call("count_if", there))
        totals += [call("count_if", both(there, has_trait(source, trait))) for trait in traits]
        asked.append((evidence, list(traits)))
    _count(connection, query, totals, asked)


def count_json(
    connection: duckdb.DuckDBPyConnection, query: exp.Select, found: Sequence[Evidence], share: float
) -> None:
    """Look at values of JSON: text ``c0`` and what JSON calls it, ``k0``, and so on.

    A text that looks like a number is a text here: whoever wrote it could have left the quotes out.
    """
    asked: list[tuple[Evidence, list[str]]] = []
    totals: list[exp.Expr] = []
    for index, evidence in enumerate(found):
        traits = evidence.possible(share)
        source, kind = column(f"c{index}"), column(f"k{index}")
        there = both(is_set(source), exp.NEQ(this=kind, expression=text("NULL")))
        totals += [call("count_if", item) for item in (there, _of(kind, "ARRAY", "OBJECT"), _of(kind, "ARRAY"))]
        for trait in traits:
            kinds = _JSON_NUMBERS if trait in NUMBERS else ("BOOLEAN",) if trait == "BOOL" else ("VARCHAR",)
            totals.append(call("count_if", both(_of(kind, *kinds), has_trait(source, trait))))
        asked.append((evidence, ["nested", "list", *traits]))
    _count(connection, query, totals, asked)


def count_items(connection: duckdb.DuckDBPyConnection, query: exp.Select, index: int, evidence: Evidence) -> None:
    """Look at the items of a column of JSON lists, ``c<index>``."""
    listed = select([named(call("unnest", call("json_extract", column(f"c{index}"), text("$[*]"))), "i")], query).where(
        _of(column(f"k{index}"), "ARRAY"), copy=False
    )
    kinds = select([named(call("json_type", column("i")), "kind")], listed)
    grouped = select([column("kind"), call("count", exp.Star())], kinds).group_by(column("kind"), copy=False)
    for kind, count in connection.execute(sql(grouped)).fetchall():
        evidence.counts[f"item {kind}"] += count
        evidence.counts["items"] += count


def _of(kind: exp.Expr, *kinds: str) -> exp.Expr:
    return exp.In(this=kind, expressions=[text(item) for item in kinds])


def _count(
    connection: duckdb.DuckDBPyConnection,
    query: exp.Select,
    totals: list[exp.Expr],
    asked: list[tuple[Evidence, list[str]]],
) -> None:
    if not totals:
        return
    # Of no rows at all, DuckDB's counts are NULL.
    counted = (value or 0 for value in connection.execute(sql(select(totals, query))).fetchall()[0])
    for evidence, traits in asked:
        total = next(counted)
        evidence.add(total, {trait: next(counted) for trait in traits})
