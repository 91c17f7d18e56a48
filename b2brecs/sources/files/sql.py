"""Small pieces of DuckDB's SQL, as trees."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sqlglot import ErrorLevel, exp

from b2brecs.types import ColumnType

_TYPES: dict[str, str] = {
    "STRING": "VARCHAR", "INT64": "BIGINT", "FLOAT64": "DOUBLE", "NUMERIC": "DECIMAL(38, 9)", "BIGNUMERIC": "VARCHAR",
    "BOOL": "BOOLEAN", "DATE": "DATE", "DATETIME": "TIMESTAMP", "TIMESTAMP": "TIMESTAMPTZ", "TIME": "TIME",
    "JSON": "VARCHAR", "BYTES": "BLOB",
}  # fmt: skip


def duck_type(kind: ColumnType) -> str:
    """Return the DuckDB type in which a column is read. What it cannot hold exactly is text."""
    return f"{_TYPES[kind[6:-1]]}[]" if kind.startswith("ARRAY<") else _TYPES[kind]


def call(name: str, *arguments: exp.Expr, **named: exp.Expr) -> exp.Anonymous:
    """Return a function's call, its name and arguments as they are."""
    options = [exp.EQ(this=exp.to_identifier(key, quoted=True), expression=value) for key, value in named.items()]
    return exp.Anonymous(this=name, expressions=[*arguments, *options])


def text(value: str) -> exp.Literal:
    """Return a text."""
    return exp.Literal.string(value)


def number(value: int) -> exp.Expr:
    """Return a whole number."""
    return exp.Literal.number(value)


def column(name: str) -> exp.Column:
    """Return a column of a name that we gave."""
    return exp.column(exp.to_identifier(name, quoted=True))


def named(value: exp.Expr, name: str) -> exp.Alias:
    """Give an expression a name."""
    return exp.Alias(this=value, alias=exp.to_identifier(name, quoted=True))


def cast(value: exp.Expr, kind: str) -> exp.Expr:
    """Cast, or fail."""
    return exp.Cast(this=value, to=exp.DataType.build(kind, dialect="duckdb", udt=True))


def try_cast(value: exp.Expr, kind: str) -> exp.Expr:
    """Cast, or give NULL."""
    return exp.TryCast(this=value, to=exp.DataType.build(kind, dialect="duckdb", udt=True))


def is_null(value: exp.Expr) -> exp.Expr:
    """Whether a value is NULL."""
    return exp.Paren(this=exp.Is(this=value, expression=exp.Null()))


def is_set(value: exp.Expr) -> exp.Expr:
    """Whether a value is not NULL."""
    return exp.Paren(this=exp.Not(this=exp.Is(this=value, expression=exp.Null())))


def both(*parts: exp.Expr) -> exp.Expr:
    """Whether all hold."""
    return exp.Paren(this=functools.reduce(lambda one, other: exp.And(this=one, expression=other), parts))


def either(*parts: exp.Expr) -> exp.Expr:
    """Whether one holds."""
    return exp.Paren(this=functools.reduce(lambda one, other: exp.Or(this=one, expression=other), parts))


def select(chosen: Iterable[exp.Expr], source: exp.Expr) -> exp.Select:
    """Return a query. Its parts are not copied: sqlglot's copies took longer than DuckDB."""
    if isinstance(source, exp.Select):
        source = source.subquery("t", copy=False)
    return exp.select(*chosen, copy=False).from_(source, copy=False)


def coalesce(value: exp.Expr, default: exp.Expr) -> exp.Expr:
    """Return a value, or another where it is NULL."""
    return call("coalesce", value, default)


def matches(value: exp.Expr, pattern: str) -> exp.Expr:
    """Whether a whole text matches a pattern."""
    return call("regexp_full_match", value, text(pattern))


def texts(values: Iterable[str]) -> exp.Array:
    """Return a list of texts."""
    return exp.Array(expressions=[text(value) for value in values])


def files(paths: Sequence[Path]) -> exp.Expr:
    """Return files as DuckDB's readers take them."""
    return texts(map(str, paths))


def csv_table(paths: Sequence[Path], columns: Mapping[str, str], options: Mapping[str, exp.Expr]) -> exp.Anonymous:
    """Return DuckDB's reader of CSV files with columns of these types."""
    kinds = [exp.PropertyEQ(this=text(name), expression=text(kind)) for name, kind in columns.items()]
    return call("read_csv", files(paths), auto_detect=exp.false(), columns=exp.Struct(expressions=kinds), **options)


def sql(tree: exp.Expr) -> str:
    """Return a tree as DuckDB's SQL."""
    return tree.sql(dialect="duckdb", comments=False, unsupported_level=ErrorLevel.RAISE)
