"""One query of a SQLite table, as batches of exact values."""

from __future__ import annotations

import datetime as dt
import math
import sqlite3
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from b2brecs.errors import NotFound, SourceError, show
from b2brecs.sources.base import OnReject, Part, Reject, Since
from b2brecs.sources.select import column, literal, select_part
from b2brecs.sources.sqlite_metadata import NativeColumn, NativeTable, quoted_table
from b2brecs.sources.sqlite_values import array, bound, row_text, shown
from b2brecs.sql.arrow import arrow_type
from b2brecs.types import NUMERIC_TYPES, TIME_TYPES, Column, ColumnType, TableSchema

# Batches grow until they hold so much.
_FIRST_ROWS, _GROWTH, _BATCH_BYTES = 64, 8, 4 * 2**20
_EXACT = 2**53


class Rows:
    """The rows of a part.

    Parameters
    ----------
    connection, lock
        What to read with, and what is held meanwhile, as others may read with it too.
    native, table
        The table as it is, and what is wanted of it.
    most
        How many rows a batch holds at most.
    on_reject
        Takes the rows that do not fit. Without it, the first one is an error.
    failed
        Turns an error of SQLite into the library's.
    owned
        Whether the connection is closed at the end.

    Raises
    ------
    NotFound
        A wanted column is not there.
    SourceError
        The query is refused.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        lock: threading.Lock,
        native: NativeTable,
        table: TableSchema,
        part: Part,
        *,
        most: int,
        on_reject: OnReject | None,
        label: str,
        failed: Callable[[Exception], SourceError],
        owned: bool,
    ) -> None:
        self._connection, self._lock, self._most = connection, lock, most
        self._release = weakref.finalize(self, connection.close) if owned else None
        self._on_reject, self._label, self._failed = on_reject, label, failed
        self._table, self._names = table.name, table.names
        self._columns = list(table.columns)
        self._watermark: tuple[int, pa.Scalar] | None = None
        if part.since is not None and part.since.value is not None:
            self._watermark = self._since(part.since, native)
        self._query = _query(native, self._columns, part)
        self._given, self._next_rows = 0, min(_FIRST_ROWS, most)
        self._cursor = self._execute()
        kinds = [(column.name, arrow_type(column.type)) for column in table]
        self.schema = pa.schema(kinds)

    def __iter__(self) -> Rows:
        return self

    def __next__(self) -> pa.RecordBatch:
        try:
            rows = self._fetch()
            if rows:
                return self._batch(rows)
        except BaseException:
            self._end()
            raise
        self._end()
        raise StopIteration

    def _end(self) -> None:
        if self._release is not None:
            self._release()

    def _batch(self, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
        values = list(zip(*rows, strict=True))
        arrays = []
        wrong: dict[int, int] = {}
        for place, (item, given) in enumerate(zip(self._columns, values, strict=True)):
            made, misfits = array(given, item.type)
            arrays.append(made)
            for row in misfits:
                wrong.setdefault(row, place)
        for row, place in sorted(wrong.items()):
            self._refuse(rows[row], place)
        batch = pa.RecordBatch.from_arrays(arrays[: len(self._names)], schema=self.schema)
        self._grow(batch, len(rows))
        kept = pa.array([row not in wrong for row in range(len(rows))]) if wrong else None
        if self._watermark is not None:
            place, low = self._watermark
            late = pc.fill_null(pc.greater_equal(arrays[place], low), True)
            kept = late if kept is None else pc.and_(kept, late)
        return batch if kept is None else batch.filter(kept)

    def _since(self, since: Since, native: NativeTable) -> tuple[int, pa.Scalar]:
        assert since.value is not None
        names = [item.name for item in self._columns]
        if since.column not in names:
            found = native.column(since.column)
            if found is None:
                raise NotFound("column", since.column, native.schema().names, where=f"table {native.name!r}")
            # Read only to compare.
            self._columns.append(Column(found.name, found.type))
            names.append(found.name)
        place = names.index(since.column)
        try:
            return place, bound(since.value, self._columns[place].type)
        except ValueError as error:
            raise SourceError(
                self._label, f"{error}, so it cannot be where a read of {since.column!r} begins."
            ) from None

    def _execute(self) -> sqlite3.Cursor:
        query = self._query.copy()
        if self._given:
            # In one transaction the same query gives the same rows in the same order.
            query = query.offset(self._given)
        try:
            with self._lock:
                if not self._connection.in_transaction:
                    self._connection.execute("BEGIN")
                return self._connection.execute(query.sql("sqlite"))
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def _fetch(self) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                rows = self._cursor.fetchmany(self._next_rows)
        except sqlite3.Error as error:
            if "decode to UTF-8" not in str(error) or self._connection.text_factory is _text:
                raise self._failed(error) from None
            # A text that is none. Looking for such takes longer, so it is only done where there are some.
            self._connection.text_factory = _text
            self._cursor = self._execute()
            return self._fetch()
        self._given += len(rows)
        return rows

    def _grow(self, batch: pa.RecordBatch, rows: int) -> None:
        fitting = _BATCH_BYTES * rows // max(batch.nbytes, 1)
        self._next_rows = max(1, min(fitting, self._next_rows * _GROWTH, self._most))

    def _refuse(self, row: Sequence[Any], place: int) -> None:
        item = self._columns[place]
        reason = f"{shown(row[place])}, is no {item.type}"
        names = [column.name for column in self._columns]
        if self._on_reject is not None:
            self._on_reject(Reject(row_text(names, row), item.name, reason))
            return
        other = "BYTES" if isinstance(row[place], bytes) else "STRING"
        raise SourceError(
            self._label,
            f"column {item.name!r} of table {self._table!r} holds {reason}, in the row {show(row_text(names, row))}.",
            f"Say types={{{item.name!r}: {other!r}}} to load it as {'bytes' if other == 'BYTES' else 'text'}.",
        )


def look(connection: sqlite3.Connection, native: NativeTable, limit: int) -> pa.Table:
    """Return the first rows; where a value does not fit its column's type, the column is shown as text."""
    connection.text_factory = _text
    table = native.schema()
    rows = connection.execute(_query(native, table.columns, Part(), limit).sql("sqlite")).fetchall()
    values = list(zip(*rows, strict=True)) or [() for _ in table]
    arrays = []
    for item, given in zip(table, values, strict=True):
        made, misfits = array(given, item.type)
        if misfits:
            made, _ = array([value.hex() if isinstance(value, bytes) else value for value in given], "STRING")
        arrays.append(made)
    return pa.table(arrays, names=list(table.names))


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _query(native: NativeTable, columns: Sequence[Column], part: Part, limit: int = -1) -> exp.Select:
    chosen = []
    for wanted in columns:
        if native.column(wanted.name) is None:
            raise NotFound("column", wanted.name, native.schema().names, where=f"table {native.name!r}")
        chosen.append(column(wanted.name))
    tree = select_part(quoted_table(native.name), chosen, replace(part, since=None), {}, dialect="sqlite")
    if part.since is not None and part.since.value is not None:
        kinds = {item.name: item.type for item in columns}
        found = native.column(part.since.column)
        assert found is not None
        condition = at_least(found, kinds[found.name], part.since.value)
        if condition is not None:
            tree = tree.where(condition, copy=False)
    return tree.limit(limit, copy=False)


