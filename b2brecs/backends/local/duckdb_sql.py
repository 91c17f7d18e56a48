"""The statements and types of the DuckDB warehouse, without a connection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import cast

from sqlglot import ErrorLevel, exp, parse_one

from b2brecs.types import COLUMN_TYPES, Column, ColumnType

# BigQuery's BIGNUMERIC has no equal in DuckDB. A product of two NUMERIC has scale 18, so 19 tells them apart;
# a value with more digits is refused, never rounded.
_BIGNUMERIC = "DECIMAL(38,19)"

_TO_DUCKDB: dict[str, str] = {
    "STRING": "VARCHAR",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "NUMERIC": "DECIMAL(38,9)",
    "BIGNUMERIC": _BIGNUMERIC,
    "BOOL": "BOOLEAN",
    "DATE": "DATE",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "TIME": "TIME",
    "JSON": "JSON",
    "BYTES": "BLOB",
}
_FROM_DUCKDB: dict[str, str] = {duck: kind for kind, duck in _TO_DUCKDB.items()} | {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER"), "INT64"),
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "DATETIME"),
    "UBIGINT": "NUMERIC",
    "FLOAT": "FLOAT64",
    "UUID": "STRING",
}
_ROW = "_b2b_row"


def table(name: str) -> exp.Table:
    """Return a table, its name quoted."""
    return exp.Table(this=exp.to_identifier(name, quoted=True))


def column(name: str, of: str | None = None) -> exp.Column:
    """Return a column, its name quoted."""
    return exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(of, quoted=True))


def text(tree: exp.Expr) -> str:
    """Return a tree as DuckDB's SQL, every identifier quoted."""
    return tree.sql(dialect="duckdb", identify=True, comments=False, unsupported_level=ErrorLevel.RAISE)


def query_text(tree: exp.Expr) -> str:
    """Return a caller's query as SQL; a bare NUMERIC is the warehouse's, not DuckDB's ``DECIMAL(18,3)``."""

    def widen(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.DataType) and node.this == exp.DataType.Type.DECIMAL and not node.expressions:
            return data_type("NUMERIC")
        if isinstance(node, exp.DataType) and node.this == exp.DataType.Type.BIGDECIMAL:
            return data_type("BIGNUMERIC")
        return node

    return text(tree.transform(widen))


def data_type(kind: ColumnType) -> exp.DataType:
    """Return DuckDB's type for a warehouse type."""
    if kind.startswith("ARRAY<"):
        return exp.DataType.build(f"{_TO_DUCKDB[kind[6:-1]]}[]", dialect="duckdb")
    return exp.DataType.build(_TO_DUCKDB[kind], dialect="duckdb")


def column_type(duck: str) -> ColumnType | None:
    """Return the warehouse type of a DuckDB type, or None where there is none."""
    found = _FROM_DUCKDB.get(duck)
    if duck.endswith("[]"):
        found = f"ARRAY<{column_type(duck[:-2])}>"
    elif found is None and duck.startswith("DECIMAL("):
        found = "NUMERIC"
    elif found is None and duck.startswith("ENUM("):
        found = "STRING"
    return cast("ColumnType", found) if found in COLUMN_TYPES else None


def create(name: str, columns: Iterable[Column], *, replace: bool = False) -> exp.Create:
    """Return ``CREATE TABLE``."""
    definitions = [
        exp.ColumnDef(
            this=exp.to_identifier(item.name, quoted=True),
            kind=data_type(item.type),
            constraints=[] if item.nullable else [exp.ColumnConstraint(kind=exp.NotNullColumnConstraint())],
        )
        for item in columns
    ]
    return exp.Create(this=exp.Schema(this=table(name), expressions=definitions), kind="TABLE", replace=replace)


def drop(name: str) -> exp.Expression:
    """Return ``DROP TABLE IF EXISTS``."""
    # Where the tree holds the table differs between sqlglot's versions.
    tree = cast("exp.Expression", parse_one("DROP TABLE IF EXISTS placeholder", dialect="duckdb"))
    for found in tree.find_all(exp.Table):
        found.replace(table(name))
    return tree


def rename(name: str, new: str) -> exp.Alter:
    """Return ``ALTER TABLE … RENAME TO``."""
    return exp.Alter(this=table(name), kind="TABLE", actions=[exp.AlterRename(this=table(new))])


def add_column(name: str, item: Column) -> exp.Alter:
    """Return ``ALTER TABLE … ADD COLUMN``; the rows that stand hold NULL in it."""
    definition = exp.ColumnDef(this=exp.to_identifier(item.name, quoted=True), kind=data_type(item.type))
    return exp.Alter(this=table(name), kind="TABLE", actions=[definition])


def allow_null(name: str, of: str) -> exp.Alter:
    """Return ``ALTER TABLE … ALTER COLUMN … DROP NOT NULL``."""
    action = exp.AlterColumn(this=exp.to_identifier(of, quoted=True), drop=True, allow_null=True)
    return exp.Alter(this=table(name), kind="TABLE", actions=[action])


def count(name: str) -> exp.Select:
    """Return ``SELECT COUNT(*)``."""
    return exp.select(exp.Count(this=exp.Star())).from_(table(name))


def insert(name: str, into: Sequence[str], rows: exp.Query) -> exp.Insert:
    """Return ``INSERT INTO … (columns) SELECT …``."""
    columns = [exp.to_identifier(item, quoted=True) for item in into]
    return exp.Insert(this=exp.Schema(this=table(name), expressions=columns), expression=rows)


