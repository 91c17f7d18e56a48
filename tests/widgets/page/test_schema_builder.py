from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from tests.widgets import samples
from tests.widgets.page.conftest import Mount, Mounted
from tests.widgets.page.shown import builder

pytestmark = pytest.mark.browser
JOINED = samples.wholesale().join(samples.CUSTOMERS, on=("customer_id", "id"))


def column(shown: Mounted, name: str) -> Locator:
    return shown.root.get_by_role("button", name=f"{name},")


def middle(element: Locator) -> tuple[float, float]:
    box = element.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_column_dragged_onto_another_tables_column_joins(mount: Mount) -> None:
    shown = mount(builder())
    shown.page.mouse.move(*middle(column(shown, "order_lines.customer_id")))
    shown.page.mouse.down()
    shown.page.mouse.move(*middle(column(shown, "customers.id")), steps=8)
    expect(shown.root.locator(".b2b-target")).to_have_count(1)
    shown.page.mouse.up()
    expect(shown.root.get_by_role("group", name="Join of customers to order_lines")).to_be_visible()
    assert shown.widget.value == JOINED


def test_the_same_by_keyboard_is_announced_and_does_not_leak(mount: Mount) -> None:
    shown = mount(builder())
    source = column(shown, "order_lines.customer_id")
    source.press(" ")
    expect(shown.root.get_by_role("status")).to_contain_text("order_lines.customer_id lifted.")
    source.press("ArrowRight")
    expect(shown.root.get_by_role("status")).to_have_text("Over customers.id.")
    source.press("Enter")
    expect(shown.root.get_by_role("group", name="Join of customers to order_lines")).to_be_visible()
    assert shown.widget.value == JOINED
    expect(source).to_be_focused()
    assert shown.page.evaluate("window.leaks") == []


@pytest.mark.parametrize("key", ["Escape", "Tab"])
def test_escape_and_tab_put_the_column_back(mount: Mount, key: str) -> None:
    shown = mount(builder())
    source = column(shown, "order_lines.customer_id")
    source.press(" ")
    source.press(key)
    expect(shown.root.get_by_role("status")).to_contain_text("put back")
    expect(shown.root.locator(".b2b-lifted")).to_have_count(0)
    assert shown.widget.value == samples.wholesale()
    if key == "Tab":
        expect(source).not_to_be_focused()


def test_the_keyboard_starts_at_the_column_of_the_same_name(mount: Mount) -> None:
    shown = mount(builder())
    source = column(shown, "customers.country")
    source.press(" ")
    # Only tables of the dataset can receive it, and none of them has that column.
    expect(shown.root.get_by_role("status")).to_contain_text("Over order_lines.order_id.")
    source.press("Escape")
    other = column(shown, "order_lines.sku")
    other.press(" ")
    expect(shown.root.get_by_role("status")).to_contain_text("Over products.sku.")


def test_the_join_card_changes_and_removes_the_join_and_undo_brings_it_back(mount: Mount) -> None:
    shown = mount(builder())
    card = shown.root.get_by_role("group", name="Join of products to order_lines")
    card.get_by_label("Kind of join").select_option("inner")
    expect(shown.root.get_by_label("Equivalent Python")).to_contain_text('how="inner"')
    card.get_by_role("button", name="Remove the join of products").click()
    expect(card).to_have_count(0)
    assert shown.widget.value == samples.lines()
    shown.root.get_by_role("button", name="Undo").click()
    expect(card.get_by_label("Kind of join")).to_have_value("inner")
    assert shown.widget.value == samples.lines().join(samples.PRODUCTS, on="sku", how="inner")
    shown.page.keyboard.press("Control+z")
    expect(card.get_by_label("Kind of join")).to_have_value("left")
    shown.page.keyboard.press("Control+Shift+z")
    expect(card.get_by_label("Kind of join")).to_have_value("inner")


