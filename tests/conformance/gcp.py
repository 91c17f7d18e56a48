"""The cloud's backends on emulators; each test has a dataset, a collection prefix or a project of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from b2brecs.backends.gcp.bigquery import BigQueryWarehouse
from b2brecs.backends.gcp.firestore import FirestoreRegistry
from b2brecs.backends.gcp.scheduler import CloudScheduler
from b2brecs.backends.gcp.secret_manager import CloudSecrets
from tests.services.addresses import BigQuery, Emulator

__all__ = ["gcp_registry", "gcp_scheduler", "gcp_secrets", "gcp_warehouse", "scheduler_service", "secret_service"]


def own(prefix: str) -> str:
    """Return a name that no other test uses."""
    return f"{prefix}{uuid.uuid4().hex[:12]}"


@pytest.fixture
def gcp_warehouse(bigquery_emulator: BigQuery) -> Iterator[BigQueryWarehouse]:
    """BigQuery with an empty dataset."""
    opened = BigQueryWarehouse(bigquery_emulator.project, "EU", own("d"))
    yield opened
    opened._open().delete_dataset(opened._path, delete_contents=True, not_found_ok=True)
    opened.close()


@pytest.fixture
def gcp_registry(firestore_emulator: Emulator) -> Iterator[FirestoreRegistry]:
    """Firestore without documents."""
    opened = FirestoreRegistry(firestore_emulator.project, prefix=own("t"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def secret_service():
    """The fake Secret Manager, with a client."""
    from tests.services.fakes.secret_manager import serve_secret_manager

    with serve_secret_manager() as served:
        yield served


@pytest.fixture
def gcp_secrets(secret_service) -> CloudSecrets:
    """Secret Manager without secrets."""
    return CloudSecrets(own("p"), secret_service[1])


@pytest.fixture(scope="session")
def scheduler_service():
    """The fake Cloud Scheduler, with a client."""
    from tests.services.fakes.scheduler import serve_scheduler

    with serve_scheduler() as served:
        yield served


@pytest.fixture
def gcp_scheduler(scheduler_service) -> CloudScheduler:
    """Cloud Scheduler without jobs."""
    return CloudScheduler(
        own("p"),
        "europe-west1",
        target_url="https://b2brecs.example/tasks",
        service_account="b2brecs@acme.iam.gserviceaccount.com",
        client=scheduler_service[1],
    )
