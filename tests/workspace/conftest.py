"""A fresh local workspace with a connection to the source in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest

import b2brecs as b2b
from tests.conformance.conftest import MemoryKeyring
from tests.workspace import memory


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[b2b.Workspace]:
    with b2b.Workspace.local(tmp_path / "home") as workspace:
        yield workspace


@pytest.fixture
def hooks() -> Iterator[dict]:
    """What the source in memory calls between batches."""
    memory.HOOKS.clear()
    yield memory.HOOKS
    memory.HOOKS.clear()


@pytest.fixture
def shop(ws: b2b.Workspace, hooks: dict) -> b2b.Connection:
    connection = b2b.Connection.of("shop", "shop_memory")
    ws.save(connection)
    return connection


@pytest.fixture
def os_keyring() -> Iterator[MemoryKeyring]:
    """An OS keyring for tests."""
    before = keyring.get_keyring()
    kept = MemoryKeyring()
    keyring.set_keyring(kept)
    yield kept
    keyring.set_keyring(before)