def test_ticks_and_roles(mount: Mount) -> None:
    shown = mount(builder())
    shown.root.get_by_label("Select order_lines.order_id").uncheck()
    expect(shown.root.get_by_text("2 tables, 9 columns")).to_be_visible()
    shown.root.get_by_label("Role of order_lines.quantity").select_option("Revenue")
    expect(shown.root.get_by_label("Role of order_lines.revenue")).to_have_value("")
    assert shown.widget.value.role.revenue == "quantity"
    assert ("order_lines", "order_id") not in shown.widget.value.selected
    shown.root.get_by_label("Role of order_lines.customer_id").select_option("")
    expect(shown.root.get_by_label("Problems")).to_contain_text("roles.user")


def test_lines_start_and_end_at_the_joined_columns_and_cross_no_card(mount: Mount) -> None:
    shown = mount(builder())
    shown.widget.value = JOINED.join(samples.COUNTRIES, on="country")
    shown.push()
    expect(shown.root.locator(".lines path.head")).to_have_count(3)
    faults = shown.page.evaluate("""() => {
      const svg = document.querySelector(".lines");
      const boxes = [...document.querySelectorAll(".card")].map((card) => card.getBoundingClientRect());
      const origin = svg.getBoundingClientRect();
      const wrong = [];
      for (const path of svg.querySelectorAll("path[data-line]")) {
        const length = path.getTotalLength();
        for (let at = 2; at < length - 2; at += 2) {
          const { x, y } = path.getPointAtLength(at);
          const inside = (b) => x + origin.left > b.left + 1 && x + origin.left < b.right - 1
            && y + origin.top > b.top + 1 && y + origin.top < b.bottom - 1;
          if (boxes.some(inside)) wrong.push(`${path.dataset.line} at ${x},${y}`);
        }
      }
      return wrong;
    }""")
    assert faults == []
    circle = shown.root.locator(".lines circle").nth(1).bounding_box()
    assert circle
    assert abs(circle["y"] + circle["height"] / 2 - middle(column(shown, "order_lines.customer_id"))[1]) < 3


def test_hostile_names_stay_text(mount: Mount) -> None:
    from b2brecs.configs.dataset import Dataset
    from b2brecs.types import Column, TableSchema
    from b2brecs.widgets import SchemaBuilder

    evil = "<img src=x onerror=alert(1)>\"'"
    table = TableSchema(evil, (Column(evil, "STRING"), Column("a", "STRING")))
    shown = mount(SchemaBuilder(Dataset.over("x", samples.LINES), [table]))
    expect(shown.root.locator("img")).to_have_count(0)
    source = column(shown, "order_lines.sku")
    source.press(" ")
    source.press("Enter")
    expect(shown.root.locator(".join")).to_have_count(1)
    assert shown.widget.value.joins[0].right == evil


def test_a_wide_table_shows_the_columns_in_use(mount: Mount) -> None:
    from b2brecs.types import Column, TableSchema
    from b2brecs.widgets import SchemaBuilder

    wide = TableSchema("wide", (Column("sku", "STRING"), *(Column(f"c{n}", "STRING") for n in range(60))))
    shown = mount(SchemaBuilder(samples.lines().join(wide, on="sku")))
    card = shown.root.get_by_label("Table wide")
    expect(card.get_by_role("listitem")).to_have_count(1)
    card.get_by_role("button", name="Show 60 more columns").click()
    expect(card.get_by_role("listitem")).to_have_count(61)
    assert shown.widget._view["open"] == {"wide": True}


def test_a_table_joins_itself_under_an_alias(mount: Mount) -> None:
    shown = mount(builder())
    shown.root.get_by_role("button", name="Join products once more").click()
    alias = shown.root.get_by_label("Alias of products")
    expect(alias).to_be_focused()
    alias.fill("substitutes")
    alias.press("Enter")
    source = column(shown, "products.sku")
    shown.page.mouse.move(*middle(source))
    shown.page.mouse.down()
    shown.page.mouse.move(*middle(column(shown, "substitutes.sku")), steps=8)
    shown.page.mouse.up()
    expect(shown.root.get_by_label("Equivalent Python")).to_contain_text('as_="substitutes"')
    expected = samples.wholesale().join(samples.PRODUCTS, on="sku", left="products", as_="substitutes")
    assert shown.widget.value == expected
    shown.root.get_by_role("button", name="Undo").click()
    expect(alias).to_have_value("substitutes")
    shown.root.get_by_role("button", name="Forget substitutes").click()
    expect(alias).to_have_count(0)
    assert shown.widget.value == samples.wholesale()


