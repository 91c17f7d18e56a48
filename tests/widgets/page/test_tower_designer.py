from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from b2brecs.configs.layers import Dense, Dropout
from b2brecs.configs.transforms import Cycle, Embedding, History
from tests.widgets.page.conftest import Mount
from tests.widgets.page.shown import designer

pytestmark = pytest.mark.browser


def middle(element: Locator) -> tuple[float, float]:
    box = element.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_column_dragged_into_a_tower_brings_its_width(mount: Mount) -> None:
    shown = mount(designer())
    shown.page.mouse.move(*middle(shown.root.get_by_role("button", name="sku 32 wide", exact=False).first))
    shown.page.mouse.down()
    shown.page.mouse.move(*middle(shown.root.get_by_label("Features of the buyer tower")), steps=8)
    shown.page.mouse.up()
    expect(shown.root.get_by_label("Buyer tower", exact=True)).to_contain_text("64 wide")
    history = shown.widget.value.features.buyer_tower.features[-1]
    assert history.column == "sku"
    assert history.transforms == (History(dim=32),)


def test_the_same_by_keyboard(mount: Mount) -> None:
    shown = mount(designer())
    chip = shown.root.get_by_role("button", name="ordered_at 2 wide")
    chip.press(" ")
    expect(shown.root.get_by_role("status")).to_contain_text("Over Buyer tower.")
    chip.press("ArrowRight")
    chip.press("Enter")
    expect(shown.root.get_by_label("Product tower", exact=True)).to_contain_text("50 wide")
    assert shown.widget.value.features.product_tower.features[-1].transforms == (Cycle(),)
    assert shown.page.evaluate("window.leaks") == []


def test_a_column_known_only_after_the_purchase_goes_nowhere(mount: Mount) -> None:
    shown = mount(designer())
    shown.root.get_by_role("button", name="revenue – wide").press(" ")
    expect(shown.root.get_by_role("status")).to_contain_text("nowhere to drop it")


def test_layers_are_added_edited_reordered_and_removed(mount: Mount) -> None:
    shown = mount(designer())
    buyer = shown.root.get_by_label("Buyer tower", exact=True)
    buyer.get_by_role("button", name="Add dropout to the buyer tower").click()
    rate = buyer.get_by_label("Rate of layer 3, buyer tower")
    rate.fill("0.4")
    rate.press("Enter")
    expect(shown.root.get_by_label("Equivalent Python")).to_contain_text(".dropout(0.4)")
    units = buyer.get_by_label("Units of layer 1, buyer tower")
    units.fill("96")
    units.press("Tab")
    expect(buyer).to_contain_text("32 → 96")
    expect(buyer).to_contain_text("3,168 parameters")
    handle = buyer.get_by_role("button", name="Dropout, layer 3 of the buyer tower")
    handle.press(" ")
    handle.press("Enter")
    expect(buyer.get_by_role("button", name="Dropout, layer 1 of the buyer tower")).to_be_visible()
    assert [type(layer) for layer in shown.widget.value.model.buyer_layers] == [Dropout, Dense, Dense]
    buyer.get_by_role("button", name="Remove layer 1 of the buyer tower").click()
    expect(buyer.get_by_role("button", name="Dropout, layer 1 of the buyer tower")).to_have_count(0)
    assert [str(layer) for layer in shown.widget.value.model.buyer_layers] == [
        "dense 96 relu l2 1e-06",
        "dense 64 relu",
    ]


def test_a_layer_dragged_to_the_other_tower(mount: Mount) -> None:
    shown = mount(designer())
    shown.page.mouse.move(*middle(shown.root.get_by_role("button", name="Dense, layer 2 of the buyer tower")))
    shown.page.mouse.down()
    shown.page.mouse.move(
        *middle(shown.root.get_by_role("button", name="Dense, layer 1 of the product tower")), steps=5
    )
    shown.page.mouse.move(
        *middle(shown.root.get_by_label("Layers of the product tower").locator(".slot").nth(1)), steps=5
    )
    shown.page.mouse.up()
    expect(shown.root.get_by_role("button", name="Dense, layer 3 of the product tower")).to_be_visible()
    assert [layer.units for layer in shown.widget.value.model.product_layers] == [128, 64, 64]
    assert [layer.units for layer in shown.widget.value.model.buyer_layers] == [128]


def test_an_empty_tower_is_red_with_the_fix(mount: Mount) -> None:
    shown = mount(designer())
    shown.root.get_by_role("button", name="Take customer_id out of the buyer tower").click()
    problems = shown.root.get_by_label("Problems")
    expect(problems).to_contain_text("the buyer tower is empty.")
    expect(problems).to_contain_text("Add its id")
    expect(shown.root.get_by_label("Buyer tower", exact=True)).to_have_class("tower faulty")
    shown.root.get_by_role("button", name="Undo").click()
    expect(problems).to_have_count(0)


def test_a_width_out_of_bounds_leaves_the_value_and_shows_no_stale_sums(mount: Mount) -> None:
    shown = mount(designer())
    before = shown.widget.value
    field = shown.root.get_by_label("Units of layer 1, buyer tower")
    field.fill("99999")
    field.press("Enter")
    expect(shown.root.get_by_label("Problems")).to_contain_text("at most 8192")
    expect(shown.root.get_by_label("Buyer tower", exact=True)).not_to_contain_text("4,224")
    assert shown.widget.value == before


def test_the_width_of_an_embedding_is_typed(mount: Mount) -> None:
    shown = mount(designer())
    field = shown.root.get_by_label("Width of category in the product tower")
    field.fill("24")
    field.press("Enter")
    expect(shown.root.get_by_label("Product tower", exact=True)).to_contain_text("56 wide")
    assert shown.widget.value.features.product_tower.features[1].transforms == (Embedding(dim=24),)
