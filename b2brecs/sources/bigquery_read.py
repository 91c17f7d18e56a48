"""How rows leave BigQuery: straight from a table by the Storage Read API, as a query's result, or by REST."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlglot import exp

from b2brecs.sources.base import Part
from b2brecs.sources.bigquery_types import DIALECT, chosen, conform, expression, native_kinds
from b2brecs.sources.select import column, literal, select_part

if TYPE_CHECKING:
    from google.cloud import bigquery, bigquery_storage
    from google.cloud.bigquery import SchemaField

LABELS = {"app": "b2brecs"}
# Kinds of tables whose rows lie in BigQuery itself, and so can be read without a query.
STORED = frozenset({"TABLE", "SNAPSHOT", "CLONE"})
_LEAST = {"DATE": '"0001-01-01"', "DATETIME": '"0001-01-01T00:00:00"', "TIMESTAMP": '"0001-01-01T00:00:00+00:00"',
          "INT64": "-9223372036854775808"}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What is read: columns of a table, and which rows."""

    meta: bigquery.Table
    fields: tuple[SchemaField, ...]
    part: Part

    @property
    def is_stored(self) -> bool:
        """Whether the rows can be read as they lie in the table."""
        return self.meta.table_type in STORED and all(expression(field) is None for field in self.fields)

    @property
    def is_whole(self) -> bool:
        """Whether all rows are meant, as they are now."""
        return self.part.snapshot is None and not self.restriction()

    def select(self, values: Sequence[exp.Expr]) -> exp.Select:
        """Return the query for something of the wanted rows."""
        kinds = native_kinds(self.meta.schema)
        table = table_at(self.meta, self.part.snapshot)
        tree = select_part(table, values, self.part, kinds, dialect=DIALECT)
        condition = every_partition(self.meta, kinds)
        return tree if condition is None else tree.where(condition)

    def rows(self) -> exp.Select:
        """Return the query for the wanted rows."""
        return self.select(chosen(self.fields))

    def restriction(self) -> str:
        """Return the condition on the rows, "" for none."""
        where = self.rows().args.get("where")
        return "" if where is None else str(where.this.sql(DIALECT))


def table_at(meta: bigquery.Table, moment: str | None = None) -> exp.Table:
    """Name a table, as of a moment if one is given."""
    named = exp.Table(
        this=exp.to_identifier(meta.table_id, quoted=True),
        db=exp.to_identifier(meta.dataset_id, quoted=True),
        catalog=exp.to_identifier(meta.project, quoted=True),
    )
    if moment is not None:
        when = exp.Cast(this=exp.Literal.string(moment), to=exp.DataType.build("TIMESTAMP", dialect=DIALECT))
        named.set("version", exp.Version(this="TIMESTAMP", kind="AS OF", expression=when))
    return named


def every_partition(meta: bigquery.Table, kinds: dict[str, str]) -> exp.Expr | None:
    """Return a condition that all rows fulfil, for tables that are only read by a condition on their partitions."""
    if not meta.require_partition_filter:
        return None
    if meta.range_partitioning is not None:
        name, kind = meta.range_partitioning.field, "INT64"
    else:
        name = meta.time_partitioning.field if meta.time_partitioning is not None else None
        name, kind = (name, kinds[name]) if name else ("_PARTITIONTIME", "TIMESTAMP")
    least = literal(_LEAST[kind], kind, DIALECT)
    return exp.Paren(
        this=exp.or_(
            exp.GTE(this=column(name), expression=least), exp.Is(this=column(name), expression=exp.Null())
        )
    )  # fmt: skip


def by_storage(
    client: bigquery.Client, storage: bigquery_storage.BigQueryReadClient, request: Request
) -> Iterator[pa.RecordBatch]:
    """Give the rows by the Storage Read API: straight from a stored table, else the result of a query."""
    if request.is_stored:
        names = [field.name for field in request.fields]
        moment = request.part.snapshot
        yield from _from_table(storage, client.project, request.meta.reference, names, request.restriction(), moment)
    else:
        job = _query(client, request)
        job.result()
        yield from _from_table(storage, client.project, job.destination)


def by_rest(client: bigquery.Client, request: Request) -> Iterator[pa.RecordBatch]:
    """Give the rows by REST: a whole stored table without a query, else the result of a query."""
    if request.is_stored and request.is_whole:
        # BigQuery answers in the table's order, and the library takes it to be this one.
        fields = [field for field in request.meta.schema if field in request.fields]
        yield from client.list_rows(request.meta, selected_fields=fields).to_arrow_iterable()
    else:
        yield from _query(client, request).result().to_arrow_iterable()


def _from_table(
    storage: bigquery_storage.BigQueryReadClient,
    billed: str,
    table: bigquery.TableReference,
    names: Sequence[str] = (),
    restriction: str = "",
    moment: str | None = None,
) -> Iterator[pa.RecordBatch]:
    from google.cloud.bigquery_storage_v1 import types

    session = types.ReadSession(
        table=table.path.removeprefix("/"),
        data_format=types.DataFormat.ARROW,
        read_options=types.ReadSession.TableReadOptions(selected_fields=names, row_restriction=restriction),
    )
    if moment is not None:
        when = dt.datetime.fromisoformat(moment)
        session.table_modifiers = types.ReadSession.TableModifiers(snapshot_time=when)
    opened = storage.create_read_session(parent=f"projects/{billed}", read_session=session, max_stream_count=1)
    for stream in opened.streams:
        schema = pa.ipc.read_schema(pa.py_buffer(opened.arrow_schema.serialized_schema))
        for answer in storage.read_rows(stream.name):  # type: ignore[no-untyped-call]
            sent = answer.arrow_record_batch.serialized_record_batch
            yield pa.ipc.read_record_batch(pa.py_buffer(sent), schema)


def _query(client: bigquery.Client, request: Request) -> bigquery.QueryJob:
    from google.cloud import bigquery

    return client.query(request.rows().sql(DIALECT), job_config=bigquery.QueryJobConfig(labels=LABELS))


def conformed(batches: Iterator[pa.RecordBatch], schema: pa.Schema, most: int) -> Iterator[pa.RecordBatch]:
    """Bring what BigQuery sends to a schema."""
    for batch in batches:
        yield from conform(batch, schema, most)


def least_first(values: list[Any], low: Any, high: Any) -> list[Any]:
    """Return bounds in rising order, each once, the least and the greatest value at the ends."""
    return [low, *sorted({value for value in values if value is not None and low < value < high}), high]
