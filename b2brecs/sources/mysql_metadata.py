"""What MySQL's information_schema says: tables, their columns, and the warehouse's type of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp

from b2brecs.sources.select import column
from b2brecs.types import Column, ColumnType, TableSchema

Ask = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

# The collation of information_schema takes names for equal that are not: what is found is compared once more here.
_TABLES = """
SELECT TABLE_NAME, TABLE_SCHEMA, TABLE_TYPE, TABLE_ROWS, AVG_ROW_LENGTH
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = %s AND TABLE_TYPE IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED')
"""
_COLUMNS = """
SELECT TABLE_NAME, TABLE_SCHEMA, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, NUMERIC_PRECISION, NUMERIC_SCALE,
       EXTRA
FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s
ORDER BY ORDINAL_POSITION
"""
_INDEXES = """
SELECT TABLE_NAME, TABLE_SCHEMA, INDEX_NAME, COLUMN_NAME, SEQ_IN_INDEX, INDEX_TYPE, SUB_PART
FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s
ORDER BY INDEX_NAME, SEQ_IN_INDEX
"""
_LAST_LETTER = 0xFFFF
_TYPES: dict[str, ColumnType] = {
    "tinyint": "INT64", "smallint": "INT64", "mediumint": "INT64", "int": "INT64", "bigint": "INT64", "year": "INT64",
    "float": "FLOAT64", "double": "FLOAT64",
    "date": "DATE", "datetime": "DATETIME", "timestamp": "TIMESTAMP", "json": "JSON",
    "binary": "BYTES", "varbinary": "BYTES", "tinyblob": "BYTES", "blob": "BYTES", "mediumblob": "BYTES",
    "longblob": "BYTES", "vector": "BYTES",
}  # fmt: skip
INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
GEOMETRIES = frozenset({
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
    "geometrycollection", "geomcollection",
})  # fmt: skip


@dataclass(frozen=True)
class NativeColumn:
    """A column as the server has it: ``kind`` is its type's name, ``digits`` and ``scale`` are those declared."""

    name: str
    kind: str
    digits: int = 0
    scale: int = 0
    unsigned: bool = False
    nullable: bool = True
    # Whether the server counts its numbers up.
    counted: bool = False
    # Whether an index begins with it.
    indexed: bool = False

    @property
    def type(self) -> ColumnType:
        """The warehouse's type that holds every value exactly."""
        if self.kind == "bigint" and self.unsigned:
            return "NUMERIC"
        if self.kind == "bit":
            return "INT64" if self.digits < 64 else "NUMERIC"
        if self.kind == "decimal":
            whole = self.digits - self.scale
            if self.scale <= 9 and whole <= 29:
                return "NUMERIC"
            return "BIGNUMERIC" if self.scale <= 19 and whole <= 19 else "STRING"
        return _TYPES.get(self.kind, "STRING")

    @property
    def cast(self) -> str | None:
        """The type that a bound is cast to; None: a plain literal is understood."""
        # A number that is compared with a text is compared as a float. Bounds between numbers may have fractions.
        if self.kind == "decimal" or (self.kind == "bigint" and self.unsigned):
            return f"DECIMAL(65, {max(self.scale, min(9, 65 - self.digits + self.scale))})"
        if self.kind in INTEGERS:
            return "SIGNED"
        return {"date": "DATE", "datetime": "DATETIME(6)", "timestamp": "DATETIME(6)"}.get(self.kind)


@dataclass(frozen=True)
class NativeTable:
    """A table as the server has it. ``rows`` and ``row_bytes`` are its estimates."""

    name: str
    view: bool
    columns: tuple[NativeColumn, ...]
    primary_key: tuple[str, ...] = ()
    rows: int | None = None
    row_bytes: int = 0

    @property
    def kinds(self) -> dict[str, str]:
        """Column → type that bounds of a part are cast to."""
        return {c.name: c.cast for c in self.columns if c.cast is not None}

    def column(self, name: str) -> NativeColumn | None:
        """Return one column, if there is one of this name."""
        return next((column for column in self.columns if column.name == name), None)

    def schema(self) -> TableSchema:
        """Describe the table in the warehouse's types."""
        columns = tuple(Column(c.name, c.type, c.nullable) for c in self.columns)
        return TableSchema(self.name, columns, self.primary_key, rows=self.rows)


def tables(ask: Ask, database: str) -> list[TableSchema]:
    """List the tables and views of a database."""
    names = _Names(ask, database)
    found = [TableSchema(row[0], (), rows=_count(row[3])) for row in names.of(ask(_TABLES, (database,)))]
    return sorted(found, key=lambda item: item.name)


def native_table(ask: Ask, database: str, name: str) -> NativeTable | None:
    """Look a table up; None: there is none that the user may see."""
    if any(ord(letter) > _LAST_LETTER for letter in name):
        # No name has such letters, and the server takes the question for a mistake.
        return None
    names = _Names(ask, database, name)
    described = names.of(ask(f"{_TABLES} AND TABLE_NAME = %s", (database, name)))
    if not described:
        return None
    _, _, kind, rows, row_bytes = described[0]
    columns = [_column(row) for row in names.of(ask(_COLUMNS, (database, name)))]
    checked: list[str] = []
    if names.mariadb and kind != "VIEW" and any(item.kind == "longtext" for item in columns):
        # It keeps JSON as text, with a check, which who may only read sees nowhere else.
        created = ask(f"SHOW CREATE TABLE {exp.to_identifier(name, quoted=True).sql('mysql')}", ())[0][1]
        checked = [line.rstrip(",") for line in created.splitlines()]
    key: list[str] = []
    leading = set()
    for _, _, index, part, place, method, prefix in names.of(ask(_INDEXES, (database, name))):
        if index == "PRIMARY":
            key.append(part)
        if int(place) == 1 and method == "BTREE" and prefix is None and part is not None:
            leading.add(part)
    return NativeTable(
        name,
        kind == "VIEW",
        tuple(
            replace(
                item,
                kind="json" if _is_json(item, checked) else item.kind,
                indexed=item.name in leading,
            )
            for item in columns
        ),
        tuple(key),
        _count(rows),
        _count(row_bytes) or 0,
    )


class _Names:
    """Tells which rows about tables are about the very one, as the server tells names apart."""

    def __init__(self, ask: Ask, database: str, table: str | None = None) -> None:
        version, folded = ask("SELECT VERSION(), @@lower_case_table_names", ())[0]
        self.mariadb = "mariadb" in str(version).lower()
        self._folded = int(folded) != 0
        self._database, self._table = self._key(database), None if table is None else self._key(table)

    def of(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Keep those whose first two values are the table's and the database's name."""
        return [
            row for row in rows
            if self._key(row[1]) == self._database and self._table in (None, self._key(row[0]))
        ]  # fmt: skip

    def _key(self, name: str) -> str:
        return name.casefold() if self._folded else name


def _column(row: Sequence[Any]) -> NativeColumn:
    _, _, name, kind, full, nullable, digits, scale, extra = row
    declared = full.lower()
    return NativeColumn(
        name,
        kind.lower(),
        _count(digits) or 0,
        _count(scale) or 0,
        unsigned=" unsigned" in declared,
        nullable=nullable == "YES",
        counted="auto_increment" in extra.lower(),
    )


def _is_json(item: NativeColumn, checked: Sequence[str]) -> bool:
    check = f" CHECK (json_valid({column(item.name).sql('mysql')}))"
    return item.kind == "longtext" and any(line.endswith(check) for line in checked)


def _count(value: Any) -> int | None:
    return None if value in (None, "") else int(value)
