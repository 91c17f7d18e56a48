"""Verbs on connections: test, look at what is there."""

from __future__ import annotations

import contextvars
import datetime as dt
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from b2brecs.backends.protocols import RunRecord
from b2brecs.configs.connection import Connection
from b2brecs.configs.etl import EtlJob
from b2brecs.configs.nouns import from_document
from b2brecs.display import Table
from b2brecs.errors import B2BRecsError, SourceError
from b2brecs.sources import Source, open_source
from b2brecs.types import TableSchema
from b2brecs.workspace.configs import ConfigVerbs, as_config

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)
TEST = "connection_test"
TEST_SECONDS = 10.0


class ConnectionVerbs(ConfigVerbs):
    """Verbs on connections."""

    def test(self, connection: Connection | str) -> str:
        """Try a connection, for at most 10 s, and say what was found. ``ws.connections()`` shows the outcome.

        Raises
        ------
        SourceError
            It cannot be used: why, and what to do.
        """
        connection = as_config(Connection, connection, self)
        started = dt.datetime.now(dt.UTC)
        try:
            message = self._test(connection)
        except BaseException as error:
            # Only our own errors are known to hold no secret.
            said = str(error) if isinstance(error, B2BRecsError) else type(error).__name__
            self._remember(connection, started, "", said)
            raise
        self._remember(connection, started, message, "")
        return message

    def connections(self) -> Table:
        """List the saved connections: where they lead, which jobs use them, and how the last test came out."""
        tests = {run.name: run for run in self.home.registry.runs(TEST, limit=1000)}
        users: dict[str, list[str]] = {}
        for document in self.home.registry.list(EtlJob.KIND):
            users.setdefault(str(document.data.get("connection")), []).append(document.name)
        rows: list[list[Any]] = []
        for document in self.home.registry.list(Connection.KIND):
            try:
                connection = from_document(document.kind, document.data)
            except B2BRecsError as error:
                leads = str(error)
            else:
                leads = cast("Connection", connection).source.label()
            test = tests.get(document.name)
            tested = f"{test.started_at:%Y-%m-%d %H:%M:%S}" if test else None
            rows.append(
                [document.name, leads, ", ".join(users.get(document.name, [])), tested,
                 _outcome(test, document.content_hash)]
            )  # fmt: skip
        return Table("Connections", ["connection", "leads to", "used by", "tested (UTC)", "outcome"], rows)

    def open(self, connection: Connection | str) -> Source[Any]:
        """Open a connection's source."""
        return open_source(as_config(Connection, connection, self), self.home.secrets.get)

    def source_tables(self, connection: Connection | str) -> Table:
        """List the tables at a source."""
        with self._opened(connection) as source:
            found = source.tables()
        return Table("Tables at the source", ["table", "rows (estimate)"], [[t.name, t.rows] for t in found])

    def source_schema(self, connection: Connection | str, table: str) -> TableSchema:
        """Return a source table's columns, as the warehouse's types."""
        with self._opened(connection) as source:
            return source.schema(table)

    def source_preview(self, connection: Connection | str, table: str, *, limit: int = 10) -> pd.DataFrame:
        """Return the first rows of a table at a source."""
        with self._opened(connection) as source:
            return cast("pd.DataFrame", source.preview(table, limit).to_pandas())

    @contextmanager
    def _opened(self, connection: Connection | str) -> Iterator[Source[Any]]:
        source = self.open(connection)
        try:
            yield source
        finally:
            source.close()

    def _test(self, connection: Connection) -> str:
        """Test in a thread: a driver that does not keep to its own limit does not keep the caller."""
        messages: list[str] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                with self._opened(connection) as source:
                    messages.append(source.test())
            except BaseException as error:  # noqa: BLE001 - raised again by the caller
                errors.append(error)

        thread = threading.Thread(
            target=contextvars.copy_context().run, args=(work,), name=f"b2brecs-test-{connection.name}", daemon=True
        )
        thread.start()
        thread.join(TEST_SECONDS)
        if errors:
            raise errors[0]
        if not messages:
            raise SourceError(
                connection.source.label(), f"no answer within {TEST_SECONDS:g} s.",
                "Check the address and the port, and that no firewall or VPN is between.", transient=True,
            )  # fmt: skip
        return messages[0]

    def _remember(self, connection: Connection, started: dt.datetime, message: str, error: str) -> None:
        # One record a connection: the latest test takes the place of the one before.
        record = RunRecord(
            f"{TEST}:{connection.name}", TEST, connection.name, "failed" if error else "completed", started,
            dt.datetime.now(dt.UTC), error, {"message": message, "content": connection.content_hash},
        )  # fmt: skip
        try:
            self.home.registry.log_run(record)
        except B2BRecsError as failure:
            _log.warning("the test of connection %r is not remembered: %s", connection.name, failure)


def _outcome(test: RunRecord | None, content: str) -> str:
    if test is None:
        return "not tested"
    said = test.error or str(test.facts.get("message", ""))
    text = f"{'failed' if test.error else 'works'}: {said}"
    return text if test.facts.get("content") == content else f"{text} (changed since)"
