"""One notebook, two homes: the same verbs give the same answers, the cloud one through Google's clients on emulators."""

import uuid

import pandas as pd
import pytest

import b2brecs as b2b
from b2brecs.errors import VersionConflict


@pytest.fixture
def cloud(bigquery_emulator, firestore_emulator):
    """Address of a fresh cloud home."""
    return f"gcp://{bigquery_emulator.project}/US?dataset=t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    sample = b2b.sample.path()
    orders = pd.read_csv(sample / "orders.csv", dtype=str).iloc[::20]
    lines = pd.read_parquet(sample / "order_lines.parquet")
    lines = lines[lines["invoice"].isin(orders["invoice"])]
    orders.to_csv(path / "orders.csv", index=False)
    lines.to_parquet(path / "order_lines.parquet", index=False)
    for name in ("customers.csv", "products.csv"):
        (path / name).write_bytes((sample / name).read_bytes())
    return path


def notebook(ws, folder):
    """Do what a user does, and return everything that was answered."""
    files = b2b.Connection.files("wholesale", path=folder)
    ws.save(files)
    job = (
        b2b.EtlJob("wholesale", connection=files).load("order_lines").load("orders").load("customers").load("products")
    )
    ws.save(job)
    loaded = [(t.target, t.status, t.rows_read, t.rows_total) for t in ws.run(job).tables]
    joins = [str(s) for s in ws.suggest_joins("order_lines", "orders", "customers", "products")]
    sales = (
        ws.dataset("sales", "order_lines", "orders", "customers", "products")
        .compute("revenue", "quantity * unit_price")
        .roles(
            user="customer_id", product="stock_code", timestamp="invoice_date", revenue="revenue", quantity="quantity"
        )
        .between("quantity", minimum=1)
        .drop("stock_code", "POST", "M")
        .dates(rolling_days=400)
        .top_products(90)
        .min_purchases(buyers=5)
    )
    ws.save(sales)
    profile = ws.profile(sales)
    features = b2b.FeatureConfig.auto(sales)
    ws.save(features)
    rows = ws.to_pandas(sales)
    rows = rows.sort_values(list(rows.columns)).reset_index(drop=True)
    return {
        "loaded": loaded,
        "joins": joins,
        "dataset": sales.content_hash,
        "features": features.content_hash,
        "profile": [(c.name, c.type, c.nulls, c.distinct, str(c.minimum), str(c.maximum)) for c in profile.columns],
        "preview": ws.preview("products", limit=5).astype(str).to_numpy().tolist(),
        "saved": [row[:3] for row in ws.list().rows],
        "rows": [tuple(map(str, row)) for row in rows.itertuples(index=False)],
        "pareto": __import__("b2brecs.data.pareto", fromlist=["pareto"]).pareto(ws.home.warehouse, sales).counts_at,
    }


def test_the_same_notebook_gives_the_same_answers(cloud, folder, tmp_path):
    with b2b.connect(f"local:{tmp_path / 'home'}") as ws:
        here = notebook(ws, folder)
    with b2b.connect(cloud) as ws:
        there = notebook(ws, folder)
    assert len(here["rows"]) > 1000
    for what, answer in here.items():
        assert there[what] == answer, what


def test_incremental_loads_and_conflicts_are_the_same_in_the_cloud(cloud, tmp_path):
    (tmp_path / "o.csv").write_text("id,at,v\n1,2024-01-01,a\n2,2024-01-02,b\n")
    with b2b.connect(cloud) as ws, b2b.connect(cloud) as other:
        files = b2b.Connection.files("f", path=tmp_path)
        ws.save(files)
        job = b2b.EtlJob("j", connection=files).load("o", watermark="at", primary_key="id")
        ws.run(job)
        (tmp_path / "o.csv").write_text("id,at,v\n2,2024-01-03,B\n3,2024-01-04,c\n")
        assert ws.run(job).tables[0].rows_total == 3
        model = b2b.ModelConfig.preset()
        ws.save(model)
        other.load(b2b.ModelConfig, "standard")
        ws.save(model.changed(seed=1))
        with pytest.raises(VersionConflict):
            other.save(model.changed(seed=2))
