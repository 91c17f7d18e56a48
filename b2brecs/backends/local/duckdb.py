"""The local warehouse: one DuckDB file."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from b2brecs.backends.changes import gone, listed
from b2brecs.backends.local.duckdb_file import STAGE, DuckDBFile, disk_is_full
from b2brecs.backends.protocols import PRIVATE, Change, Cost, LoadState, Staged
from b2brecs.errors import LoadError, NotFound, WarehouseError, show
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from sqlglot import exp

    from b2brecs.backends.local.duckdb_commit import Tables

_BATCH_ROWS = 65_536
_CREATE_STATE = (
    'CREATE TABLE IF NOT EXISTS "_b2b_state" ("key" VARCHAR PRIMARY KEY, "watermark" VARCHAR, '
    '"run" VARCHAR NOT NULL, "rows" BIGINT NOT NULL, "facts" VARCHAR)'
)
# Files of the first version have no such column.
_WIDEN_STATE = 'ALTER TABLE "_b2b_state" ADD COLUMN IF NOT EXISTS "facts" VARCHAR'
_READ_STATE = 'SELECT * FROM "_b2b_state" WHERE "key" = ?'
_WRITE_STATE = (
    'INSERT INTO "_b2b_state" ("key", "watermark", "run", "rows", "facts") VALUES (?, ?, ?, ?, ?) '
    'ON CONFLICT ("key") DO UPDATE SET "watermark" = excluded."watermark", "run" = excluded."run", '
    '"rows" = excluded."rows", "facts" = excluded."facts"'
)
_STATE_TABLE = f"{PRIVATE}state"
_GREATEST = Decimal("9999999999999999999.9999999999999999999")


class DuckDBWarehouse:
    """Tables in one DuckDB file, opened on first use.

    One process at a time may hold the file; within it, threads may share the object.

    Parameters
    ----------
    path
        The file, made when needed, or ``":memory:"``.
    memory
        How much memory DuckDB may use before it works on disk, e.g. ``"4GB"``. Default: 160 MB for each
        processor, at least 320 MB; no limit of ours for ``":memory:"``.
    """

    def __init__(self, path: Path | str, *, memory: str | None = None) -> None:
        self._file = DuckDBFile(path, memory)
        self._writing = threading.RLock()

    def __repr__(self) -> str:
        return f"<DuckDBWarehouse {self._file.path!r}>"

    @property
    def dialect(self) -> str:
        """Sqlglot's name of the SQL it speaks."""
        return "duckdb"

    @property
    def bounds(self) -> Mapping[str, tuple[Any, Any]]:
        """Least and greatest BIGNUMERIC, of which DuckDB holds 19 digits before the point (and 19 after it).

        DATE, DATETIME and TIMESTAMP have none: Arrow's days and microseconds are DuckDB's own, also before Christ.
        Arrow's greatest value is DuckDB's ``infinity``. Its least is stored as ``-infinity``, which DuckDB
        writes as the number one above; queries give the least value back. Other values stay as they are.
        """
        return {"BIGNUMERIC": (_GREATEST.copy_negate(), _GREATEST)}

    def tables(self) -> list[str]:
        """Names of the tables, sorted, without the library's own."""
        with self._file.cursor() as cursor:
            return sorted(name for name in self._file.names(cursor) if not name.startswith(PRIVATE))

    def schema(self, table: str) -> TableSchema:
        """Columns and estimated rows of a table.

        Raises
        ------
        NotFound
            There is none of this name.
        """
        with self._file.cursor() as cursor:
            found = self._tables(cursor).schema(table)
        if found is None:
            raise NotFound("table", table, self.tables(), where="the warehouse")
        return found

    def query(self, tree: exp.Expr) -> pa.RecordBatchReader:
        """Run a query given as a tree and stream its rows; see ``Warehouse.query``."""
        import pyarrow as pa

        from b2brecs.backends.local.duckdb_arrow import fit, result_schema

        cursor = self._file.new_cursor()
        try:
            with self._file.translated():
                relation = self._bind(cursor, tree)
                types = [str(kind) for kind in relation.types]
                reader = relation.to_arrow_reader(_BATCH_ROWS)
                schema = result_schema(reader.schema, types)
                self._file.lend(reader)
        except BaseException:
            cursor.close()
            raise

        def rows() -> Iterator[pa.RecordBatch]:
            try:
                with self._file.translated(pa.ArrowException, OSError):
                    for batch in reader:
                        yield fit(batch, schema)
            finally:
                reader.close()
                cursor.close()

        return pa.RecordBatchReader.from_batches(schema, rows())

    def dry_run(self, tree: exp.Expr) -> Cost:
        """Check a query without running it. What it would read is not known, and costs nothing.

        Raises
        ------
        WarehouseError
            DuckDB refuses the query.
        """
        with self._file.cursor() as cursor:
            self._bind(cursor, tree)
        return Cost()

    def stage(self, schema: TableSchema, run: str, batches: Iterable[pa.RecordBatch]) -> Staged:
        """Write rows where no reader sees them; see ``Warehouse.stage``.

        Rows are streamed: memory does not grow with their number. DuckDB may pull the batches from a thread
        of its own.
        """
        import pyarrow as pa

        from b2brecs.backends.local import duckdb_sql as sql
        from b2brecs.backends.local.duckdb_arrow import conform, stored_schema

        _check_target(schema)
        name = STAGE + hashlib.sha256(f"{run}\0{schema.name}".encode()).hexdigest()[:40]
        wanted = stored_schema(schema.columns)
        rows, failure = 0, None

        def pull() -> Iterator[pa.RecordBatch]:
            nonlocal rows, failure
            try:
                for batch in batches:
                    fitted = conform(batch, wanted)
                    rows += fitted.num_rows
                    yield fitted
            except BaseException as error:
                failure = error
                raise

        with self._file.cursor() as cursor, self._file.transaction(cursor):
            self._file.run(cursor, sql.create(name, schema.columns, replace=True))
            incoming = f"{PRIVATE}incoming"
            cursor.register(incoming, pa.RecordBatchReader.from_batches(wanted, pull()))
            try:
                self._file.run(cursor, sql.insert(name, schema.names, sql.rows_of(incoming, schema.names)))
            except Exception:
                if failure is not None:
                    raise failure from None
                raise
        return Staged(name, schema, rows)

    def differs(self, change: Change) -> bool:
        """Say whether a commit of the change would leave the target other than it is; see ``Warehouse.differs``.

        Both sides are read once and compared by number and a sum of hashes, so that memory does not grow with the
        rows of a swap; other modes join by their keys. A real difference stays unseen once in 2**64 times.
        """
        with self._file.cursor() as cursor:
            return self._tables(cursor).differs(change)

    def discard(self, staged: Staged, where: exp.Expression) -> Staged:
        """Remove the staged rows for which a condition on their columns is true; see ``Warehouse.discard``."""
        from b2brecs.backends.local import duckdb_sql as sql

        with self._writing, self._file.cursor() as cursor:
            tables = self._tables(cursor)
            if not staged.name.startswith(STAGE) or staged.name not in tables.names():
                raise gone(staged.schema.name)
            self._file.run(cursor, _written(sql.delete(staged.name, where.copy())))
            return Staged(staged.name, staged.schema, tables.count(staged.name))

    def commit(
        self, changes: Change | Sequence[Change], *, state: LoadState | None = None, expect: str | None = None
    ) -> int:
        """Make staged rows visible, together with ``state``, in one transaction; see ``Warehouse.commit``."""
        import duckdb

        from b2brecs.backends.local import duckdb_sql as sql

        made = listed(changes)
        names = [change.staged.schema.name for change in made]
        with self._writing, self._file.cursor() as cursor:
            tables = self._tables(cursor)
            try:
                with self._file.transaction(cursor):
                    if state is not None and self._stands(cursor, state, expect):
                        for change in made:
                            self._file.run(cursor, sql.drop(change.staged.name))
                    else:
                        for change in made:
                            tables.place(change)
                        if state is not None:
                            values = (state.key, state.watermark, state.run, state.rows, state.facts)
                            self._file.run(cursor, _WRITE_STATE, values)
                    return tables.count(names[0]) if names else 0
            except duckdb.TransactionException as error:
                if disk_is_full(error):
                    raise
                what = " or ".join(map(repr, names)) or "the state"
                message = f"{what} was changed by another load at the same time. Run this one again."
                raise LoadError(f"{message} ({sql.short(error)})") from None

    def state(self, key: str) -> LoadState | None:
        """Return how far a job has loaded a table."""
        with self._file.cursor() as cursor:
            return self._state(cursor, key) if _STATE_TABLE in self._file.names(cursor) else None

    def drop(self, table: str) -> None:
        """Remove a table, or staged rows, if there."""
        from b2brecs.backends.local import duckdb_sql as sql

        if table.startswith(PRIVATE) and not table.startswith(STAGE):
            raise WarehouseError(f"{table!r} is the library's own table and is not dropped.")
        with self._writing, self._file.cursor() as cursor:
            self._file.run(cursor, sql.drop(table))

    def close(self) -> None:
        """Give the file back, ending reads that are under way. The next use opens it again."""
        self._file.close()

    def _stands(self, cursor: duckdb.DuckDBPyConnection, state: LoadState, expect: str | None) -> bool:
        """Say whether this commit happened already; refuse it if another one did."""
        self._file.run(cursor, _CREATE_STATE)
        self._file.run(cursor, _WIDEN_STATE)
        standing = self._state(cursor, state.key)
        found = standing.run if standing else None
        if found == state.run:
            return True
        if found != expect:
            raise LoadError(
                f"{state.key!r} was loaded by run {found!r} since this run read where to begin "
                f"(it expected {expect!r}). Nothing was written; run it again."
            )
        return False

    def _state(self, cursor: duckdb.DuckDBPyConnection, key: str) -> LoadState | None:
        cursor.execute(_READ_STATE, [key])
        names = [column[0] for column in cursor.description or ()]
        found = cursor.fetchone()
        if found is None:
            return None
        row = dict(zip(names, found, strict=True))
        return LoadState(key, row["watermark"], row["run"], row["rows"], row.get("facts") or "{}")

    def _tables(self, cursor: duckdb.DuckDBPyConnection) -> Tables:
        from b2brecs.backends.local.duckdb_commit import Tables

        return Tables(self._file, cursor)

    def _bind(self, cursor: duckdb.DuckDBPyConnection, tree: exp.Expr) -> duckdb.DuckDBPyRelation:
        from sqlglot import exp

        # DuckDB runs anything but a SELECT at once.
        if not isinstance(tree, exp.Query):
            raise WarehouseError(f"only queries are run, not {type(tree).__name__.upper()}.")
        return cursor.sql(_written(tree))


def _written(tree: exp.Expr) -> str:
    """Write a tree that has a caller's parts as SQL."""
    from sqlglot.errors import SqlglotError

    from b2brecs.backends.local import duckdb_sql as sql

    try:
        return sql.query_text(tree)
    except SqlglotError as error:
        raise WarehouseError(f"DuckDB cannot say this: {sql.short(error)}") from None


def _check_target(schema: TableSchema) -> None:
    found: list[str] = []
    seen: dict[str, str] = {}
    for name in schema.names:
        folded = name.casefold()
        if not name:
            found.append("a column has no name.")
        elif folded.startswith(PRIVATE):
            found.append(f"column {show(name)}: names that begin with {PRIVATE} are the library's own.")
        elif folded in seen:
            found.append(f"columns {show(seen[folded])} and {show(name)} differ in case at most.")
        seen[folded] = name
    if not schema.columns:
        found.append("a table needs at least one column.")
    if not schema.name or schema.name.startswith(PRIVATE):
        found.append(f"a table needs a name, which does not begin with {PRIVATE}.")
    if found:
        raise WarehouseError(f"table {show(schema.name)}: {' '.join(found)}")
