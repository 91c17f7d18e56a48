"""The DuckDB file behind the local warehouse: opening, cursors, transactions, errors."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from b2brecs.backends.protocols import PRIVATE
from b2brecs.errors import WarehouseError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from sqlglot import exp

MEMORY = ":memory:"
STAGE = f"{PRIVATE}stage_"

# A tree that names a table must never reach a file, a Python variable, or the network.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
_TABLES = (
    "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = 'main' "
    "AND NOT temporary"
)

# The words of Linux, macOS and Windows, and DuckDB's own when it cannot put aside what memory does not hold.
_FULL = re.compile(
    "no space left on device|disk quota exceeded|not enough space on the disk|failed to offload data block",
    re.IGNORECASE,
)

# Files this process has opened: only the first opening may sweep what a dead process left.
_opened: set[str] = set()


class DuckDBFile:
    """A file, opened on first use, whose every read and write has a cursor of its own.

    Parameters
    ----------
    path
        The file, made when needed, or ``":memory:"``.
    memory
        How much memory DuckDB may use before it works on disk.
    """

    def __init__(self, path: Path | str, memory: str | None) -> None:
        self.path = MEMORY if str(path) == MEMORY else str(Path(path).expanduser().absolute())
        self._memory = memory
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._cursors: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()
        self._readers: weakref.WeakSet[pa.RecordBatchReader] = weakref.WeakSet()
        self._opening = threading.RLock()

    def run(
        self, cursor: duckdb.DuckDBPyConnection, statement: exp.Expr | str, values: Sequence[Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Run a statement, a tree or one of our own texts, to its end and return its rows."""
        from b2brecs.backends.local import duckdb_sql as sql

        written = statement if isinstance(statement, str) else sql.text(statement)
        return cursor.execute(written, list(values)).fetchall()

    def names(self, cursor: duckdb.DuckDBPyConnection) -> list[str]:
        """Return the names of all tables."""
        return [str(row[0]) for row in self.run(cursor, _TABLES)]

    @contextlib.contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lend a cursor; DuckDB's errors become ours."""
        cursor = self.new_cursor()
        try:
            with self.translated():
                yield cursor
        finally:
            cursor.close()

    def new_cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor that the caller closes."""
        with self._opening:
            if self._connection is None:
                self._connection = self._open()
            cursor = self._connection.cursor()
            self._cursors.add(cursor)
            return cursor

    def lend(self, reader: pa.RecordBatchReader) -> None:
        """Remember a result that is being read: it holds the file until it is closed."""
        self._readers.add(reader)

    @contextlib.contextmanager
    def transaction(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Do all of the body, or nothing."""
        import duckdb

        cursor.begin()
        try:
            yield
            cursor.commit()
        except BaseException:
            # A transaction that DuckDB has ended itself cannot be rolled back again.
            with contextlib.suppress(duckdb.Error):
                cursor.rollback()
            raise

    @contextlib.contextmanager
    def translated(self, *others: type[Exception]) -> Iterator[None]:
        """Turn DuckDB's errors, and others that are named, into ours."""
        import duckdb

        kinds: tuple[type[Exception], ...] = (duckdb.Error, *others)
        try:
            yield
        except kinds as error:
            from b2brecs.backends.local import duckdb_sql as sql

            message = sql.short(error)
            if disk_is_full(error):
                message = self._full(message)
            elif isinstance(error, duckdb.OutOfMemoryException):
                message = f"DuckDB needs more memory than it may use. Open the workspace with more. {message}"
            raise WarehouseError(message) from None

    def close(self) -> None:
        """Give the file back, ending reads that are under way."""
        with self._opening:
            for reader in list(self._readers):
                reader.close()
            for cursor in list(self._cursors):
                cursor.close()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        from b2brecs.backends.local import duckdb_sql as sql

        kept = self.path != MEMORY
        try:
            if kept:
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            connection = duckdb.connect(self.path, config=_CONFIG)
        except duckdb.Error as error:
            reason = sql.short(error)
            message = self._full(reason) if disk_is_full(error) else _refusal(self.path, reason)
            raise WarehouseError(message) from None
        except OSError as error:
            if disk_is_full(error):
                raise WarehouseError(self._full(str(error))) from None
            raise WarehouseError(f"{self.path} cannot be opened: {error.strerror or error}.") from None
        try:
            with self.translated():
                self._prepare(connection, kept=kept)
        except BaseException:
            connection.close()
            raise
        return connection

    def _full(self, reason: str) -> str:
        folder = Path.cwd() if self.path == MEMORY else Path(self.path).parent
        return (
            f"the disk is full: DuckDB found no more room in {folder}. The tables are as they were before. "
            f"Make room there and run again. ({reason})"
        )

    def _prepare(self, connection: duckdb.DuckDBPyConnection, *, kept: bool) -> None:
        from b2brecs.backends.local import duckdb_sql as sql

        self.run(connection, "SET TimeZone = 'UTC'")
        if kept or self._memory:
            limit = self._memory or f"{max(320, 160 * (os.cpu_count() or 1))}MB"
            self.run(connection, "SET memory_limit = ?", (limit,))
        if kept and self.path not in _opened:
            _opened.add(self.path)
            for name in self.names(connection):
                if name.startswith(STAGE):
                    self.run(connection, sql.drop(name))


def disk_is_full(error: BaseException) -> bool:
    """Say whether an error is that of a full disk, or of a quota that is used up."""
    return bool(_FULL.search(str(error)))


def _refusal(path: str, reason: str) -> str:
    if "lock" not in reason.casefold() and "used by another process" not in reason:
        return f"{path} cannot be opened: {reason}"
    found = re.search(r"held in (.+?)\s*\(PID (\d+)\)", reason)
    holder = f"process {found[2]} ({Path(found[1]).name})" if found else "another process"
    return (
        f"{path} is open in {holder}, and one process at a time may hold it. Close it there with ws.close(), or "
        "restart that notebook's kernel; or work in another folder: b2brecs.connect('local:other-folder')."
    )
