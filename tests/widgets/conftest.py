"""Chromium for the browser tests: Debian's, with nothing that calls out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from b2brecs.widgets.base import STATIC
from tests.services.need import need

ROOT = Path(__file__).parents[2]


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker; let pytest-base-url declare its fixtures as it does."""
    config.addinivalue_line("markers", "browser: needs Chromium and the built bundles")
    config.addinivalue_line("filterwarnings", "ignore:Session-scoped fixtures defined as instance methods")


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Return the browser's program, or skip."""
    return need("chromium", "apt-get install chromium")


@pytest.fixture(scope="session")
def bundles() -> Path:
    """Return the folder of the built bundles, or skip."""
    return need("pareto_chart.js", "npm ci && npm run build in widgets/", [STATIC / "pareto_chart.js"]).parent


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], chromium: Path) -> dict[str, Any]:
    """Start Debian's Chromium, quietly."""
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    return {**browser_type_launch_args, "executable_path": str(chromium), "args": flags}
