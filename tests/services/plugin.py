"""One pytest fixture per service, started when a test first asks for it.

Every server lives as long as the session; under pytest-xdist each worker has
its own. Environment variables are set as long as the server runs.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

import pytest

from tests.services.addresses import GCS, S3, Azure, BigQuery, Database, Emulator
from tests.services.azure import serve_azure
from tests.services.bigquery import serve_bigquery
from tests.services.firestore import serve_firestore
from tests.services.gcs import serve_gcs
from tests.services.mariadb import serve_mariadb
from tests.services.postgres import serve_postgres
from tests.services.pubsub import serve_pubsub
from tests.services.s3 import serve_s3


class _Address(Protocol):
    @property
    def environ(self) -> dict[str, str]: ...


A = TypeVar("A", bound=_Address)


@contextmanager
def _announced(service: AbstractContextManager[A]) -> Iterator[A]:
    with service as address, pytest.MonkeyPatch.context() as patch:
        for name, value in address.environ.items():
            patch.setenv(name, value)
        yield address


@pytest.fixture(scope="session")
def postgres() -> Iterator[Database]:
    """PostgreSQL."""
    with _announced(serve_postgres()) as address:
        yield address


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Database]:
    """MariaDB."""
    with _announced(serve_mariadb()) as address:
        yield address


@pytest.fixture(scope="session")
def firestore_emulator() -> Iterator[Emulator]:
    """Firestore."""
    with _announced(serve_firestore()) as address:
        yield address


@pytest.fixture(scope="session")
def pubsub_emulator() -> Iterator[Emulator]:
    """Pub/Sub."""
    with _announced(serve_pubsub()) as address:
        yield address


@pytest.fixture(scope="session")
def bigquery_emulator() -> Iterator[BigQuery]:
    """BigQuery."""
    with _announced(serve_bigquery()) as address:
        yield address


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GCS]:
    """Google Cloud Storage."""
    with _announced(serve_gcs()) as address:
        yield address


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """S3."""
    with _announced(serve_s3()) as address:
        yield address


@pytest.fixture(scope="session")
def azure_server() -> Iterator[Azure]:
    """Azure Blob Storage."""
    with _announced(serve_azure()) as address:
        yield address
