"""Chromium as the machine has it."""

from tests.widgets.conftest import browser_type_launch_args, chromium, pytest_configure

__all__ = ["browser_type_launch_args", "chromium", "pytest_configure"]
