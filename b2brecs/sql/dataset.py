"""A dataset as one query: a sqlglot tree that both homes compile.

Order of evaluation, always the same: join → computed columns → dates → row filters → filters of whole buyers and
products, each on what is left, independently of each other → the rows on which all agree. A sequential dataset takes
the products' filters first, and the buyers' on what they leave.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlglot import exp

from b2brecs.configs.dataset import Computed, Dataset
from b2brecs.configs.filters import (
    Aggregate,
    Category,
    DateRange,
    Dates,
    Entities,
    Filter,
    MinCount,
    Numbers,
    TopRevenue,
)
from b2brecs.sql.expressions import parse

_JOINS = {"left": "LEFT", "inner": "INNER", "right": "RIGHT", "full": "FULL"}


def name(text: str, table: str | None = None) -> exp.Column:
    """Return a quoted column."""
    return exp.column(
        exp.to_identifier(text, quoted=True), table=exp.to_identifier(table, quoted=True) if table else None
    )


def table(text: str, alias: str | None = None) -> exp.Table:
    """Return a quoted table."""
    return exp.Table(
        this=exp.to_identifier(text, quoted=True),
        alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)) if alias else None,
    )


def aliased(node: exp.Expr, alias: str) -> exp.Alias:
    """Return an expression under a quoted alias."""
    return exp.Alias(this=node, alias=exp.to_identifier(alias, quoted=True))


def typed(kind: str) -> exp.DataType:
    """Return a warehouse type for a cast; names are BigQuery's."""
    return exp.DataType.build(kind, dialect="bigquery")


def rows(dataset: Dataset) -> exp.Select:
    """Return the query for the dataset's rows, columns in the order of ``dataset.output()``."""
    steps, last = layout(dataset)
    query = exp.select(*(name(item.name) for item in dataset.output())).from_(table(last))
    for step, tree in steps:
        query = query.with_(exp.to_identifier(step, quoted=True), as_=tree)
    return query


def layout(dataset: Dataset) -> tuple[list[tuple[str, exp.Select]], str]:
    """Return the steps of the query, name and tree in order, and the name of the last, for callers that add more."""
    steps: list[tuple[str, exp.Select]] = [("rows_joined", _joined(dataset))]
    if dataset.computed:
        steps.append(("rows_computed", _computed(dataset)))
    here = steps[-1][0]
    for kind, condition in (("dates", _dates), ("rows", _row_filters)):
        wheres = [item for item in (condition(dataset, each, here) for each in dataset.filters) if item is not None]
        if wheres:
            steps.append((f"rows_{kind}", exp.select("*").from_(table(here)).where(*wheres)))
            here = f"rows_{kind}"
    found = [each for each in dataset.filters if isinstance(each, Entities)]
    groups = [("rows_kept", found)]
    if dataset.sequential:
        groups = [("rows_products", [f for f in found if f.side == "product"]),
                  ("rows_kept", [f for f in found if f.side == "buyer"])]  # fmt: skip
    number = 0
    for step, filters in groups:
        members = []
        for each in filters:
            key = dataset.role.user if each.side == "buyer" else dataset.role.product
            assert key is not None  # the filter could not have been added without the role
            steps.append((f"kept_{number}", _entities(dataset, each, key, here)))
            inside = exp.select(name(key)).from_(table(f"kept_{number}")).subquery()
            members.append(exp.In(this=name(key), query=inside))
            number += 1
        left = exp.select("*").from_(table(here))
        steps.append((step, left.where(*members) if members else left))
        here = step
    return steps, here


def no_longer(dataset: Dataset, filters: Sequence[Entities], last: str) -> exp.Select:
    """Count, for each filter, the buyers or products among the dataset's rows that do not fulfil it there.

    The answer is one row, a column ``f0``, ``f1``, … for each filter.
    """
    steps, _ = layout(dataset)
    counts = []
    for number, each in enumerate(filters):
        key = dataset.role.user if each.side == "buyer" else dataset.role.product
        assert key is not None
        steps.append((f"again_{number}", _entities(dataset, each, key, last)))
        there = exp.select(exp.Count(this=exp.Distinct(expressions=[name(key)]))).from_(table(last)).subquery()
        still = exp.select(exp.Count(this=exp.Star())).from_(table(f"again_{number}")).subquery()
        counts.append(aliased(exp.Sub(this=there, expression=still), f"f{number}"))
    query = exp.select(*counts)
    for step, tree in steps:
        query = query.with_(exp.to_identifier(step, quoted=True), as_=tree)
    return query


