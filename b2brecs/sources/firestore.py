"""Firestore: collections as tables, their columns found in a sample of the documents."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from b2brecs.configs.sources import FirestoreSettings
from b2brecs.errors import NotFound, require
from b2brecs.sources.base import WHOLE, KeyRange, OnReject, Part, ReadSecret, Since, Source
from b2brecs.sources.firestore_infer import Sample
from b2brecs.sources.firestore_query import (
    EMULATOR,
    FirestoreErrors,
    Reader,
    headers,
    least_of,
    open_client,
    value_of,
)
from b2brecs.sources.firestore_rows import COMPARABLE, Rows
from b2brecs.sources.firestore_values import ID, field_of
from b2brecs.sources.google import TEST_SECONDS
from b2brecs.types import Column, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud.firestore_v1.services.firestore import FirestoreClient

ROLE = "roles/datastore.viewer (Cloud Datastore Viewer)"
# Where a sample is taken from a large collection: its newest documents need not lie with its first ones.
_PLACES = 8


class FirestoreSource(Source[FirestoreSettings]):
    """The collections of a Firestore database.

    A table is a collection: ``orders``; ``shops/s1/orders`` for one within a document; ``**/orders`` for all of this
    name, wherever they lie. Listed are those at the top, since finding the others costs a read for each document.

    Columns are ``document_id`` (in ``**/orders`` the document's path) and the fields, each of the type that most of a
    sample's values have. A field that is missing is NULL. What does not fit the type is rejected; a column that is
    STRING or JSON holds whatever comes.

    An incremental read takes what the index of the watermark's field has from the watermark on, and all documents
    whose field is null or of another type. No index knows the documents that lack the field: they are counted (two
    reads for a thousand documents), and only if there are any is the whole collection looked through, at one read a
    document. Setting the field on them, if only to null, saves that.

    Nothing is known of commits still to come: a server's timestamp is the time of a request, which may be committed
    later, and clients write what they like. ``lookback=`` is the remedy.
    """

    SAMPLED: ClassVar[bool] = True

    def __init__(self, settings: FirestoreSettings, read_secret: ReadSecret) -> None:
        super().__init__(settings, read_secret)
        emulated = bool(os.environ.get(EMULATOR))
        self._google = FirestoreErrors(
            settings.label(), ROLE, settings.credentials, read_secret, emulated=emulated
        )  # fmt: skip
        self._database = f"projects/{settings.project}/databases/{settings.database}"
        self._client: FirestoreClient | None = None
        self._samples: dict[str, Sample] = {}
        self._lock = threading.Lock()

    def test(self) -> str:
        found = self._google.in_time(lambda: self._collections(TEST_SECONDS))
        return f"Firestore database {self.settings.database!r}, {len(found)} collections"

    def tables(self) -> list[TableSchema]:
        with self._google.explained():
            return [TableSchema(name, ()) for name in sorted(self._collections())]

    def schema(self, table: str) -> TableSchema:
        reader = self._reader(table)
        sample = Sample(self._spread(reader))
        if not sample.count:
            raise NotFound("collection", table, [item.name for item in self.tables()], where=self.settings.label())
        self._samples[table] = sample
        return TableSchema(table, sample.columns(), (ID,))

    def notes(self, table: str) -> tuple[str, ...]:
        """Say which fields hold values of several types, of the sample from which the schema was made."""
        if table not in self._samples:
            self.schema(table)
        return self._samples[table].notes()

    def read(
        self, table: TableSchema, part: Part = WHOLE, *, on_reject: OnReject | None = None
    ) -> pa.RecordBatchReader:
        import pyarrow as pa

        reader = self._reader(table.name)
        rows = Rows(self.settings.label(), reader.collection, table, part, on_reject, self.BATCH_ROWS)
        return pa.RecordBatchReader.from_batches(rows.schema, rows.batches(_pages(reader, table, part)))

    def preview(self, table: str, limit: int) -> pa.Table:
        import pyarrow as pa

        reader = self._reader(table)
        pages = list(reader.pages(reader.query(), limit=limit))
        sample = self._samples.get(table) or Sample(document for page in pages for document in page)
        columns = sample.columns()
        while True:
            wrong: set[str] = set()
            rows = Rows(
                self.settings.label(), reader.collection, TableSchema(table, columns), WHOLE,
                lambda reject: wrong.add(reject.column), self.BATCH_ROWS,  # noqa: B023
            )  # fmt: skip
            batches = list(rows.batches(pages))
            if not wrong:
                return pa.Table.from_batches(batches, rows.schema)
            # A look at the data leaves no row out: what does not fit is shown as text.
            columns = tuple(Column(item.name, "STRING" if item.name in wrong else item.type) for item in columns)

    def estimate(self, table: str, since: Since | None = None) -> int | None:
        reader = self._reader(table)
        if since is None or since.value is None:
            return reader.count(reader.query())[0]
        sample = self._samples.get(table)
        known = {column.name: column.type for column in sample.columns()} if sample else {}
        kind = known.get(since.column)
        if since.column == ID or kind not in COMPARABLE:
            return None
        field = field_of(since.column)
        newer, _ = reader.count(reader.query(field, low=value_of(kind, since.value)))
        others, _ = reader.count(reader.query(field, high=least_of(kind)))
        return newer + others

    def key_range(self, table: TableSchema, since: Since | None, parts: int) -> KeyRange | None:
        """Cut by ids. What is new since a watermark is found by its index, in one go.

        The greatest id cannot be asked for, so the last cut stands for it.
        """
        if since is not None and since.value is not None:
            return None
        reader = self._reader(table.name)
        cuts = reader.cuts(parts)
        if cuts is None:
            # An emulator's documents cost nothing.
            cuts = reader.counted_cuts(parts)
        first = next(reader.pages(reader.query(only=[]), limit=1), [])
        if not cuts or not first:
            return None
        ids = [reader.collection.id_of(first[0].name), *cuts, cuts[-1]]
        rows, _ = reader.count(reader.query())
        return KeyRange(ID, "STRING", tuple(json.dumps(each) for each in ids), nullable=False, rows=rows)

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.transport.close()  # type: ignore[no-untyped-call]
                self._client = None

    def _open(self) -> FirestoreClient:
        require("google.cloud.firestore_v1", feature="a Firestore connection", extra="gcp")
        with self._lock:
            if self._client is None:
                with self._google.explained():
                    self._client = open_client(self._google)
            return self._client

    def _reader(self, table: str) -> Reader:
        return Reader(self._open(), self._google, self._database, table)

    def _collections(self, timeout: float = 60.0) -> list[str]:
        request = {"parent": f"{self._database}/documents", "page_size": 300}
        found = self._open().list_collection_ids(
            request, metadata=headers(self._database), retry=None, timeout=timeout
        )  # fmt: skip
        return list(found)

    def _spread(self, reader: Reader) -> Iterator[Any]:
        """Give documents from several places of the collection, each once."""
        starts = [None, *(_reference(reader, cut) for cut in reader.cuts(_PLACES) or ())]
        seen: set[str] = set()
        for start in starts:
            each = -(-self.settings.sample // len(starts))
            for page in reader.pages(reader.query(low=start), limit=each):
                for document in page:
                    if document.name not in seen:
                        seen.add(document.name)
                        yield document


def _pages(reader: Reader, table: TableSchema, part: Part) -> Iterator[list[Any]]:
    """Give the documents among which those of a part are; ``Rows`` leaves out what else there is."""
    since = part.since
    if part.column == ID and (part.low is not None or part.high is not None):
        asked = reader.query(low=_bound(reader, part.low), high=_bound(reader, part.high))
        yield from reader.pages(asked)
    elif since is None or since.value is None or part.column is not None:
        yield from reader.pages(reader.query())
    elif since.column == ID:
        yield from reader.pages(reader.query(low=_bound(reader, since.value)))
    else:
        yield from _changed(reader, field_of(since.column), table.column(since.column).type, since.value)


def _changed(reader: Reader, field: str, kind: str, low: str) -> Iterator[list[Any]]:
    """Give the documents whose field is at least a value, null, of another type, or missing; all as of one moment."""
    total, moment = reader.count(reader.query())
    having, _ = reader.count(reader.query(field), moment=moment)
    yield from reader.pages(reader.query(field, low=value_of(kind, low)), field=field, moment=moment)
    yield from reader.pages(reader.query(field, high=least_of(kind)), field=field, moment=moment)
    if having < total:
        yield from reader.without(field, moment=moment)


def _bound(reader: Reader, json_text: str | None) -> Any:
    return None if json_text is None else _reference(reader, str(json.loads(json_text)))


def _reference(reader: Reader, document_id: str) -> Any:
    from google.cloud.firestore_v1.types import Value

    return Value(reference_value=reader.collection.name_of(document_id))
