"""The Python side of the widgets, without a browser: draft in, value and problems out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import traitlets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b2brecs.configs.code import dataset_code
from b2brecs.configs.dataset import Dataset
from b2brecs.configs.features import FeatureConfig
from b2brecs.configs.model import ModelConfig
from b2brecs.data.curve import ParetoCurve
from b2brecs.errors import B2BRecsError, ConfigError
from b2brecs.widgets import Design, FilterPanel, ParetoChart, SchemaBuilder, TowerDesigner, base
from b2brecs.widgets.base import ConfigWidget
from tests.configs.test_code import datasets
from tests.widgets import samples
from tests.widgets.page.shown import WIDGETS

KINDS = pytest.mark.parametrize("make", WIDGETS.values(), ids=WIDGETS)
Make = Callable[[], ConfigWidget]


@pytest.fixture(autouse=True)
def anything_as_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these tests run where no bundle was built."""
    for kind in WIDGETS:
        (tmp_path / f"{kind}.js").write_text("export default {};")
        (tmp_path / f"{kind}.css").write_text("")
    monkeypatch.setattr(base, "STATIC", tmp_path)


def edited(widget: ConfigWidget, number: int, **parts: Any) -> None:
    """Send a draft as a page does: the draft and the edit's number in one message."""
    with widget.hold_trait_notifications():
        widget._draft = {**widget._draft, **parts}
        widget._view = {**widget._view, "edit": number}


def top(percent: object) -> dict[str, Any]:
    return {"kind": "top_revenue", "side": "product", "percent": percent}


def test_a_good_draft_becomes_the_value() -> None:
    widget = ParetoChart(samples.lines(), samples.curve())
    edited(widget, 1, filters=[top(70)])
    assert widget.value == samples.lines().top_products(70)
    assert widget._facts["edit"] == 1
    assert widget._facts["accepted"] is True
    assert ".top_products(70)" in widget._facts["code"]["chain"]


def test_a_bad_draft_becomes_problems_and_the_value_stays() -> None:
    widget = ParetoChart(samples.lines(), samples.curve())
    edited(widget, 1, filters=[top(70)])
    seen: list[Dataset] = []
    widget.observe_value(seen.append)
    edited(widget, 2, filters=[top(0)])
    assert widget.value == samples.lines().top_products(70)
    assert seen == []
    assert [problem.severity for problem in widget.problems] == ["error"]
    assert widget._facts["edit"] == 2
    assert widget._facts["accepted"] is False
    edited(widget, 3, filters=[top(71)])
    assert widget.problems == []
    assert seen == [samples.lines().top_products(71)]


@KINDS
@pytest.mark.parametrize(
    "draft", [{}, {"name": 3}, {"features": None, "model": []}, {"tables": "x"}, {"name": "x" * 9_999}]
)
def test_nonsense_from_a_page_never_raises_and_never_becomes_the_value(make: Make, draft: dict[str, Any]) -> None:
    widget = make()
    before = widget.value
    widget._draft = draft
    assert widget.value == before
    assert widget.problems


@KINDS
def test_setting_the_value_writes_the_draft_and_keeps_it_readable(make: Make) -> None:
    widget = make()
    other = make()
    widget.value = other.value
    assert widget._read(json.loads(json.dumps(widget._draft))) == widget.value


@KINDS
def test_the_code_executed_gives_the_value(make: Make) -> None:
    widget = make()
    space: dict[str, Any] = {}
    exec(widget.code, space)
    made = space["dataset"] if "dataset" in space else (space["features"], space["model"])
    assert made == widget.value


@KINDS
def test_what_is_synced_is_small_json_without_the_widget_running_anything(make: Make) -> None:
    widget = make()
    state = {name: getattr(widget, name) for name in ("_draft", "_facts", "_problems", "_view")}
    assert len(json.dumps(state)) < 256 * 1024


@KINDS
def test_a_value_of_another_class_is_refused(make: Make) -> None:
    widget = make()
    with pytest.raises(traitlets.TraitError):
        widget.value = "something"


@KINDS
def test_the_display_carries_the_card_beside_the_widget(make: Make) -> None:
    widget = make()
    shown = widget._repr_mimebundle_()
    assert shown is not None
    data, _ = shown
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "b2b-card" in data["text/html"]
    assert "wholesale" in data["text/plain"]


def test_an_observer_can_be_taken_away() -> None:
    widget = ParetoChart(samples.lines(), samples.curve())
    seen: list[Dataset] = []
    stop = widget.observe_value(seen.append)
    widget.value = samples.lines().top_products(60)
    stop()
    widget.value = samples.lines().top_products(61)
    assert seen == [samples.lines().top_products(60)]


def test_a_missing_bundle_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "STATIC", tmp_path / "nowhere")
    with pytest.raises(B2BRecsError, match=r"npm ci && npm run build in widgets/"):
        ParetoChart(samples.lines(), samples.curve())


def test_a_chart_needs_the_roles_of_its_filter() -> None:
    with pytest.raises(ConfigError, match="revenue"):
        ParetoChart(Dataset.over("d", samples.LINES).roles(product="sku"), samples.curve())


def test_a_curve_has_a_count_for_each_percent() -> None:
    with pytest.raises(ValueError, match="from 0 to 100"):
        ParetoCurve(1, 1.0, (), (0, 1))


