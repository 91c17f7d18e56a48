"""Configurations and rows whose names and values try to break generated code."""

from __future__ import annotations

import datetime as dt
import random

import pyarrow as pa

from b2brecs.configs.dataset import Roles
from b2brecs.configs.features import FeatureConfig
from b2brecs.configs.model import ModelConfig
from b2brecs.configs.transforms import Buckets, Scale
from b2brecs.types import Column

BUYER, PRODUCT = 'the buyer\'s "id"', "class"
SIZE, WHEN, ACTIVE, CITY = "Größe (m²) \\", "import", "{{ return }}", "ville\n日本"
PRICE, BRAND, HISTORY = "price %s {x}", "None", f"{PRODUCT}__history"
PRODUCTS = tuple(f"Schraube №{n} 'x\"" if n % 7 == 0 else f"P-{n}" for n in range(60))
NEVER_SOLD = "never sold"


def features() -> FeatureConfig:
    """Every transform, on columns with hostile names."""
    columns = (
        Column(BUYER, "STRING"), Column(PRODUCT, "STRING"), Column(SIZE, "FLOAT64"), Column(WHEN, "TIMESTAMP"),
        Column(ACTIVE, "BOOL"), Column(CITY, "STRING"), Column(PRICE, "INT64"), Column(BRAND, "STRING"),
    )  # fmt: skip
    empty = FeatureConfig(
        name="hostile ''' \"\"\" import os", dataset="d", columns=columns,
                          role=Roles(user=BUYER, product=PRODUCT))  # fmt: skip
    buyer = (
        empty.buyer.id(BUYER, dim=16, oov_buckets=2)
        .text(CITY, dim=4, min_frequency=2)
        .scale(SIZE, log=True)
        .cycle(WHEN, "hour", "weekday", "day_of_month", "month", "quarter")
        .hashed(ACTIVE, dim=2, buckets=8)
        .history(max_length=5, dim=16)
        .cross(CITY, ACTIVE, buckets=50, dim=4)
    )
    product = buyer.product.id(PRODUCT, dim=16).text(BRAND, dim=4)
    return product.add(PRICE, Scale(method="min_max"), Buckets(count=5, dim=4)).build()


def model() -> ModelConfig:
    """Every kind of layer, small and quick to learn."""
    start = ModelConfig(name="hostile", embedding_dim=16, batch_size=256, negatives=63, epochs=40, learning_rate=0.01)
    return start.buyer.dense(32, l2=1e-5).layer_norm().dropout(0.1).product.dense(32, l1=1e-6).batch_norm().build()


def favourites(buyer: int) -> list[int]:
    """Return the three products that a buyer buys."""
    return [(buyer * 3 + step) % len(PRODUCTS) for step in range(3)]


def purchases(rows: int, seed: int) -> pa.Table:
    """Make purchases with nulls, NaN, zeros, empty text and unicode."""
    rng = random.Random(seed)
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    made: dict[str, list[object]] = {
        name: [] for name in (BUYER, PRODUCT, SIZE, WHEN, ACTIVE, CITY, PRICE, BRAND, HISTORY)
    }
    for _ in range(rows):
        buyer = rng.randrange(80)
        product = rng.choice(favourites(buyer))
        made[BUYER].append(f"Käufer {buyer}")
        made[PRODUCT].append(PRODUCTS[product])
        made[SIZE].append(rng.choice([None, float("nan"), 0.0, 1.5, 100.0, 1e6]))
        made[WHEN].append(rng.choice([None, start + dt.timedelta(hours=rng.randrange(20_000))]))
        made[ACTIVE].append(rng.choice([None, True, False]))
        made[CITY].append(rng.choice([None, "", "a", "b", "日本"]))
        made[HISTORY].append(rng.choice([None, [PRODUCTS[rng.randrange(60)] for _ in range(rng.randrange(9))]]))
        made[PRICE].append(price(product))
        made[BRAND].append(brand(product))
    return pa.table(made)


def catalogue() -> pa.Table:
    """Make the product table: one product was never sold, and three stand in it twice."""
    numbers = [*range(len(PRODUCTS)), 0, 1, 2]
    table = {
        PRODUCT: [*(PRODUCTS[n] for n in numbers), NEVER_SOLD],
        PRICE: [*(price(n) for n in numbers), 7],
        BRAND: [*(brand(n) for n in numbers), "new"],
    }
    return pa.table(table)


def price(product: int) -> int | None:
    """Return a product's price: some are free, some have none."""
    return None if product % 11 == 3 else product // 2


def brand(product: int) -> str | None:
    """Return a product's brand."""
    return None if product % 13 == 5 else f"brand {product % 4}"