def rows_of(name: str, columns: Sequence[str]) -> exp.Select:
    """Return ``SELECT columns FROM name``."""
    return exp.select(*(column(item) for item in columns)).from_(table(name))


def last_rows_of(name: str, columns: Sequence[str], keys: Sequence[str], order: str | None = None) -> exp.Select:
    """Return the rows of a table, of those with equal keys only the last: by a column, else as they were staged.

    DuckDB numbers a table's rows in the order in which they were inserted, also after some were removed. The last
    of each key is found among keys and numbers alone, in about half the time of a window over whole rows.
    """

    def numbered(wanted: Sequence[str]) -> exp.Subquery:
        return rows_of(name, wanted).select(exp.Window(this=exp.RowNumber()).as_(_ROW, quoted=True)).subquery("rows")

    chosen = exp.select(*(column(item) for item in columns)).from_(numbered(columns))
    if order is not None:
        newest = exp.Window(
            this=exp.RowNumber(),
            partition_by=[column(key) for key in keys],
            order=exp.Order(
                expressions=[exp.Ordered(this=column(item), desc=True, nulls_first=False) for item in (order, _ROW)]
            ),
        )
        return chosen.qualify(exp.EQ(this=newest, expression=exp.Literal.number(1)))
    last = exp.select(exp.Max(this=column(_ROW))).from_(numbered(keys)).group_by(*(column(key) for key in keys))
    return chosen.where(exp.In(this=column(_ROW), query=last.subquery()))


def among(name: str, of: str | None = None) -> exp.Expr:
    """Return the condition that a STRING column holds one of the values of the list that is bound to ``?``."""
    values = exp.cast(exp.Placeholder(), "VARCHAR[]", dialect="duckdb")
    return exp.In(this=column(name, of), query=exp.select(exp.Explode(this=values)).subquery())


def untrue(condition: exp.Expr) -> exp.Expr:
    """Return the condition that another one is false or NULL."""
    return exp.not_(_call("COALESCE", condition, exp.false()))


def reaches(name: str, kind: ColumnType, low: str | None) -> exp.Expr:
    """Return the condition that a column is NULL, or at least the text that is bound to ``?``; always, without low."""
    if low is None:
        return exp.true()
    bound = exp.Cast(this=exp.Placeholder(), to=data_type(kind))
    return exp.or_(exp.GTE(this=column(name), expression=bound), exp.Is(this=column(name), expression=exp.null()))


def delete(name: str, where: exp.Expr) -> exp.Delete:
    """Return ``DELETE FROM … WHERE …``."""
    return exp.Delete(this=table(name), where=exp.Where(this=where))


def delete_matching(name: str, staged: str, keys: Sequence[tuple[str, str]]) -> exp.Delete:
    """Return the removal of rows whose keys are among the staged."""
    return exp.Delete(this=table(name), using=[table(staged)], where=exp.Where(this=_same(name, staged, keys)))


def matching(name: str, columns: Sequence[str], staged: str, keys: Sequence[tuple[str, str]]) -> exp.Select:
    """Return the rows whose keys are among the staged."""
    rows = exp.select(*(column(item, name) for item in columns)).from_(table(name))
    return rows.join(table(staged), on=_same(name, staged, keys), join_type="SEMI")


def _same(name: str, staged: str, keys: Sequence[tuple[str, str]]) -> exp.Expr:
    """Return the condition that keys are equal, of the table and of the staged rows; NULL is equal to NULL."""
    return exp.and_(
        *(exp.NullSafeEQ(this=column(here, name), expression=column(there, staged)) for here, there in keys)
    )


def fingerprint(rows: exp.Query, names: Sequence[str], kinds: Sequence[ColumnType]) -> exp.Select:
    """Return a query for the number of rows and a sum of their hashes, which no order changes.

    Two sets of rows that differ have equal sums once in 2**64 times. A hash in DuckDB does not tell ``-0.0`` from
    ``0.0``, an empty list from NULL, nor a list of one from its element; so more is put into it. The outer hash
    mixes: what columns add to the inner one could cancel out when two rows exchange a value.
    """
    parts: list[exp.Expr] = []
    for name, kind in zip(names, kinds, strict=True):
        value = column(name)
        if kind == "FLOAT64":
            zero = exp.EQ(this=value.copy(), expression=exp.Literal.number(0))
            parts += [value, exp.and_(zero, _call("SIGNBIT", value.copy()))]
        elif kind == "ARRAY<FLOAT64>":
            parts += [exp.cast(value, "VARCHAR", dialect="duckdb")]
        elif kind.startswith("ARRAY<"):
            parts += [value, _call("LEN", value.copy())]
        else:
            parts += [value]
    mixed = _call("HASH", _call("HASH", *parts))
    return exp.select(exp.Count(this=exp.Star()), exp.Sum(this=mixed)).from_(rows.subquery("rows"))


def _call(name: str, *values: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(values))


def short(error: BaseException) -> str:
    """Return the sentence of a DuckDB error: without its class, the statement, and the arrow below it."""
    lines = [line.strip() for line in str(error).split("\n\nLINE ")[0].splitlines() if line.strip()]
    sentence = re.sub(r"^(\w+ )+Error: ", "", " ".join(lines))
    return sentence if len(sentence) <= 400 else f"{sentence[:399]}…"
