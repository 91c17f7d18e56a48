"""The query that reads a part of a PostgreSQL table so that every value arrives exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from b2brecs.errors import NotFound
from b2brecs.sources.base import Part
from b2brecs.sources.postgres_metadata import NativeColumn, NativeTable
from b2brecs.sources.select import column, named, select_part
from b2brecs.types import TableSchema

# Types that ADBC reads exactly, or whose few exceptions are mended afterwards. All others are asked for as text, which
# the server writes exactly; so is numeric, as that takes less time than to decode it here.
_NATIVE = frozenset({
    "int2", "int4", "int8", "float8", "bool", "date", "timestamp", "timestamptz", "time", "bytea",
    "text", "varchar", "bpchar", "name", "json", "jsonb",
})  # fmt: skip
_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "json", "jsonb"})
_ARRAYS = frozenset(f"{kind}[]" for kind in (
    "int2", "int4", "int8", "float8", "bool", "date", "timestamptz", "text", "varchar", "bpchar", "name",
))  # fmt: skip
# Read as another type: ADBC takes an oid for a signed number, and a float4 is shown as 0.1 but widened to 0.100000001.
_THROUGH: Mapping[str, tuple[str, ...]] = {
    "oid": ("int8",), "oid[]": ("int8[]",), "money": ("numeric", "text"),
    "float4": ("text", "float8"), "float4[]": ("text", "float8[]"),
}  # fmt: skip


@dataclass(frozen=True)
class Query:
    """What is read of a table: its columns ``names``, and behind them, for each array column, one more.

    That one holds the text of an array that has more than one dimension, as ADBC would flatten it, and else NULL;
    ``nested`` names the columns that they are about.
    """

    table: str
    tree: exp.Select
    names: tuple[str, ...]
    nested: tuple[str, ...]


def quoted_table(schema: str, table: str) -> exp.Table:
    """Return a table of a schema, both quoted."""
    return exp.Table(this=exp.to_identifier(table, quoted=True), db=exp.to_identifier(schema, quoted=True))


def read_query(schema: str, native: NativeTable, table: TableSchema, part: Part, limit: int | None = None) -> Query:
    """Build the query of a part, or of its first rows. A column wanted as STRING is given as the server writes it."""
    chosen: list[exp.Expr] = []
    arrays: list[NativeColumn] = []
    for wanted in table:
        found = native.column(wanted.name)
        if found is None:
            raise NotFound("column", wanted.name, native.schema().names, where=f"table {native.name!r}")
        as_text = wanted.type == "STRING"
        chosen.append(named(_asked(found, as_text=as_text), found.name))
        if found.kind.endswith("[]") and not as_text:
            arrays.append(found)
    chosen += [_if_nested(found) for found in arrays]
    tree = select_part(quoted_table(schema, native.name), chosen, part, native.kinds, dialect="postgres")
    if limit is not None:
        tree = tree.limit(limit, copy=False)
    return Query(native.name, tree, table.names, tuple(found.name for found in arrays))


def _asked(found: NativeColumn, *, as_text: bool) -> exp.Expr:
    """Ask for a column in a form that arrives exactly."""
    value: exp.Expr = column(found.name)
    if as_text:
        return value if found.kind in _TEXTS else _text(found)
    if found.kind in _NATIVE:
        return value
    if found.kind in _THROUGH:
        for kind in _THROUGH[found.kind]:
            value = _cast(value, kind)
        return value
    if found.kind in _ARRAYS:
        # Without a change, unless its elements are of a domain.
        return _cast(value, found.kind)
    if found.kind.endswith("[]"):
        # By way of the whole array's text, the elements' texts are those that the server shows.
        return _cast(_cast(value, "text"), "text[]")
    return _text(found)


def _text(found: NativeColumn) -> exp.Expr:
    value = column(found.name)
    if found.kind != "inet":
        return _cast(value, "text")
    # A cast would write the mask of a single host; format() writes what the server shows.
    shown = call("format", exp.Literal.string("%s"), value)
    return exp.Case(ifs=[exp.If(this=exp.Is(this=value.copy(), expression=exp.Null()), true=exp.Null())], default=shown)


def _if_nested(found: NativeColumn) -> exp.Expr:
    dimensions = call("array_ndims", column(found.name))
    nested = exp.GT(this=dimensions, expression=exp.Literal.number(1))
    return exp.Case(ifs=[exp.If(this=nested, true=_cast(column(found.name), "text"))])


def _cast(value: exp.Expr, kind: str) -> exp.Expr:
    return exp.Cast(this=value, to=exp.DataType.build(kind, dialect="postgres"))


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """Call a function of the server's own, whatever else has its name."""
    call = exp.Anonymous(this=name, expressions=list(arguments))
    return exp.Dot(this=exp.to_identifier("pg_catalog"), expression=call)
