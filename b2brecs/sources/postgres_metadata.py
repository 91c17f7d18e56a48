"""What PostgreSQL's catalogue says: tables, their columns, and the warehouse's type of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from b2brecs.types import Column, ColumnType, TableSchema

# Relations that hold rows of a user: tables, partitioned tables, views, materialised views, foreign tables.
_TABLES = """
WITH RECURSIVE tree (root, relid) AS (
    SELECT c.oid, c.oid
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s::text AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  UNION
    SELECT t.root, i.inhrelid
    FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.root AND c.relkind = 'p'
    JOIN pg_catalog.pg_inherits i ON i.inhparent = t.relid
)
SELECT r.relname,
       CASE WHEN bool_and(c.reltuples > 0 OR c.relpages > 0) FILTER (WHERE c.relkind IN ('r', 'm'))
            THEN sum(c.reltuples) FILTER (WHERE c.relkind IN ('r', 'm'))::bigint END
FROM tree t JOIN pg_catalog.pg_class r ON r.oid = t.root JOIN pg_catalog.pg_class c ON c.oid = t.relid
GROUP BY r.oid, r.relname
ORDER BY r.relname
"""
SCHEMAS = """
SELECT nspname FROM pg_catalog.pg_namespace
WHERE pg_catalog.left(nspname::text, 3) <> 'pg_' AND nspname <> 'information_schema'
ORDER BY nspname
"""
# Domains are followed to the type below them, also below an array. No row: no such table.
_COLUMNS = """
WITH RECURSIVE found AS (
    SELECT c.oid, c.relkind, c.reltuples, c.relpages
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s::text AND c.relname = %(table)s::text AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
), base (attnum, type, modifier) AS (
    SELECT a.attnum, a.atttypid, a.atttypmod
    FROM found f JOIN pg_catalog.pg_attribute a ON a.attrelid = f.oid AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
    SELECT b.attnum, t.typbasetype, t.typtypmod
    FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type
    WHERE t.typtype = 'd'
), described AS (
    SELECT b.attnum, b.modifier, t.oid, n.nspname, t.typname, t.typelem, t.typcategory
    FROM base b
    JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd'
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
)
SELECT f.oid, f.relkind, CASE WHEN f.reltuples > 0 OR f.relpages > 0 THEN f.reltuples::bigint END,
       a.attnum, a.attname, NOT a.attnotnull, d.modifier, d.nspname, d.typname,
       e.oid IS NOT NULL AND e.typdelim = ',',
       CASE WHEN eb.oid IS NOT NULL AND eb.typnamespace = 'pg_catalog'::pg_catalog.regnamespace THEN eb.typname
            WHEN eb.oid IS NULL AND e.typnamespace = 'pg_catalog'::pg_catalog.regnamespace THEN e.typname END,
       COALESCE(a.attnum = ANY (i.indkey), false),
       EXISTS (
           SELECT FROM pg_catalog.pg_index x
           JOIN pg_catalog.pg_class xc ON xc.oid = x.indexrelid
           JOIN pg_catalog.pg_am am ON am.oid = xc.relam AND am.amname = 'btree'
           WHERE x.indrelid = f.oid AND x.indkey[0] = a.attnum AND x.indpred IS NULL AND x.indisvalid
       )
