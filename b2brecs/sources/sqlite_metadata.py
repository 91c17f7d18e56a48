"""What a SQLite file says of its tables: declared types, which bind nobody, and the warehouse's type of each."""

from __future__ import annotations

import re
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from sqlglot import exp

from b2brecs.types import Column, ColumnType, TableSchema

Affinity = Literal["INTEGER", "TEXT", "BLOB", "REAL", "NUMERIC"]

_TABLES = "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT GLOB 'sqlite_*'"
# Columns that are hidden are of virtual tables; those that are generated are not hidden.
_COLUMNS = 'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid'
_INDEXES = """
SELECT c.name FROM pragma_index_list(?) AS i JOIN pragma_index_xinfo(i.name) AS c
WHERE i.partial = 0 AND c.seqno = 0 AND c.key = 1 AND c.coll = 'BINARY' AND c.name IS NOT NULL
"""
_NAMED: dict[str, ColumnType] = {
    "BOOL": "BOOL", "BOOLEAN": "BOOL", "BIT": "INT64",
    "DATE": "DATE", "DATETIME": "DATETIME", "TIMESTAMP": "DATETIME", "TIME": "TIME",
    "TIMESTAMPTZ": "TIMESTAMP", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP", "DATETIMEOFFSET": "TIMESTAMP",
    "JSON": "JSON", "JSONB": "JSON", "BYTEA": "BYTES", "BINARY": "BYTES", "VARBINARY": "BYTES",
}  # fmt: skip
_DECIMALS = frozenset({"DECIMAL", "NUMERIC", "NUMBER", "NUM", "DEC", "MONEY"})
_OF_AFFINITY: dict[Affinity, ColumnType] = {
    "INTEGER": "INT64", "TEXT": "STRING", "BLOB": "BYTES", "REAL": "FLOAT64", "NUMERIC": "STRING",
}  # fmt: skip
_ROWID_NAMES = ("rowid", "_rowid_", "oid")


@dataclass(frozen=True)
class NativeColumn:
    """A column as it was declared."""

    name: str
    declared: str
    nullable: bool = True
    key: int = 0
    # Whether an index begins with it.
    indexed: bool = False

    @property
    def affinity(self) -> Affinity:
        """What SQLite makes of values that are written, by its own rules."""
        declared = self.declared.upper()
        for kind, words in _AFFINITIES:
            if any(word in declared for word in words):
                return kind
        return "NUMERIC" if declared else "BLOB"

    @property
    def type(self) -> ColumnType:
        """The warehouse's type that was meant. Without a declared type any value has a text, but for blobs."""
        name = re.sub(r"\s*\(.*", "", self.declared, flags=re.DOTALL).strip().upper()
        if name in _DECIMALS:
            return _decimal(self.declared)
        if not name:
            return "STRING"
        return _NAMED.get(name) or _OF_AFFINITY[self.affinity]


@dataclass(frozen=True)
class NativeTable:
    """A table as the file describes it; ``rowid`` is a name by which each row's number can be asked for."""

    name: str
    columns: tuple[NativeColumn, ...]
    rowid: str | None
    rows: int | None

    def column(self, name: str) -> NativeColumn | None:
        """Return one column, if there is one of this name."""
        return next((column for column in self.columns if column.name == name), None)

    def schema(self) -> TableSchema:
        """Describe the table in the warehouse's types."""
        columns = tuple(Column(c.name, c.type, c.nullable) for c in self.columns)
        key = sorted((c for c in self.columns if c.key), key=lambda c: c.key)
        return TableSchema(self.name, columns, tuple(c.name for c in key), rows=self.rows)


def table_names(connection: sqlite3.Connection) -> list[str]:
    """List tables and views."""
    return sorted(name for name, _ in connection.execute(_TABLES))


def listed(connection: sqlite3.Connection) -> list[TableSchema]:
    """List tables and views, with the greatest number of rows they may have."""
    found = []
    for name, kind in sorted(connection.execute(_TABLES)):
        rows = None
        if kind == "table":
            # Not every table numbers its rows, and not every one can be read here.
            with suppress(sqlite3.OperationalError, TypeError):
                rows = span(connection, name, _ROWID_NAMES[0])
        found.append(TableSchema(name, (), rows=rows))
    return found


def native_table(connection: sqlite3.Connection, name: str) -> NativeTable | None:
    """Look a table up, in whatever capitals; None: there is none."""
    kinds = {found: kind for found, kind in connection.execute(_TABLES) if _folded(found) == _folded(name)}
    if not kinds:
        return None
    real, kind = next(iter(kinds.items()))
    indexed = {row[0] for row in connection.execute(_INDEXES, (real,))}
    rows = list(connection.execute(_COLUMNS, (real,)))
    columns = [_column(row, len([other for other in rows if other[3]]), indexed) for row in rows]
    rowid = _rowid(connection, real, {_folded(column.name) for column in columns}) if kind == "table" else None
    return NativeTable(real, tuple(columns), rowid, span(connection, real, rowid))


def quoted_table(name: str) -> exp.Table:
    """Return a table, quoted."""
    return exp.Table(this=exp.to_identifier(name, quoted=True))


def ends(connection: sqlite3.Connection, table: str, rowid: str) -> tuple[Any, Any]:
    """Return the least and the greatest number of a row."""
    values = [exp.Max(this=exp.column(rowid)), exp.Min(this=exp.column(rowid))]
    # One at a time each is found at an end of the table.
    most, least = (
        connection.execute(exp.select(value).from_(quoted_table(table)).sql("sqlite")).fetchone()[0] for value in values
    )
    return least, most


def span(connection: sqlite3.Connection, table: str, rowid: str | None) -> int | None:
    """Return how many rows there are at most, if their numbers say so."""
    if rowid is None:
        return None
    least, most = ends(connection, table, rowid)
    return 0 if most is None else most - least + 1


def _column(row: tuple[Any, ...], keys: int, indexed: set[str]) -> NativeColumn:
    name, declared, required, key = row[0], row[1] or "", *row[2:]
    # An integer key is the row's number. Other keys may be NULL in SQLite.
    number = key and keys == 1 and declared.upper() == "INTEGER"
    return NativeColumn(name, declared, not (required or number), key, bool(number) or name in indexed)


def _rowid(connection: sqlite3.Connection, table: str, taken: set[str]) -> str | None:
    name = next((name for name in _ROWID_NAMES if name not in taken), None)
    if name is None:
        return None
    try:
        # Not quoted: a quoted name that is none would be a text.
        connection.execute(exp.select(exp.column(name)).from_(quoted_table(table)).limit(0).sql("sqlite"))
    except sqlite3.OperationalError:
        return None
    return name


_AFFINITIES: tuple[tuple[Affinity, tuple[str, ...]], ...] = (
    ("INTEGER", ("INT",)),
    ("TEXT", ("CHAR", "CLOB", "TEXT")),
    ("BLOB", ("BLOB",)),
    ("REAL", ("REAL", "FLOA", "DOUB")),
)


def _decimal(declared: str) -> ColumnType:
    digits = [int(number) for number in re.findall(r"\d+", declared)]
    if not digits:
        return "NUMERIC"
    scale = digits[1] if len(digits) > 1 else 0
    whole = digits[0] - scale
    if scale <= 9 and whole <= 29:
        return "NUMERIC"
    return "BIGNUMERIC" if scale <= 19 and whole <= 19 else "STRING"


def _folded(name: str) -> str:
    """Fold capitals as SQLite does: those of ASCII."""
    return name.translate(_LOWER)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
