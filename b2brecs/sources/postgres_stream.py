"""One ADBC stream per part: opened in a read-only transaction, made exact, and given back however it ends."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
from sqlglot import exp

from b2brecs.errors import SourceError, require
from b2brecs.sources.base import OnReject
from b2brecs.sources.postgres_arrow import Exact, Misfit, rejects, without
from b2brecs.sources.postgres_read import Query, call

_BATCH_BYTES = 2 * 1024 * 1024


class Stream:
    """The batches of a query.

    What it holds is given back at its end, at an error, or when nobody wants it any more.

    Parameters
    ----------
    dsn
        How libpq connects.
    settings
        What the session is set to.
    snapshot
        The moment at which to read.
    batch_rows
        How many rows a batch holds at most.
    on_reject
        Takes the rows that have no place in Arrow.
    failed
        Turns a driver's error into the library's.

    Raises
    ------
    SourceError
        The server refuses.
    """

    def __init__(
        self,
        dsn: str,
        query: Query,
        *,
        label: str,
        settings: Mapping[str, str],
        snapshot: str | None,
        batch_rows: int,
        on_reject: OnReject | None,
        failed: Callable[[Exception], SourceError],
    ) -> None:
        self._query, self._label, self._batch_rows = query, label, batch_rows
        self._on_reject, self._failed = on_reject, failed
        self._waiting: deque[pa.RecordBatch] = deque()
        with ExitStack() as held:
            self._rows = _execute(held, dsn, query, settings, snapshot, failed)
            self._exact = Exact(self._rows.schema, query.names, query.nested)
            self._close = weakref.finalize(self, held.pop_all().close)

    def reader(self) -> pa.RecordBatchReader:
        """Return the stream as Arrow knows it."""
        return pa.RecordBatchReader.from_batches(self._exact.schema, self)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> pa.RecordBatch:
        try:
            while not self._waiting:
                batch = self._checked(self._rows.read_next_batch())
                starts = range(0, batch.num_rows, self._batch_rows)
                self._waiting += [batch.slice(start, self._batch_rows) for start in starts]
        except BaseException as error:
            self._close()
            if isinstance(error, _driver_errors()):
                raise self._failed(error) from None
            raise
        return self._waiting.popleft()

    def _checked(self, given: pa.RecordBatch) -> pa.RecordBatch:
        batch, misfits = self._exact(given)
        if not misfits:
            return batch
        if self._on_reject is None:
            raise self._refused(next(iter(misfits.values())))
        for reject in rejects(batch, misfits):
            self._on_reject(reject)
        return without(batch, misfits)

    def _refused(self, misfit: Misfit) -> SourceError:
        return SourceError(
            self._label,
            f"column {misfit.column!r} of table {self._query.table!r} holds {misfit.reason}.",
            f"Say types={{{misfit.column!r}: 'STRING'}} to load it as text.",
        )


def _driver_errors() -> tuple[type[Exception], ...]:
    from adbc_driver_manager import Error

    return (Error, pa.ArrowException, OSError)


def _execute(
    held: ExitStack,
    dsn: str,
    query: Query,
    settings: Mapping[str, str],
    snapshot: str | None,
    failed: Callable[[Exception], SourceError],
) -> Any:
    require("adbc_driver_postgresql", feature="reading PostgreSQL", extra="postgres")
    from adbc_driver_manager import AdbcConnection, AdbcStatement, Error
    from adbc_driver_manager._reader import AdbcRecordBatchReader
    from adbc_driver_postgresql import connect

    # The interface below DB-API: it loads no pandas, and its reader says which error the server gave.
    try:
        connection = held.enter_context(AdbcConnection(held.enter_context(connect(dsn))))
        for text in _opening(settings, snapshot):
            with AdbcStatement(connection) as opening:
                opening.set_sql_query(text)
                opening.execute_query()
        statement = held.enter_context(AdbcStatement(connection))
        statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})
        statement.set_sql_query(query.tree.sql("postgres"))
        handle, _ = statement.execute_query()
        return held.enter_context(AdbcRecordBatchReader._import_from_c(handle.address))  # noqa: SLF001
    except Error as error:
        raise failed(error) from None


def _opening(settings: Mapping[str, str], snapshot: str | None) -> list[str]:
    statements = ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"]
    if snapshot is not None:
        # No question may come before it.
        statements.append(f"SET TRANSACTION SNAPSHOT {exp.Literal.string(snapshot).sql('postgres')}")
    pairs = [
        call("set_config", exp.Literal.string(name), exp.Literal.string(value), exp.true())
        for name, value in settings.items()
    ]
    return [*statements, exp.select(*pairs).sql("postgres")]
