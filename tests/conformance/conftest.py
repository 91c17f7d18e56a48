"""Every home, behind one fixture a protocol. The cloud's are in ``gcp.py``, on emulators."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest

from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.backends.local.keyring import LocalSecrets
from b2brecs.backends.local.process import ProcessRunner, Progress
from b2brecs.backends.local.sqlite import SqliteRegistry
from b2brecs.backends.local.ticker import Ticker
from b2brecs.backends.protocols import Registry, Runner, Scheduler, SecretStore, TaskSpec, Warehouse

try:
    from tests.conformance.gcp import *  # noqa: F403
except ModuleNotFoundError as error:
    # Without the extra, the local half still runs.
    if not (error.name or "").startswith("google"):
        raise


class MemoryKeyring(keyring.backend.KeyringBackend):
    """An OS keyring for tests."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.kept: MutableMapping[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.kept:
            raise keyring.errors.PasswordDeleteError(username)
        del self.kept[service, username]


@pytest.fixture(params=["local", "gcp"])
def home(request: pytest.FixtureRequest) -> str:
    """Which home a test runs against."""
    return str(request.param)


@pytest.fixture
def warehouse(home: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """An empty warehouse."""
    if home == "gcp":
        yield request.getfixturevalue("gcp_warehouse")
        return
    opened = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    yield opened
    opened.close()


@pytest.fixture
def registry(home: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    """An empty registry."""
    if home == "gcp":
        yield request.getfixturevalue("gcp_registry")
        return
    opened = SqliteRegistry(tmp_path / "registry.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def secrets(home: str, request: pytest.FixtureRequest) -> Iterator[SecretStore]:
    """An empty secret store."""
    if home == "gcp":
        yield request.getfixturevalue("gcp_secrets")
        return
    before = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    yield LocalSecrets()
    keyring.set_keyring(before)


@pytest.fixture
def scheduler(home: str, request: pytest.FixtureRequest, tmp_path: Path) -> Scheduler:
    """A scheduler without timetables."""
    if home == "gcp":
        found: Scheduler = request.getfixturevalue("gcp_scheduler")
        return found
    return Ticker(tmp_path / "schedule.sqlite", ProcessRunner(do_task))


@pytest.fixture(params=["local"])
def runner(request: pytest.FixtureRequest) -> Runner:
    """A runner of ``do_task``. Dataflow and Vertex have no emulator; their runners are tested by themselves."""
    return ProcessRunner(do_task)


def do_task(spec: TaskSpec, progress: Progress) -> object:
    """Do as the tests' tasks say."""
    for line in spec.config.get("say", ()):
        progress.log(line)
    if "fail" in spec.config:
        raise ValueError(spec.config["fail"])
    while spec.task == "wait for cancel":
        progress.check()
        progress._stop.wait(0.01)
    return None
