"""PostgreSQL: metadata by psycopg2, rows as Arrow by ADBC in one repeatable-read snapshot."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlglot import exp

from b2brecs.configs.connection import PostgresSettings
from b2brecs.errors import NotFound, SourceError, require
from b2brecs.sources.base import Since, Source, scrub
from b2brecs.types import Column, ColumnType, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

_TIMEOUT_S = 10
_TYPES: dict[str, ColumnType] = {
    "int2": "INT64", "int4": "INT64", "int8": "INT64", "oid": "INT64",
    "numeric": "NUMERIC", "money": "NUMERIC", "float4": "FLOAT64", "float8": "FLOAT64",
    "bool": "BOOL", "date": "DATE", "timestamp": "DATETIME", "timestamptz": "TIMESTAMP", "time": "TIME",
    "json": "JSON", "jsonb": "JSON", "bytea": "BYTES",
    "_text": "ARRAY<STRING>", "_varchar": "ARRAY<STRING>", "_int4": "ARRAY<INT64>", "_int8": "ARRAY<INT64>",
    "_float8": "ARRAY<FLOAT64>", "_bool": "ARRAY<BOOL>",
}  # fmt: skip
# Read as they are; every other type is asked for as text, which the server writes exactly.
_NATIVE = frozenset({
    "int2", "int4", "int8", "float4", "float8", "bool", "date", "timestamp", "timestamptz", "time", "bytea",
    "text", "varchar", "bpchar", "json", "_text", "_varchar", "_int4", "_int8", "_float8", "_bool",
})  # fmt: skip

_COLUMNS = """
SELECT a.attname, t.typname, NOT a.attnotnull, a.atttypmod,
       COALESCE(a.attnum = ANY (i.indkey), false), c.reltuples::bigint
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY a.attnum
"""
_TABLES = """
SELECT c.relname, c.reltuples::bigint
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY c.relname
"""


class PostgresSource(Source[PostgresSettings]):
    """A schema of a PostgreSQL database."""

    def test(self) -> str:
        rows = self._fetch("SELECT version()", ())
        return f"{str(rows[0][0]).split(' on ')[0]}, {len(self.tables())} tables in schema {self.settings.db_schema!r}"

    def tables(self) -> list[TableSchema]:
        rows = self._fetch(_TABLES, (self.settings.db_schema,))
        return [TableSchema(name, (), rows=count if count >= 0 else None) for name, count in rows]

    def schema(self, table: str) -> TableSchema:
        rows = self._native(table)
        columns = tuple(Column(name, _warehouse_type(kind, mod), nullable) for name, kind, nullable, mod, _, _ in rows)
        key = tuple(row[0] for row in rows if row[4])
        return TableSchema(table, columns, key, rows=rows[0][5] if rows[0][5] >= 0 else None)

    def read(self, table: TableSchema, *, since: Since | None = None) -> pa.RecordBatchReader:
        native = {row[0]: row[1] for row in self._native(table.name)}
        for name in table.names:
            if name not in native:
                raise NotFound("column", name, native, where=f"table {table.name!r}")
        query = _query(self.settings.db_schema, table, native, since)
        require("adbc_driver_postgresql", feature="reading PostgreSQL", extra="postgres")
        import adbc_driver_postgresql.dbapi as adbc

        password = self._password()
        try:
            connection = adbc.connect(self._uri(password), autocommit=False)
            cursor = connection.cursor()
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(2 * 1024 * 1024)})
            cursor.execute(query.sql("postgres"))
            reader = cursor.fetch_record_batch()
        except adbc.Error as error:
            raise self._failed(error, password) from None
        return _owning(reader, cursor, connection, lambda error: self._failed(error, password))

    def _native(self, table: str) -> list[tuple[Any, ...]]:
        rows = self._fetch(_COLUMNS, (self.settings.db_schema, table))
        if not rows:
            raise NotFound("table", table, [item.name for item in self.tables()], where=self.settings.label())
        return rows

    def _fetch(self, query: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        require("psycopg2", feature="a PostgreSQL connection", extra="postgres")
        import psycopg2

        s = self.settings
        password = self._password()
        try:
            connection = psycopg2.connect(
                host=s.host, port=s.port, dbname=s.database, user=s.user, password=password, sslmode=s.sslmode,
                connect_timeout=_TIMEOUT_S, options=f"-c statement_timeout={_TIMEOUT_S * 1000}",
                application_name="b2brecs",
            )  # fmt: skip
            with closing(connection), connection.cursor() as cursor:
                cursor.execute(query, parameters)
                return list(cursor.fetchall())
        except psycopg2.Error as error:
            raise self._failed(error, password) from None

    def _password(self) -> str | None:
        return self.read_secret(self.settings.password) if self.settings.password else None

    def _uri(self, password: str | None) -> str:
        s = self.settings
        login = quote(s.user, safe="") + (f":{quote(password, safe='')}" if password else "")
        options = f"sslmode={s.sslmode}&connect_timeout={_TIMEOUT_S}&application_name=b2brecs"
        return f"postgresql://{login}@{quote(s.host, safe='')}:{s.port}/{quote(s.database, safe='')}?{options}"

    def _failed(self, error: Exception, password: str | None) -> SourceError:
        text = scrub(" ".join(str(error).split()), password, quote(password, safe="") if password else None)
        lower = text.lower()
        fix = ""
        if "password authentication failed" in lower or "no password supplied" in lower:
            text, fix = "the user or the password is wrong.", "Check user= and the secret that password= refers to."
        elif "could not translate host" in lower or "connection refused" in lower or "timeout expired" in lower:
            text, fix = "the server cannot be reached.", "Check host=, port= and the firewall."
        elif "does not exist" in lower and "database" in lower:
            text, fix = "there is no such database.", "Check database=."
        elif "permission denied" in lower:
            fix = f"Grant SELECT to {self.settings.user!r}."
        return SourceError(self.settings.label(), text, fix)


def _warehouse_type(kind: str, modifier: int) -> ColumnType:
    if kind == "numeric":
        precision, scale = ((modifier - 4) >> 16 & 0xFFFF, (modifier - 4) & 0x7FF) if modifier >= 4 else (0, 0)
        # Without declared digits only text holds every value exactly.
        return "NUMERIC" if precision and scale <= 9 and precision - scale <= 29 else "STRING"
    return _TYPES.get(kind, "STRING")


def _query(schema: str, table: TableSchema, native: dict[str, str], since: Since | None) -> exp.Select:
    def column(name: str) -> exp.Column:
        return exp.column(exp.to_identifier(name, quoted=True))

    def as_text(name: str) -> exp.Expr:
        if native[name] == "inet":
            # A cast would write the mask of a single host; format() writes what the server shows.
            shown = exp.Anonymous(this="format", expressions=[exp.Literal.string("%s"), column(name)])
            null = exp.Is(this=column(name), expression=exp.Null())
            return exp.Case(ifs=[exp.If(this=null, true=exp.Null())], default=shown)
        value = exp.cast(column(name), "numeric") if native[name] == "money" else column(name)
        return exp.cast(value, "text")

    chosen = [
        column(name) if native[name] in _NATIVE else exp.alias_(as_text(name), exp.to_identifier(name, quoted=True))
        for name in table.names
    ]
    query = exp.select(*chosen).from_(
        exp.table_(exp.to_identifier(table.name, quoted=True), exp.to_identifier(schema, quoted=True))
    )
    if since is not None:
        if since.value is not None:
            bound = exp.cast(exp.Literal.string(str(json.loads(since.value))), native[since.column])
            null = exp.Is(this=column(since.column), expression=exp.Null())
            query = query.where(exp.or_(null, exp.GTE(this=column(since.column), expression=bound)))
        query = query.order_by(exp.Ordered(this=column(since.column), nulls_first=False))
    return query


def _owning(
    reader: Any, cursor: Any, connection: Any, failed: Callable[[Exception], SourceError]
) -> pa.RecordBatchReader:
    """Stream a reader, closing its connection at the end and giving its errors as ours."""
    import pyarrow as pa

    def batches() -> Any:
        with closing(connection), closing(cursor):
            while True:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
                except (pa.ArrowException, OSError) as error:
                    raise failed(error) from None
                yield batch

    return pa.RecordBatchReader.from_batches(reader.schema, batches())
