"""MySQL and MariaDB: metadata by pymysql, rows cut into Arrow columns as the server sends them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from b2brecs.configs.sources import MySQLSettings
from b2brecs.errors import NotFound, SourceError
from b2brecs.sources import mysql_bounds, mysql_metadata
from b2brecs.sources.base import WHOLE, KeyRange, OnReject, Part, ReadSecret, Reject, Since, Source
from b2brecs.sources.mysql_metadata import NativeTable
from b2brecs.sources.mysql_read import read_query, wanted_columns
from b2brecs.sources.mysql_session import TIMEOUT_S, Server, ask, check_hidden, within
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa


class MySQLSource(Source[MySQLSettings]):
    """A database of a MySQL or MariaDB server.

    Values arrive exactly, each part as of one moment; parts cannot share one. What has no type in the warehouse is read
    as the text that the server writes: TIME, which is a length of time up to 838 hours, enumerations, sets, UUIDs,
    addresses, shapes (as WKT), decimals of too many digits. So is every column that is wanted as STRING. TINYINT(1) is
    INT64, as it may hold more than 0 and 1; ``types={'active': 'BOOL'}`` takes these two and rejects others. BIT is a
    number. TIMESTAMP is read in UTC, DATETIME as it stands. JSON keeps the server's text. Dates that do not exist,
    ``0000-00-00`` among them, are rejects. A float of 32 bits is the shortest number that is the same float.

    With ``ssl`` the connection is encrypted or refused, without it is encrypted if the server can; certificates are not
    verified. A table's columns are looked up once for each source.
    """

    def __init__(self, settings: MySQLSettings, read_secret: ReadSecret) -> None:
        super().__init__(settings, read_secret)
        self._server = Server(settings, read_secret)
        self._known: dict[str, NativeTable] = {}

    def test(self) -> str:
        return within(TIMEOUT_S, self._describe, self.settings)

    def tables(self) -> list[TableSchema]:
        return mysql_metadata.tables(self._server.ask, self.settings.database)

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
        columns = tuple(replace(c, type="STRING") if c.name in wrong else c for c in schema)
        return self._read(replace(schema, columns=columns), WHOLE, None, limit).read_all()

    def estimate(self, table: str, since: Since | None = None) -> int | None:
        return mysql_bounds.estimate(self._server, self._native(table), since)

    def key_range(self, table: TableSchema, since: Since | None, parts: int) -> KeyRange | None:
        return mysql_bounds.key_range(self._server, self._native(table.name), since, parts)

    def safe_high(self, table: TableSchema, column: str) -> str | None:
        """Return a bound below which no row can appear any more; for times, and for AUTO_INCREMENT.

        A time is safe up to the beginning of the oldest transaction or statement that may write, and ten seconds before
        now at most. This holds for columns that are stamped by this server with ``NOW()`` or ``CURRENT_TIMESTAMP``;
        times of applications' own clocks need a lookback. A DATETIME is taken to be in the server's zone or in UTC.

        A number is safe up to the greatest that was there when nobody had an earlier one in hand. Who may have is
        waited for, three seconds at most; if one stays, nothing is safe. Numbers that applications choose are not
        covered.

        None: without the PROCESS privilege, on servers that apply what others have written, and for other columns.
        """
        native = self._native(table.name)
        from b2brecs.sources import mysql_safe

        found = native.column(column)
        if found is None:
            raise NotFound("column", column, native.schema().names, where=f"table {table.name!r}")
        return mysql_safe.safe_high(self._server, native, found)

    def _read(
        self, table: TableSchema, part: Part, on_reject: OnReject | None, limit: int | None = None
    ) -> pa.RecordBatchReader:
        import pyarrow as pa

        from b2brecs.sources.mysql_arrow import Exact

        native = self._native(table.name)
        query = read_query(native, table, part, limit).sql("mysql")
        exact = Exact(table, wanted_columns(native, table), self.settings.label(), on_reject)
        try:
            rows = self._server.rows(query, len(table.columns), self.BATCH_ROWS, table=table.name)
        except SourceError:
            # What is known of the table may be of yesterday.
            self._known.pop(table.name, None)
            raise
        return pa.RecordBatchReader.from_batches(exact.schema, exact.batches(rows))

    def _native(self, table: str) -> NativeTable:
        known = self._known.get(table)
        if known is None:
            with self._server.connected(table=table) as connection:
                known = mysql_metadata.native_table(partial(ask, connection), self.settings.database, table)
                if known is None:
                    # Tables that the user may not read are hidden; the server says so when it is asked for one.
                    check_hidden(connection, table)
            if known is None:
                raise NotFound("table", table, [item.name for item in self.tables()], where=self.settings.label())
            self._known[table] = known
        return known

    def _describe(self) -> str:
        version = str(self._server.ask("SELECT VERSION()")[0][0])
        name = "MariaDB" if "mariadb" in version.lower() else "MySQL"
        count = len(self.tables())
        return f"{name} {version.partition('-')[0]}, {count} table{'s' * (count != 1)} in {self.settings.database!r}"
