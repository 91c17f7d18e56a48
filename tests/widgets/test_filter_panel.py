"""The filter panel's Python side: what the page asks, and what the library says."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.configs.dataset import Dataset
from b2brecs.data.what_if import what_if
from b2brecs.types import Column, TableSchema
from b2brecs.widgets import FilterPanel, base
from b2brecs.widgets.looks import BARS, look
from tests.widgets import samples


@pytest.fixture(autouse=True)
def anything_as_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these tests run where no bundle was built."""
    (tmp_path / "filter_panel.js").write_text("export default {};")
    (tmp_path / "filter_panel.css").write_text("")
    monkeypatch.setattr(base, "STATIC", tmp_path)


@pytest.fixture(scope="module")
def warehouse() -> Iterator[DuckDBWarehouse]:
    opened = samples.warehouse()
    yield opened
    opened.close()


def ask(panel: FilterPanel, **parts: Any) -> dict[str, Any]:
    """Ask as the page does, and return the facts."""
    panel._view = {**panel._view, **parts}
    return panel._facts


def form(filter_: dict[str, Any], index: int | None = None, number: int = 1) -> dict[str, Any]:
    return {"number": number, "index": index, "filter": filter_}


def edit(panel: FilterPanel, filters: list[dict[str, Any]], **parts: Any) -> None:
    panel._draft = {**panel._draft, "filters": filters, **parts}


def test_nothing_is_counted_before_the_page_asks(warehouse: DuckDBWarehouse) -> None:
    panel = FilterPanel(samples.lines().top_products(80), warehouse)
    before: dict[str, Any] = dict(panel._facts)
    assert before["kept"] is None
    facts = ask(panel, count=panel.value.content_hash)
    expected = what_if(warehouse, panel.value)
    assert [(step["label"], step["rows"], step["buyers"]) for step in facts["kept"]["steps"]] == [
        (label, kept.rows, kept.buyers) for label, kept, _ in expected.steps
    ]
    edit(panel, [])
    assert panel._facts["kept"]["stamp"] != panel._facts["stamp"]


def test_a_count_of_a_value_that_is_gone_is_not_made(warehouse: DuckDBWarehouse) -> None:
    panel = FilterPanel(samples.lines(), warehouse)
    assert ask(panel, count="of another value")["kept"] is None


def test_a_column_of_two_sections_is_refused_with_the_librarys_words(warehouse: DuckDBWarehouse) -> None:
    panel = FilterPanel(samples.wholesale().keep("category", "group 1"), warehouse)
    wanted = {"kind": "category", "side": "buyer", "column": "category", "values": ["group 2"]}
    (problem,) = ask(panel, form=form(wanted))["form"]["problems"]
    assert problem["field"] == "column"
    assert "is used by the product filter “category in (group 1)” already." in problem["message"]
    before = panel.value
    edit(panel, [*panel._draft["filters"], wanted])
    assert panel.value == before
    assert "already" in panel.problems[0].message


def test_a_conflict_that_python_allowed_stays_editable(warehouse: DuckDBWarehouse) -> None:
    from b2brecs.configs.filters import Category

    both = samples.wholesale().keep("category", "group 1")
    both = both.filter(Category(side="buyer", column="category", values=("group 2",)), allow_reuse=True)
    panel = FilterPanel(both, warehouse)
    edit(panel, [*panel._draft["filters"], {"kind": "min_count", "side": "buyer", "count": 2}])
    assert panel.value == both.min_purchases(buyers=2)


def test_a_second_filter_of_one_kind_is_refused_and_the_first_can_be_changed(warehouse: DuckDBWarehouse) -> None:
    panel = FilterPanel(samples.lines().top_products(80), warehouse)
    wanted = {"kind": "top_revenue", "side": "product", "percent": 70}
    (problem,) = ask(panel, form=form(wanted))["form"]["problems"]
    assert "stands already" in problem["message"]
    edit(panel, [*panel._draft["filters"], wanted])
    assert panel.value == samples.lines().top_products(80)
    assert ask(panel, form=form(wanted, 0, 2))["form"]["problems"] == []
    edit(panel, [wanted])
    assert panel.value == samples.lines().top_products(70)


def test_what_a_filter_would_leave_is_counted_on_demand(warehouse: DuckDBWarehouse) -> None:
    panel = FilterPanel(samples.lines(), warehouse)
    facts = ask(panel, form=form({"kind": "min_count", "side": "product", "count": 90}, number=7))
    assert facts["form"]["text"] == "products with at least 90 rows"
    assert facts["form"]["kept"] is None
    facts = ask(panel, sample=7)
    assert facts["form"]["kept"]["rows"] == what_if(warehouse, samples.lines().min_purchases(products=90)).after.rows
    assert panel.value == samples.lines()


