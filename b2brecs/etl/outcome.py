"""The table as a commit would leave it, as a query over the staged rows and those that stand."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from b2brecs.backends.protocols import PRIVATE, Staged, Warehouse
from b2brecs.errors import LoadError, NotFound
from b2brecs.sql.conditions import column, constant, group_key, is_null, nothing, value_of
from b2brecs.types import Column, TableSchema

NEW, ROW = f"{PRIVATE}new", f"{PRIVATE}row"
_HIT, _LAST = f"{PRIVATE}hit", f"{PRIVATE}last"
# What numbers staged rows in the order they came: DuckDB's own row number, and the column that BigQuery is given.
_ROWS = {"duckdb": "rowid", "bigquery": ROW}


@dataclass(frozen=True)
class Scope:
    """What a load is about to do to a table: what its checks look at.

    ``mode``, ``keys``, ``low`` and ``removed`` are those of the ``Change`` to come; ``target`` is the table that
    stands, ``target_rows`` its rows. Rows for which one of ``gone`` is true are to be moved away before.
    """

    warehouse: Warehouse
    staged: Staged
    mode: str
    keys: tuple[str, ...]
    now: dt.datetime
    target: TableSchema | None = None
    target_rows: int | None = None
    low: str | None = None
    removed: tuple[str, ...] = ()
    gone: tuple[exp.Expr, ...] = ()

    @property
    def dialect(self) -> str:
        """Sqlglot's name of the warehouse's SQL."""
        return self.warehouse.dialect

    def column(self, name: str) -> Column:
        """Return a column of the staged rows, whatever its case.

        Raises
        ------
        NotFound
            There is none.
        """
        found = find(self.staged.schema, name)
        if found is None:
            raise NotFound("column", name, self.staged.schema.names, where=f"table {self.staged.schema.name!r}")
        return found

    def value(self, name: str) -> exp.Expr:
        """Return a staged column's value in a query or a condition on the staged rows.

        Raises
        ------
        NotFound
            There is no such column.
        """
        return value_of(self.column(name), self.dialect)


def find(columns: TableSchema, name: str) -> Column | None:
    """Find a column as both warehouses do: without regard to case."""
    return next((item for item in columns if item.name.casefold() == name.casefold()), None)


def table(name: str, alias: str | None = None) -> exp.Table:
    """Return a table of the warehouse, its name quoted."""
    quoted = exp.TableAlias(this=exp.to_identifier(alias, quoted=True)) if alias else None
    return exp.Table(this=exp.to_identifier(name, quoted=True), alias=quoted)


def named(value: exp.Expr, name: str) -> exp.Alias:
    """Give an expression a name, quoted."""
    return exp.Alias(this=value, alias=exp.to_identifier(name, quoted=True))


def nested(query: exp.Select, name: str) -> exp.Subquery:
    """Return a query to select from."""
    return query.subquery(exp.to_identifier(name, quoted=True))


def numbered(partition: Sequence[exp.Expr], *order: str, newest_first: bool = False) -> exp.Window:
    """Return the number of a row within its group."""
    rising = [exp.Ordered(this=column(name), desc=newest_first, nulls_first=False) for name in order]
    return exp.Window(this=exp.RowNumber(), partition_by=list(partition), order=exp.Order(expressions=rising))


def number(value: int) -> exp.Expr:
    """Return a number."""
    return exp.Literal.number(value)


def row_number(scope: Scope) -> str:
    """Return the name of what numbers the staged rows.

    Raises
    ------
    LoadError
        A column of the rows has taken the name.
    """
    name = _ROWS[scope.dialect]
    if find(scope.staged.schema, name) is not None:
        raise LoadError(
            f"the rows of table {scope.staged.schema.name!r} cannot be told apart, as there is a column {name!r}. "
            "Load it under another name."
        )
    return name


def outcome(scope: Scope, columns: Sequence[Column], *, rows: bool = False) -> exp.Select:
    """Return the rows that the table will have, as a query.

    Parameters
    ----------
    scope
        The load.
    columns
        Which columns; in the query they are named ``key(0)``, ``key(1)`` …
    rows
        Whether rows are numbered too, as ``ROW``; ``NEW`` is 1 for staged rows and 0 for those that stand.
    """
    keys = [scope.column(name) for name in scope.keys] if scope.mode in ("merge", "replace", "refresh") else []
    standing = scope.target if scope.mode != "swap" else None
    last = scope.mode == "merge"
    incoming = _staged(scope, [*columns, *keys], rows=rows or last)
    if standing is None and not last:
        return incoming
    both: exp.Query = incoming
    if standing is not None:
        both = exp.union(_standing(scope, standing, [*columns, *keys], rows=rows or last), incoming, distinct=False)
    groups = [group_key(column(key(len(columns) + i)), item.type, scope.dialect) for i, item in enumerate(keys)]
    if scope.mode not in ("merge", "replace"):
        return exp.select("*").from_(_wrapped(both))
    hit = exp.Window(this=exp.Max(this=column(NEW)), partition_by=groups)
    marked = exp.select("*", named(hit, _HIT)).from_(_wrapped(both))
    if last:
        own = numbered([column(NEW), *(group.copy() for group in groups)], ROW, newest_first=True)
        marked = marked.select(named(own, _LAST))
    is_new = exp.EQ(this=column(NEW), expression=number(1))
    stays = exp.EQ(this=column(_HIT), expression=number(0))
    counts = exp.and_(is_new, exp.EQ(this=column(_LAST), expression=number(1))) if last else is_new
    return exp.select("*").from_(nested(marked, "marked")).where(exp.or_(stays, counts))


def key(position: int) -> str:
    """Return the name of a column of ``outcome``."""
    return f"{PRIVATE}c{position}"


def kept(scope: Scope) -> exp.Expr | None:
    """Return which staged rows will be committed; None: all."""
    return exp.Not(this=exp.Paren(this=exp.or_(*scope.gone))) if scope.gone else None


def _wrapped(query: exp.Query) -> exp.Subquery:
    return query.subquery(exp.to_identifier("everything", quoted=True))


def _staged(scope: Scope, columns: Sequence[Column], *, rows: bool) -> exp.Select:
    chosen = [named(number(1), NEW), *([named(column(row_number(scope), "s"), ROW)] if rows else [])]
    chosen += [named(value_of(item, scope.dialect, "s"), key(i)) for i, item in enumerate(columns)]
    query = exp.select(*chosen).from_(table(scope.staged.name, "s"))
    where = kept(scope)
    return query.where(where) if where is not None else query


def _standing(scope: Scope, target: TableSchema, columns: Sequence[Column], *, rows: bool) -> exp.Select:
    def standing(item: Column) -> exp.Expr:
        found = find(target, item.name)
        # Of another type, it is the commit that refuses it.
        same = found is not None and found.type == item.type
        return column(found.name, "t") if found is not None and same else nothing(item.type, scope.dialect)

    chosen = [named(number(0), NEW), *([named(number(0), ROW)] if rows else [])]
    chosen += [named(standing(item), key(i)) for i, item in enumerate(columns)]
    query = exp.select(*chosen).from_(table(target.name, "t"))
    if scope.mode == "refresh":
        item = scope.column(scope.keys[0])
        return query.where(exp.LT(this=standing(item), expression=_low(scope, item)))
    if scope.mode == "replace" and scope.removed:
        first = standing(scope.column(scope.keys[0]))
        among = exp.In(this=first.copy(), expressions=[exp.Literal.string(name) for name in scope.removed])
        return query.where(exp.or_(is_null(first), exp.Not(this=among)))
    return query


def _low(scope: Scope, item: Column) -> exp.Expr:
    # Without a bound all rows of the table are replaced: nothing is less than NULL.
    if scope.low is None:
        return nothing(item.type, scope.dialect)
    try:
        return constant(item.type, json.loads(scope.low, parse_int=str, parse_float=str), scope.dialect)
    except ValueError:
        raise LoadError(f"{scope.low} is no bound of column {item.name!r} ({item.type}).") from None
