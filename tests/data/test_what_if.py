"""What filters keep, counted."""

import datetime as dt

import pyarrow as pa
import pytest

from b2brecs import Column, Dataset, TableSchema
from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.backends.protocols import Change
from b2brecs.configs.filters import Numbers
from b2brecs.data.what_if import what_if
from b2brecs.sql.arrow import arrow_schema

LINES = TableSchema(
    "lines", (Column("b", "STRING"), Column("p", "STRING"), Column("day", "DATE"), Column("rev", "FLOAT64"))
)


@pytest.fixture
def warehouse():
    opened = DuckDBWarehouse(":memory:")
    rows = [
        {"b": f"b{i % 7}", "p": f"p{i % 11}", "day": dt.date(2024, 1, 1 + i % 28), "rev": float(i % 5)} for i in range(300)
    ] + [{"b": "rare", "p": "p0", "day": None, "rev": None}]  # fmt: skip
    batch = pa.RecordBatch.from_pylist(rows, schema=arrow_schema(LINES.columns))
    opened.commit(Change(opened.stage(LINES, "r", [batch]), "swap"))
    yield opened
    opened.close()


def base():
    return Dataset.over("d", LINES).roles(user="b", product="p", timestamp="day", revenue="rev")


def test_each_filter_is_counted_in_order_and_alone(warehouse):
    dataset = base().min_purchases(buyers=2).between("rev", 1)
    found = what_if(warehouse, dataset)
    labels = [label for label, _, _ in found.steps]
    assert labels == ["all rows", "1 ≤ rev", "buyers with at least 2 rows"]
    assert (found.before.rows, found.before.buyers, found.before.products, found.before.revenue) == (301, 8, 11, 600.0)
    assert (found.after.rows, found.after.buyers) == (240, 7)
    alone = found.steps[2][2]
    assert alone is not None
    assert alone.rows == 300
    assert "301" in repr(found)
    assert "1 ≤ rev" in found._repr_html_()
    assert list(found.to_pandas()["rows"]) == [301, 240, 240]


def test_a_filter_that_is_not_there_yet_can_be_asked_about(warehouse):
    found = what_if(warehouse, base(), Numbers(side="product", column="rev", minimum=4))
    assert found.after.rows == 60
    assert base().filters == ()


def test_filters_that_undo_each_other_are_named(warehouse):
    dataset = base().products_with("rows", minimum=28).buyers_with("partners", minimum=11)
    found = what_if(warehouse, dataset)
    assert found.after.rows == 0 or found.undone or found.after.products == 11
    tight = base().top_buyers(30).products_with("rows", minimum=20)
    undone = dict(what_if(warehouse, tight).undone)
    assert undone["products with 20 ≤ rows"] > 0


def test_an_empty_dataset_is_counted_as_such(warehouse):
    found = what_if(warehouse, base().keep("p", "nothing"))
    assert (found.after.rows, found.after.buyers) == (0, 0)
