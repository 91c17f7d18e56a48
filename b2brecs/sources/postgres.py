"""PostgreSQL: metadata by psycopg2, rows as Arrow by ADBC in read-only transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from b2brecs.configs.sources import PostgresSettings
from b2brecs.errors import NotFound, SourceError, nearest
from b2brecs.sources.base import WHOLE, KeyRange, OnReject, Part, ReadSecret, Reject, Since, Source
from b2brecs.sources.postgres_bounds import Measure
from b2brecs.sources.postgres_errors import refusal, sqlstate
from b2brecs.sources.postgres_metadata import (
    SCHEMAS,
    NativeTable,
    columns_query,
    is_name,
    native_table,
    tables_query,
)
from b2brecs.sources.postgres_read import read_query
from b2brecs.sources.postgres_safe import safe_high
from b2brecs.sources.postgres_session import SETTINGS, TIMEOUT_S, Server, unspeakable, within
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

# A snapshot is held while others read; nothing may end it for being idle. The second is of version 17.
_PATIENT = """
SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings
WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')
"""


class PostgresSource(Source[PostgresSettings]):
    """A schema of a PostgreSQL database.

    Values arrive exactly. What has no type in the warehouse – addresses, intervals, ranges, enumerations, values of
    extensions, numerics without declared digits – is read as the text that the server writes, in UTC and ISO 8601;
    so is every column that is wanted as STRING. Infinite dates and times are Arrow's extreme values. Arrays keep
    their NULL elements, which not every warehouse takes; arrays of arrays, and times after the year 294246, are
    rejects. A table's columns are looked up once for each source.
    """

    def __init__(self, settings: PostgresSettings, read_secret: ReadSecret) -> None:
        super().__init__(settings, read_secret)
        self._server = Server(settings, read_secret)
        self._known: dict[str, NativeTable] = {}

    def test(self) -> str:
        return within(TIMEOUT_S, self._describe, self.settings)

    def tables(self) -> list[TableSchema]:
        rows = self._server.ask(*tables_query(self.settings.db_schema))
        if not rows:
            self._check_schema()
        return [TableSchema(name, (), rows=count) for name, count in rows]

    def schema(self, table: str) -> TableSchema:
        return self._native(table).schema()

    def read(
        self, table: TableSchema, part: Part = WHOLE, *, on_reject: OnReject | None = None
    ) -> pa.RecordBatchReader:
        return self._read(table, part, on_reject)

    def preview(self, table: str, limit: int) -> pa.Table:
        schema = self.schema(table)
        refused: list[Reject] = []
        found = self._read(schema, WHOLE, refused.append, limit).read_all()
        if not refused:
            return found
        # To look at, any value is good enough as text.
        wrong = {reject.column for reject in refused}
        columns = tuple(replace(c, type="STRING") if c.name in wrong or "[" in c.type else c for c in schema)
        return self._read(replace(schema, columns=columns), WHOLE, None, limit).read_all()

    def estimate(self, table: str, since: Since | None = None) -> int | None:
        return self._measure(table, lambda measure: measure.estimate(since))

    def key_range(self, table: TableSchema, since: Since | None, parts: int) -> KeyRange | None:
        return self._measure(table.name, lambda measure: measure.key_range(since, parts))

    def safe_high(self, table: TableSchema, column: str) -> str | None:
        """Return a bound below which no row can appear any more; for times, and for numbers of a sequence.

        A time is safe up to the beginning of the oldest open transaction of the database, and ten seconds before now
        at most. This holds for columns that are stamped by this server with ``now()`` or later; times of applications'
        own clocks, and rows that another server replicates, need a lookback. A column without a zone is taken to be
        in the server's zone or in UTC.

        Without the role ``pg_read_all_stats`` the beginning of other users' transactions cannot be seen. Those that
        are open are then waited for, three seconds at most; if one stays open, the bound is the server's own start.
        A prepared transaction that may have written the table makes the bound 1970.

        A number is safe if the column takes it from a sequence that hands out one at a time, up to the greatest that
        was there when nobody had an earlier one in hand; those who have are waited for in the same way, and if one
        stays, nothing is safe. Numbers that are not the sequence's, or are taken from it in one transaction and used
        in another, are not covered.

        None: on a standby, for foreign tables, and for columns of other types.
        """
        native = self._native(table.name)
        found = native.column(column)
        if found is None:
            raise NotFound("column", column, native.schema().names, where=f"table {table.name!r}")
        with self._server.connected(table=table.name) as connection:
            return safe_high(connection, self.settings.db_schema, native, found)

    @contextmanager
    def snapshot(self) -> Iterator[str | None]:
        import psycopg2

        with self._server.connected() as connection:
            try:
                connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
                with connection.cursor() as cursor:
                    cursor.execute(_PATIENT)
                    cursor.execute("SELECT pg_catalog.pg_export_snapshot()")
                    name = cursor.fetchone()[0]
            except psycopg2.Error as error:
                state = sqlstate(error)
                if state is None or state.startswith("57P"):
                    raise
                # Some poolers and servers have no such thing.
                name = None
            yield name

    def _read(
        self, table: TableSchema, part: Part, on_reject: OnReject | None, limit: int | None = None
    ) -> pa.RecordBatchReader:
        query = read_query(self.settings.db_schema, self._native(table.name), table, part, limit)
        if not is_name(query.tree.sql("postgres")):
            raise unspeakable(self.settings)
        password = self._server.password()

        def failed(error: Exception) -> SourceError:
            self._known.pop(table.name, None)
            return refusal(error, self.settings, password, table.name)

        from b2brecs.sources.postgres_stream import Stream

        return Stream(
            self._server.dsn(password), query, label=self.settings.label(), settings=SETTINGS, snapshot=part.snapshot,
            batch_rows=self.BATCH_ROWS, on_reject=on_reject, failed=failed,
        ).reader()  # fmt: skip

    def _measure(self, table: str, question: Callable[[Measure], T]) -> T | None:
        """Ask what is worth knowing only if it costs little."""
        native = self._native(table)
        from psycopg2.errors import QueryCanceled

        with self._server.connected(table=table) as connection, suppress(QueryCanceled):
            return question(Measure(connection, self.settings.db_schema, native))
        return None

    def _native(self, table: str) -> NativeTable:
        known = self._known.get(table)
        if known is not None:
            return known
        rows = self._server.ask(*columns_query(self.settings.db_schema, table), table=table) if is_name(table) else []
        if not rows:
            raise NotFound("table", table, [item.name for item in self.tables()], where=self.settings.label())
        self._known[table] = native_table(table, rows)
        return self._known[table]

    def _describe(self) -> str:
        version = str(self._server.ask("SELECT pg_catalog.current_setting('server_version')")[0][0]).split()[0]
        count = len(self.tables())
        return f"PostgreSQL {version}, {count} table{'s' * (count != 1)} in schema {self.settings.db_schema!r}"

    def _check_schema(self) -> None:
        schemas = [name for (name,) in self._server.ask(SCHEMAS)]
        wanted = self.settings.db_schema
        if wanted not in schemas:
            raise SourceError(self.settings.label(), f"there is no schema {wanted!r}.", nearest(wanted, schemas))
