"""The query that reads a part of a table, as a tree: one for all sources that speak SQL."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence

from sqlglot import exp

from b2brecs.sources.base import Part, Since


def column(name: str) -> exp.Column:
    """Return a column, its name quoted."""
    return exp.column(exp.to_identifier(name, quoted=True))


def named(value: exp.Expr, name: str) -> exp.Alias:
    """Give an expression a name, quoted."""
    return exp.Alias(this=value, alias=exp.to_identifier(name, quoted=True))


def literal(json_text: str, kind: str | None, dialect: str) -> exp.Expr:
    """Return a bound, given as JSON text, as a value of a native type.

    Digits are passed on as they are written, never through a float. Without a ``kind`` numbers and texts stand as
    plain literals. MySQL reads no time zones: a bound that has one becomes UTC, which the session must then be in.

    Parameters
    ----------
    json_text
        A JSON string, number or truth value.
    kind
        A type in the words of the dialect, without a length that could cut the value: ``timestamptz``, ``SIGNED``.
    dialect
        Sqlglot's name of the SQL.

    Raises
    ------
    ValueError
        The text is not JSON, or is null, a list or an object.
    """
    value = json.loads(json_text, parse_int=_Digits, parse_float=_Digits, parse_constant=_Digits)
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if not isinstance(value, str):
        raise ValueError(f"{json_text} is no bound: it must be one text, number or truth value.")  # noqa: TRY004
    if kind is None:
        return exp.Literal(this=str(value), is_string=not isinstance(value, _Digits))
    if dialect == "mysql" and kind.lower().startswith(("datetime", "timestamp")):
        value = _in_utc(value)
    # Quotes keep the sign and every digit; the cast reads them.
    return exp.Cast(this=exp.Literal.string(str(value)), to=exp.DataType.build(kind, dialect=dialect, udt=True))


def since_condition(since: Since, kinds: Mapping[str, str], dialect: str) -> exp.Expr | None:
    """Return which rows an incremental read takes; None: all."""
    if since.value is None:
        return None
    low = exp.GTE(this=column(since.column), expression=literal(since.value, kinds.get(since.column), dialect))
    return exp.Paren(this=exp.or_(low, _null(since.column)))


def range_condition(part: Part, kinds: Mapping[str, str], dialect: str) -> exp.Expr | None:
    """Return which rows the part's key range takes; None: all.

    Raises
    ------
    ValueError
        There are bounds, but no column.
    """
    if part.column is None:
        if part.low is not None or part.high is not None:
            raise ValueError("a part with bounds needs a column.")
        return None
    kind = kinds.get(part.column)
    ends: list[exp.Expr] = []
    if part.low is not None:
        ends.append(exp.GTE(this=column(part.column), expression=literal(part.low, kind, dialect)))
    if part.high is not None:
        ends.append(exp.LT(this=column(part.column), expression=literal(part.high, kind, dialect)))
    if not ends:
        return None if part.nulls else exp.Not(this=exp.Paren(this=_null(part.column)))
    inside = exp.and_(*ends)
    return exp.Paren(this=exp.or_(inside, _null(part.column))) if part.nulls else inside


def select_part(
    table: exp.Table,
    chosen: Sequence[exp.Expr],
    part: Part,
    kinds: Mapping[str, str],
    *,
    dialect: str,
    ordered: bool = False,
) -> exp.Select:
    """Build the query that reads a part's rows.

    Parameters
    ----------
    table
        The table, its name quoted.
    chosen
        What to select.
    part
        Which rows: its ``since`` and its key range hold at once. ``files`` and ``snapshot`` mean nothing here.
    kinds
        Column → native type that its bounds are cast to, see ``literal``; a column that is not in it is compared
        with plain literals.
    dialect
        Sqlglot's name of the SQL.
    ordered
        Sort by the watermark, or the range's column, NULL last. The loader does not need it.
    """
    query = exp.select(*chosen).from_(table)
    since = since_condition(part.since, kinds, dialect) if part.since is not None else None
    for condition in (since, range_condition(part, kinds, dialect)):
        if condition is not None:
            query = query.where(condition, copy=False)
    by = part.since.column if part.since is not None else part.column
    if ordered and by is not None:
        query = query.order_by(exp.Ordered(this=column(by), nulls_first=False), copy=False)
    return query


class _Digits(str):
    """A JSON number as it is written."""

    __slots__ = ()


def _null(name: str) -> exp.Is:
    return exp.Is(this=column(name), expression=exp.Null())


def _in_utc(text: str) -> str:
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    return moment.isoformat(sep=" ")
