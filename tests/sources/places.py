"""Four places of files, for tests that must come out the same on each of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from b2brecs import Connection, Secret
from b2brecs.sources import Source, open_source
from tests.services.addresses import GCS, S3, Azure


@dataclass
class Place:
    """Somewhere to put files, and a connection to it."""

    kind: str
    settings: dict[str, Any]
    put: Callable[[str, bytes], None]
    delete: Callable[[str], None]
    secrets: dict[str, str] = field(default_factory=dict)

    def open(self, **layout: Any) -> Source[Any]:
        """Open the source anew."""
        connection = Connection.of("files", self.kind, **(self.settings | layout))
        return open_source(connection, lambda secret: self.secrets[secret.key])


@contextmanager
def folder(path: Path) -> Iterator[Place]:
    """A folder of this machine."""

    def put(name: str, data: bytes) -> None:
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    yield Place("files", {"path": str(path)}, put, lambda name: (path / name).unlink())


@contextmanager
def s3(server: S3, prefix: str = "") -> Iterator[Place]:
    """A bucket of an S3 server."""
    import boto3

    bucket = f"b-{uuid.uuid4().hex[:12]}"
    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": server.region})
    settings = {
        "bucket": bucket, "prefix": prefix, "endpoint": server.endpoint, "region": server.region,
        "access_key_id": Secret("env:S3_ID"), "secret_access_key": Secret("env:S3_KEY"),
    }  # fmt: skip
    yield Place(
        "s3",
        settings,
        lambda name, data: client.put_object(Bucket=bucket, Key=prefix + name, Body=data),
        lambda name: client.delete_object(Bucket=bucket, Key=prefix + name),
        {"S3_ID": server.access_key, "S3_KEY": server.secret_key},
    )
    client.close()


@contextmanager
def gcs(server: GCS, prefix: str = "") -> Iterator[Place]:
    """A bucket of a Google Cloud Storage server."""
    from google.cloud import storage  # type: ignore[attr-defined]

    client = storage.Client.create_anonymous_client()
    bucket = client.create_bucket(f"b-{uuid.uuid4().hex[:12]}", project=server.project)
    yield Place(
        "gcs",
        {"bucket": bucket.name, "prefix": prefix},
        lambda name, data: bucket.blob(prefix + name).upload_from_string(data),
        lambda name: bucket.blob(prefix + name).delete(),
    )
    client.close()


@contextmanager
def azure(server: Azure, prefix: str = "") -> Iterator[Place]:
    """A container of an Azure server."""
    from azure.storage.blob import ContainerClient

    name = f"c-{uuid.uuid4().hex[:12]}"
    with ContainerClient.from_connection_string(server.connection_string, name) as client:
        client.create_container()
        settings = {
            "container": name, "prefix": prefix, "account": server.account, "endpoint": server.endpoint,
            "account_key": Secret("env:AZURE_KEY"),
        }  # fmt: skip

        def put(name: str, data: bytes) -> None:
            client.upload_blob(prefix + name, data, overwrite=True)

        yield Place(
            "azure_blob",
            settings,
            put,
            lambda name: client.delete_blob(prefix + name),
            {"AZURE_KEY": server.key},
        )