def test_a_join_drawn_on_the_page_is_the_join_of_the_chain() -> None:
    widget = SchemaBuilder(samples.lines(), [samples.PRODUCTS, samples.CUSTOMERS])
    products = next(item for item in widget._facts["available"] if item["name"] == "products")
    tables = [*widget._draft["tables"], {key: products[key] for key in ("name", "alias", "columns")}]
    join = {"left": "order_lines", "right": "products", "on": [["sku", "sku"]], "how": "left"}
    edited(widget, 1, tables=tables, joins=[join])
    assert widget.value == samples.wholesale()
    assert [item["name"] for item in widget._facts["available"]] == ["customers"]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"joins": [{"left": "order_lines", "right": "products", "on": [["sku", "skuu"]], "how": "left"}]}, "'sku'"),
        (
            {"joins": [{"left": "ordr_lines", "right": "products", "on": [["sku", "sku"]], "how": "left"}]},
            "order_lines",
        ),
        ({"joins": []}, "joined once"),
        ({"selected": [["products", "titel"]]}, "title"),
        ({"role": {"user": "customer_id", "timestamp": "sku"}}, "not a date"),
        ({"filters": [{"kind": "numbers", "side": "product", "column": "size", "minimum": 1}]}, "without_filter"),
    ],
)
def test_a_draft_that_the_chain_would_refuse_is_refused(parts: dict[str, Any], said: str) -> None:
    widget = SchemaBuilder(samples.wholesale())
    edited(widget, 1, **parts)
    assert widget.value == samples.wholesale()
    assert said in "\n".join(map(str, widget.problems))


def test_an_unfinished_dataset_is_a_value_with_problems() -> None:
    widget = SchemaBuilder(samples.wholesale())
    edited(widget, 1, role={"product": "sku"})
    assert widget.value.role.user is None
    assert {problem.field for problem in widget.problems} >= {"roles.user", "roles.timestamp"}


def test_features_or_a_model_alone_replace_their_half() -> None:
    widget = TowerDesigner(samples.features(), samples.model())
    deep = ModelConfig.preset("deep")
    widget.value = deep
    assert widget.value == Design(samples.features(), deep)
    slim = FeatureConfig.on(samples.wholesale()).buyer.id("customer_id", dim=8).product.id("sku").build()
    widget.value = slim
    assert widget.value == Design(slim, deep)
    assert widget._facts["towers"]["buyer"]["flow"][0]["before"] == 8


def test_widths_and_parameters_are_those_of_the_configurations() -> None:
    widget = TowerDesigner(samples.features(), samples.model())
    told = widget._facts["towers"]["product"]
    assert told["width"] == 48
    assert [(row["before"], row["after"], row["parameters"]) for row in told["flow"]] == [
        (48, 128, 48 * 128 + 128),
        (128, 64, 128 * 64 + 64),
        (64, 32, 64 * 32 + 32),
    ]
    assert told["parameters"] == sum(row["parameters"] for row in told["flow"])


def test_every_offer_can_be_accepted() -> None:
    config = FeatureConfig.on(samples.wholesale())
    widget = TowerDesigner(config, samples.model())
    for column in widget._facts["columns"]:
        for side, offer in column["offers"].items():
            if offer is None:
                assert column["role"] in ("revenue", "quantity")
                continue
            tower = {"features": [offer["feature"]], "crosses": []}
            edited(widget, 1, features={**config.to_dict(), f"{side}_tower": tower})
            assert widget.value.features.width(side) == offer["width"]


def test_a_history_that_does_not_fit_the_product_id_is_a_problem_with_its_fix() -> None:
    config = FeatureConfig.on(samples.wholesale()).buyer.history(dim=8).product.id("sku", dim=64).build()
    widget = TowerDesigner(config, samples.model())
    assert "Use dim=64 for both." in [problem.fix for problem in widget.problems]


@pytest.mark.parametrize("make", [FilterPanel, SchemaBuilder], ids=["filter_panel", "schema_builder"])
@given(dataset=datasets())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_code_that_is_shown_makes_any_dataset(make: Callable[[Dataset], ConfigWidget], dataset: Dataset) -> None:
    widget = make(dataset)
    assert widget.code == dataset_code(dataset)
    shown = widget._facts["code"]
    space: dict[str, Any] = {}
    exec(f"{shown['setup']}\n{shown['chain']}", space)
    assert space["dataset"] == dataset


@given(
    st.lists(
        st.sampled_from([
            {"kind": "dates", "column": "ordered_at", "rolling_days": 90},
            {"kind": "category", "side": "product", "column": "category", "values": ["a", 'b"', "ü"]},
            {"kind": "category", "side": "buyer", "column": "category", "values": ["a"]},
            {"kind": "numbers", "side": "product", "column": "list_price", "above": 0.5, "maximum": 9},
            {"kind": "numbers", "side": "buyer", "column": "list_price", "below": 7},
            {"kind": "date_range", "side": "buyer", "column": "ordered_at", "last_days": 9},
            {"kind": "top_revenue", "side": "product", "percent": 66.5},
            {"kind": "min_count", "side": "buyer", "count": 3},
            {"kind": "aggregate", "side": "buyer", "measure": "partners", "minimum": 2, "below": 99},
            {"kind": "aggregate", "side": "product", "measure": "average_revenue", "above": 1},
        ]),
        max_size=8,
    ),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_a_page_builds_is_refused_or_is_the_value_and_its_code(
    filters: list[dict[str, Any]], sequential: bool
) -> None:
    panel = FilterPanel(samples.wholesale())
    for number in range(len(filters)):
        before = panel.value
        draft = {**panel.value.to_dict(), "sequential": sequential}
        panel._draft = {**draft, "filters": [*draft["filters"], filters[number]]}
        assert panel._facts["accepted"] == (panel.value != before or panel._draft == before.to_dict())
        space: dict[str, Any] = {}
        exec(panel.code, space)
        assert space["dataset"] == panel.value
    sides: dict[str, str] = {}
    for each in panel.value.filters:
        column = getattr(each, "column", None)
        if column is not None:
            assert sides.setdefault(column, each.section) == each.section
