"""The local warehouse: one DuckDB file."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from b2brecs.backends.local.duckdb_file import STAGE, DuckDBFile, translated
from b2brecs.backends.protocols import PRIVATE, CommitMode, Cost, LoadState, Staged
from b2brecs.errors import LoadError, NotFound, WarehouseError, nearest, show
from b2brecs.types import Column, TableSchema

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from sqlglot import exp

_BATCH_ROWS = 65_536
_ROWS = (
    "SELECT estimated_size FROM duckdb_tables() WHERE database_name = current_database() "
    "AND schema_name = 'main' AND NOT temporary AND table_name = ?"
)
_COLUMNS = (
    "SELECT column_name, data_type, is_nullable FROM duckdb_columns() WHERE database_name = current_database() "
    "AND schema_name = 'main' AND table_name = ? ORDER BY column_index"
)
_CREATE_STATE = (
    'CREATE TABLE IF NOT EXISTS "_b2b_state" ("key" VARCHAR PRIMARY KEY, "watermark" VARCHAR, '
    '"run" VARCHAR NOT NULL, "rows" BIGINT NOT NULL)'
)
_READ_STATE = 'SELECT "key", "watermark", "run", "rows" FROM "_b2b_state" WHERE "key" = ?'
_WRITE_STATE = (
    'INSERT INTO "_b2b_state" ("key", "watermark", "run", "rows") VALUES (?, ?, ?, ?) '
    'ON CONFLICT ("key") DO UPDATE SET "watermark" = excluded."watermark", "run" = excluded."run", '
    '"rows" = excluded."rows"'
)
_STATE_TABLE = f"{PRIVATE}state"


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
            found = self._schema(cursor, table)
        if found is None:
            raise NotFound("table", table, self.tables(), where="the warehouse")
        return found

    def query(self, tree: exp.Expr) -> pa.RecordBatchReader:
        """Run a query given as a tree and stream its rows; see ``Warehouse.query``."""
        import duckdb
        import pyarrow as pa

        from b2brecs.backends.local import duckdb_sql as sql

        cursor = self._file.new_cursor()
        try:
            with translated():
                relation = self._bind(cursor, tree)
                types = [str(kind) for kind in relation.types]
                reader = relation.to_arrow_reader(_BATCH_ROWS)
                schema = sql.result_schema(reader.schema, types)
                self._file.lend(reader)
        except BaseException:
            cursor.close()
            raise

        def rows() -> Iterator[pa.RecordBatch]:
            try:
                for batch in reader:
                    yield sql.fit(batch, schema)
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                raise WarehouseError(sql.short(error)) from None
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

        _check_target(schema)
        name = STAGE + hashlib.sha256(f"{run}\0{schema.name}".encode()).hexdigest()[:40]
        wanted = sql.stored_schema(schema.columns)
        rows, failure = 0, None

        def pull() -> Iterator[pa.RecordBatch]:
            nonlocal rows, failure
            try:
                for batch in batches:
                    fitted = _conform(batch, wanted)
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

    def commit(
        self,
        staged: Staged,
        *,
        mode: CommitMode,
        keys: Sequence[str] = (),
        state: LoadState | None = None,
        expect: str | None = None,
    ) -> int:
        """Make staged rows visible, together with ``state``, in one transaction; see ``Warehouse.commit``."""
        import duckdb

        from b2brecs.backends.local import duckdb_sql as sql

        target = staged.schema.name
        with self._writing, self._file.cursor() as cursor:
            try:
                with self._file.transaction(cursor):
                    if state is not None and self._stands(cursor, state, expect):
                        self._file.run(cursor, sql.drop(staged.name))
                        return self._count(cursor, target)
                    self._place(cursor, staged, mode, keys)
                    if state is not None:
                        values = (state.key, state.watermark, state.run, state.rows)
                        self._file.run(cursor, _WRITE_STATE, values)
                    return self._count(cursor, target)
            except duckdb.TransactionException as error:
                message = f"table {target!r} was changed by another load at the same time. Run this one again."
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
            if table in self._file.names(cursor):
                self._file.run(cursor, sql.drop(table))

    def close(self) -> None:
        """Give the file back, ending reads that are under way. The next use opens it again."""
        self._file.close()

    # Steps of a commit

    def _stands(self, cursor: duckdb.DuckDBPyConnection, state: LoadState, expect: str | None) -> bool:
        """Say whether this commit happened already; refuse it if another one did."""
        self._file.run(cursor, _CREATE_STATE)
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

    def _place(self, cursor: duckdb.DuckDBPyConnection, staged: Staged, mode: CommitMode, keys: Sequence[str]) -> None:
        from b2brecs.backends.local import duckdb_sql as sql

        target = staged.schema.name
        incoming = self._schema(cursor, staged.name, target)
        if incoming is None:
            raise LoadError(f"the rows staged for {target!r} are gone: they were committed or dropped. Stage again.")
        keys = _keys(mode, keys, incoming) if mode in {"merge", "replace"} else ()
        standing = self._schema(cursor, target)
        twin = [name for name in self._file.names(cursor) if name.casefold() == target.casefold() and name != target]
        if twin:
            raise LoadError(f"there is a table {twin[0]!r}: names must differ in more than case. Rename {target!r}.")
        if mode == "swap" or (mode != "merge" and standing is None):
            self._file.run(cursor, sql.drop(target))
            self._file.run(cursor, sql.rename(staged.name, target))
            return
        if standing is None:
            self._file.run(cursor, sql.create(target, incoming.columns))
            into = list(incoming.names)
        else:
            into = self._widen(cursor, standing, incoming)
        rows = sql.rows_of(staged.name, incoming.names)
        if keys:
            here = dict(zip(incoming.names, into, strict=True))
            self._file.run(cursor, sql.delete_matching(target, staged.name, [(here[key], key) for key in keys]))
        if mode == "merge":
            rows = sql.last_rows_of(staged.name, incoming.names, keys)
        self._file.run(cursor, sql.insert(target, into, rows))
        self._file.run(cursor, sql.drop(staged.name))

    def _widen(self, cursor: duckdb.DuckDBPyConnection, standing: TableSchema, incoming: TableSchema) -> list[str]:
        """Make the target take the rows; return its names of their columns."""
        from b2brecs.backends.local import duckdb_sql as sql

        known = {column.name.casefold(): column for column in standing}
        given = {column.name.casefold(): column for column in incoming}
        changed = [
            f"{column.name} is {known[folded].type} in the table and {column.type} in the new rows"
            for folded, column in given.items()
            if folded in known and known[folded].type != column.type
        ]
        if changed:
            raise LoadError(
                f"table {standing.name!r}: {'; '.join(changed)}. Give the column its old type (types={{...}}), "
                "or load the whole table anew."
            )
        for folded, column in known.items():
            if not column.nullable and (folded not in given or given[folded].nullable):
                self._file.run(cursor, sql.allow_null(standing.name, column.name))
        for folded, column in given.items():
            if folded not in known:
                self._file.run(cursor, sql.add_column(standing.name, column))
        return [known[folded].name if folded in known else column.name for folded, column in given.items()]

    # Reading

    def _count(self, cursor: duckdb.DuckDBPyConnection, table: str) -> int:
        from b2brecs.backends.local import duckdb_sql as sql

        return int(self._file.run(cursor, sql.count(table))[0][0]) if table in self._file.names(cursor) else 0

    def _state(self, cursor: duckdb.DuckDBPyConnection, key: str) -> LoadState | None:
        found = self._file.run(cursor, _READ_STATE, (key,))
        return LoadState(*found[0]) if found else None

    def _schema(self, cursor: duckdb.DuckDBPyConnection, table: str, shown_as: str | None = None) -> TableSchema | None:
        from b2brecs.backends.local import duckdb_sql as sql

        size = self._file.run(cursor, _ROWS, (table,))
        if not size:
            return None
        columns = tuple(
            Column(name, sql.column_type(kind) or "STRING", bool(nullable))
            for name, kind, nullable in self._file.run(cursor, _COLUMNS, (table,))
        )
        return TableSchema(shown_as or table, columns, rows=size[0][0])

    def _bind(self, cursor: duckdb.DuckDBPyConnection, tree: exp.Expr) -> duckdb.DuckDBPyRelation:
        from sqlglot import exp
        from sqlglot.errors import SqlglotError

        from b2brecs.backends.local import duckdb_sql as sql

        # DuckDB runs anything but a SELECT at once.
        if not isinstance(tree, exp.Query):
            raise WarehouseError(f"only queries are run, not {type(tree).__name__.upper()}.")
        try:
            written = sql.query_text(tree)
        except SqlglotError as error:
            raise WarehouseError(f"DuckDB cannot say this: {sql.short(error)}") from None
        return cursor.sql(written)


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


def _keys(mode: str, keys: Sequence[str], rows: TableSchema) -> list[str]:
    """Return the keys as the rows spell them."""
    if not keys:
        raise LoadError(f"table {rows.name!r}: mode {mode!r} needs keys=[...].")
    known = {column.name.casefold(): column for column in rows}
    for key in keys:
        found = known.get(key.casefold())
        if found is None:
            hint = nearest(key, rows.names)
            raise LoadError(f"table {rows.name!r}: the key {key!r} is not among the rows' columns. {hint}")
        if found.type == "JSON" or found.type.startswith("ARRAY<"):
            raise LoadError(f"table {rows.name!r}: the key {key!r} is {found.type}, which does not compare.")
    return [known[key.casefold()].name for key in keys]


def _conform(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    """Return a batch in the schema that was promised; a value that does not fit is an error."""
    import pyarrow as pa

    if batch.schema.equals(wanted):
        return batch
    if set(batch.schema.names) != set(wanted.names):
        wrong = sorted(set(batch.schema.names) ^ set(wanted.names))
        raise WarehouseError(f"the rows' columns are not those announced: {', '.join(map(repr, wrong))}.")
    try:
        return batch.select(wanted.names).cast(wanted)
    except (pa.ArrowException, ValueError) as error:
        raise WarehouseError(f"a value does not fit its column: {error}") from None