def test_an_alias_that_is_taken_is_not_given(mount: Mount) -> None:
    shown = mount(builder())
    shown.root.get_by_role("button", name="Join products once more").click()
    alias = shown.root.get_by_label("Alias of products")
    alias.fill("customers")
    alias.press("Enter")
    expect(shown.root.get_by_role("status")).to_contain_text("customers cannot be used.")
    expect(shown.root.get_by_role("region", name="Table products_2")).to_be_visible()


def test_a_join_on_several_columns_is_made_and_undone_with_controls(mount: Mount) -> None:
    shown = mount(builder())
    joins = shown.root.get_by_label("Joins", exact=True)
    joins.get_by_label("Column of order_lines for one more pair").select_option("order_id")
    joins.get_by_label("Column of products for one more pair").select_option("title")
    joins.get_by_role("button", name="And join products on order_id = title").click()
    expect(shown.root.locator(".lines path.head")).to_have_count(2)
    assert shown.widget.value == samples.lines().join(samples.PRODUCTS, on=["sku", ("order_id", "title")])
    joins.get_by_role("button", name="Do not join products on sku = sku").click()
    expect(shown.root.locator(".lines path.head")).to_have_count(1)
    assert shown.widget.value == samples.lines().join(samples.PRODUCTS, on=("order_id", "title"))


def test_computed_columns_are_shown_and_removed(mount: Mount) -> None:
    from b2brecs.widgets import SchemaBuilder

    dataset = samples.lines().compute("line_value", "quantity * 2").compute("twice", "revenue * 2")
    shown = mount(SchemaBuilder(dataset.roles(revenue="line_value")))
    part = shown.root.get_by_label("Computed columns")
    expect(part.get_by_role("listitem")).to_have_count(2)
    expect(part).to_contain_text("quantity * 2")
    part.get_by_role("button", name="Remove computed column line_value").click()
    expect(part.get_by_role("listitem")).to_have_count(1)
    assert [item.name for item in shown.widget.value.computed] == ["twice"]
    assert shown.widget.value.role.revenue is None
    shown.root.get_by_role("button", name="Undo").click()
    expect(part.get_by_role("listitem")).to_have_count(2)


def test_cards_move_by_pointer_and_keys_and_the_dataset_does_not_know(mount: Mount) -> None:
    shown = mount(builder())
    card = shown.root.get_by_role("region", name="Table products")
    before = card.bounding_box()
    grip = card.get_by_role("button", name="Move table products", exact=True)
    x, y = middle(grip)
    shown.page.mouse.move(x, y)
    shown.page.mouse.down()
    shown.page.mouse.move(x + 30, y + 90, steps=4)
    shown.page.mouse.up()
    after = card.bounding_box()
    assert before
    assert after
    assert (round(after["x"] - before["x"]), round(after["y"] - before["y"])) == (30, 90)
    grip.press("ArrowDown")
    assert shown.widget._view["places"] == {"products": [30, 114]}
    assert shown.widget.value == samples.wholesale()
    # The line follows to the column.
    shown.page.wait_for_function("""() => {
      const middle = (element) => { const box = element.getBoundingClientRect(); return box.top + box.height / 2; };
      const place = [...document.querySelectorAll("[data-drop]")].find((row) => row.dataset.drop === '["products","sku"]');
      const head = document.querySelector(".lines path.head");
      return head && place && Math.abs(middle(head) - middle(place)) < 3;
    }""")
    shown.root.get_by_role("button", name="Put the tables back").click()
    assert shown.widget._view["places"] == {}
