"""What a load will do, worked out from schemas before a row moves. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from b2brecs.backends.protocols import CommitMode
from b2brecs.configs.etl import TableLoad
from b2brecs.errors import LoadError, NotFound
from b2brecs.naming import sanitise
from b2brecs.types import Column, ColumnType, TableSchema

SOURCE_FILE = "_source_file"

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
class Known:
    """What the last run knew of a table: its source columns by name and type, and their names in the warehouse."""

    columns: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadPlan:
    """A table's load: what is read (source names), what is written (target names), and how it is committed.

    ``unique`` tells whether the source itself keeps its keys apart.
    ``gone`` are columns of the target that the source no longer has; they are filled with NULL. ``tagged`` tells
    whether each row is written with the file it came from.
    """

    load: TableLoad
    read: TableSchema
    write: TableSchema
    mode: CommitMode
    keys: tuple[str, ...]
    watermark: str | None
    unique: bool = False
    gone: tuple[Column, ...] = ()
    drift: tuple[str, ...] = ()
    tagged: bool = False
    before: Known = Known()

    @property
    def known(self) -> Known:
        """What the next run compares with. A column that is gone is remembered, should it come back."""
        pairs = [(a, b) for a, b in zip(self.read, self.write, strict=True) if a.name != SOURCE_FILE]
        columns = {a.name: a.type for a, _ in pairs}
        names = {a.name: b.name for a, b in pairs}
        return Known(dict(self.before.columns) | columns, dict(self.before.names) | names)


def remembered(sampled: TableSchema, before: Known) -> TableSchema:
    """Return a table's columns where a sample may miss one, or see another type: what was known stands."""
    columns = [
        Column(c.name, cast("ColumnType", before.columns.get(c.name, c.type)), c.nullable) for c in sampled
    ]  # fmt: skip
    missed = [Column(name, cast("ColumnType", kind)) for name, kind in before.columns.items() if name not in sampled]
    return TableSchema(sampled.name, (*columns, *missed), sampled.primary_key, sampled.rows)


def plan(
    load: TableLoad,
    source: TableSchema,
    target: TableSchema | None,
    known: Known | None = None,
    *,
    tagged: bool = False,
) -> LoadPlan:
    """Plan a load.

    Parameters
    ----------
    source
        The table as the source describes it now.
    target
        The warehouse's table, or None when there is none yet.
    known
        What the last run knew, if there was one.
    tagged
        Whether the name of the file that a row comes from is written too.

    Raises
    ------
    NotFound
        A column named in the job is not at the source.
    LoadError
        The source's columns have changed and the policy refuses it, or the warehouse's column cannot take the
        source's type.
    """
    before = known or Known()
    names, drift = _columns(load, source, before)
    overrides: dict[str, str] = {column.name: column.type for column in load.types}
    for name in (*names, *overrides, *load.primary_key, *([load.watermark] if load.watermark else [])):
        if name not in source:
            raise NotFound("column", name, source.names, where=f"table {load.source!r}")
    read, renamed = [], _renamed(names, before.names)
    for name in names:
        column = source.column(name)
        kind = overrides.get(name, column.type)
        if load.on_drift == "ignore" and name in before.columns and name not in overrides:
            kind = before.columns[name]
        read.append(Column(name, cast("ColumnType", kind), column.nullable))
    written = [_written(load, column, renamed[column.name], target) for column in read]
    gone = [before.names[name] for name in before.columns if name not in source and name not in overrides]
    absent = tuple(
        Column(name, target.column(name).type) for name in gone if target is not None and name in target
    )  # fmt: skip
    if tagged:
        read.append(Column(SOURCE_FILE, "STRING"))
        written.append(Column(SOURCE_FILE, "STRING"))
    mode, keys = _mode(load, source, target, renamed)
    return LoadPlan(
        load,
        TableSchema(load.source, tuple(read), source.primary_key, source.rows),
        TableSchema(load.target, tuple(written)),
        mode,
        keys,
        renamed[load.watermark] if load.watermark else None,
        bool(keys) and set(load.primary_key) == set(source.primary_key),
        absent if load.strategy == "catalog" else (),
        drift,
        tagged,
        before if drift and load.on_drift == "ignore" else Known(),
    )


