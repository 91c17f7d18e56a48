"""A dataset as one query: a sqlglot tree that both homes compile.

Order of evaluation, always the same: join → computed columns → dates → row filters → shares by revenue and
minimum counts, each on what is left, independently of each other → the rows on which all agree.
"""

from __future__ import annotations

from sqlglot import exp

from b2brecs.configs.dataset import Computed, Dataset
from b2brecs.configs.filters import Category, Dates, Filter, MinCount, Numbers, TopRevenue
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
    outputs = [column.name for column in dataset.output()]
    query = exp.select(*(name(item) for item in outputs)).from_(table("rows_kept"))
    steps: list[tuple[str, exp.Select]] = [("rows_joined", _joined(dataset))]
    if dataset.computed:
        steps.append(("rows_computed", _computed(dataset)))
    here = steps[-1][0]
    for kind, condition in (("dates", _dates), ("rows", _row_filters)):
        wheres = [item for item in (condition(dataset, each, here) for each in dataset.filters) if item is not None]
        if wheres:
            steps.append((f"rows_{kind}", exp.select("*").from_(table(here)).where(*wheres)))
            here = f"rows_{kind}"
    members = []
    for number, each in enumerate(item for item in dataset.filters if isinstance(item, TopRevenue | MinCount)):
        key = dataset.role.user if each.side == "buyer" else dataset.role.product
        assert key is not None  # the filter could not have been added without the role
        step = f"kept_{number}"
        steps.append(
            (
                step,
                _top_revenue(dataset, each, key, here) if isinstance(each, TopRevenue) else _min_count(each, key, here),
            )
        )
        members.append(exp.In(this=name(key), query=exp.select(name(key)).from_(table(step)).subquery()))
    steps.append(
        (
            "rows_kept",
            exp.select("*").from_(table(here)).where(*members) if members else exp.select("*").from_(table(here)),
        )
    )
    for step, tree in steps:
        query = query.with_(exp.to_identifier(step, quoted=True), as_=tree)
    return query


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
    column = name(each.column)
    day = exp.Cast(this=column, to=exp.DataType.build("DATE"))
    parts: list[exp.Expr] = []
    if each.rolling_days is not None:
        latest = exp.select(exp.Max(this=column.copy())).from_(table(here))
        if each.end is not None:
            latest = latest.where(exp.LTE(this=day.copy(), expression=_date(each.end)))
        days = exp.Literal.number(each.rolling_days)
        kind = next(item.type for item in dataset.output() if item.name == each.column)
        make = {"DATE": exp.DateSub, "DATETIME": exp.DatetimeSub, "TIMESTAMP": exp.TimestampSub}[kind]
        parts.append(
            exp.GTE(this=column, expression=make(this=latest.subquery(), expression=days, unit=exp.var("DAY")))
        )
    if each.start is not None:
        parts.append(exp.GTE(this=day, expression=_date(each.start)))
    if each.end is not None:
        parts.append(exp.LTE(this=day.copy(), expression=_date(each.end)))
    return exp.and_(*parts)


def _date(value: object) -> exp.Expr:
    return exp.Cast(this=exp.Literal.string(str(value)), to=exp.DataType.build("DATE"))


def _row_filters(dataset: Dataset, each: Filter, here: str) -> exp.Expr | None:
    del here
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
        bounds: list[exp.Expr] = []
        if each.minimum is not None:
            bounds.append(exp.GTE(this=name(each.column), expression=_number(each.minimum)))
        if each.maximum is not None:
            bounds.append(exp.LTE(this=name(each.column), expression=_number(each.maximum)))
        condition = exp.and_(*bounds)
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


def _min_count(each: MinCount, key: str, here: str) -> exp.Select:
    return (
        exp.select(name(key))
        .from_(table(here))
        .where(exp.Not(this=exp.Is(this=name(key), expression=exp.Null())))
        .group_by(name(key))
        .having(exp.GTE(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(each.count)))
    )
