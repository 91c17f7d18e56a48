from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from b2brecs.data.what_if import in_order
from b2brecs.widgets import FilterPanel
from tests.widgets import samples
from tests.widgets.page.conftest import Mount, Mounted
from tests.widgets.page.shown import panel
from tests.widgets.page.test_looks import faults

pytestmark = pytest.mark.browser


def add(shown: Mounted, kind: str) -> None:
    shown.root.get_by_role("group", name="Add a filter").get_by_role("button", name=kind, exact=True).click()


def code(shown: Mounted) -> str:
    return shown.root.get_by_label("Equivalent Python").inner_text()


def test_steps_stand_in_the_order_of_evaluation_with_their_counts(mount: Mount) -> None:
    shown = mount(panel())
    rows = shown.root.locator(".steps tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("2,000")
    found = [text.strip() for text in shown.root.locator(".steps tbody th").all_inner_texts()]
    assert found == ["All rows", *map(str, in_order(shown.widget.value))]
    expect(shown.root.locator(".steps[data-stale]")).to_have_count(0)
    kept = shown.widget._facts["kept"]["steps"]
    for number, step in enumerate(kept):
        expect(rows.nth(number)).to_contain_text(f"{step['rows']:,}")


def test_values_are_ticked_in_the_list_and_become_the_filter(mount: Mount) -> None:
    shown = mount(FilterPanel(samples.wholesale(), samples.warehouse()))
    add(shown, "Values")
    expect(shown.root.get_by_label("About")).to_be_focused()
    shown.root.get_by_label("Column").select_option("category")
    for value in ("group 1", "group 3"):
        shown.root.get_by_role("checkbox", name=value).check()
    expect(shown.root.get_by_text("would leave")).to_be_visible()
    shown.root.get_by_role("button", name="Add filter").click()
    expect(shown.root.get_by_label("Equivalent Python")).to_contain_text('.keep("category", "group 1", "group 3")')
    assert shown.widget.value == samples.wholesale().keep("category", "group 1", "group 3")
    expect(shown.root.locator("[data-form]")).to_have_count(0)
    expect(shown.root.get_by_role("button", name="Values", exact=True)).to_be_focused()


def test_values_are_searched_in_the_warehouse(mount: Mount) -> None:
    shown = mount(FilterPanel(samples.wholesale(), samples.warehouse()))
    add(shown, "Values")
    shown.root.get_by_label("Column").select_option("title")
    shown.root.get_by_label("Search values of title").fill("title 2")
    expect(shown.root.get_by_role("checkbox", name="Title 1", exact=False)).to_have_count(0)
    shown.root.get_by_role("button", name="Tick shown").click()
    shown.root.get_by_role("button", name="Add filter").click()
    expect(shown.root.locator(".steps tbody tr")).to_have_count(2)
    (kept,) = shown.widget.value.filters
    assert all("Title 2" in value for value in kept.values)


def test_a_conflict_stands_at_the_column_in_the_librarys_words(mount: Mount) -> None:
    shown = mount(panel())
    before = shown.widget.value
    add(shown, "Values")
    shown.root.get_by_label("Column").select_option("category")
    shown.root.get_by_label("About").select_option("Buyers")
    shown.root.get_by_role("checkbox", name="group 3").check()
    field = shown.root.get_by_label("Column")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(
        "is used by the product filter “category in (group 1, group 2)” already. Remove one, or pass allow_reuse=True."
    )
    button = shown.root.get_by_role("button", name="Add filter")
    expect(button).to_have_attribute("aria-disabled", "true")
    button.click(force=True)
    assert shown.widget.value == before


def test_a_range_is_dragged_across_the_bars(mount: Mount) -> None:
    shown = mount(FilterPanel(samples.lines(), samples.warehouse()))
    add(shown, "Numbers")
    shown.root.get_by_label("Column").select_option("quantity")
    box = shown.root.locator(".bars").bounding_box()
    assert box
    step = box["width"] / 7
    shown.page.mouse.move(box["x"] + 1.5 * step, box["y"] + 40)
    shown.page.mouse.down()
    shown.page.mouse.move(box["x"] + 3.5 * step, box["y"] + 40, steps=4)
    shown.page.mouse.up()
    expect(shown.root.locator(".bar.on")).to_have_count(3)
    shown.root.get_by_role("button", name="Add filter").click()
    expect(shown.root.get_by_label("Equivalent Python")).to_contain_text("quantity")
    assert shown.widget.value == samples.lines().between("quantity", 2, below=5)


@pytest.mark.parametrize(
    ("kind", "typed", "expected"),
    [
        ("Time window", {"Last, days": "90"}, samples.lines().dates(rolling_days=90)),
        ("Time window", {"From": "2024-02-01", "To": "2024-05-01"},
         samples.lines().dates(start=dt.date(2024, 2, 1), end=dt.date(2024, 5, 1))),
        ("Numbers", {"Column": "revenue", "Lower bound": "1.5"}, samples.lines().between("revenue", 1.5)),
        ("Dates of a column", {"Last, days": "30"}, samples.lines().within("ordered_at", last_days=30)),
        ("Top by revenue", {"That make, % of revenue": "66"}, samples.lines().top_products(66)),
        ("Number of rows", {"Keep": "Buyers", "With at least, rows": "5"}, samples.lines().min_purchases(buyers=5)),
        ("Totals", {"By their": "different buyers", "Upper bound": "9"},
         samples.lines().products_with("partners", maximum=9)),
    ],
)  # fmt: skip
def test_every_kind_is_written_with_the_keyboard(
    mount: Mount, kind: str, typed: dict[str, str], expected: object
) -> None:
    shown = mount(FilterPanel(samples.lines(), samples.warehouse()))
    button = shown.root.get_by_role("group", name="Add a filter").get_by_role("button", name=kind, exact=True)
    button.press("Enter")
    for label, text in typed.items():
        control = shown.root.get_by_label(label, exact=True)
        if control.evaluate("element => element.tagName") == "SELECT":
            control.select_option(text)
        else:
            control.fill(text)
    control.press("Enter")
    expect(shown.root.locator(".steps tbody tr")).to_have_count(2)
    assert shown.widget.value == expected
    shown.root.get_by_role("button", name="Undo").click()
    expect(shown.root.locator(".steps tbody tr")).to_have_count(1)
    assert shown.widget.value == samples.lines()
    assert shown.page.evaluate("window.leaks") == []


def test_a_strict_bound_and_a_wrong_one(mount: Mount) -> None:
    shown = mount(FilterPanel(samples.lines(), samples.warehouse()))
    add(shown, "Totals")
    shown.root.get_by_label("Lower bound: with or without").select_option("more than")
    shown.root.get_by_label("Lower bound", exact=True).fill("30")
    shown.root.get_by_label("Upper bound", exact=True).fill("3")
    expect(shown.root.get_by_role("alert")).to_contain_text("is above the upper bound (3)")
    shown.root.get_by_label("Upper bound", exact=True).fill("")
    expect(shown.root.get_by_role("alert")).to_have_count(0)
    shown.root.get_by_role("button", name="Add filter").click()
    expect(shown.root.locator(".steps tbody tr")).to_have_count(2)
    assert shown.widget.value == samples.lines().products_with("rows", above=30)


def test_edit_remove_undo_and_redo(mount: Mount) -> None:
    shown = mount(panel())
    shown.root.get_by_role("button", name="Edit filter 3: products that make 80 %").click()
    shown.root.get_by_label("That make, %").fill("60")
    shown.root.get_by_role("button", name="Change filter").click()
    expect(shown.root.get_by_label("Equivalent Python")).to_contain_text(".top_products(60)")
    first = shown.root.get_by_role("button", name="Remove filter 1: category in")
    first.click()
    expect(shown.root.locator(".steps tbody tr")).to_have_count(3)
    expect(shown.root.get_by_role("button", name="Remove filter 1:")).to_be_focused()
    assert shown.widget.value == samples.wholesale().min_purchases(buyers=3).top_products(60)
    shown.page.keyboard.press("Control+z")
    shown.page.keyboard.press("Control+z")
    expect(shown.root.get_by_label("Equivalent Python")).to_contain_text(".top_products(80)")
    assert shown.widget.value == panel().value
    shown.page.keyboard.press("Control+Shift+z")
    expect(shown.root.get_by_label("Equivalent Python")).to_contain_text(".top_products(60)")


def test_products_first_is_a_switch(mount: Mount) -> None:
    shown = mount(panel())
    shown.root.get_by_label("Products first, buyers on what they leave").check()
    expect(shown.root.get_by_label("Equivalent Python")).to_contain_text(".sequentially()")
    assert shown.widget.value.sequential
    found = [text.strip() for text in shown.root.locator(".steps tbody th").all_inner_texts()]
    assert found[1:] == [str(each) for each in in_order(shown.widget.value)]


def test_what_cannot_be_added_says_why(mount: Mount) -> None:
    from b2brecs.configs.dataset import Dataset

    shown = mount(FilterPanel(Dataset.over("d", samples.PRODUCTS)))
    button = shown.root.get_by_role("button", name="Top by revenue")
    expect(button).to_have_attribute("aria-disabled", "true")
    button.click(force=True)
    expect(shown.root.get_by_role("status")).to_contain_text("Needs the role of the buyer or the product.")
    expect(shown.root.locator("[data-form]")).to_have_count(0)


def test_without_a_warehouse_values_are_typed(mount: Mount) -> None:
    shown = mount(FilterPanel(samples.wholesale()))
    add(shown, "Values")
    shown.root.get_by_label("Column").select_option("category")
    search = shown.root.get_by_label("Search values of category")
    search.fill("<b>odd & 'quoted'</b>")
    search.press("Enter")
    shown.root.get_by_role("button", name="Add filter").click()
    expect(shown.root.locator(".steps tbody tr")).to_have_count(2)
    assert shown.widget.value == samples.wholesale().keep("category", "<b>odd & 'quoted'</b>")
    expect(shown.root.locator("b")).to_have_count(0)


@pytest.mark.parametrize(("kind", "column"), [("Values", "category"), ("Numbers", "revenue")])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_open_form_has_no_accessibility_fault(
    mount: Mount, tmp_path: Path, kind: str, column: str, theme: str
) -> None:
    shown = mount(panel(), theme=theme)
    shown.page.set_viewport_size({"width": 1240, "height": 900})
    add(shown, kind)
    shown.root.get_by_label("Column").select_option(column)
    expect(shown.root.locator(".column-part")).to_be_visible()
    expect(shown.root.locator("[data-stale]")).to_have_count(0)
    folder = Path(os.environ.get("B2BRECS_SCREENSHOTS", tmp_path))
    shown.page.screenshot(path=folder / f"filter_panel-{kind.lower()}-{theme}.png", full_page=True)
    assert faults(shown.page) == []