@pytest.mark.parametrize(
    "nonsense", [3, {}, {"filter": 3}, {"filter": {}}, {"filter": {"kind": "x"}}, {"filter": {"kind": "numbers"}}]
)
def test_nonsense_as_a_form_never_raises(nonsense: Any, warehouse: DuckDBWarehouse) -> None:
    panel = FilterPanel(samples.lines(), warehouse)
    facts = ask(panel, form=nonsense, look=nonsense, sample=nonsense, count=nonsense)
    assert facts["form"] is None or facts["form"]["problems"]


def test_values_are_listed_by_frequency_and_searched(warehouse: DuckDBWarehouse) -> None:
    found = look(warehouse, samples.wholesale().keep("category", "group 1"), "sku")
    counts = Counter(row["sku"] for row in samples.rows())
    assert [tuple(pair) for pair in found["values"]] == sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert (found["rows"], found["nulls"], found["distinct"]) == (2_000, 0, len(counts))
    some = look(warehouse, samples.wholesale(), "sku", "SKU-1")
    assert {value for value, _ in some["values"]} == {sku for sku in counts if sku.startswith("sku-1")}
    hostile = look(warehouse, samples.wholesale(), "sku", "%' OR '1'='1")
    assert hostile["values"] == []
    assert hostile["matching"] == 0


def test_bars_hold_every_number_once(warehouse: DuckDBWarehouse) -> None:
    found = look(warehouse, samples.lines(), "revenue")
    numbers = [row["revenue"] for row in samples.rows() if row["revenue"] is not None]
    assert sum(count for *_, count in found["bars"]) == len(numbers)
    assert (found["minimum"], found["maximum"], found["nulls"]) == (min(numbers), max(numbers), 2_000 - len(numbers))
    start, end, count = found["bars"][3]
    assert what_if(warehouse, samples.lines().between("revenue", start, below=end)).after.rows == count


def test_bars_of_whole_numbers_stand_on_whole_numbers(warehouse: DuckDBWarehouse) -> None:
    found = look(warehouse, samples.lines(), "quantity")
    counts = Counter(row["quantity"] for row in samples.rows())
    assert [tuple(bar) for bar in found["bars"]] == [(n, n + 1, counts[n]) for n in range(1, 8)]
    assert found["values"][0] == [min(counts, key=lambda n: (-counts[n], str(n))), max(counts.values())]


def test_bars_of_days_are_the_rows_of_those_days(warehouse: DuckDBWarehouse) -> None:
    found = look(warehouse, samples.lines(), "ordered_at")
    assert (found["minimum"], found["maximum"]) == ("2024-01-01", "2024-10-26")
    assert len(found["bars"]) <= BARS
    assert sum(count for *_, count in found["bars"]) == 2_000
    start, end, count = found["bars"][5]
    assert what_if(warehouse, samples.lines().dates(start=start, end=end)).after.rows == count


def test_a_far_tail_does_not_flatten_the_bars_and_odd_numbers_do_no_harm() -> None:
    import pyarrow as pa

    from b2brecs.backends.protocols import Change
    from b2brecs.sql.arrow import arrow_schema

    table = TableSchema("t", (Column("x", "FLOAT64"), Column("empty", "FLOAT64"), Column("day", "DATE")))
    rows = [{"x": float(n % 100)} for n in range(1_000)] + [
        {"x": number} for number in (1e9, float("nan"), float("inf"), None)
    ]
    home = DuckDBWarehouse(":memory:")
    home.commit(Change(home.stage(table, "r", [pa.RecordBatch.from_pylist(rows, arrow_schema(table.columns))]), "swap"))
    dataset = Dataset.over("d", table)
    found = look(home, dataset, "x")
    assert sum(count for *_, count in found["bars"]) == 1_001
    assert found["maximum"] == 1e9
    assert look(home, dataset, "empty")["bars"] == []
    assert look(home, dataset, "day")["bars"] == []
    home.close()


def test_a_warehouse_without_the_table_is_said_and_does_no_harm() -> None:
    home = DuckDBWarehouse(":memory:")
    panel = FilterPanel(samples.lines().top_products(80), home)
    facts = ask(panel, count=panel.value.content_hash, look={"column": "sku", "search": ""})
    assert "order_lines" in facts["kept"]["error"]
    assert "order_lines" in facts["look"]["error"]
    assert panel._repr_mimebundle_() is not None
    home.close()


def test_the_picture_without_a_kernel_holds_the_counts(warehouse: DuckDBWarehouse) -> None:
    panel = FilterPanel(samples.lines().dates(start=dt.date(2024, 3, 1)), warehouse)
    shown = panel._repr_mimebundle_()
    assert shown is not None
    assert "What the filters of wholesale keep" in shown[0]["text/html"]
    assert "2,000" in shown[0]["text/plain"]
    panel.value = samples.lines()
    assert "keep" not in repr(panel)


def test_a_workspace_opens_the_panel_on_its_warehouse(tmp_path: Path) -> None:
    from b2brecs import Workspace

    with Workspace.local(tmp_path / "home") as workspace:
        panel = workspace.filters(samples.lines())
        assert panel.value == samples.lines()
        assert panel.warehouse is workspace.home.warehouse
