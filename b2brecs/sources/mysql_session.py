"""Connections to a MySQL or MariaDB server, and questions about it: pymysql, with errors in words."""

from __future__ import annotations

import io
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from sqlglot import exp

from b2brecs.configs.sources import MySQLSettings
from b2brecs.errors import SourceError, require
from b2brecs.sources.base import ReadSecret
from b2brecs.sources.mysql_errors import DENIED, NO_TLS, NotEncryptedError, number, refusal

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

# How long a question about the server, or a connection to it, may take.
TIMEOUT_S = 10
# How long the server may keep us waiting for rows, and we it.
PATIENCE_S = 3600
APPLICATION = "b2brecs"
# Texts must not depend on how the server is set up, and no row be seen that is not committed.
_SETUP = (
    "SET SESSION time_zone = '+00:00', SESSION sql_mode = '', SESSION autocommit = 1",
    f"SET SESSION net_write_timeout = {PATIENCE_S}",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
)


class Server:
    """A MySQL server as one user sees it."""

    def __init__(self, settings: MySQLSettings, read_secret: ReadSecret) -> None:
        self.settings, self._read_secret = settings, read_secret
        # Whether it is known that the server does not encrypt, and need not.
        self._plain = False

    def ask(self, query: str, parameters: Sequence[Any] = (), *, table: str | None = None) -> list[tuple[Any, ...]]:
        """Ask one question, of at most ten seconds. Values are texts."""
        with self.connected(table=table) as connection:
            return ask(connection, query, parameters)

    def describe(self, query: str, *, table: str) -> list[dict[str, Any]]:
        """Ask one question whose answer has columns that differ between servers."""
        with self.connected(table=table) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            names = [item[0] for item in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    @contextmanager
    def connected(self, *, table: str | None = None, patience: float = TIMEOUT_S) -> Iterator[Any]:
        """Connect; pymysql's errors become the library's.

        Raises
        ------
        SourceError
            The server cannot be reached, or refuses.
        """
        password = self._password()
        connection = self._connect(password, patience)
        try:
            yield connection
        except _driver_errors() as error:
            raise self._failed(error, connection, password, table) from None
        finally:
            with suppress(Exception):
                connection.close()

    def rows(self, query: str, width: int, most: int, *, table: str) -> Rows:
        """Begin to read the rows of a query; see ``Rows``.

        Raises
        ------
        SourceError
            The server cannot be reached, or refuses.
        """
        password = self._password()
        connection = self._connect(password, PATIENCE_S)

        def failed(error: Exception) -> SourceError:
            return self._failed(error, connection, password, table)

        return Rows(connection, query, width, most, failed)

    def _password(self) -> str | None:
        return self._read_secret(self.settings.password) if self.settings.password else None

    def _connect(self, password: str | None, patience: float) -> Any:
        require("pymysql", feature="a MySQL connection", extra="mysql")
        connection = None
        try:
            connection = self._open(password, patience)
            for statement in _SETUP:
                ask(connection, statement)
            if self.settings.ssl:
                _check_encrypted(connection)
        except Exception as error:  # noqa: BLE001 - what answers may be no MySQL, over which pymysql trips in many ways
            if connection is not None:
                connection.close()
            raise refusal(error, self.settings, password) from None
        return connection

    def _open(self, password: str | None, patience: float) -> Any:
        """Connect, encrypted if the server can; where that is not asked for, also if it cannot."""
        if self._plain:
            return self._login(password, patience, {"ssl_disabled": True})
        try:
            return self._login(password, patience, {"ssl": _context()})
        except Exception as error:
            unencrypted = number(error) == NO_TLS
            broken = isinstance(getattr(error, "original_exception", error), ssl.SSLError)
            if self.settings.ssl or not (unencrypted or broken):
                raise
            try:
                connection = self._login(password, patience, {"ssl_disabled": True})
            except Exception:
                if unencrypted:
                    raise
                # It is refused as it is not encrypted, for all we know.
                raise error from None
            self._plain = True
            return connection

    def _login(self, password: str | None, patience: float, encryption: Mapping[str, Any]) -> Any:
        import pymysql
        from pymysql.converters import encoders

        s = self.settings
        written: dict[Any, Any] = {**encoders}
        connection = pymysql.connect(
            host=s.host, port=s.port, database=s.database, user=s.user, password=(password or "").encode(),
            charset="utf8mb4", autocommit=None, conv=written, program_name=APPLICATION,
            read_timeout=patience, write_timeout=patience, defer_connect=True, **encryption,
        )  # fmt: skip
        connection.connect(_socket(s.host, s.port))
        return connection

    def _failed(self, error: Exception, connection: Any, password: str | None, table: str | None) -> SourceError:
        account = None
        if number(error) in DENIED:
            with suppress(Exception):
                account = ask(connection, "SELECT CURRENT_USER()")[0][0]
        return refusal(error, self.settings, password, table, account)


class Rows:
    """The rows of a query as the server writes them: for each column of a batch, the bytes of its texts.

    The connection is closed at the end, at an error, or when nobody wants them any more.
    """

    def __init__(
        self, connection: Any, query: str, width: int, most: int, failed: Callable[[Exception], SourceError]
    ) -> None:
        from pymysql.cursors import SSCursor

        from b2brecs.sources import mysql_packets

        self._failed, self.close = failed, weakref.finalize(self, _hang_up, connection)
        cursor = connection.cursor(SSCursor)
        try:
            cursor.execute(query)
        except _driver_errors() as error:
            refused = failed(error)
            self.close()
            raise refused from None
        # What pymysql receives through; should it come to lack it, its own way to take rows apart is only slower.
        received = getattr(connection, "_rfile", None)
        if isinstance(received, io.BufferedReader):
            _let_go(connection)
            self._batches = mysql_packets.columns(_receiving(received), width, most)
        else:
            self._batches = _one_by_one(cursor, width)

    def __iter__(self) -> Rows:
        return self

    def __next__(self) -> list[pa.BinaryArray]:
        from b2brecs.sources.mysql_packets import ServerError

        try:
            return next(self._batches)
        except BaseException as error:
            self.close()
            if isinstance(error, ServerError):
                error = _named(error.packet)
            if isinstance(error, _driver_errors()):
                raise self._failed(error) from None
            raise


def ask(connection: Any, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Ask one question. Values are texts."""
    with connection.cursor() as cursor:
        cursor.execute(query, tuple(parameters) or None)
        return list(cursor.fetchall())


def check_hidden(connection: Any, table: str) -> None:
    """Raise pymysql's error if the user may not read a table; not if there is none."""
    from pymysql import Error

    tree = exp.select(exp.Literal.number(1)).from_(exp.Table(this=exp.to_identifier(table, quoted=True))).limit(0)
    try:
        ask(connection, tree.sql("mysql"))
    except Error as error:
        if number(error) in DENIED:
            raise


def within(seconds: float, work: Callable[[], T], settings: MySQLSettings) -> T:
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
        raise refusal(TimeoutError("no answer"), settings)
    return done[0]


def _socket(host: str, port: int) -> socket.socket:
    """Connect so that a peer that is gone is noticed within a minute, also while nothing is sent."""
    made = socket.create_connection((host, port), TIMEOUT_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def _check_encrypted(connection: Any) -> None:
    # Not every version of pymysql refuses a server that does not encrypt.
    if not ask(connection, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1]:
        raise NotEncryptedError


def _context() -> ssl.SSLContext:
    """Encrypt, whoever it is: servers make their certificates themselves, and the settings name no authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _driver_errors() -> tuple[type[Exception], ...]:
    from pymysql import Error

    return (Error, OSError)


def _named(packet: bytes) -> Exception:
    """Read an error that the server sent between rows."""
    from pymysql import Error
    from pymysql.err import raise_mysql_exception

    try:
        raise_mysql_exception(packet)
    except Error as error:
        return error
    except Exception:  # noqa: BLE001
        return ConnectionError("an error that cannot be read")


def _receiving(received: io.BufferedReader) -> Callable[[memoryview], int]:
    """Take first what has been read ahead, then what comes."""
    ahead: list[bytes] = []

    def receive(into: memoryview) -> int:
        if not ahead:
            ahead.append(received.read1(len(into)))
            into[: len(ahead[0])] = ahead[0]
            return len(ahead[0])
        return received.raw.readinto(into) or 0

    return receive


def _one_by_one(cursor: Any, width: int) -> Iterator[list[pa.BinaryArray]]:
    import pyarrow as pa

    while rows := cursor.fetchmany(4096):
        yield [pa.array([row[number] for row in rows], pa.binary()) for number in range(width)]


def _let_go(connection: Any) -> None:
    """Keep pymysql from reading what is left of the rows, as it would when its objects go."""
    if getattr(connection, "_result", None) is not None:
        connection._result.unbuffered_active = False  # noqa: SLF001


def _hang_up(connection: Any) -> None:
    _let_go(connection)
    with suppress(Exception):
        connection.close()
