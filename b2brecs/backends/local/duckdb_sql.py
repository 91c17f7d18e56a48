"""The statements and types of the DuckDB warehouse, without a connection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import ErrorLevel, exp, parse_one

from b2brecs.sql.arrow import arrow_type
from b2brecs.types import COLUMN_TYPES, Column, ColumnType

# BigQuery's BIGNUMERIC has no equal in DuckDB. A product of two NUMERIC has scale 18, so 19 tells them apart;
# a value with more digits is refused, never rounded.
_BIGNUMERIC = "DECIMAL(38,19)"
_BIGNUMERIC_ARROW = pa.decimal128(38, 19)

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


def last_rows_of(name: str, columns: Sequence[str], keys: Sequence[str]) -> exp.Select:
    """Return the rows of a table, of those with equal keys only the last that was staged."""
    numbered = rows_of(name, columns).select(exp.Window(this=exp.RowNumber()).as_(_ROW, quoted=True)).subquery("rows")
    newest = exp.Window(
        this=exp.RowNumber(),
        partition_by=[column(key) for key in keys],
        order=exp.Order(expressions=[exp.Ordered(this=column(_ROW), desc=True)]),
    )
    return (
        exp.select(*(column(item) for item in columns))
        .from_(numbered)
        .qualify(exp.EQ(this=newest, expression=exp.Literal.number(1)))
    )


def delete_matching(name: str, staged: str, keys: Sequence[tuple[str, str]]) -> exp.Delete:
    """Return the removal of rows whose keys are among the staged; NULL is equal to NULL."""
    same = exp.and_(
        *(exp.NullSafeEQ(this=column(here, name), expression=column(there, staged)) for here, there in keys)
    )
    return exp.Delete(this=table(name), using=[table(staged)], where=exp.Where(this=same))


def stored_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the Arrow schema in which rows are handed to DuckDB."""
    return pa.schema(
        [
            pa.field(
                item.name,
                _BIGNUMERIC_ARROW if item.type == "BIGNUMERIC" else arrow_type(item.type),
                nullable=item.nullable,
            )
            for item in columns
        ]
    )


def result_schema(found: pa.Schema, types: Sequence[str]) -> pa.Schema:
    """Return the schema of a result in the warehouse's vocabulary, given DuckDB's names of its types."""
    kinds = [column_type(duck) for duck in types]
    return pa.schema(
        [
            pa.field(field.name, field.type if kind is None else arrow_type(kind))
            for field, kind in zip(found, kinds, strict=True)
        ]
    )


def fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a result's rows in another schema; decimals are rounded half away from zero, as BigQuery does."""
    arrays = []
    for array, field in zip(batch.columns, schema, strict=True):
        if array.type.equals(field.type):
            arrays.append(array)
        elif pa.types.is_decimal(array.type) and pa.types.is_decimal(field.type):
            if array.type.scale > field.type.scale:
                array = pc.round(array, ndigits=field.type.scale, round_mode="half_towards_infinity")  # noqa: PLW2901
            arrays.append(array.cast(field.type))
        else:
            arrays.append(array.cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def short(error: BaseException) -> str:
    """Return the sentence of a DuckDB error: without its class, the statement, and the arrow below it."""
    lines = [line.strip() for line in str(error).split("\n\nLINE ")[0].splitlines() if line.strip()]
    sentence = re.sub(r"^(\w+ )+Error: ", "", " ".join(lines))
    return sentence if len(sentence) <= 400 else f"{sentence[:399]}…"
