"""One reader of files for all stores: tables, types, rows."""

from __future__ import annotations

import dataclasses
import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from b2brecs.configs.sources import FileSettings
from b2brecs.errors import NotFound, SourceError
from b2brecs.sources.base import WHOLE, OnReject, Part, ReadSecret, Since, Source, SourceFile
from b2brecs.sources.files.describe import describe, is_seen
from b2brecs.sources.files.estimate import estimate_rows
from b2brecs.sources.files.guard import Ready
from b2brecs.sources.files.layout import FileTable, Layout, choose
from b2brecs.sources.files.locate import locate
from b2brecs.sources.files.pieces import first_piece
from b2brecs.sources.files.query import Wanted
from b2brecs.sources.files.scan import Scan
from b2brecs.sources.files.sql import duck_type
from b2brecs.sources.files.store import Store, in_time
from b2brecs.sources.files.stream import SOURCE_FILE, FileStream
from b2brecs.sources.files.texts import Trust
from b2brecs.sources.files.tools import Tools
from b2brecs.types import Column, TableSchema

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

F = TypeVar("F", bound=FileSettings)

# Of DuckDB, for one source in all, however many of its parts are read at the same time.
MEMORY = "1GB"
THREADS = 2
_PREVIEW_BYTES = 8 * 1024 * 1024


