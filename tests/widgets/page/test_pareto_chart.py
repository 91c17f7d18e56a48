from __future__ import annotations

import pytest
from playwright.sync_api import expect

from b2brecs.configs.filters import TopRevenue
from b2brecs.data.what_if import count
from b2brecs.widgets import ParetoChart
from b2brecs.widgets.coverage import coverage
from tests.widgets import samples
from tests.widgets.page.conftest import Mount, Mounted

pytestmark = pytest.mark.browser


def chart() -> ParetoChart:
    return ParetoChart(samples.lines().top_products(80), samples.curve())


def test_dragging_on_the_chart_sets_the_filter(mount: Mount) -> None:
    shown = mount(chart())
    box = shown.root.locator("svg").bounding_box()
    assert box
    shown.page.mouse.move(box["x"] + 200, box["y"] + 60)
    shown.page.mouse.down()
    shown.page.mouse.move(box["x"] + 220, box["y"] + 120, steps=5)
    shown.page.mouse.up()
    (kept,) = shown.widget.value.filters
    assert isinstance(kept, TopRevenue)
    assert 50 < kept.percent < 75
    expect(shown.root.get_by_label("Equivalent Python")).to_contain_text(f".top_products({kept.percent:g})")


def test_a_whole_drag_is_undone_at_once(mount: Mount) -> None:
    shown = mount(chart())
    before = shown.widget.value
    box = shown.root.locator("svg").bounding_box()
    assert box
    shown.page.mouse.move(box["x"] + 200, box["y"] + 60)
    shown.page.mouse.down()
    shown.page.mouse.move(box["x"] + 220, box["y"] + 160, steps=8)
    shown.page.mouse.up()
    assert shown.widget.value != before
    shown.root.get_by_role("button", name="Undo").click()
    expect(shown.root.get_by_label("Share of revenue, percent")).to_have_value("80")
    assert shown.widget.value == before


def test_counts_shown_are_those_of_the_curve(mount: Mount) -> None:
    shown = mount(chart())
    field = shown.root.get_by_label("Share of revenue, percent")
    for percent in (1, 70, 95, 100):
        field.fill(str(percent))
        field.press("Enter")
        expect(shown.root.get_by_label("What is kept")).to_contain_text(f"{samples.curve().counts_at[percent]:,}")


def test_arrows_on_the_slider_move_by_one_percent_and_do_not_leak(mount: Mount) -> None:
    shown = mount(chart())
    shown.root.get_by_label("Threshold", exact=True).press("ArrowRight")
    expect(shown.root.get_by_label("Equivalent Python")).to_contain_text(".top_products(81)")
    assert shown.page.evaluate("window.leaks") == []


def test_a_wrong_number_is_a_problem_and_leaves_the_value(mount: Mount) -> None:
    shown = mount(chart())
    before = shown.widget.value
    field = shown.root.get_by_label("Share of revenue, percent")
    field.fill("170")
    field.press("Enter")
    expect(shown.root.get_by_label("Problems")).to_contain_text("Give a number of at most 100")
    assert shown.widget.value == before
    shown.root.get_by_role("button", name="Undo").click()
    expect(shown.root.get_by_label("Problems")).to_have_count(0)


def test_what_python_sets_is_shown_and_can_be_undone(mount: Mount) -> None:
    shown = mount(chart())
    shown.widget.value = samples.lines().top_products(42)
    shown.push()
    field = shown.root.get_by_label("Share of revenue, percent")
    expect(field).to_have_value("42")
    shown.root.get_by_role("button", name="Undo").click()
    expect(field).to_have_value("80")
    assert shown.widget.value == samples.lines().top_products(80)


def test_marks_and_clear(mount: Mount) -> None:
    shown = mount(chart())
    shown.root.get_by_role("button", name="95%").click()
    expect(shown.root.get_by_role("button", name="95%")).to_have_attribute("aria-pressed", "true")
    assert shown.widget.value == samples.lines().top_products(95)
    shown.root.get_by_role("button", name="Keep all products").click()
    expect(shown.root.get_by_label("Share of revenue, percent")).to_have_value("")
    assert shown.widget.value == samples.lines()


def test_entities_without_revenue_are_named(mount: Mount) -> None:
    expect(mount(chart()).root.get_by_text("12 products without positive revenue")).to_be_visible()


def covered() -> ParetoChart:
    return ParetoChart(samples.lines().top_products(80), coverage(samples.warehouse(), samples.lines()))


def numbers(shown: Mounted) -> dict[str, str]:
    terms = shown.root.get_by_label("What is kept").locator(".number")
    return {
        terms.nth(index).locator("dt").inner_text(): terms.nth(index).locator("b").inner_text()
        for index in range(terms.count())
    }


def test_what_a_drag_shows_is_what_the_query_counts_without_asking_python(mount: Mount) -> None:
    shown = mount(covered())
    slider = shown.root.get_by_label("Threshold", exact=True)
    shown.page.evaluate("window.toPython = async () => '{}'")
    slider.fill("55")
    told = numbers(shown)
    kept = count(samples.warehouse(), samples.lines().top_products(55))
    assert told["products kept"] == f"{kept.products:,}"
    assert told["rows kept"] == f"{kept.rows:,}"
    assert told["buyers covered"] == f"{kept.buyers:,}"
    assert kept.revenue is not None
    assert abs(float(told["revenue kept"].replace(",", "")) - kept.revenue) <= 0.5


def test_a_threshold_by_rows_is_a_least_number_of_rows(mount: Mount) -> None:
    shown = mount(covered())
    shown.root.get_by_label("Measure").select_option("rows")
    expect(shown.root.get_by_text("The threshold stands by revenue")).to_be_visible()
    slider = shown.root.get_by_label("Threshold", exact=True)
    slider.fill("70")
    expect(shown.root.get_by_label("Equivalent Python")).to_contain_text('.products_with("rows", minimum=')
    kept = count(samples.warehouse(), shown.widget.value)
    assert numbers(shown)["products kept"] == f"{kept.products:,}"
    assert numbers(shown)["rows kept"] == f"{kept.rows:,}"
    slider.press("ArrowLeft")
    expect(slider).to_have_value("69")
    shown.root.get_by_role("button", name="Keep all products").click()
    assert shown.widget.value == samples.lines()
    assert numbers(shown)["rows kept"] == "2,000"
