"""Both themes: accessible, framed, within budget; the screenshots are for people to look at."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from b2brecs.widgets.base import STATIC
from tests.services.need import need
from tests.widgets.conftest import ROOT
from tests.widgets.page.conftest import THEMES, Mount
from tests.widgets.page.shown import WIDGETS

pytestmark = pytest.mark.browser
KINDS = pytest.mark.parametrize("kind", list(WIDGETS))


def faults(page: Page) -> list[str]:
    """Return the accessibility faults that axe finds in the widget."""
    axe = need("axe.min.js", "npm ci in widgets/", [ROOT / "widgets/node_modules/axe-core/axe.min.js"])
    page.add_script_tag(content=axe.read_text())
    found: list[str] = page.evaluate(
        "async () => (await axe.run('.b2b-root')).violations.flatMap((rule) =>"
        " rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 160)} ${node.failureSummary}`))"
    )
    return found


@KINDS
@pytest.mark.parametrize("theme", list(THEMES))
def test_no_accessibility_fault_in_any_theme(mount: Mount, kind: str, theme: str, tmp_path: Path) -> None:
    shown = mount(WIDGETS[kind](), theme=theme)
    shown.page.set_viewport_size({"width": 1240, "height": 900})
    expect(shown.root.get_by_role("button", name="Undo")).to_be_visible()
    expect(shown.root.locator("[data-stale]")).to_have_count(0)
    folder = Path(os.environ.get("B2BRECS_SCREENSHOTS", tmp_path))
    shown.page.screenshot(path=folder / f"{kind}-{theme}.png", full_page=True)
    assert faults(shown.page) == []


@KINDS
def test_the_widget_works_in_a_frame(mount: Mount, kind: str) -> None:
    shown = mount(WIDGETS[kind](), theme="vscode-dark", frame=True)
    expect(shown.page.frame_locator("iframe").get_by_role("button", name="Undo")).to_be_visible()


@KINDS
def test_closing_leaves_no_listener_and_no_element(mount: Mount, kind: str) -> None:
    shown = mount(WIDGETS[kind]())
    shown.page.evaluate("window.close_widget()")
    expect(shown.root).to_have_count(0)
    assert shown.page.evaluate("[...window.heard.values()].flat().length") == 0


@KINDS
def test_the_bundle_is_small_and_names_no_address(kind: str, bundles: Path) -> None:
    files = [bundles / f"{kind}{ending}" for ending in (".js", ".css")]
    assert sum(file.stat().st_size for file in files) <= 60 * 1024
    text = "".join(file.read_text() for file in files).replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"https?:|//[a-z]+\.[a-z]+", text) == []


def test_every_bundle_is_shown_here() -> None:
    assert {file.stem for file in STATIC.glob("*.js")} == set(WIDGETS)
