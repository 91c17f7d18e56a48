"""SQLite files: read with the standard library, each value checked, as columns bind no types."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from sqlglot import exp

from b2brecs.configs.sources import SQLiteSettings
from b2brecs.errors import NotFound, SourceError
from b2brecs.sources import sqlite_metadata
from b2brecs.sources.base import WHOLE, KeyRange, OnReject, Part, ReadSecret, Since, Source
from b2brecs.sources.sqlite_metadata import NativeTable
from b2brecs.sources.sqlite_session import connect, refusal
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa


class SQLiteSource(Source[SQLiteSettings]):
    """A SQLite file, opened for reading only.

    A table's types are those that were declared, but each value is checked: what is no value of its column's type is a
    reject. Booleans are 0 and 1, or texts of true and false; dates and times are ISO 8601 texts. TIMESTAMP is DATETIME,
    as SQLite's times say no zone; TIMESTAMPTZ without one is UTC. A column without a declared type is STRING, numbers
    as they are written, and so is one of a type unknown. Decimals are exact if they were kept as texts or integers:
    SQLite keeps others as floats, whose shortest text is taken.

    A read is one transaction, and all parts of a load share it. No bound on watermarks is needed: whoever writes has
    the file alone, so that what CURRENT_TIMESTAMP or a key gives is seen in its order. Times of applications' own
    clocks need a lookback.
    """

    def __init__(self, settings: SQLiteSettings, read_secret: ReadSecret) -> None:
        super().__init__(settings, read_secret)
        self._held: dict[str, tuple[sqlite3.Connection, threading.Lock]] = {}

    def test(self) -> str:
        count = len(self.tables())
        return f"SQLite file with {count} table{'s' * (count != 1)}"

    def tables(self) -> list[TableSchema]:
        with self._connected() as connection:
            return sqlite_metadata.listed(connection)

    def schema(self, table: str) -> TableSchema:
        return self._native(table).schema()

    def read(
        self, table: TableSchema, part: Part = WHOLE, *, on_reject: OnReject | None = None
    ) -> pa.RecordBatchReader:
        import pyarrow as pa

        from b2brecs.sources.sqlite_read import Rows

        native = self._native(table.name)
        held = self._held.get(part.snapshot) if part.snapshot is not None else None
        if held is None and part.snapshot is not None:
            raise SourceError(self.settings.label(), "the moment at which the parts were to be read is gone.",
                              "Run the load again.", transient=True)  # fmt: skip
        connection, lock = held or (connect(self.settings), threading.Lock())
        rows = Rows(
            connection, lock, native, table, part, most=self.BATCH_ROWS, on_reject=on_reject,
            label=self.settings.label(), failed=lambda error: refusal(error, self.settings, table.name),
            owned=held is None,
        )  # fmt: skip
        return pa.RecordBatchReader.from_batches(rows.schema, rows)

    def preview(self, table: str, limit: int) -> pa.Table:
        from b2brecs.sources.sqlite_read import look

        native = self._native(table)
        with self._connected(table) as connection:
            return look(connection, native, limit)

    def estimate(self, table: str, since: Since | None = None) -> int | None:
        native = self._native(table)
        if since is None or since.value is None:
            return native.rows
        from b2brecs.sources.sqlite_read import at_least

        found = native.column(since.column)
        condition = at_least(found, found.type, since.value) if found is not None and found.indexed else None
        if condition is None:
            return None
        tree = exp.select(exp.Count(this=exp.Star())).from_(sqlite_metadata.quoted_table(native.name)).where(condition)
        with self._connected(table) as connection:
            return int(connection.execute(tree.sql("sqlite")).fetchone()[0])

    def key_range(self, table: TableSchema, since: Since | None, parts: int) -> KeyRange | None:
        del parts
        native = self._native(table.name)
        if native.rowid is None or not native.rows or (since is not None and since.value is not None):
            return None
        with self._connected(table.name) as connection:
            least, most = sqlite_metadata.ends(connection, native.name, native.rowid)
        return KeyRange(native.rowid, "INT64", (str(least), str(most)), nullable=False, rows=native.rows)

    @contextmanager
    def snapshot(self) -> Iterator[str | None]:
        with self._connected() as connection:
            name = f"transaction {id(connection)}"
            connection.execute("BEGIN")
            # It begins with the first read.
            sqlite_metadata.table_names(connection)
            self._held[name] = connection, threading.Lock()
            try:
                yield name
            finally:
                del self._held[name]

    def _native(self, table: str) -> NativeTable:
        with self._connected(table) as connection:
            found = sqlite_metadata.native_table(connection, table)
            if found is None:
                names = sqlite_metadata.table_names(connection)
                raise NotFound("table", table, names, where=self.settings.label())
        return found

    @contextmanager
    def _connected(self, table: str | None = None) -> Iterator[sqlite3.Connection]:
        with closing(connect(self.settings)) as connection:
            try:
                yield connection
            except sqlite3.Error as error:
                raise refusal(error, self.settings, table) from None
