"""What a source of customer data does, and how a new kind of source is registered."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from b2brecs.configs.connection import Connection, SourceSettings
from b2brecs.configs.secrets import Secret
from b2brecs.errors import B2BRecsError, SourceError
from b2brecs.types import ColumnType, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

S = TypeVar("S", bound=SourceSettings)
ReadSecret = Callable[[Secret], str]


@dataclass(frozen=True)
class Since:
    """Where an incremental read begins: rows whose ``column`` is at least ``value``, and those where it is NULL.

    ``value`` is JSON text of the column's type; with None all rows are read.
    """

    column: str
    value: str | None


@dataclass(frozen=True)
class Part:
    """Which rows of a table one read returns. Plain data, so that it travels to workers.

    A key range is half open, ``low <= column < high``, its bounds JSON text (None: no bound). All that is given
    holds at once; an empty part is the whole table.
    """

    since: Since | None = None
    column: str | None = None
    low: str | None = None
    high: str | None = None
    # Whether rows whose ``column`` is NULL are in this part.
    nulls: bool = False
    # Names of files, for sources of files; empty: all.
    files: tuple[str, ...] = ()
    # What ``Source.snapshot`` gave: all parts then see the same moment.
    snapshot: str | None = None


WHOLE = Part()


@dataclass(frozen=True)
class KeyRange:
    """How a table's rows spread over a column that can be cut: what the planner needs to make parts.

    ``bounds`` are JSON texts in rising order, the first the least and the last the greatest value; values between
    them, if any, cut the rows into about equal shares. ``kind`` is the column's warehouse type.
    """

    column: str
    kind: ColumnType
    bounds: tuple[str, ...]
    nullable: bool
    rows: int


@dataclass(frozen=True)
class SourceFile:
    """A file of a table: what tells whether it has changed since it was loaded."""

    name: str
    size: int
    # Whatever changes with the content: the store's etag, or the time of change in nanoseconds.
    stamp: str


@dataclass(frozen=True)
class Reject:
    """A row that cannot be represented: its text (JSON), the column that is wrong, and why."""

    row: str
    column: str
    reason: str


OnReject = Callable[[Reject], None]


class Source(ABC, Generic[S]):
    """A source, opened: settings plus the means to read secrets. Raises ``SourceError`` for whatever fails."""

    # Whether a table's columns are known from some of its rows only, so that one may be missed.
    SAMPLED: ClassVar[bool] = False
    # How many rows one batch holds at most.
    BATCH_ROWS: ClassVar[int] = 65_536

    def __init__(self, settings: S, read_secret: ReadSecret) -> None:
        self.settings = settings
        self.read_secret = read_secret

    @abstractmethod
    def test(self) -> str:
        """Reach the source within 10 s and return a sentence about it."""

    @abstractmethod
    def tables(self) -> list[TableSchema]:
        """List the tables, with estimated rows where they cost nothing; columns may be left out."""

    @abstractmethod
    def schema(self, table: str) -> TableSchema:
        """Return a table's columns, as warehouse types, and its primary key."""

    def notes(self, table: str) -> tuple[str, ...]:
        """Say what is worth knowing of how a table's columns were found."""
        return ()

    @abstractmethod
    def read(
        self, table: TableSchema, part: Part = WHOLE, *, on_reject: OnReject | None = None
    ) -> pa.RecordBatchReader:
        """Stream the rows of ``table.columns``, in this order, each batch of at most ``BATCH_ROWS``.

        Types may be narrower than the schema's, or text; the loader casts them, and rejects what does not fit. Only
        a source that must cast itself calls ``on_reject``, from the thread that pulls batches; without one,
        what does not fit is a ``SourceError``. The source may be read by several threads at once.
        """

    def preview(self, table: str, limit: int) -> pa.Table:
        """Return the first rows of a table. Sources that can ask for a few rows only override this."""
        import pyarrow as pa

        reader = self.read(self.schema(table))
        batches: list[pa.RecordBatch] = []
        try:
            while sum(batch.num_rows for batch in batches) < limit:
                batches.append(reader.read_next_batch())
        except StopIteration:
            pass
        finally:
            reader.close()
        return pa.Table.from_batches(batches, reader.schema).slice(0, limit)

    def estimate(self, table: str, since: Since | None = None) -> int | None:
        """Return about how many rows ``read`` would give, if that is cheap to know."""
        return self.schema(table).rows if since is None or since.value is None else None

    def key_range(self, table: TableSchema, since: Since | None, parts: int) -> KeyRange | None:
        """Return a column to cut a large table along, with bounds for about so many parts; None: read it in one."""
        return None

    def safe_high(self, table: TableSchema, column: str) -> str | None:
        """Return a bound below which no row can appear any more, as JSON text of the watermark's type.

        Asked before the rows are read. Rows at or above it are loaded, but the watermark does not pass it, so that
        a transaction that commits late is met by the next run. None: nothing is known.
        """
        return None

    @contextmanager
    def snapshot(self) -> Iterator[str | None]:
        """Hold a moment that several parts can be read at; give its name, or None where there is no such thing."""
        yield None

    def files(self, table: str) -> list[SourceFile] | None:
        """List a table's files, for sources of files; None for all others."""
        return None

    def close(self) -> None:
        """Give back what is held."""


_ENGINES: dict[str, type[Source[Any]] | str] = {
    "azure_blob": "b2brecs.sources.files.azure:AzureSource",
    "bigquery": "b2brecs.sources.bigquery:BigQuerySource",
    "files": "b2brecs.sources.files.local:FilesSource",
    "firestore": "b2brecs.sources.firestore:FirestoreSource",
    "gcs": "b2brecs.sources.files.gcs:GCSSource",
    "mysql": "b2brecs.sources.mysql:MySQLSource",
    "postgres": "b2brecs.sources.postgres:PostgresSource",
    "pubsub": "b2brecs.sources.pubsub:PubSubSource",
    "s3": "b2brecs.sources.files.s3:S3Source",
    "sqlite": "b2brecs.sources.sqlite:SQLiteSource",
}


def register_source(settings: type[S], source: type[Source[S]]) -> None:
    """Make a new kind of source known; from then on ``Connection.of(name, kind, ...)`` takes it.

    Parameters
    ----------
    settings
        Its settings, a ``SourceSettings`` with a ``kind`` of its own.
    source
        What reads it.
    """
    _ENGINES[settings.kind] = source


def open_source(connection: Connection, read_secret: ReadSecret) -> Source[Any]:
    """Open the source of a connection.

    Raises
    ------
    B2BRecsError
        The kind has settings but nobody registered a reader for it.
    MissingExtra
        The reader's library is not installed.
    """
    kind = type(connection.source).kind
    engine = _ENGINES.get(kind)
    if engine is None:
        raise B2BRecsError(
            f"source kind {kind!r} has settings but no reader. Call b2brecs.register_source(Settings, Source)."
        )
    if isinstance(engine, str):
        module, _, name = engine.partition(":")
        engine = getattr(importlib.import_module(module), name)
        _ENGINES[kind] = engine
    return engine(connection.source, read_secret)


def scrub(text: str, *secrets: str | None) -> str:
    """Take secrets out of a driver's message."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "****")
    return text


__all__ = [
    "WHOLE", "KeyRange", "OnReject", "Part", "ReadSecret", "Reject", "Since", "Source", "SourceError", "SourceFile",
    "open_source", "register_source", "scrub",
]  # fmt: skip
