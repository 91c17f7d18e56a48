"""The query that reads a part of a MySQL table so that every value arrives exactly, as text."""

from __future__ import annotations

from sqlglot import exp

from b2brecs.errors import NotFound
from b2brecs.sources.base import Part
from b2brecs.sources.mysql_metadata import GEOMETRIES, NativeColumn, NativeTable
from b2brecs.sources.select import column, named, select_part
from b2brecs.types import TableSchema


def quoted_table(name: str) -> exp.Table:
    """Return a table of the connection's database, quoted."""
    return exp.Table(this=exp.to_identifier(name, quoted=True))


def wanted_columns(native: NativeTable, table: TableSchema) -> list[NativeColumn]:
    """Return the server's columns for those wanted.

    Raises
    ------
    NotFound
        There is none of a name.
    """
    found = [native.column(name) for name in table.names]
    for name, item in zip(table.names, found, strict=True):
        if item is None:
            raise NotFound("column", name, native.schema().names, where=f"table {native.name!r}")
    return [item for item in found if item is not None]


def read_query(native: NativeTable, table: TableSchema, part: Part, limit: int | None = None) -> exp.Select:
    """Build the query of a part, or of its first rows."""
    chosen = [named(_asked(item), item.name) for item in wanted_columns(native, table)]
    tree = select_part(quoted_table(native.name), chosen, part, native.kinds, dialect="mysql")
    return tree if limit is None else tree.limit(limit, copy=False)


def _asked(found: NativeColumn) -> exp.Expr:
    """Ask for a column in a form whose text is exact."""
    value = column(found.name)
    if found.kind == "float":
        # Its own text has six digits; as a double it has all.
        return exp.Mul(this=value, expression=exp.Literal.number("1e0"))
    if found.kind == "bit":
        # As a number, not as bytes.
        return exp.Add(this=value, expression=exp.Literal.number(0))
    if found.kind in GEOMETRIES:
        return exp.Anonymous(this="ST_AsText", expressions=[value])
    return value
