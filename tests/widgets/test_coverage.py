"""What a Pareto chart says a threshold keeps is what the compiled query keeps, ties included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.backends.protocols import Change
from b2brecs.configs.dataset import Dataset
from b2brecs.configs.filters import Aggregate, Side, TopRevenue
from b2brecs.data.what_if import count
from b2brecs.sql.arrow import arrow_schema
from b2brecs.widgets.coverage import MEASURED, Coverage, Measured, coverage, thresholds
from tests.widgets import samples


@pytest.fixture(scope="module")
def warehouse() -> Iterator[DuckDBWarehouse]:
    opened = samples.warehouse()
    yield opened
    opened.close()


def filtered(dataset: Dataset, side: Side, measure: Measured, percent: int, cut: float) -> Dataset:
    if measure == "revenue":
        return dataset.filter(TopRevenue(side=side, percent=percent))
    return dataset.filter(Aggregate(side=side, measure=measure, minimum=cut))


def check(home: DuckDBWarehouse, dataset: Dataset, side: Side, found: Coverage, percents: tuple[int, ...]) -> None:
    for measure, known in found.measures.items():
        for percent in percents:
            cut = known.cuts[percent]
            if cut is None:
                assert known.counts[percent] == 0
                continue
            kept = count(home, filtered(dataset, side, measure, percent, cut))
            own, other = (kept.buyers, kept.products) if side == "buyer" else (kept.products, kept.buyers)
            told = (known.counts[percent], known.rows[percent], known.covered[percent])
            assert told == (own, kept.rows, other), (measure, percent)
            assert known.revenue[percent] == pytest.approx(kept.revenue or 0.0, abs=0.011)


@pytest.mark.parametrize("side", ["product", "buyer"])
def test_every_number_is_the_querys(warehouse: DuckDBWarehouse, side: Side) -> None:
    dataset = samples.lines()
    found = coverage(warehouse, dataset, side)
    assert set(found.measures) == set(MEASURED)
    check(warehouse, dataset, side, found, (0, 1, 7, 33, 50, 66, 80, 95, 99, 100))


def test_row_filters_come_before_and_its_own_threshold_is_left_out(warehouse: DuckDBWarehouse) -> None:
    bare = samples.lines().between("quantity", 2, 5)
    found = coverage(warehouse, bare.top_products(30), "product")
    assert found == coverage(warehouse, bare, "product")
    check(warehouse, bare, "product", found, (20, 80))


def test_buyers_of_a_sequential_dataset_stand_on_the_products_left(warehouse: DuckDBWarehouse) -> None:
    dataset = samples.lines().top_products(60).sequentially()
    found = coverage(warehouse, dataset, "buyer")
    assert found.rows is not None
    assert found.rows < 2_000
    check(warehouse, dataset, "buyer", found, (20, 50, 80))


def test_a_measure_that_another_filter_holds_is_not_offered(warehouse: DuckDBWarehouse) -> None:
    dataset = samples.lines().products_with("rows", maximum=100)
    assert set(coverage(warehouse, dataset, "product").measures) == {"revenue", "quantity"}


def test_without_a_quantity_or_another_side_they_are_not_known(warehouse: DuckDBWarehouse) -> None:
    dataset = Dataset.over("d", samples.LINES).roles(product="sku", revenue="revenue")
    found = coverage(warehouse, dataset, "product")
    assert set(found.measures) == {"revenue", "rows"}
    assert (found.others, found.quantity, found.measures["rows"].covered) == (None, None, ())


LINES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "d", "e", None]),
        st.sampled_from(["x", "y", "z", None]),
        st.none() | st.integers(-300, 900).map(lambda cents: cents / 100),
    ),
    max_size=24,
)


@given(LINES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_ties_returns_and_gaps(lines: list[tuple[str | None, str | None, float | None]]) -> None:
    home = DuckDBWarehouse(":memory:")
    rows = [{"sku": sku, "customer_id": buyer, "revenue": revenue, "quantity": 1} for sku, buyer, revenue in lines]
    batch = pa.RecordBatch.from_pylist(rows, schema=arrow_schema(samples.LINES.columns))
    home.commit(Change(home.stage(samples.LINES, "r", [batch]), "swap"))
    for side in ("product", "buyer"):
        check(home, samples.lines(), side, coverage(home, samples.lines(), side), (1, 50, 80, 100))
    home.close()


def test_a_million_products_are_less_than_50_kilobytes() -> None:
    random = np.random.default_rng(1)
    values: dict[Measured, Any] = {
        "revenue": np.round(random.lognormal(5, 2.5, 1_000_000), 2),
        "rows": random.integers(1, 100_000, 1_000_000).astype(np.float64),
        "quantity": np.round(random.lognormal(4, 2, 1_000_000), 3),
    }
    best = values["revenue"][:250_000]
    measures = {each: thresholds(each, values, best) for each in values}
    found = Coverage(1_000_000, 10**9, 250_000, 1e10, 1e9, measures)
    text = json.dumps(asdict(found))
    assert len(text) < 50_000