def _entities(dataset: Dataset, each: Entities, key: str, here: str) -> exp.Select:
    """Return the buyers, or products, that a filter keeps of the rows that are left."""
    if isinstance(each, TopRevenue):
        return _top_revenue(dataset, each, key, here)
    if isinstance(each, MinCount):
        each = Aggregate(side=each.side, measure="rows", minimum=each.count)
    return (
        exp.select(name(key))
        .from_(table(here))
        .where(exp.Not(this=exp.Is(this=name(key), expression=exp.Null())))
        .group_by(name(key))
        .having(_between(each, _measure(dataset, each)))
    )


def _measure(dataset: Dataset, each: Aggregate) -> exp.Expr:
    role = dataset.role
    if each.measure == "rows":
        return exp.Count(this=exp.Star())
    if each.measure == "partners":
        other = role.product if each.side == "buyer" else role.user
        assert other is not None
        return exp.Count(this=exp.Distinct(expressions=[name(other)]))
    column = role.quantity if each.measure == "quantity" else role.revenue
    assert column is not None
    total = revenue_sum(column)
    if each.measure == "average_revenue":
        average = exp.Avg(this=exp.Cast(this=name(column), to=exp.DataType.build("DOUBLE")))
        return exp.Round(this=average, decimals=exp.Literal.number(6))
    return exp.Coalesce(this=total, expressions=[exp.Literal.number(0)])


def _between(each: Numbers | Aggregate, value: exp.Expr) -> exp.Expr:
    """Hold a value against a filter's bounds."""
    found: list[exp.Expr] = []
    for bound, compare in (
        (each.minimum, exp.GTE),
        (each.maximum, exp.LTE),
        (each.above, exp.GT),
        (each.below, exp.LT),
    ):
        if bound is not None:
            found.append(compare(this=value.copy(), expression=_number(bound)))
    return exp.and_(*found)


def _joined(dataset: Dataset) -> exp.Select:
    primary = dataset.tables[0]
    columns = [aliased(name(column, alias), output) for output, (alias, column) in dataset.sources().items()]
    query = exp.select(*columns).from_(table(primary.name, primary.alias))
    for join in dataset.joins:
        right = dataset.table(join.right)
        on = exp.and_(*(exp.EQ(this=name(a, join.left), expression=name(b, join.right)) for a, b in join.on))
        query = query.join(table(right.name, right.alias), on=on, join_type=_JOINS[join.how])
    return query


def _computed(dataset: Dataset) -> exp.Select:
    available = list(dataset.sources())
    extra = [aliased(_expression(item, available), item.name) for item in dataset.computed]
    return exp.select("*", *extra).from_(table("rows_joined"))


def _expression(item: Computed, columns: list[str]) -> exp.Expr:
    return exp.Cast(this=parse(item.expression, columns, f"compute.{item.name}"), to=typed(item.type))


def _dates(dataset: Dataset, each: Filter, here: str) -> exp.Expr | None:
    if not isinstance(each, Dates):
        return None
    return _window(dataset, each.column, here, last_days=each.rolling_days, start=each.start, end=each.end)


def _window(
    dataset: Dataset, of: str, here: str, *, last_days: int | None, start: dt.date | None, end: dt.date | None
) -> exp.Expr:
    """Hold a date or time against days; ``last_days`` counts back from the latest there is up to ``end``."""
    column = name(of)
    day = exp.Cast(this=column, to=exp.DataType.build("DATE"))
    parts: list[exp.Expr] = []
    if last_days is not None:
        latest = exp.select(exp.Max(this=column.copy())).from_(table(here))
        if end is not None:
            latest = latest.where(exp.LTE(this=day.copy(), expression=_date(end)))
        days = exp.Literal.number(last_days)
        kind = next(item.type for item in dataset.output() if item.name == of)
        make = {"DATE": exp.DateSub, "DATETIME": exp.DatetimeSub, "TIMESTAMP": exp.TimestampSub}[kind]
        parts.append(
            exp.GTE(this=column, expression=make(this=latest.subquery(), expression=days, unit=exp.var("DAY")))
        )
    if start is not None:
        parts.append(exp.GTE(this=day, expression=_date(start)))
    if end is not None:
        parts.append(exp.LTE(this=day.copy(), expression=_date(end)))
    return exp.and_(*parts)


