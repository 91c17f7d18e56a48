"""What a source of customer data does, and how a new kind of source is registered."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from b2brecs.configs.connection import Connection, SourceSettings
from b2brecs.configs.secrets import Secret
from b2brecs.errors import B2BRecsError, SourceError
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

S = TypeVar("S", bound=SourceSettings)
ReadSecret = Callable[[Secret], str]


@dataclass(frozen=True)
class Since:
    """Where an incremental read begins: rows whose ``column`` is at least ``value`` (JSON text of its type).

    With ``value`` None all rows are read, in the column's order.
    """

    column: str
    value: str | None


class Source(ABC, Generic[S]):
    """A source, opened: settings plus the means to read secrets. Raises ``SourceError`` for whatever fails."""

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

    @abstractmethod
    def read(self, table: TableSchema, *, since: Since | None = None) -> pa.RecordBatchReader:
        """Stream the rows of ``table.columns``, in this order, each batch of at most ``BATCH_ROWS``.

        Types may be narrower or text; the loader casts them to the schema's.
        """

    def close(self) -> None:
        """Give back what is held."""


_ENGINES: dict[str, type[Source[Any]] | str] = {
    "files": "b2brecs.sources.files:FilesSource",
    "postgres": "b2brecs.sources.postgres:PostgresSource",
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


__all__ = ["ReadSecret", "Since", "Source", "SourceError", "open_source", "register_source", "scrub"]
