"""What a load will do, worked out from two schemas before a row moves. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from b2brecs.configs.etl import TableLoad
from b2brecs.errors import LoadError, NotFound
from b2brecs.naming import sanitise_all
from b2brecs.types import Column, TableSchema

# What a column of the warehouse may take over from a source column of another type.
_WIDENS: dict[str, frozenset[str]] = {
    "INT64": frozenset({"FLOAT64", "NUMERIC", "BIGNUMERIC", "STRING"}),
    "FLOAT64": frozenset({"STRING"}),
    "NUMERIC": frozenset({"BIGNUMERIC", "FLOAT64", "STRING"}),
    "BIGNUMERIC": frozenset({"STRING"}),
    "BOOL": frozenset({"STRING"}),
    "DATE": frozenset({"DATETIME", "TIMESTAMP", "STRING"}),
    "DATETIME": frozenset({"TIMESTAMP", "STRING"}),
    "TIMESTAMP": frozenset({"STRING"}),
    "TIME": frozenset({"STRING"}),
    "JSON": frozenset({"STRING"}),
}


@dataclass(frozen=True)
class LoadPlan:
    """A table's load: what is read (source names), what is written (target names), and how it is committed."""

    load: TableLoad
    read: TableSchema
    write: TableSchema
    mode: str
    keys: tuple[str, ...]
    watermark: str | None

    @property
    def renames(self) -> dict[str, str]:
        """Source column → target column, where they differ."""
        return {a: b for a, b in zip(self.read.names, self.write.names, strict=True) if a != b}


def plan(load: TableLoad, source: TableSchema, target: TableSchema | None) -> LoadPlan:
    """Plan a load.

    Parameters
    ----------
    source
        The table as the source describes it.
    target
        The warehouse's table, or None when there is none yet.

    Raises
    ------
    NotFound
        A column named in the job is not at the source.
    LoadError
        The warehouse's column cannot take the source's type.
    """
    chosen = load.columns or source.names
    overrides = {column.name: column.type for column in load.types}
    for name in (*chosen, *overrides, *load.primary_key, *([load.watermark] if load.watermark else [])):
        if name not in source:
            raise NotFound("column", name, source.names, where=f"table {load.source!r}")
    columns = [source.column(name) for name in chosen]
    read = TableSchema(load.source, tuple(Column(c.name, overrides.get(c.name, c.type), c.nullable) for c in columns))
    names = sanitise_all(read.names)
    written = []
    for column in read.columns:
        name, kind = names[column.name], column.type
        if target is not None and load.strategy == "transactional" and name in target:
            there = target.column(name).type
            if there != kind and there not in _WIDENS.get(kind, frozenset()):
                raise LoadError(
                    f"{load.source}.{column.name} is {kind}, but column {name!r} of table {load.target!r} is {there}. "
                    f"Say types={{{column.name!r}: {there!r}}} if every value fits, or load into another table."
                )
            kind = there
        # A sample of today's rows says nothing about tomorrow's: only keys are required.
        written.append(Column(name, kind, nullable=column.name not in load.primary_key))
    keys = tuple(names[name] for name in load.primary_key)
    watermark = names[load.watermark] if load.watermark else None
    if load.strategy == "catalog":
        mode = "swap"
    elif keys:
        mode = "merge"
    else:
        # Rows at the boundary are read again; they replace themselves instead of doubling.
        assert watermark is not None
        mode, keys = "replace", (watermark,)
    return LoadPlan(load, read, TableSchema(load.target, tuple(written)), mode, keys, watermark)
