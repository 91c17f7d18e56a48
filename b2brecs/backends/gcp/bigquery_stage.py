"""Rows into BigQuery by one load job that may be retried."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import IO, TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.parquet as pq

from b2brecs.backends.gcp.bigquery_types import is_plain, staged_batch, staged_columns, write_column
from b2brecs.backends.protocols import PRIVATE
from b2brecs.errors import WarehouseError
from b2brecs.sql.arrow import arrow_schema

if TYPE_CHECKING:
    from google.cloud import bigquery

    from b2brecs.types import TableSchema

LABELS = {"app": "b2brecs"}
STAGE = f"{PRIVATE}stage_"
KEPT = dt.timedelta(days=1)
_IN_MEMORY = 64 * 2**20
_PIECE = 2**20


def spool() -> IO[bytes]:
    """Open a temporary file that stays in memory while it is small."""
    return cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, mode="r+b"))


def write_parquet(file: IO[bytes], schema: TableSchema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write staged rows as they come; return how many.

    Raises
    ------
    WarehouseError
        A value does not fit, or the disk that holds the temporary file is full.
    """
    rows = 0
    with _on_disk():
        writer = pq.ParquetWriter(file, arrow_schema(staged_columns(schema)), compression="zstd")
    for batch in batches:
        if batch.num_rows:
            staged = staged_batch(batch, schema, rows)
            with _on_disk():
                writer.write_batch(staged)
            rows += batch.num_rows
    with _on_disk():
        writer.close()
    return rows


@contextmanager
def _on_disk() -> Iterator[None]:
    """Say so when the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise WarehouseError(
            f"the disk is full: rows on their way to BigQuery found no more room in {tempfile.gettempdir()}. Make "
            "room there and run again."
        ) from None


def staged_name(run: str, target: str, file: IO[bytes]) -> str:
    """Name the staged rows by run, target and content.

    With the content in the name, and so in the job's id, a load job that was left behind by a killed
    process can only write what is expected there.
    """
    digest = hashlib.sha256(f"{run}\0{target}\0".encode())
    file.seek(0)
    while piece := file.read(_PIECE):
        digest.update(piece)
    file.seek(0)
    words = (re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:60] for text in (run, target))
    return f"{STAGE}{'_'.join(words)}_{digest.hexdigest()[:16]}"


def load(
    client: bigquery.Client,
    table: bigquery.TableReference,
    file: IO[bytes],
    schema: TableSchema,
    rows: int,
    *,
    emulated: bool,
) -> None:
    """Load the file into a table of its own, by a job whose id is made from the table's name.

    If the job exists already, wait for that one: the answer to our own request may have been lost. Only if it
    failed, or its table is gone, is another one started.
    """
    from google.api_core.exceptions import Conflict, GoogleAPICallError

    for attempt in count(1):
        job_id = f"b2b_{table.dataset_id}_{table.table_id}_{attempt}"
        try:
            job = client.load_table_from_file(
                file, table, rewind=True, job_id=job_id, job_config=_config(schema, emulated=emulated)
            )
            ours = True
        except Conflict:
            job = cast("bigquery.LoadJob", client.get_job(job_id))
            ours = False
        try:
            job.result()
        except GoogleAPICallError:
            if ours:
                raise
            continue
        if _keep(client, table, rows) or ours:
            return


def sweep(client: bigquery.Client, dataset: str) -> None:
    """Remove staged rows that are older than a day and do not expire: their process died between the two."""
    before = dt.datetime.now(dt.UTC) - KEPT
    for item in client.list_tables(dataset):
        if item.table_id.startswith(STAGE) and item.expires is None and item.created < before:
            client.delete_table(item, not_found_ok=True)


def _keep(client: bigquery.Client, table: bigquery.TableReference, rows: int) -> bool:
    """Let the table expire in a day; False if it is not there, or not whole."""
    from google.api_core.exceptions import NotFound
    from google.cloud import bigquery

    # Without an etag, so that the client may repeat the call when its answer was lost.
    staged = bigquery.Table(table)
    staged.expires = dt.datetime.now(dt.UTC) + KEPT
    try:
        found = client.update_table(staged, ["expires"])
    except NotFound:
        return False
    return bool(found.num_rows == rows)


def _config(schema: TableSchema, *, emulated: bool) -> bigquery.LoadJobConfig:
    from google.cloud import bigquery

    lists = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
    lists.enable_list_inference = True
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        parquet_options=lists,
        labels=LABELS,
    )
    columns = staged_columns(schema)
    if not is_plain(columns):
        config.column_name_character_map = "V2"
    # local-bigquery decodes BYTES of a Parquet file as base64 when it is told the schema; without, it reads
    # the same types from the file.
    if not (emulated and any(column.type == "BYTES" for column in columns)):
        config.schema = [write_column(column) for column in columns]
    return config