def _columns(load: TableLoad, source: TableSchema, before: Known) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns to read, and what has changed since the last run in words."""
    there = dict.fromkeys(load.columns or source.names)
    overrides = {column.name for column in load.types}
    new = [] if load.columns or not before.columns else [name for name in source.names if name not in before.columns]
    gone = [name for name in before.columns if name not in source and (not load.columns or name in there)]
    retyped = [
        (name, kind, source.column(name).type)
        for name, kind in before.columns.items()
        if name in source and name not in overrides and source.column(name).type != kind
    ]
    words = [f"column {name!r} is new" for name in new]
    words += [f"column {name!r} is gone" for name in gone]
    words += [f"column {name!r} was {old} and is {now}" for name, old, now in retyped]
    if words and load.on_drift == "fail":
        raise LoadError(
            f"table {load.source!r} has changed at the source: {'; '.join(words)}. Look at it, then say "
            "on_drift='add' (take new columns) or on_drift='ignore' (keep to the old ones)."
        )
    if gone and load.on_drift == "add":
        raise LoadError(
            f"table {load.source!r} has lost {', '.join(map(repr, gone))} at the source. Say on_drift='ignore' to "
            "fill them with NULL, or name the columns to load: columns=[...]."
        )
    kept = [name for name in there if not (load.on_drift == "ignore" and (name in new or name in gone))]
    return tuple(kept), tuple(words)


def _renamed(names: tuple[str, ...], before: Mapping[str, str]) -> dict[str, str]:
    """Give each column its name in the warehouse: the one it had, else a new one that is free."""
    taken = set(before.values())
    mapping: dict[str, str] = {}
    for name in names:
        if name in before:
            mapping[name] = before[name]
            continue
        base = new = sanitise(name)
        number = 2
        while new in taken:
            new, number = f"{base}_{number}", number + 1
        taken.add(new)
        mapping[name] = new
    return mapping


def _written(load: TableLoad, column: Column, name: str, target: TableSchema | None) -> Column:
    kind = column.type
    # A sample of today's rows says nothing about tomorrow's: only keys are required.
    nullable = column.name not in load.primary_key
    if target is None or load.strategy == "catalog" or name not in target:
        return Column(name, kind, nullable)
    there = target.column(name).type
    if there == kind or there in _WIDENS.get(kind, frozenset()) or load.on_drift == "ignore":
        return Column(name, there, nullable)
    raise LoadError(
        f"{load.source}.{column.name} is {kind}, but column {name!r} of table {load.target!r} is {there}. "
        f"Say types={{{column.name!r}: {there!r}}} if every value fits, or load into another table."
    )


def _mode(
    load: TableLoad, source: TableSchema, target: TableSchema | None, renamed: Mapping[str, str]
) -> tuple[CommitMode, tuple[str, ...]]:
    if load.strategy == "catalog":
        return "swap", ()
    keys = tuple(renamed[name] for name in load.primary_key)
    if not keys:
        # All rows from the watermark on are read again, so they replace what stands there.
        assert load.watermark is not None
        return "refresh", (renamed[load.watermark],)
    # Rows that the source itself keeps apart need no sorting out when there is nothing to merge them with.
    unique = target is None and set(load.primary_key) == set(source.primary_key)
    return ("swap" if unique else "merge"), keys


def facts(
    planned: LoadPlan, *, settings: str, rejects: str = "", files: Mapping[str, tuple[int, str]] | None = None
) -> dict[str, Any]:
    """Return what the state keeps for the next run."""
    known = planned.known
    found: dict[str, Any] = {"columns": dict(known.columns), "names": dict(known.names), "settings": settings}
    if rejects:
        found["rejects"] = rejects
    if planned.tagged:
        found["tagged"] = True
    if files is not None:
        found["files"] = {name: list(stamp) for name, stamp in files.items()}
    return found
