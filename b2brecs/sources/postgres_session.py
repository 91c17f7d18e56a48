"""Connections to a PostgreSQL server, and questions about it: psycopg2, with errors in words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from b2brecs.configs.sources import PostgresSettings
from b2brecs.errors import SourceError, require
from b2brecs.sources.base import ReadSecret
from b2brecs.sources.postgres_errors import refusal

T = TypeVar("T")

# How long a question about the server, or a connection to it, may take.
TIMEOUT_S = 10
# A host may have several addresses, each of which gets as long.
CONNECT_S = 8
APPLICATION = "b2brecs"
# Texts must not depend on how the server is set up. SET LOCAL, and no start-up options, as poolers refuse those.
SETTINGS: Mapping[str, str] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
}

_SET = "SELECT pg_catalog.set_config(name, value, true) FROM unnest(%s::text[], %s::text[]) AS s (name, value)"


class Server:
    """A PostgreSQL server as one user sees it."""

    def __init__(self, settings: PostgresSettings, read_secret: ReadSecret) -> None:
        self.settings, self._read_secret = settings, read_secret

    def password(self) -> str | None:
        """Read the password's secret."""
        return self._read_secret(self.settings.password) if self.settings.password else None

    def parameters(self, password: str | None) -> dict[str, Any]:
        """Return what libpq needs to connect."""
        s = self.settings
        return {
            "host": s.host, "port": s.port, "dbname": s.database, "user": s.user, "sslmode": s.sslmode,
            "connect_timeout": CONNECT_S, "application_name": APPLICATION, "client_encoding": "UTF8",
            # A peer that is gone is noticed within a minute, also while nothing is sent.
            "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
        } | ({"password": password} if password else {})  # fmt: skip

    def dsn(self, password: str | None) -> str:
        """Return the same as one text."""
        from psycopg2.extensions import make_dsn

        return str(make_dsn(**self.parameters(password)))

    @contextmanager
    def connected(self, *, table: str | None = None) -> Iterator[Any]:
        """Connect; psycopg2's errors become the library's.

        Raises
        ------
        SourceError
            The server cannot be reached, or refuses.
        """
        require("psycopg2", feature="a PostgreSQL connection", extra="postgres")
        import psycopg2

        password = self.password()
        connection = None
        try:
            try:
                connection = psycopg2.connect(**self.parameters(password))
            except ValueError:
                raise unspeakable(self.settings) from None
            yield connection
        except psycopg2.Error as error:
            raise refusal(error, self.settings, password, table) from None
        finally:
            if connection is not None:
                connection.close()

    def ask(
        self, query: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None, *, table: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Ask one question, of at most ten seconds."""
        with self.connected(table=table) as connection:
            try:
                return ask(connection, query, parameters)
            except ValueError:
                raise unspeakable(self.settings) from None


def unspeakable(settings: PostgresSettings) -> SourceError:
    """Return the error of a text that cannot be sent."""
    return SourceError(
        settings.label(), "PostgreSQL cannot take a zero byte or half a character.", "Look at names and settings."
    )


def ask(
    connection: Any,
    query: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    settings: Mapping[str, str] = SETTINGS,
) -> list[tuple[Any, ...]]:
    """Ask one question in a transaction of its own, so that it sees the present."""
    with connection.cursor() as cursor:
        wanted = {**settings, "statement_timeout": str(TIMEOUT_S * 1000)}
        cursor.execute(_SET, (list(wanted), list(wanted.values())))
        cursor.execute(query, parameters)
        rows = list(cursor.fetchall())
    connection.rollback()
    return rows


def within(seconds: float, work: Callable[[], T], settings: PostgresSettings) -> T:
    """Do something, but wait no longer than this: a name server or a silent firewall keeps no one waiting.

    Raises
    ------
    SourceError
        There was no answer in time.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    thread = threading.Thread(target=run, name="b2brecs-test", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise SourceError(
            settings.label(), f"no answer within {seconds:g} s.", "Check host=, port= and the firewall.", transient=True
        )
    return done[0]
