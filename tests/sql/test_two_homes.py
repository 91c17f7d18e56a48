"""Random datasets give the same rows on DuckDB and on BigQuery."""

import datetime as dt
import math
import random
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b2brecs import Column, Dataset, TableSchema
from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.backends.protocols import Change
from b2brecs.configs.filters import Aggregate, Category, DateRange, Dates, MinCount, Numbers, TopRevenue
from b2brecs.sql.arrow import arrow_schema
from b2brecs.sql.dataset import rows

pytest.importorskip("google.cloud.bigquery")
from tests.conformance.gcp import gcp_warehouse  # noqa: F401

LINES = TableSchema(
    "lines",
    (
        Column("buyer", "STRING"), Column("sku", "STRING"), Column("at", "TIMESTAMP"), Column("day", "DATE"),
        Column("amount", "NUMERIC"), Column("quantity", "INT64"), Column("paid", "BOOL"),
    ),
)  # fmt: skip
ITEMS = TableSchema("items", (Column("sku", "STRING"), Column("order", "STRING"), Column("weight", "FLOAT64")))
BUYERS = TableSchema("select", (Column("buyer", "STRING"), Column("wörk x", "STRING"), Column("sku", "STRING")))
UTC = dt.UTC


def tables():
    dice = random.Random(7)
    lines = [
        {
            "buyer": dice.choice(["b1", "b2", "b3", "Ünal", "b 5", None]),
            "sku": dice.choice(["s1", "s2", "s3", "'s4'", "👍", None]),
            "at": dice.choice(
                [None, dt.datetime(2024, 3, 1, tzinfo=UTC) + dt.timedelta(seconds=dice.randrange(9_000_000))]
            ),
            "day": dt.date(2024, 1, 1) + dt.timedelta(days=dice.randrange(200)),
            "amount": dice.choice([None, Decimal(dice.randrange(-500, 5000)) / 100]),
            "quantity": dice.choice([None, dice.randrange(-2, 9)]),
            "paid": dice.choice([None, True, False]),
        }
        for _ in range(90)
    ]
    items = [
        {"sku": s, "order": o, "weight": w}
        for s, o, w in [("s1", "x", 1.5), ("s2", "y", None), ("s2", "z", 2.0), ("👍", None, 0.25), ("s9", "x", 4.0)]
    ]
    buyers = [
        {"buyer": b, "wörk x": w, "sku": s}
        for b, w, s in [("b1", "retail", "s1"), ("Ünal", "craft", "s2"), (None, "none", None)]
    ]
    return [(LINES, lines), (ITEMS, items), (BUYERS, buyers)]


sides = st.sampled_from(["buyer", "product"])
numbers = st.integers(-5, 40)
bounds = st.one_of(
    st.fixed_dictionaries({"minimum": numbers}), st.fixed_dictionaries({"above": numbers}),
    st.fixed_dictionaries({"maximum": numbers}), st.fixed_dictionaries({"below": numbers}),
)  # fmt: skip
days = st.dates(dt.date(2024, 1, 1), dt.date(2024, 7, 1))
filters = st.one_of(
    st.builds(TopRevenue, side=sides, percent=st.sampled_from([10, 50, 80, 99.5, 100])),
    st.builds(MinCount, side=sides, count=st.integers(1, 20)),
    st.builds(
        lambda side, measure, bound: Aggregate(side=side, measure=measure, **bound),
        sides, st.sampled_from(["rows", "partners", "revenue", "average_revenue", "quantity"]), bounds,
    ),
    st.builds(Dates, column=st.sampled_from(["at", "day"]), rolling_days=st.integers(1, 90), end=st.none() | days),
    st.builds(Dates, column=st.sampled_from(["at", "day"]), start=days),
    st.builds(DateRange, side=sides, column=st.sampled_from(["at", "day"]), last_days=st.integers(1, 90), include_nulls=st.booleans()),
    st.builds(DateRange, side=sides, column=st.sampled_from(["at", "day"]), end=days, include_nulls=st.booleans()),
    st.builds(
        Category, side=sides, column=st.sampled_from(["buyer", "sku", "quantity", "paid"]),
        values=st.lists(st.sampled_from(["b1", "'s4'", "👍", "Ünal", 3, 1, True, False, "x"]), min_size=1, max_size=3).map(tuple),
        mode=st.sampled_from(["include", "exclude"]), include_nulls=st.booleans(),
    ),
    st.builds(
        lambda side, column, bound, nulls: Numbers(side=side, column=column, include_nulls=nulls, **bound),
        sides, st.sampled_from(["amount", "quantity"]), bounds, st.booleans(),
    ),
)  # fmt: skip
computed = st.sampled_from(
    [("revenue", "amount * quantity", "NUMERIC"), ("share", "quantity / 4", "FLOAT64"), ("none", "amount / 0", "FLOAT64"),
     ("loud", "UPPER(buyer)", "STRING"), ("big", "CASE WHEN quantity > 3 THEN 'big' ELSE 'small' END", "STRING"),
     ("filled", "COALESCE(quantity, 0) + 1", "INT64"), ("sure", "paid IS NULL OR NOT paid", "BOOL")]
)  # fmt: skip


@st.composite
def datasets(draw):
    dataset = Dataset.over("d", LINES)
    if draw(st.booleans()):
        dataset = dataset.join(ITEMS, on="sku", how=draw(st.sampled_from(["left", "inner", "right", "full"])))
    if draw(st.booleans()):
        on = draw(st.sampled_from(["buyer", ["buyer", "sku"]]))
        dataset = dataset.join(BUYERS, on=on, left="lines", how=draw(st.sampled_from(["left", "inner", "full"])))
    if draw(st.booleans()):
        dataset = dataset.join(ITEMS, on="sku", left="lines", as_="again")
    dataset = dataset.roles(user="buyer", product="sku", timestamp="at", revenue="amount", quantity="quantity")
    for name, expression, kind in draw(st.lists(computed, max_size=2, unique=True)):
        dataset = dataset.compute(name, expression, type=kind)
    for each in draw(st.lists(filters, max_size=4)):
        dataset = dataset.filter(each, allow_reuse=True)
    if len(dataset.tables) > 1 and draw(st.booleans()):
        last = list(dataset.sources())[-1]
        dataset = dataset.rename(**{last: "ünused name"})
    return dataset.sequentially(draw(st.booleans()))


def plain(table):
    def value(item):
        if isinstance(item, Decimal | float):
            return "nan" if isinstance(item, float) and math.isnan(item) else f"{float(item):.6g}"
        return repr(item)

    return sorted(tuple(map(value, row.values())) for row in table.to_pylist())


@pytest.fixture
def homes(gcp_warehouse):  # noqa: F811
    local = DuckDBWarehouse(":memory:")
    for warehouse in (local, gcp_warehouse):
        for schema, content in tables():
            batch = pa.RecordBatch.from_pylist(content, schema=arrow_schema(schema.columns))
            warehouse.commit(Change(warehouse.stage(schema, "r", [batch]), "swap"))
    yield local, gcp_warehouse
    local.close()


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(dataset=datasets())
def test_random_datasets_have_the_same_rows_on_both_homes(homes, dataset):
    tree = rows(dataset)
    here, there = (warehouse.query(tree).read_all() for warehouse in homes)
    assert here.schema.names == there.schema.names == [column.name for column in dataset.output()]
    assert plain(here) == plain(there)
