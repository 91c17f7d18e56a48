"""What both warehouses ask of changes before they make them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from b2brecs.backends.protocols import Change
from b2brecs.errors import LoadError, nearest, show
from b2brecs.types import Column, TableSchema


def listed(changes: Change | Sequence[Change]) -> tuple[Change, ...]:
    """Return changes as a tuple.

    Raises
    ------
    LoadError
        Two of them have the same target.
    """
    found = (changes,) if isinstance(changes, Change) else tuple(changes)
    seen: set[str] = set()
    for change in found:
        name = change.staged.schema.name
        if name.casefold() in seen:
            raise LoadError(f"table {name!r} is changed twice in one step. Put the rows into one change.")
        seen.add(name.casefold())
    return found


def find(columns: TableSchema, name: str) -> Column | None:
    """Find a column as both warehouses do: without regard to case."""
    return next((item for item in columns if item.name.casefold() == name.casefold()), None)


def keys_of(change: Change) -> tuple[str, ...]:
    """Return the keys by which a change removes rows, as its rows spell them; none if it knows no keys.

    Raises
    ------
    LoadError
        They are missing, too many, not columns, or of a type that does not compare; or names to remove do not fit.
    """
    rows = change.staged.schema
    if change.removed and change.mode != "replace":
        raise LoadError(f"table {rows.name!r}: mode {change.mode!r} removes no rows by name; mode 'replace' does.")
    if change.mode in ("swap", "append"):
        return ()
    if not change.keys:
        raise LoadError(f"table {rows.name!r}: mode {change.mode!r} needs keys=[...].")
    if change.mode == "refresh" and len(change.keys) > 1:
        raise LoadError(f"table {rows.name!r}: mode 'refresh' has one key, not {', '.join(map(repr, change.keys))}.")
    found = [_key(rows, name) for name in change.keys]
    if change.removed and found[0].type != "STRING":
        raise LoadError(f"table {rows.name!r}: rows are removed by a STRING key; {found[0].name} is {found[0].type}.")
    return tuple(column.name for column in found)


def _key(rows: TableSchema, name: str) -> Column:
    found = find(rows, name)
    if found is None:
        hint = nearest(name, rows.names)
        raise LoadError(f"table {rows.name!r}: the key {name!r} is not among the rows' columns. {hint}")
    if found.type == "JSON" or found.type.startswith("ARRAY<"):
        raise LoadError(f"table {rows.name!r}: the key {name!r} is {found.type}, which does not compare.")
    return found


def check_types(rows: TableSchema, target: TableSchema) -> None:
    """Refuse rows whose columns have other types than the table's.

    Raises
    ------
    LoadError
        With every such column.
    """
    changed = [
        f"{old.name} is {old.type} in the table and {new.type} in the new rows"
        for new in rows
        if (old := find(target, new.name)) is not None and old.type != new.type
    ]
    if changed:
        raise LoadError(
            f"table {target.name!r}: {'; '.join(changed)}. Give the column its old type (types={{...}}), "
            "or load the whole table anew."
        )


def reshapes(change: Change, target: TableSchema, *, null_arrays: bool = True) -> bool:
    """Say whether the rows have other columns than the table, so that a commit cannot leave it as it is.

    Parameters
    ----------
    change
        What would be committed.
    target
        The table that stands.
    null_arrays
        Whether the warehouse knows of arrays that may not be NULL.
    """

    def shape(columns: TableSchema) -> list[tuple[str, str, bool]]:
        return [
            (item.name, item.type, item.nullable or (item.type.startswith("ARRAY<") and not null_arrays))
            for item in columns
        ]

    rows = change.staged.schema
    if change.mode == "swap":
        return shape(rows) != shape(target)
    old = {name.casefold(): (kind, nullable) for name, kind, nullable in shape(target)}
    new = {name.casefold(): (kind, nullable) for name, kind, nullable in shape(rows)}
    return old.keys() != new.keys() or any(
        kind != old[name][0] or (nullable and not old[name][1]) for name, (kind, nullable) in new.items()
    )


def bound(low: str) -> str:
    """Return the text that is cast to a key's type, from the JSON text of a value of that type.

    Raises
    ------
    LoadError
        It is not a JSON text of one value.
    """
    try:
        value = json.loads(low, parse_float=str, parse_int=str, parse_constant=str)
    except ValueError:
        value = None
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        raise LoadError(f"a bound must be the JSON text of one value, not {show(low)}.")
    return value


def gone(target: str) -> LoadError:
    """Return the error of staged rows that are not there."""
    return LoadError(f"the rows staged for {target!r} are gone: they were committed or dropped. Stage again.")
