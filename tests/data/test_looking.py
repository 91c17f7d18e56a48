"""Profiles, joins, roles, previews and the Pareto curve, on real and on awkward tables."""

import numpy as np
import pytest

from b2brecs import Connection, EtlJob, Workspace, sample
from b2brecs.data.pareto import curve
from b2brecs.errors import ConfigError


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    with Workspace.local(tmp_path_factory.mktemp("home")) as workspace:
        connection = Connection.files("sample", path=sample.path())
        workspace.save(connection)
        job = EtlJob("all", connection=connection)
        workspace.run(job.load("order_lines").load("orders").load("customers").load("products"))
        yield workspace


@pytest.fixture(scope="module")
def sales(ws):
    dataset = ws.dataset("sales", "order_lines", "orders", "customers", "products").compute(
        "revenue", "quantity * unit_price"
    )
    return dataset.roles(**ws.suggest_roles(dataset))


def test_the_right_joins_are_found_and_no_other(ws):
    found = {str(s): s.confidence for s in ws.suggest_joins("order_lines", "orders", "customers", "products")}
    assert set(found) == {
        "order_lines.invoice = orders.invoice",
        "orders.customer_id = customers.customer_id",
        "order_lines.stock_code = products.stock_code",
    }
    assert min(found.values()) > 0.8


def test_joined_rows_are_the_primary_tables(ws, sales):
    assert ws.profile(sales).rows == ws.table("order_lines").rows == 123_756


def test_roles_are_suggested(sales):
    assert dict(sales.role.items()) == {
        "user": "customer_id", "product": "stock_code", "timestamp": "invoice_date", "revenue": "revenue",
        "quantity": "quantity",
    }  # fmt: skip


def test_a_profile_counts_every_row(ws, sales):
    found = ws.profile(sales)
    frame = ws.to_pandas(sales)
    assert found["customer_id"].distinct == frame["customer_id"].nunique() == 800
    assert found["customer_id"].nulls == frame["customer_id"].isna().sum() > 0
    assert found["quantity"].minimum == frame["quantity"].min() < 0
    assert "customer_id" in repr(found)


def test_a_preview_is_the_same_each_time_and_another_by_seed(ws, sales):
    first = ws.preview(sales, limit=5)
    assert first.equals(ws.preview(sales, limit=5))
    assert not first.equals(ws.preview(sales, limit=5, seed=1))
    assert len(ws.preview("orders", limit=1000)) == 100
    assert list(first.columns) == [column.name for column in sales.output()]


@pytest.mark.parametrize("side", ["product", "buyer"])
@pytest.mark.parametrize("percent", [1, 50, 80, 95, 100])
def test_the_curve_counts_what_the_filter_keeps(ws, sales, side, percent):
    from b2brecs.data.pareto import pareto

    found = pareto(ws.home.warehouse, sales, side)
    kept = sales.top_products(percent) if side == "product" else sales.top_buyers(percent)
    column = "stock_code" if side == "product" else "customer_id"
    assert ws.to_pandas(kept)[column].nunique() == found.counts_at[percent]
    assert len(found.points) <= 150


def test_the_curve_of_awkward_revenues():
    assert curve(np.array([])).entities == 0
    nothing = curve(np.array([0.0, -5.0]))
    assert (nothing.negative, nothing.counts_at[100], nothing.revenue) == (2, 0, 0.0)
    ties = curve(np.array([5.0, 5.0, 5.0, 5.0]))
    assert ties.counts_at[1] == ties.counts_at[100] == 4


def test_the_curve_needs_a_revenue(ws):
    from b2brecs.data.pareto import pareto

    with pytest.raises(ConfigError, match=r"roles\(revenue="):
        pareto(ws.home.warehouse, ws.dataset("d", "order_lines").roles(product="stock_code"))


def test_the_sql_is_shown_in_either_dialect(ws, sales):
    assert "`order_lines`" in ws.sql(sales, dialect="bigquery")
    assert '"order_lines"' in ws.sql(sales)