def at_least(found: NativeColumn, wanted: ColumnType, json_text: str) -> exp.Expr | None:
    """Return what leaves out most rows below a bound, and none other; None: nothing can be left out unseen.

    All numbers come before all texts and these before all blobs. What is of another kind than it should be is read, so
    that it is a reject and not passed over.
    """
    here = column(found.name)
    null = exp.Is(this=here, expression=exp.Null())
    if wanted in NUMERIC_TYPES and found.affinity != "TEXT":
        low = bound(json_text, wanted).as_py()
        if not abs(low) < _EXACT:
            return None
        # A little less, as SQLite reads fractions not quite exactly.
        return exp.or_(exp.GTE(this=here, expression=exp.Literal.number(math.floor(low) - 1)), null)
    if wanted in TIME_TYPES:
        first: dt.date = bound(json_text, "DATE").as_py()
        # Texts in other zones than UTC are a day off at most.
        day = first - dt.timedelta(days=1 if wanted == "TIMESTAMP" and first > dt.date.min else 0)
        text: exp.Expr = exp.Literal.string(day.isoformat())
    elif wanted == "STRING" and found.affinity in ("TEXT", "BLOB"):
        text = literal(json_text, None, "sqlite")
    else:
        return None
    bytewise = exp.Collate(this=here, expression=exp.var("BINARY"))
    return exp.or_(
        exp.GTE(this=bytewise, expression=text), exp.LT(this=bytewise.copy(), expression=exp.Literal.string("")), null
    )
