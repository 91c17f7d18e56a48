"""What a change does to the tables of a DuckDB file, within a transaction that the caller holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from b2brecs.backends.changes import bound, check_types, gone, keys_of, reshapes
from b2brecs.backends.local import duckdb_sql as sql
from b2brecs.backends.local.duckdb_file import DuckDBFile
from b2brecs.errors import LoadError
from b2brecs.types import Column, TableSchema

if TYPE_CHECKING:
    import duckdb
    from sqlglot import exp

    from b2brecs.backends.protocols import Change

_ROWS = (
    "SELECT estimated_size FROM duckdb_tables() WHERE database_name = current_database() "
    "AND schema_name = 'main' AND NOT temporary AND table_name = ?"
)
_COLUMNS = (
    "SELECT column_name, data_type, is_nullable FROM duckdb_columns() WHERE database_name = current_database() "
    "AND schema_name = 'main' AND table_name = ? ORDER BY column_index"
)


class Tables:
    """The tables that a cursor sees, and how changes come over them."""

    def __init__(self, file: DuckDBFile, cursor: duckdb.DuckDBPyConnection) -> None:
        self._file, self._cursor = file, cursor

    def run(self, statement: exp.Expr | str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement to its end and return its rows."""
        return self._file.run(self._cursor, statement, values)

    def names(self) -> list[str]:
        """Return the names of all tables."""
        return self._file.names(self._cursor)

    def schema(self, table: str, shown_as: str | None = None) -> TableSchema | None:
        """Return the columns and estimated rows of a table, if there."""
        size = self.run(_ROWS, (table,))
        if not size:
            return None
        columns = tuple(
            Column(name, sql.column_type(kind) or "STRING", bool(nullable))
            for name, kind, nullable in self.run(_COLUMNS, (table,))
        )
        return TableSchema(shown_as or table, columns, rows=size[0][0])

    def count(self, table: str) -> int:
        """Return the number of a table's rows, 0 if it is not there."""
        return int(self.run(sql.count(table))[0][0]) if table in self.names() else 0

    def staged(self, change: Change) -> TableSchema:
        """Return the columns of a change's rows.

        Raises
        ------
        LoadError
            The rows are not there.
        """
        target = change.staged.schema.name
        found = self.schema(change.staged.name, target)
        if found is None:
            raise gone(target)
        return found

    def place(self, change: Change) -> None:
        """Do what a change says.

        Raises
        ------
        LoadError
            It cannot be done to the table that stands.
        """
        name, target = change.staged.name, change.staged.schema.name
        rows, keys = self.staged(change), keys_of(change)
        standing = self.schema(target)
        twin = [other for other in self.names() if other.casefold() == target.casefold() and other != target]
        if twin:
            raise LoadError(f"there is a table {twin[0]!r}: names must differ in more than case. Rename {target!r}.")
        if change.mode == "swap" or (change.mode != "merge" and standing is None):
            self.run(sql.drop(target))
            self.run(sql.rename(name, target))
            return
        if standing is None:
            self.run(sql.create(target, rows.columns))
            standing = rows
        into = self._widen(standing, rows)
        here = dict(zip(rows.names, into, strict=True))
        if change.mode in ("merge", "replace"):
            self.run(sql.delete_matching(target, name, [(here[key], key) for key in keys]))
        if change.removed:
            self.run(sql.delete(target, sql.among(here[keys[0]])), [list(change.removed)])
        if change.mode == "refresh":
            condition, values = _reaching(change, here[keys[0]], rows.column(keys[0]))
            self.run(sql.delete(target, condition), values)
        self.run(sql.insert(target, into, self._added(change, rows.names, keys)))
        self.run(sql.drop(name))

    def differs(self, change: Change) -> bool:
        """Say whether the rows that a change adds are others than those that it removes."""
        name, target = change.staged.name, change.staged.schema.name
        rows, keys = self.staged(change), keys_of(change)
        standing = self.schema(target)
        if standing is None or reshapes(change, standing):
            return True
        if change.mode == "append":
            return self.count(name) > 0
        if change.mode == "swap" and self.count(name) != self.count(target):
            return True
        new = self._fingerprint(self._added(change, rows.names, keys), rows)
        old = (0, 0)
        for query, values in self._removed(change, standing, rows, keys):
            found = self._fingerprint(query, standing, values)
            old = (old[0] + found[0], old[1] + found[1])
        return new != old

    def _added(self, change: Change, columns: Sequence[str], keys: Sequence[str]) -> exp.Select:
        if change.mode == "merge":
            return sql.last_rows_of(change.staged.name, columns, keys, change.order)
        return sql.rows_of(change.staged.name, columns)

    def _removed(
        self, change: Change, standing: TableSchema, rows: TableSchema, keys: Sequence[str]
    ) -> Iterator[tuple[exp.Select, list[Any]]]:
        """Select the rows that a change removes, each once, in the order of the new rows' columns."""
        known = {column.name.casefold(): column.name for column in standing}
        into = [known[column.casefold()] for column in rows.names]
        everything = sql.rows_of(standing.name, into)
        if change.mode == "swap":
            yield everything, []
            return
        here = [(known[key.casefold()], key) for key in keys]
        if change.mode == "refresh":
            condition, values = _reaching(change, here[0][0], rows.column(keys[0]))
            yield everything.where(condition), values
            return
        same = sql.matching(standing.name, into, change.staged.name, here)
        if change.removed:
            named = sql.among(here[0][0], standing.name)
            yield everything.where(named), [list(change.removed)]
            yield same.where(sql.untrue(named.copy())), [list(change.removed)]
        else:
            yield same, []

    def _fingerprint(self, query: exp.Select, shape: TableSchema, values: Sequence[Any] = ()) -> tuple[int, int]:
        kinds = {column.name.casefold(): column.type for column in shape}
        names = [column.name for column in query.selects]
        (found,) = self.run(sql.fingerprint(query, names, [kinds[name.casefold()] for name in names]), values)
        return int(found[0]), int(found[1] or 0)

    def _widen(self, standing: TableSchema, rows: TableSchema) -> list[str]:
        """Make the target take the rows; return its names of their columns."""
        check_types(rows, standing)
        known = {column.name.casefold(): column for column in standing}
        given = {column.name.casefold(): column for column in rows}
        for folded, column in known.items():
            if not column.nullable and (folded not in given or given[folded].nullable):
                self.run(sql.allow_null(standing.name, column.name))
        for folded, column in given.items():
            if folded not in known:
                self.run(sql.add_column(standing.name, column))
        return [known[folded].name if folded in known else column.name for folded, column in given.items()]


def _reaching(change: Change, here: str, key: Column) -> tuple[exp.Expr, list[Any]]:
    values = [] if change.low is None else [bound(change.low)]
    return sql.reaches(here, key.type, change.low), values