def _date(value: object) -> exp.Expr:
    return exp.Cast(this=exp.Literal.string(str(value)), to=exp.DataType.build("DATE"))


def _row_filters(dataset: Dataset, each: Filter, here: str) -> exp.Expr | None:
    if isinstance(each, Category):
        kind = next((item.type for item in dataset.output() if item.name == each.column), "STRING")
        column: exp.Expr = name(each.column)
        values: list[exp.Expr] = [exp.Literal.string(str(value)) for value in each.values]
        if kind == "BOOL":
            values = [exp.Boolean(this=str(value).lower() in ("true", "1")) for value in each.values]
        elif kind != "STRING":
            column = exp.Cast(this=column, to=exp.DataType.build("TEXT"))
        inside = exp.In(this=column, expressions=values)
        condition: exp.Expr = inside if each.mode == "include" else exp.Not(this=inside)
    elif isinstance(each, Numbers):
        condition = _between(each, name(each.column))
    elif isinstance(each, DateRange):
        condition = _window(dataset, each.column, here, last_days=each.last_days, start=each.start, end=each.end)
    else:
        return None
    null = exp.Is(this=name(each.column), expression=exp.Null())
    # With three-valued logic NOT IN drops NULL by itself; here both ways are said.
    return exp.or_(null, condition) if each.include_nulls else exp.and_(exp.Not(this=null), condition)


def _number(value: float) -> exp.Expr:
    return exp.Literal.number(int(value)) if float(value).is_integer() else exp.Literal.number(repr(float(value)))


def _top_revenue(dataset: Dataset, each: TopRevenue, key: str, here: str) -> exp.Select:
    assert dataset.role.revenue is not None
    total = revenue_sum(dataset.role.revenue)
    entities = (
        exp.select(name(key), aliased(total, "b2b_revenue"))
        .from_(table(here))
        .where(exp.Not(this=exp.Is(this=name(key), expression=exp.Null())))
        .group_by(name(key))
        .having(exp.GT(this=total.copy(), expression=exp.Literal.number(0)))
    )
    revenue = name("b2b_revenue")
    ranked = exp.select(
        name(key),
        # What the larger ones make together: everything up to this revenue, less those equal to it.
        aliased(
            exp.Sub(
                this=exp.Window(
                    this=exp.Sum(this=revenue.copy()),
                    order=exp.Order(expressions=[exp.Ordered(this=revenue.copy(), desc=True, nulls_first=False)]),
                    spec=exp.WindowSpec(kind="RANGE", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW"),
                ),
                expression=exp.Window(this=exp.Sum(this=revenue.copy()), partition_by=[revenue.copy()]),
            ),
            "b2b_before",
        ),
        aliased(exp.Window(this=exp.Sum(this=revenue.copy())), "b2b_total"),
    ).from_(entities.subquery(exp.to_identifier("entities", quoted=True)))
    share = exp.Mul(this=name("b2b_total"), expression=exp.Literal.number(repr(each.percent / 100)))
    # A share of 100 % must not lose the last one to rounding.
    limit = exp.LT(this=name("b2b_before"), expression=share) if each.percent < 100 else exp.true()
    return exp.select(name(key)).from_(ranked.subquery(exp.to_identifier("ranked", quoted=True))).where(limit)


def revenue_sum(column: str) -> exp.Expr:
    """Sum a revenue, to a millionth: the order in which a warehouse adds must not part what is equal."""
    total = exp.Sum(this=exp.Cast(this=name(column), to=exp.DataType.build("DOUBLE")))
    return exp.Round(this=total, decimals=exp.Literal.number(6))
