"""What the tests of MySQL share: a way in beside the source, and the source itself."""

from contextlib import closing, contextmanager
from dataclasses import replace

import pymysql
from pymysql.converters import encoders

from b2brecs import Connection, Secret
from b2brecs.etl.cast import cast_batches
from b2brecs.sources import WHOLE, open_source


def beside(server, *, user=None, password=None, **settings):
    """A connection of its own, which answers in texts."""
    settings = {"autocommit": True, "conv": encoders, "ssl_disabled": True, **settings}
    return pymysql.connect(
        host=server.host, port=server.port, user=user or server.user, database=server.database,
        password=(server.password if password is None else password).encode(), charset="utf8mb4", **settings,
    )  # fmt: skip


def run(server, *statements, **settings):
    """Run statements; return the rows of the last."""
    with closing(beside(server, **settings)) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = ''")
        for statement in statements:
            cursor.execute(*statement) if isinstance(statement, tuple) else cursor.execute(statement)
        return list(cursor.fetchall())


@contextmanager
def database(server, name):
    """A database of the test's own."""
    run(server, f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    try:
        yield replace(server, database=name)
    finally:
        run(server, f"DROP DATABASE `{name}`")


@contextmanager
def guest(server, name, *grants, password="guest's pässword"):
    """A user who may do what is granted, and no more."""
    run(server, (f"CREATE USER `{name}`@`%%` IDENTIFIED BY %s", (password,)), *grants)
    try:
        yield replace(server, user=name, password=password)
    finally:
        run(server, f"DROP USER `{name}`@`%`")


def opened(server, *, password=None, **changes):
    settings = {
        "host": server.host, "port": server.port, "database": server.database, "user": server.user,
        "password": Secret("env:SHOP"), **changes,
    }  # fmt: skip
    return open_source(Connection.of("erp", "mysql", **settings), lambda _: password or server.password)


def rows(source, schema, part=WHOLE, on_reject=None):
    """Read a part as a load does."""
    return [
        row
        for batch in cast_batches(source.read(schema, part, on_reject=on_reject), schema, on_reject=on_reject)
        for row in batch.to_pylist()
    ]


def quoted(name):
    return "`" + name.replace("`", "``") + "`"
