"""A dataset of BigQuery: its clients, made when first needed, and the calls that the warehouse makes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from b2brecs.backends.gcp.bigquery_commit import cancelled
from b2brecs.backends.gcp.bigquery_stage import LABELS
from b2brecs.backends.gcp.bigquery_types import described, result_batch
from b2brecs.backends.gcp.refusals import explained
from b2brecs.errors import WarehouseError, require
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    from google.cloud import bigquery, bigquery_storage

    from b2brecs.backends.gcp.bigquery_commit import Parameter

T = TypeVar("T")

EMULATOR = "BIGQUERY_EMULATOR_HOST"
READ = "roles/bigquery.dataViewer (on the dataset) with roles/bigquery.jobUser (on the project)"
WRITE = "roles/bigquery.dataEditor (on the dataset) with roles/bigquery.jobUser (on the project)"
CREATE = "roles/bigquery.user (on the project)"


class BigQueryDataset:
    """A dataset; see ``BigQueryWarehouse`` for the parameters."""

    def __init__(
        self,
        project: str,
        location: str,
        dataset: str,
        *,
        max_bytes_billed: int,
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
            query_parameters=[
                bigquery.ArrayQueryParameter(name, kind, value)
                if isinstance(value, list)
                else bigquery.ScalarQueryParameter(name, kind, value)
                for name, kind, value in parameters
            ],
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
        # Errors that pass (429, 500, 502, 503, lost connections) are repeated by the client itself, for every call.
        job = self._open().query(statement, job_config=self._config(parameters))
        return [dict(row) for row in job.result()]

    def _get(self, table: str) -> bigquery.Table | None:
        """Return a table as BigQuery describes it, if there."""
        with self._explained(READ):
            from google.api_core import exceptions

            try:
                return self._open().get_table(self._reference(table))
            except exceptions.NotFound:
                return None

    def _find(self, table: str) -> TableSchema | None:
        found = self._get(table)
        return None if found is None else described(found)


def patiently(act: Callable[[], T], *, sleep: Callable[[float], None] | None = None) -> T:
    """Repeat a transaction that BigQuery cancelled for another one on the same table, for ten minutes at most."""
    import time

    import tenacity

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, Exception) and cancelled(error)),
        wait=tenacity.wait_exponential_jitter(initial=1, max=30, jitter=2),
        stop=tenacity.stop_after_delay(600),
        sleep=sleep or time.sleep,
        reraise=True,
    )(act)
