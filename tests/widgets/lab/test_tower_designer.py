from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from playwright.sync_api import expect

from tests.widgets.lab.conftest import Notebook

pytestmark = pytest.mark.browser

CELL = """
from b2brecs.widgets import TowerDesigner
from tests.widgets import samples
designer = TowerDesigner(samples.features(), samples.model())
designer
"""


def test_the_kernel_follows_the_page_and_the_page_the_kernel(notebook: Callable[[Sequence[str]], Notebook]) -> None:
    lab = notebook([CELL])
    cells = lab.cells.count()
    lab.widget.get_by_role("button", name="Add dropout to the buyer tower").click()
    expect(lab.widget.get_by_label("Equivalent Python")).to_contain_text(".dropout(0.2)", timeout=20_000)
    assert lab.python("print(designer.value.model.buyer_layers[-1])") == "dropout 0.2"

    lab.python("designer.value = designer.value.model.buyer.dense(48).build()")
    expect(lab.widget.get_by_label("Units of layer 4, buyer tower")).to_have_value("48", timeout=20_000)

    chip = lab.widget.get_by_role("button", name="title 16 wide")
    chip.press(" ")
    chip.press("ArrowDown")
    chip.press("Enter")
    expect(lab.widget.get_by_label("Product tower", exact=True)).to_contain_text("64 wide", timeout=20_000)
    lab.page.wait_for_timeout(500)
    assert lab.cells.count() == cells
