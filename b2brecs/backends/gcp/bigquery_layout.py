"""How a table lies in BigQuery: partitioned by the days of a column, and clustered."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlglot import exp

from b2brecs.backends.changes import find, keys_of
from b2brecs.backends.gcp.bigquery_sql import column, identifier, sql, table
from b2brecs.backends.gcp.bigquery_types import described
from b2brecs.errors import LoadError
from b2brecs.types import TIME_TYPES, Column, TableSchema

if TYPE_CHECKING:
    from google.cloud import bigquery

    from b2brecs.backends.protocols import Change

# A job may write to 4,000 partitions: rows that spread over more days than this lie by months, or else years.
_MOST = 3_000
_CLUSTERED = 4
_CLUSTERABLE = frozenset({"STRING", "INT64", "NUMERIC", "BIGNUMERIC", "BOOL", "DATE", "DATETIME", "TIMESTAMP"})
_TRUNCATES = {"DATE": "DATE_TRUNC", "DATETIME": "DATETIME_TRUNC", "TIMESTAMP": "TIMESTAMP_TRUNC"}


def partition_of(change: Change) -> Column | None:
    """Return the column by which a change wants its table partitioned, if any.

    Raises
    ------
    LoadError
        It is not a column of the rows, or not a time.
    """
    if change.partition is None:
        return None
    rows = change.staged.schema
    found = find(rows, change.partition)
    if found is None or found.type not in TIME_TYPES:
        kind = "not a column" if found is None else found.type
        raise LoadError(
            f"table {rows.name!r} cannot be partitioned by {change.partition!r}: it is {kind}, not a DATE, DATETIME "
            "or TIMESTAMP."
        )
    return found


def spread(change: Change, by: Column) -> str:
    """Return the query for over how many days and months the staged rows spread."""
    day = exp.cast(column(by.name), "DATE", dialect="bigquery")
    month = exp.Anonymous(this="DATE_TRUNC", expressions=[day.copy(), exp.Var(this="MONTH")])
    counts = [
        exp.alias_(exp.Count(this=exp.Distinct(expressions=[value])), name)
        for name, value in (("days", day), ("months", month))
    ]
    return sql(exp.select(*counts).from_(table(change.staged.name)))


def arrange(made: bigquery.Table, change: Change, by: Column, days: int, months: int) -> None:
    """Lay out a table that is about to be created: by days, if the rows do not spread over too many of them."""
    from google.cloud import bigquery

    kinds = bigquery.TimePartitioningType
    kind = kinds.DAY if days <= _MOST else kinds.MONTH if months <= _MOST else kinds.YEAR
    made.time_partitioning = bigquery.TimePartitioning(type_=kind, field=by.name)
    keys = [cast("Column", find(change.staged.schema, key)) for key in keys_of(change)]
    made.clustering_fields = [key.name for key in keys if key.type in _CLUSTERABLE][:_CLUSTERED] or [by.name]


def layout(found: bigquery.Table, rows: TableSchema) -> str:
    """Return the words by which a replaced table keeps its layout; BigQuery lets no replacement change it.

    Raises
    ------
    LoadError
        The rows lack a column that the layout needs.
    """
    words, needed = [], list(found.clustering_fields or ())
    days = found.time_partitioning
    if days is not None and days.field:
        needed.append(days.field)
        by, name = find(rows, days.field), sql(identifier(days.field))
        if by is not None and by.type in _TRUNCATES:
            daily = by.type == "DATE" and days.type_ == "DAY"
            words.append(
                f"PARTITION BY {name}" if daily else f"PARTITION BY {_TRUNCATES[by.type]}({name}, {days.type_})"
            )
    elif days is not None or found.range_partitioning is not None:
        raise LoadError(f"{_cannot(rows)} its partitions are not those of a column's times. Drop the table first.")
    if found.clustering_fields:
        words.append("CLUSTER BY " + ", ".join(sql(identifier(name)) for name in found.clustering_fields))
    old = described(found)
    for needs in needed:
        new, was = find(rows, needs), find(old, needs)
        if new is None or was is None or new.type != was.type:
            raise LoadError(f"{_cannot(rows)} it is laid out by {needs!r}, which is gone or changed. Drop it first.")
    return " ".join(words)


def _cannot(rows: TableSchema) -> str:
    return f"table {rows.name!r} cannot be replaced by rows with other columns:"
