"""A database of its own for each module of tests, and a source that reads from it."""

import dataclasses
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2

from b2brecs import Connection, Secret
from b2brecs.sources import Source, open_source
from tests.services.addresses import Database


@contextmanager
def database(server: Database, name: str, *statements: str, options: str = "") -> Iterator[Database]:
    """Make a database, and drop it at the end, whoever is still in it."""
    execute(server, f"CREATE DATABASE {quoted(name)} {options}")
    made = dataclasses.replace(server, database=name)
    try:
        execute(made, *statements)
        yield made
    finally:
        execute(server, f"DROP DATABASE {quoted(name)} WITH (FORCE)")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def connect(server: Database, *, autocommit: bool = False, **changes: Any) -> Any:
    settings = {
        "host": server.host, "port": server.port, "dbname": server.database, "user": server.user,
        "password": server.password, **changes,
    }  # fmt: skip
    connection = psycopg2.connect(**settings)
    connection.autocommit = autocommit
    return connection


def execute(server: Database, *statements: Any) -> list[tuple[Any, ...]]:
    """Run statements, each by itself; return the rows of the last."""
    rows: list[tuple[Any, ...]] = []
    with closing(connect(server, autocommit=True)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
    return rows


def opened(server: Database, *, password: str | None = None, **changes: Any) -> Source[Any]:
    settings = {
        "host": server.host, "port": server.port, "database": server.database, "user": server.user,
        "password": Secret("env:SHOP"), **changes,
    }  # fmt: skip
    return open_source(Connection.postgres("erp", **settings), lambda _: password or server.password)
