"""Small configurations that the widget tests edit."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa

from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.backends.protocols import Change
from b2brecs.configs.dataset import Dataset
from b2brecs.configs.features import FeatureConfig
from b2brecs.configs.model import ModelConfig
from b2brecs.data.curve import CurvePoint, ParetoCurve
from b2brecs.sql.arrow import arrow_schema
from b2brecs.types import Column, TableSchema

LINES = TableSchema(
    "order_lines",
    (
        Column("order_id", "STRING"),
        Column("customer_id", "STRING"),
        Column("sku", "STRING"),
        Column("ordered_at", "TIMESTAMP"),
        Column("quantity", "INT64"),
        Column("revenue", "FLOAT64"),
    ),
    rows=766_079,
)
PRODUCTS = TableSchema(
    "products",
    (Column("sku", "STRING"), Column("title", "STRING"), Column("category", "STRING"), Column("list_price", "FLOAT64")),
    rows=4_619,
)
CUSTOMERS = TableSchema(
    "customers",
    (Column("id", "STRING"), Column("name", "STRING"), Column("country", "STRING"), Column("segment", "STRING")),
    rows=5_852,
)
COUNTRIES = TableSchema("countries", (Column("country", "STRING"), Column("region", "STRING")), rows=41)


def lines() -> Dataset:
    """Return a dataset of one table, with its roles."""
    return Dataset.over("wholesale", LINES).roles(
        user="customer_id", product="sku", timestamp="ordered_at", revenue="revenue", quantity="quantity"
    )


def wholesale() -> Dataset:
    """Return a dataset of two tables, with its roles."""
    return lines().join(PRODUCTS, on="sku")


def curve(entities: int = 4_000) -> ParetoCurve:
    """Return a curve of the usual shape: entity number n has 1/n of the first one's revenue."""
    shares = [1 / rank for rank in range(1, entities + 1)]
    total = sum(shares)
    cumulated, running = [], 0.0
    for share in shares:
        running += share
        cumulated.append(100 * running / total)
    counts = [0]
    for percent in range(1, 101):
        enough = next((rank for rank, value in enumerate(cumulated, 1) if value >= percent - 1e-9), entities)
        counts.append(enough)
    ranks = sorted({1, entities, *(round(entities * step / 100) for step in range(1, 100)), *counts[1:]})
    points = tuple(CurvePoint(rank, 100 * rank / entities, cumulated[rank - 1]) for rank in ranks)
    return ParetoCurve(entities, 8_348_208.57, points, tuple(counts), negative=12)


def rows() -> list[dict[str, Any]]:
    """Return order lines: some products sell much, many sell alike, some rows lack a buyer or a revenue."""
    return [
        {
            "order_id": f"o{number // 3}",
            "customer_id": None if number % 97 == 0 else f"c{int(41 * (number * 7919 % 2000 / 2000) ** 2)}",
            "sku": f"sku-{int(23 * (number * 1237 % 2000 / 2000) ** 3)}",
            "ordered_at": dt.datetime(2024, 1, 1, 9, tzinfo=dt.UTC) + dt.timedelta(days=number % 300),
            "quantity": 1 + number % 7,
            "revenue": None if number % 89 == 0 else round(0.1 * (number % 50) - 0.2, 2),
        }
        for number in range(2_000)
    ]


def warehouse() -> DuckDBWarehouse:
    """Return a warehouse in memory that holds the order lines and the products."""
    home = DuckDBWarehouse(":memory:")
    products = [
        {"sku": f"sku-{n}", "title": f"Title {n}", "category": f"group {n % 4}", "list_price": n / 4} for n in range(23)
    ]
    for table, content in ((LINES, rows()), (PRODUCTS, products)):
        batch = pa.RecordBatch.from_pylist(content, schema=arrow_schema(table.columns))
        home.commit(Change(home.stage(table, "r", [batch]), "swap"))
    return home


def features() -> FeatureConfig:
    """Return features of both towers."""
    return FeatureConfig.on(wholesale()).buyer.id("customer_id").product.id("sku").text("category").build()


def model() -> ModelConfig:
    """Return a model of two layers a tower."""
    return ModelConfig.preset("standard")