FROM found f
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = f.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN described d ON d.attnum = a.attnum
LEFT JOIN pg_catalog.pg_type e ON e.oid = d.typelem AND e.typarray = d.oid
LEFT JOIN pg_catalog.pg_type eb ON e.typtype = 'd' AND eb.oid = e.typbasetype
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = f.oid AND i.indisprimary
ORDER BY a.attnum
"""
# "json" keeps its text, duplicate keys and all, which BigQuery's JSON does not; "jsonb" has none.
_TYPES: dict[str, ColumnType] = {
    "int2": "INT64", "int4": "INT64", "int8": "INT64", "oid": "INT64",
    "money": "NUMERIC", "float4": "FLOAT64", "float8": "FLOAT64",
    "bool": "BOOL", "date": "DATE", "timestamp": "DATETIME", "timestamptz": "TIMESTAMP", "time": "TIME",
    "json": "STRING", "jsonb": "JSON", "bytea": "BYTES",
    "int2[]": "ARRAY<INT64>", "int4[]": "ARRAY<INT64>", "int8[]": "ARRAY<INT64>", "oid[]": "ARRAY<INT64>",
    "float4[]": "ARRAY<FLOAT64>", "float8[]": "ARRAY<FLOAT64>", "bool[]": "ARRAY<BOOL>",
    "date[]": "ARRAY<DATE>", "timestamptz[]": "ARRAY<TIMESTAMP>",
}  # fmt: skip


@dataclass(frozen=True)
class NativeColumn:
    """A column as the server has it.

    ``kind`` is the name of a built-in type, ``name[]`` for an array of it, ``[]`` for an array of another type and
    ``""`` for all else; ``cast`` is the type's full name, quoted.
    """

    number: int
    name: str
    kind: str
    cast: str
    modifier: int = -1
    nullable: bool = True
    key: bool = False
    # Whether an index begins with it.
    indexed: bool = False

    @property
    def type(self) -> ColumnType:
        """The warehouse's type that holds every value exactly."""
        if self.kind == "numeric":
            return _numeric(self.modifier)
        if self.kind.endswith("[]"):
            return _TYPES.get(self.kind, "ARRAY<STRING>")
        return _TYPES.get(self.kind, "STRING")


@dataclass(frozen=True)
class NativeTable:
    """A table as the server has it; ``rows`` as of its last ``ANALYZE``."""

    oid: int
    relkind: str
    name: str
    rows: int | None
    columns: tuple[NativeColumn, ...]

    @property
    def kinds(self) -> dict[str, str]:
        """Column → type that bounds of a part are cast to. Whole numbers may be compared beyond their own size."""
        return {c.name: _BIGINT if c.kind in ("int2", "int4", "int8") else c.cast for c in self.columns}

    def column(self, name: str) -> NativeColumn | None:
        """Return one column, if there is one of this name."""
        return next((column for column in self.columns if column.name == name), None)

    def schema(self) -> TableSchema:
        """Describe the table in the warehouse's types."""
        columns = tuple(Column(c.name, c.type, c.nullable) for c in self.columns)
        return TableSchema(self.name, columns, tuple(c.name for c in self.columns if c.key), rows=self.rows)


def is_name(text: str) -> bool:
    """Say whether a text could be a name at all."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def tables_query(schema: str) -> tuple[str, dict[str, str]]:
    """Return the question for a schema's tables and their rows; partitions are part of their table."""
    return _TABLES, {"schema": schema}


def columns_query(schema: str, table: str) -> tuple[str, dict[str, str]]:
    """Return the question for a table's columns; ``native_table`` reads the answer."""
    return _COLUMNS, {"schema": schema, "table": table}


def native_table(name: str, rows: list[tuple[Any, ...]]) -> NativeTable:
    """Read the answer to ``columns_query``."""
    oid, relkind, count = rows[0][:3]
    return NativeTable(oid, relkind, name, count, tuple(_column(row[3:]) for row in rows if row[3] is not None))


def _column(row: tuple[Any, ...]) -> NativeColumn:
    number, name, nullable, modifier, schema, kind, is_array, element, key, indexed = row
    plain = kind if schema == "pg_catalog" and not kind.startswith("_") else ""
    shown = f"{element or ''}[]" if is_array else plain
    return NativeColumn(number, name, shown, _type_name(schema, kind), modifier, nullable, key, indexed)


def _type_name(schema: str, kind: str) -> str:
    return ".".join(exp.to_identifier(part, quoted=True).sql("postgres") for part in (schema, kind))


_BIGINT = _type_name("pg_catalog", "int8")


def _numeric(modifier: int) -> ColumnType:
    """Return where a numeric fits whatever its value; without declared digits only text does."""
    if modifier < 4:
        return "STRING"
    precision = (modifier - 4) >> 16 & 0xFFFF
    # Eleven bits with a sign: since version 15 the scale may be negative.
    scale = ((modifier - 4) & 0x7FF ^ 0x400) - 0x400
    if scale <= 9 and precision - scale <= 29:
        return "NUMERIC"
    return "BIGNUMERIC" if scale <= 19 and precision - scale <= 19 else "STRING"
