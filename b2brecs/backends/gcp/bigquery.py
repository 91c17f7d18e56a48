"""The warehouse in the cloud: a dataset of BigQuery."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from b2brecs.backends.gcp import bigquery_commit as commits
from b2brecs.backends.gcp.bigquery_stage import LABELS, STAGE, load, spool, staged_name, write_parquet
from b2brecs.backends.gcp.bigquery_types import check_names, read_column, result_batch, write_column
from b2brecs.backends.gcp.refusals import explained
from b2brecs.backends.protocols import PRIVATE, CommitMode, Cost, LoadState, Staged
from b2brecs.errors import LoadError, NotFound, WarehouseError, require
from b2brecs.sql.arrow import arrow_schema
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    from google.cloud import bigquery, bigquery_storage
    from sqlglot import exp

T = TypeVar("T")
Parameter = tuple[str, str, str | int | None]

GIB = 2**30
TIB = 2**40
# On-demand price of the US multi-region, looked up 2026-11-24. The first TiB of a month is free.
DOLLARS_PER_TIB = 6.25

EMULATOR = "BIGQUERY_EMULATOR_HOST"
READ = "roles/bigquery.dataViewer (on the dataset) with roles/bigquery.jobUser (on the project)"
WRITE = "roles/bigquery.dataEditor (on the dataset) with roles/bigquery.jobUser (on the project)"
CREATE = "roles/bigquery.user (on the project)"


class BigQueryWarehouse:
    """A dataset of BigQuery as the home of loaded tables.

    No client is made, and nothing is asked, before the first call.

    Parameters
    ----------
    project
        The project that is billed and that holds the dataset.
    location
        Where the dataset lies: ``EU``, ``europe-west1``…
    dataset
        Its name; it is created when missing.
    max_bytes_billed
        Queries that would read more bytes are refused by BigQuery.
    client
        A client to use instead of one with the default credentials. Results then come by REST, unless
        ``storage_client`` is given too.
    storage_client
        A client of the Storage Read API, which brings large results faster.

    Examples
    --------
    >>> BigQueryWarehouse("acme", "EU", "b2brecs").dialect
    'bigquery'
    """

    def __init__(
        self,
        project: str,
        location: str,
        dataset: str,
        *,
        max_bytes_billed: int = 100 * GIB,
        client: bigquery.Client | None = None,
        storage_client: bigquery_storage.BigQueryReadClient | None = None,
    ) -> None:
        self.project, self.location, self.dataset = project, location, dataset
        self.max_bytes_billed = max_bytes_billed
        self._own = client is None
        self._client, self._storage = client, storage_client
        self._no_storage = client is not None and storage_client is None
        self._ready = False
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<BigQueryWarehouse {self.project}.{self.dataset} in {self.location}>"

    @property
    def dialect(self) -> str:
        """Name of the SQL it speaks, as sqlglot has it."""
        return commits.DIALECT

    def tables(self) -> list[str]:
        """Names of the tables and views, sorted, without the library's own."""
        with self._explained(READ):
            found = [item.table_id for item in self._open().list_tables(self._path)]
        return sorted(name for name in found if not name.startswith(PRIVATE))

    def schema(self, table: str) -> TableSchema:
        """Columns and rows of a table.

        Raises
        ------
        NotFound
            There is no such table.
        """
        found = self._find(table)
        if found is None:
            raise NotFound("table", table, self.tables(), where=f"dataset {self.dataset!r}")
        return found

    def query(self, tree: exp.Expr) -> pa.RecordBatchReader:
        """Run a query given as a tree and stream its rows.

        Arrays come back empty where NULL was stored, since BigQuery keeps no NULL arrays.

        Raises
        ------
        WarehouseError
            BigQuery refused it.
        """
        with self._explained(READ):
            job = self._open().query(commits.query_text(tree), job_config=self._config())
            rows = job.result()
        schema = arrow_schema(read_column(field) for field in rows.schema)
        return pa.RecordBatchReader.from_batches(schema, self._batches(job, rows, schema))

    def dry_run(self, tree: exp.Expr) -> Cost:
        """Check a query and say what it would read, without running it.

        Raises
        ------
        WarehouseError
            The query is wrong.
        """
        config = self._config(dry_run=True, use_query_cache=False)
        with self._explained(READ):
            job = self._open().query(commits.query_text(tree), job_config=config)
        size = int(job.total_bytes_processed or 0)
        return Cost(size, size / TIB * DOLLARS_PER_TIB)

    def stage(self, schema: TableSchema, run: str, batches: Iterable[pa.RecordBatch]) -> Staged:
        """Write rows where no reader sees them, by one load job; they expire after a day.

        Raises
        ------
        WarehouseError
            BigQuery takes a name or a value not.
        """
        check_names(schema)
        with spool() as file:
            rows = write_parquet(file, schema, batches)
            name = staged_name(run, schema.name, file)
            with self._explained(WRITE):
                client = self._open()
                load(client, self._reference(name), file, schema, rows, emulated=self._emulated)
        return Staged(name, schema, rows)

    def commit(
        self,
        staged: Staged,
        *,
        mode: CommitMode,
        keys: Sequence[str] = (),
        state: LoadState | None = None,
        expect: str | None = None,
    ) -> int:
        """Make staged rows visible, together with ``state``, in one transaction; returns the target's rows.

        A swap that takes columns away, or changes a type, cannot be part of a transaction: the table is then
        replaced in one statement and the state follows in the next. A crash between the two leaves the old
        state, and the same load again leaves the same table.

        Raises
        ------
        LoadError
            Another run has committed since ``expect``.
        WarehouseError
            BigQuery refused the rows; nothing has changed.
        """
        target = staged.schema.name
        if state is not None:
            found = self.state(state.key)
            standing = found.run if found else None
            if standing == state.run:
                self.drop(staged.name)
                return self._count(target)
            if standing != expect:
                raise commits.conflict(target, standing, expect)
        if mode in ("merge", "replace"):
            commits.check_keys(staged.schema, keys)
        with self._explained(WRITE):
            made = self._make_target(staged)
            try:
                statements = self._prepare(staged, mode, keys)
                answer = self._commit(statements, target, state, expect)
            except Exception:
                if made:
                    self._run(commits.drop_if_empty(target))
                raise
        if state is not None and not answer["done"] and answer["standing"] != state.run:
            raise commits.conflict(target, answer["standing"], expect)
        self.drop(staged.name)
        return int(answer["total"])

    def state(self, key: str) -> LoadState | None:
        """Return how far a job has loaded a table."""
        name = commits.state_table(key)
        with self._explained(READ):
            from google.api_core import exceptions

            try:
                rows = [dict(row) for row in self._open().list_rows(self._open().get_table(self._reference(name)))]
            except exceptions.NotFound:
                return None
        if not rows or rows[0]["run"] is None:
            return None
        return LoadState(key, rows[0]["watermark"], rows[0]["run"], int(rows[0]["rows"]))

    def drop(self, table: str) -> None:
        """Remove a table, or staged rows, if there."""
        if table.startswith(PRIVATE) and not table.startswith(STAGE):
            raise WarehouseError(f"{table!r} is the library's own table and is not dropped.")
        with self._explained(WRITE):
            self._open().delete_table(self._reference(table), not_found_ok=True)

    def close(self) -> None:
        """Give back the clients that were made here."""
        with self._lock:
            if self._own and self._client is not None:
                self._client.close()  # type: ignore[no-untyped-call]
                self._client, self._storage, self._ready = None, None, False

    @property
    def _path(self) -> str:
        return f"{self.project}.{self.dataset}"

    @property
    def _emulated(self) -> bool:
        return bool(os.environ.get(EMULATOR))

    def _reference(self, table: str) -> bigquery.TableReference:
        from google.cloud import bigquery

        return bigquery.TableReference(bigquery.DatasetReference(self.project, self.dataset), table)

    def _explained(self, role: str) -> AbstractContextManager[None]:
        require("google.cloud.bigquery", feature="the BigQuery warehouse", extra="gcp")
        return explained("BigQuery", role=f"{role}, project {self.project!r},", raises=WarehouseError)

    def _config(self, parameters: Sequence[Parameter] = (), **options: Any) -> bigquery.QueryJobConfig:
        from google.cloud import bigquery

        # local-bigquery takes maximum_bytes_billed and does not heed it.
        return bigquery.QueryJobConfig(
            default_dataset=self._path,
            maximum_bytes_billed=self.max_bytes_billed,
            labels=LABELS,
            query_parameters=[bigquery.ScalarQueryParameter(*parameter) for parameter in parameters],
            **options,
        )

    def _open(self) -> bigquery.Client:
        """Make the client, and the dataset, when they are first needed."""
        from google.api_core import exceptions
        from google.cloud import bigquery

        with self._lock:
            if self._client is None:
                credentials = None
                if self._emulated:
                    from google.auth.credentials import AnonymousCredentials

                    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
                self._client = bigquery.Client(self.project, credentials=credentials, location=self.location)
            if not self._ready:
                try:
                    self._client.get_dataset(self._path)
                except exceptions.NotFound:
                    made = bigquery.Dataset(self._path)
                    made.location = self.location
                    made.labels = LABELS
                    with explained("BigQuery", role=CREATE, raises=WarehouseError):
                        self._client.create_dataset(made, exists_ok=True)
                self._ready = True
            return self._client

    def _reader(self) -> bigquery_storage.BigQueryReadClient | None:
        with self._lock:
            # The Storage client heeds no emulator variable.
            if self._storage is None and not self._no_storage and not self._emulated:
                require("google.cloud.bigquery_storage", feature="the BigQuery warehouse", extra="gcp")
                from google.cloud import bigquery_storage

                self._storage = bigquery_storage.BigQueryReadClient()  # type: ignore[no-untyped-call]
            return None if self._no_storage else self._storage

    def _batches(
        self, job: bigquery.QueryJob, rows: bigquery.table.RowIterator, schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        from google.api_core import exceptions

        with self._explained("roles/bigquery.readSessionUser"):
            reader = self._reader()
            begun = False
            try:
                for batch in rows.to_arrow_iterable(bqstorage_client=reader, max_queue_size=4):
                    begun = True
                    yield result_batch(batch, schema)
            except (exceptions.Forbidden, exceptions.NotFound, exceptions.MethodNotImplemented):
                if begun or reader is None:
                    raise
                self._no_storage = True
                for batch in job.result().to_arrow_iterable():
                    yield result_batch(batch, schema)

    def _run(self, statement: str, parameters: Sequence[Parameter] = ()) -> list[dict[str, Any]]:
        job = self._open().query(statement, job_config=self._config(parameters))
        return [dict(row) for row in job.result()]

    def _count(self, table: str) -> int:
        if self._find(table) is None:
            return 0
        with self._explained(READ):
            return int(self._run(commits.sql(commits.count_rows(table)))[0]["total"])

    def _find(self, table: str) -> TableSchema | None:
        with self._explained(READ):
            from google.api_core import exceptions

            try:
                found = self._open().get_table(self._reference(table))
            except exceptions.NotFound:
                return None
        columns = tuple(read_column(field) for field in found.schema)
        constraints = found.table_constraints
        key = constraints.primary_key.columns if constraints and constraints.primary_key else ()
        return TableSchema(table, columns, tuple(key), found.num_rows)

    def _make_target(self, staged: Staged) -> bool:
        """Create an empty target where there is none; say whether it was done here."""
        from google.api_core import exceptions
        from google.cloud import bigquery

        name = staged.schema.name
        if self._find(staged.name) is None:
            raise LoadError(f"the rows staged for {name!r} are gone: they were committed or dropped. Stage again.")
        if self._find(name) is not None:
            return False
        empty = bigquery.Table(self._reference(name), schema=[write_column(item) for item in staged.schema])
        try:
            self._open().create_table(empty)
        except exceptions.Conflict:
            return False
        return True

    def _prepare(self, staged: Staged, mode: CommitMode, keys: Sequence[str]) -> list[str]:
        """Bring the target's columns into line; return what is left to do in the transaction."""
        target = self.schema(staged.schema.name)
        if mode == "swap" and not commits.fits(staged.schema, target):
            self._run(commits.replacement(staged))
            return []
        commits.check_types(staged.schema, target)
        for statement in (*commits.additions(staged.schema, target), *commits.relaxations(staged.schema, target)):
            self._run(statement)
        return commits.changes(staged, target, mode, keys)

    def _commit(
        self, statements: Sequence[str], target: str, state: LoadState | None, expect: str | None
    ) -> dict[str, Any]:
        if state is None:
            script = commits.script(statements, target, None)
            return self._patiently(lambda: self._run(script))[0]
        name = commits.state_table(state.key)
        if expect is None:
            self._run(commits.create_state(name), [("key", "STRING", state.key)])
        script = commits.script(statements, target, name)
        parameters: list[Parameter] = [
            ("run", "STRING", state.run),
            ("expect", "STRING", expect),
            ("watermark", "STRING", state.watermark),
            ("rows", "INT64", state.rows),
        ]
        return self._patiently(lambda: self._run(script, parameters))[0]

    def _patiently(self, act: Callable[[], T]) -> T:
        """Repeat a transaction that was cancelled for another one on the same table."""
        from google.api_core.retry import Retry

        return Retry(predicate=commits.cancelled, initial=1.0, maximum=30.0, timeout=600.0)(act)()
