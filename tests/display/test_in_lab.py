"""Runs in a real JupyterLab: their table, and their chart drawn without a network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.widgets.conftest import bundles
from tests.widgets.lab.conftest import lab, notebook

pytestmark = pytest.mark.browser

__all__ = ["bundles", "lab", "notebook"]

CELL = """
from tests.display import samples
from b2brecs.workspace.runs import runs_table
runs = runs_table(samples.month(), "Runs of nightly")
runs[:3]
"""


def test_the_table_and_the_chart_are_shown(notebook, tmp_path):
    shown = notebook([CELL, "runs.plot()"])
    outputs = shown.page.locator(".jp-OutputArea-output")
    expect(outputs).to_have_count(2, timeout=60_000)
    expect(outputs.first.locator(".b2b-dot")).to_have_count(3)
    # The notebook fixture fails on every request to elsewhere.
    expect(outputs.last.locator("canvas, svg.marks").first).to_be_visible(timeout=60_000)
    folder = Path(os.environ.get("B2BRECS_SCREENSHOTS", tmp_path))
    shown.page.screenshot(path=folder / "runs-lab.png")