class FileSource(Source[F]):
    """Files of a store; each pattern, or file, or sub-folder of one format, is a table.

    Text is read by the types that its values show. If the files of a table are small together every value is looked
    at, and a column is a number only if every value is; of larger ones a sample is, and what does not fit is rejected.
    Types that are given are obeyed. Columns that are called ``_source_file`` are filled with the file's name.
    """

    def __init__(self, settings: F, read_secret: ReadSecret) -> None:
        super().__init__(settings, read_secret)
        self._lock = threading.RLock()
        self._tools: Tools | None = None
        self._database: duckdb.DuckDBPyConnection | None = None
        self._listed: dict[str, FileTable] = {}
        self._described: dict[FileTable, tuple[Column, ...]] = {}

    @abstractmethod
    def _open(self) -> Store:
        """Open the store. Nothing is asked of a server yet."""

    @property
    def tools(self) -> Tools:
        """What the source works with."""
        with self._lock:
            if self._tools is None:
                self._tools = Tools.of(self.settings.label(), self.settings, self._open())
            return self._tools

    def test(self) -> str:
        return in_time(self.settings.label(), self.tools.store.check)

    def tables(self) -> list[TableSchema]:
        return [TableSchema(name, ()) for name in self._layout.names()]

    def files(self, table: str) -> list[SourceFile]:
        return list(self._table(table).files)

    def schema(self, table: str) -> TableSchema:
        found = self._table(table)
        columns = self._columns(found)
        return TableSchema(table, columns, rows=estimate_rows(self.tools, found))

    def estimate(self, table: str, since: Since | None = None) -> int | None:
        if since is not None and since.value is not None:
            return None
        return estimate_rows(self.tools, self._table(table))

    def preview(self, table: str, limit: int) -> pa.Table:
        found = self._table(table)
        store = self.tools.store
        first = next((file for file in found.files if file.size), None)
        if store.local or found.format == "parquet" or first is None or first.size <= _PREVIEW_BYTES:
            return super().preview(table, limit)
        return self._beginning(found, first, limit)

    def read(
        self, table: TableSchema, part: Part = WHOLE, *, on_reject: OnReject | None = None
    ) -> pa.RecordBatchReader:
        import pyarrow as pa

        listed = self._listed.get(table.name)
        if listed is None or not part.files or not {file.name for file in listed.files}.issuperset(part.files):
            listed = self._table(table.name)
        files = choose(listed, part.files, self.settings.label())
        self._check(table, listed, part)
        schema = _arrow_schema(table, listed)
        trust = self._trust(table, listed)
        wanted = [Wanted(column, trust[column.name]) for column in table if column.name != SOURCE_FILE]
        return pa.RecordBatchReader.from_batches(schema, self._rows(listed, files, wanted, part, schema, on_reject))

    def close(self) -> None:
        with self._lock:
            if self._tools is not None:
                self._tools.spool.close()
                self._tools = None
            if self._database is not None:
                self._database.close()
                self._database = None

    @property
    def _layout(self) -> Layout:
        return Layout(self.tools.store, self.settings)

    def _table(self, name: str) -> FileTable:
        found = self._listed[name] = self._layout.table(name)
        return found

    def _columns(self, table: FileTable) -> tuple[Column, ...]:
        with self._lock:
            if table not in self._described:
                connection = self._connect()
                try:
                    self._described = {table: describe(self.tools, table, connection)}
                finally:
                    connection.close()
            return self._described[table]

    def _connect(self) -> duckdb.DuckDBPyConnection:
        """Return a connection for one thread; all share one database, and so its memory."""
        import duckdb

        with self._lock:
            if self._database is None:
                self._database = duckdb.connect(
                    config={"threads": THREADS, "memory_limit": MEMORY, "temp_directory": str(self.tools.spool.folder)}
                )
                # It moves TRY_CAST into the reader of CSV files, where a value that cannot be cast is an error.
                self._database.execute("SET GLOBAL disabled_optimizers = 'type_pushdown'")
            connection = self._database.cursor()
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def _check(self, table: TableSchema, listed: FileTable, part: Part) -> None:
        known = self._described.get(listed)
        if known is not None:
            names = [column.name for column in known]
            for column in table:
                if column.name not in names and column.name != SOURCE_FILE:
                    raise NotFound("column", column.name, names, where=f"file table {table.name!r}")
        for asked in (part.since.column if part.since else None, part.column):
            if asked is None:
                continue
            if asked == SOURCE_FILE or table.column(asked).type in ("JSON", "BIGNUMERIC"):
                raise SourceError(self.settings.label(), f"rows cannot be chosen by column {asked!r} of their type.",
                                  "Choose a time or a number.")  # fmt: skip

    def _trust(self, table: TableSchema, listed: FileTable) -> dict[str, Trust]:
        given = {column.name for column in self.settings.types}
        if listed.format == "parquet":
            return {column.name: "asked" for column in table}
        if not is_seen(listed):
            return {column.name: "asked" if column.name in given else "sampled" for column in table}
        seen = {column.name: column.type for column in self._columns(listed) if column.name not in given}
        return {column.name: "seen" if seen.get(column.name) == column.type else "asked" for column in table}

    def _rows(
        self,
        table: FileTable,
        files: Sequence[SourceFile],
        wanted: Sequence[Wanted],
        part: Part,
        schema: pa.Schema,
        on_reject: OnReject | None,
    ) -> Iterator[pa.RecordBatch]:
        tools = self.tools
        connection = self._connect()
        stream = self._stream(table, wanted, part, schema, on_reject, connection)
        try:
            for group in tools.spool.groups([file for file in files if file.size or table.format == "parquet"]):
                with tools.all_ready(table.format, group) as readies:
                    for ready in tools.together(table.format, readies):
                        yield from stream.rows(ready)
                if tools.store.local:
                    # What was read while it was written is neither the old file nor the new one.
                    for file, path in group:
                        tools.store.fetch(file, path)
        except SourceError as error:
            if error.transient:
                self._listed.pop(table.name, None)
            raise
        finally:
            connection.close()

    def _stream(
        self,
        table: FileTable,
        wanted: Sequence[Wanted],
        part: Part,
        schema: pa.Schema,
        on_reject: OnReject | None,
        connection: duckdb.DuckDBPyConnection,
    ) -> FileStream:
        tools = self.tools
        names = [item.column.name for item in wanted]
        columns = [item.column for item in wanted]
        # DuckDB itself casts what was seen to be of its type.
        kinds = {item.column.name: duck_type(item.column.type) for item in wanted if item.trust == "seen"}

        def scan(ready: Ready, *, careful: bool) -> Scan:
            rejects = careful and on_reject is not None
            path = bool(ready.others) and (rejects or SOURCE_FILE in schema.names)
            if table.format == "csv":
                return tools.csv.scan(ready, names, rejects=rejects, path=path, kinds=None if careful else kinds)
            if table.format == "json":
                return tools.json.scan(ready, columns, rejects=rejects, path=path, careful=careful)
            return tools.parquet.scan(ready, names, connection, path=path)

        return FileStream(
            tools, connection, scan, wanted, part, schema, self.BATCH_ROWS,
            lambda ready, row: locate(tools, table.format, ready, row), on_reject,
        )  # fmt: skip

    def _beginning(self, table: FileTable, file: SourceFile, limit: int) -> pa.Table:
        """Preview a large remote file without fetching it; a row that does not fit is left out."""
        import pyarrow as pa

        columns = self._columns(table)
        schema = TableSchema(table.name, columns)
        trust = self._trust(schema, table)
        arrow = _arrow_schema(schema, table)
        wanted = [Wanted(column, trust[column.name]) for column in columns]
        connection = self._connect()
        try:
            with first_piece(self.tools, file) as ready:
                if table.format == "json" and self.tools.json.shape(ready, whole=False) != "lines":
                    return super().preview(table.name, limit)
                stream = self._stream(table, wanted, WHOLE, arrow, lambda _reject: None, connection)
                batches: list[pa.RecordBatch] = []
                rows = stream.rows(ready)
                while sum(batch.num_rows for batch in batches) < limit and (batch := next(rows, None)) is not None:
                    batches.append(batch)
                rows.close()  # type: ignore[attr-defined]
        finally:
            connection.close()
        return pa.Table.from_batches(batches, arrow).slice(0, limit)


def _arrow_schema(table: TableSchema, listed: FileTable) -> pa.Schema:
    """Return the schema of batches: the columns' types, but text where the loader casts better than DuckDB."""
    from b2brecs.sql.arrow import arrow_schema

    left_as_text = {"BIGNUMERIC"} if listed.format == "parquet" else {"BIGNUMERIC", "BYTES"}
    columns = [
        dataclasses.replace(column, nullable=True, type="STRING" if column.type in left_as_text else column.type)
        for column in table
    ]
    found: pa.Schema = arrow_schema(columns)
    return found
