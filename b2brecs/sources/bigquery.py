"""BigQuery as a source: a dataset's tables and views, read as Arrow."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from sqlglot import exp

from b2brecs.configs.sources import BigQuerySettings
from b2brecs.errors import NotFound, SourceError, nearest, require, show
from b2brecs.sources.base import WHOLE, KeyRange, OnReject, Part, ReadSecret, Since, Source
from b2brecs.sources.bigquery_read import (
    LABELS,
    STORED,
    Request,
    by_rest,
    by_storage,
    conformed,
    least_first,
    table_at,
)
from b2brecs.sources.bigquery_types import DIALECT, arrow_of, cell, column_of, native_kinds
from b2brecs.sources.google import TEST_SECONDS, Google
from b2brecs.sources.select import column, named
from b2brecs.sql.arrow import arrow_type
from b2brecs.types import ColumnType, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud import bigquery, bigquery_storage

EMULATOR = "BIGQUERY_EMULATOR_HOST"
ROLE = (
    "roles/bigquery.dataViewer (on the dataset), roles/bigquery.jobUser and roles/bigquery.readSessionUser "
    "(on the project that pays)"
)
# Each part scans the column that it is cut along; only where BigQuery skips what is not asked for is that free.
_SCANNED = 10 * 2**30
_CUT = frozenset({"INT64", "DATE", "DATETIME", "TIMESTAMP"})
# In a path of the service these would lead elsewhere; no project, dataset or table has them in its name.
_ASTRAY = re.compile(r"[/\\?#%\x00-\x1f]")


class BigQuerySource(Source[BigQuerySettings]):
    """A dataset of BigQuery.

    Rows of a table are read where they lie, by the Storage Read API, with the part's condition; that is no query and
    is billed as reading. Views, and columns that have no type here (structs, ranges, intervals, most arrays), are read
    by a query, which is billed by the bytes that it scans. Parts are read as of one moment.

    A watermark is whatever the writers of the table put there: nothing is known of rows still to come.
    """

    def __init__(self, settings: BigQuerySettings, read_secret: ReadSecret) -> None:
        super().__init__(settings, read_secret)
        self._emulated = bool(os.environ.get(EMULATOR))
        self._google = Google(settings.label(), ROLE, settings.credentials, read_secret, emulated=self._emulated)
        self._client: bigquery.Client | None = None
        self._storage: bigquery_storage.BigQueryReadClient | None = None
        # The Storage API's client heeds no emulator's address.
        self._no_storage = self._emulated
        self._lock = threading.RLock()

    def test(self) -> str:
        def ask() -> str:
            client = self._open()
            found = self._dataset(timeout=TEST_SECONDS)
            tables = len(list(client.list_tables(found, timeout=TEST_SECONDS)))
            return f"BigQuery dataset {found.project}.{found.dataset_id} in {found.location}, {tables} tables"

        return self._google.in_time(ask)

    def tables(self) -> list[TableSchema]:
        with self._google.explained():
            self._dataset()
            names = sorted(item.table_id for item in self._open().list_tables(self._path))
            rows = self._counted() if names else {}
        return [TableSchema(name, (), rows=rows.get(name)) for name in names]

    def schema(self, table: str) -> TableSchema:
        meta = self._meta(table)
        constraints = meta.table_constraints
        key = constraints.primary_key.columns if constraints and constraints.primary_key else ()
        rows = meta.num_rows if meta.table_type in STORED else None
        return TableSchema(table, tuple(column_of(field) for field in meta.schema), tuple(key), rows)

    def read(
        self, table: TableSchema, part: Part = WHOLE, *, on_reject: OnReject | None = None
    ) -> pa.RecordBatchReader:
        del on_reject
        import pyarrow as pa

        meta = self._meta(table.name)
        there = {field.name: field for field in meta.schema}
        for name in table.names:
            if name not in there:
                raise NotFound("column", name, there, where=f"table {table.name!r}")
        request = Request(meta, tuple(there[name] for name in table.names), part)
        schema = arrow_of(request.fields)
        return pa.RecordBatchReader.from_batches(schema, conformed(self._batches(request), schema, self.BATCH_ROWS))

    def preview(self, table: str, limit: int) -> pa.Table:
        """Return the first rows; of a table that costs nothing, of a view as much as the view."""
        import pyarrow as pa

        meta = self._meta(table)
        with self._google.explained():
            client = self._open()
            if meta.table_type in STORED:
                rows = list(client.list_rows(meta, max_results=limit))
            else:
                rows = list(self._ask(exp.select(exp.Star()).from_(table_at(meta)).limit(limit)))
        columns = {
            field.name: pa.array([cell(field, row[field.name]) for row in rows], arrow_type(column_of(field).type))
            for field in meta.schema
        }
        return pa.table(columns)

    def estimate(self, table: str, since: Since | None = None) -> int | None:
        """Count by metadata; what is new since a watermark, by the share of bytes that a query for it would read.

        That is exact to the partition where the table is partitioned by the watermark, else it is the whole table.
        """
        meta = self._meta(table)
        if meta.table_type not in STORED or meta.num_rows is None:
            return None
        if since is None or since.value is None or not meta.num_bytes:
            return int(meta.num_rows)
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False, labels=LABELS)
        request = Request(meta, tuple(meta.schema), Part(since=since))
        with self._google.explained():
            size = self._open().query(request.rows().sql(DIALECT), job_config=config).total_bytes_processed
        # Emulators say that a query reads nothing.
        return min(int(meta.num_rows), -(-int(meta.num_rows) * size // meta.num_bytes)) if size else None

    def key_range(self, table: TableSchema, since: Since | None, parts: int) -> KeyRange | None:
        """Cut along the column that the table is partitioned or clustered by, where no part reads another's bytes.

        A table of less than 10 GiB is cut along its watermark or key too, which every part then scans.
        """
        meta = self._meta(table.name)
        if meta.table_type not in STORED:
            return None
        kinds = native_kinds(meta.schema)
        name = next((each for each in self._ways_to_cut(meta, table, since) if each and kinds.get(each) in _CUT), None)
        if name is None:
            return None
        request = Request(meta, (), Part(since=since))
        value = column(name)
        quantiles = exp.ApproxQuantiles(this=value.copy(), expression=exp.Literal.number(max(parts, 1)))
        asked = request.select([
            named(exp.Min(this=value.copy()), "low"), named(exp.Max(this=value.copy()), "high"),
            named(exp.Count(this=exp.Star()), "total"), named(quantiles, "between"),
        ])  # fmt: skip
        with self._google.explained():
            found = next(iter(self._ask(asked)))
        if found["low"] is None:
            return None
        bounds = least_first(list(found["between"]), found["low"], found["high"])
        nullable = next(field.mode != "REQUIRED" for field in meta.schema if field.name == name)
        texts = tuple(json.dumps(bound if isinstance(bound, int) else bound.isoformat()) for bound in bounds)
        return KeyRange(name, cast("ColumnType", kinds[name]), texts, nullable=nullable, rows=found["total"])

    @contextmanager
    def snapshot(self) -> Iterator[str | None]:
        """Name BigQuery's own time: tables can be read as they were then for two days at least."""
        with self._google.explained():
            found = next(iter(self._ask(exp.select(named(exp.CurrentTimestamp(), "now")))))
        yield found["now"].isoformat()

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()  # type: ignore[no-untyped-call]
            if self._storage is not None:
                self._storage.transport.close()  # type: ignore[no-untyped-call]
            self._client = self._storage = None

    def _ways_to_cut(self, meta: bigquery.Table, table: TableSchema, since: Since | None) -> Iterator[str | None]:
        if meta.time_partitioning is not None:
            yield meta.time_partitioning.field
        if meta.range_partitioning is not None:
            yield meta.range_partitioning.field
        yield from (meta.clustering_fields or ())[:1]
        if (meta.num_bytes or 0) <= _SCANNED:
            yield since.column if since is not None else None
            yield table.primary_key[0] if len(table.primary_key) == 1 else None

    @property
    def _path(self) -> str:
        return f"{self.settings.project}.{self.settings.dataset}"

    @property
    def _billed(self) -> str:
        return self.settings.billing_project or self.settings.project

    def _open(self) -> bigquery.Client:
        require("google.cloud.bigquery", feature="a BigQuery connection", extra="gcp")
        from google.cloud import bigquery

        for name in (self.settings.project, self.settings.dataset, self._billed):
            if _ASTRAY.search(name):
                raise SourceError(
                    self.settings.label(), f"{show(name)} cannot be a project or a dataset.", "Check both."
                )
        with self._lock:
            if self._client is None:
                credentials = self._google.credentials()
                self._client = bigquery.Client(self._billed, credentials=credentials, location=self.settings.location)
            return self._client

    def _reader(self) -> bigquery_storage.BigQueryReadClient | None:
        with self._lock:
            if self._storage is None and not self._no_storage:
                require("google.cloud.bigquery_storage", feature="a BigQuery connection", extra="gcp")
                from google.cloud import bigquery_storage

                credentials = self._google.credentials()
                self._storage = bigquery_storage.BigQueryReadClient(credentials=credentials)  # type: ignore[no-untyped-call]
            return None if self._no_storage else self._storage

    def _dataset(self, **options: Any) -> bigquery.Dataset:
        from google.api_core.exceptions import NotFound as Missing

        client = self._open()
        try:
            return client.get_dataset(self._path, **options)
        except Missing:
            project, dataset = self.settings.project, self.settings.dataset
            names = [item.dataset_id for item in client.list_datasets(project, timeout=TEST_SECONDS)]
            said = f"there is no dataset {dataset!r} in project {project!r}."
            raise SourceError(self.settings.label(), said, nearest(dataset, names)) from None

    def _meta(self, table: str) -> bigquery.Table:
        with self._google.explained():
            client = self._open()
            from google.api_core.exceptions import NotFound as Missing
            from google.cloud.bigquery import DatasetReference, TableReference

            where = DatasetReference(self.settings.project, self.settings.dataset)
            try:
                if table and not _ASTRAY.search(table):
                    return client.get_table(TableReference(where, table))
            except Missing:
                pass
            names = [item.name for item in self.tables()]
        raise NotFound("table", table, names, where=self.settings.label())

    def _counted(self) -> dict[str, int]:
        """Return the tables' rows by one look at the metadata, empty where queries are not allowed."""
        meta = exp.Table(
            this=exp.to_identifier("__TABLES__"),
            db=exp.to_identifier(self.settings.dataset, quoted=True),
            catalog=exp.to_identifier(self.settings.project, quoted=True),
        )
        asked = exp.select("table_id", "row_count").from_(meta).where(exp.column("type").eq(1))
        try:
            with self._google.explained():
                return {row["table_id"]: row["row_count"] for row in self._ask(asked)}
        except SourceError:
            return {}

    def _ask(self, tree: exp.Select) -> Any:
        from google.cloud import bigquery

        return self._open().query(tree.sql(DIALECT), job_config=bigquery.QueryJobConfig(labels=LABELS)).result()

    def _batches(self, request: Request) -> Iterator[pa.RecordBatch]:
        """Read by the Storage API; where that is not allowed or not there, by REST."""
        from google.api_core import exceptions

        with self._google.explained():
            client, storage = self._open(), self._reader()
            begun = False
            try:
                if storage is not None:
                    for batch in by_storage(client, storage, request):
                        begun = True
                        yield batch
                    return
            except (exceptions.Forbidden, exceptions.MethodNotImplemented):
                if begun:
                    raise
                self._no_storage = True
            yield from by_rest(client, request)
