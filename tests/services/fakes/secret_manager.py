"""Secret Manager in memory, for the real client: there is no emulator of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud import secretmanager
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)
from google.protobuf import empty_pb2

from tests.services.fakes.grpc_server import Refused, serve

SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"
NAME = re.compile(r"^projects/[^/]+/secrets/[A-Za-z0-9_-]{1,255}$")


@dataclass
class FakeSecretManager:
    """Keeps the versions of each secret; refuses everything with ``refuse``, if set."""

    secrets: dict[str, list[bytes]] = field(default_factory=dict)
    refuse: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self, request: secretmanager.CreateSecretRequest) -> secretmanager.Secret:
        name = f"{request.parent}/secrets/{request.secret_id}"
        with self.lock:
            self._check(name)
            if "automatic" not in request.secret.replication and "user_managed" not in request.secret.replication:
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "Secret.replication must be set.")
            if name in self.secrets:
                raise Refused(grpc.StatusCode.ALREADY_EXISTS, f"Secret [{name}] already exists.")
            self.secrets[name] = []
        return secretmanager.Secret(name=name, labels=request.secret.labels)

    def add(self, request: secretmanager.AddSecretVersionRequest) -> secretmanager.SecretVersion:
        with self.lock:
            versions = self._find(request.parent)
            versions.append(request.payload.data)
            return secretmanager.SecretVersion(name=f"{request.parent}/versions/{len(versions)}")

    def access(self, request: secretmanager.AccessSecretVersionRequest) -> secretmanager.AccessSecretVersionResponse:
        name, _, version = request.name.rpartition("/versions/")
        with self.lock:
            versions = self._find(name)
            number = len(versions) if version == "latest" else int(version)
            if not 0 < number <= len(versions):
                raise Refused(grpc.StatusCode.NOT_FOUND, f"Secret Version [{request.name}] not found.")
            payload = secretmanager.SecretPayload(data=versions[number - 1])
        return secretmanager.AccessSecretVersionResponse(name=f"{name}/versions/{number}", payload=payload)

    def delete(self, request: secretmanager.DeleteSecretRequest) -> empty_pb2.Empty:
        with self.lock:
            self._find(request.name)
            del self.secrets[request.name]
        return empty_pb2.Empty()

    def _check(self, name: str) -> None:
        if self.refuse:
            raise Refused(grpc.StatusCode.PERMISSION_DENIED, self.refuse)
        if not NAME.match(name):
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"{name} is not a name of a secret.")

    def _find(self, name: str) -> list[bytes]:
        self._check(name)
        if name not in self.secrets:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"Secret [{name}] not found.")
        return self.secrets[name]


@contextmanager
def serve_secret_manager() -> Iterator[tuple[FakeSecretManager, secretmanager.SecretManagerServiceClient]]:
    """Serve an empty Secret Manager; yields it with a client."""
    fake = FakeSecretManager()
    methods: dict[str, tuple[Any, Any]] = {
        "CreateSecret": (secretmanager.CreateSecretRequest, fake.create),
        "AddSecretVersion": (secretmanager.AddSecretVersionRequest, fake.add),
        "AccessSecretVersion": (secretmanager.AccessSecretVersionRequest, fake.access),
        "DeleteSecret": (secretmanager.DeleteSecretRequest, fake.delete),
    }
    with serve(SERVICE, methods) as channel:
        transport = SecretManagerServiceGrpcTransport(channel=channel)
        yield fake, secretmanager.SecretManagerServiceClient(transport=transport)
