"""Secrets in the cloud: Google's Secret Manager, and the environment to read from."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from b2brecs.backends.environment import from_environment
from b2brecs.backends.gcp.refusals import sentence
from b2brecs.errors import B2BRecsError, SecretNotFound, require

if TYPE_CHECKING:
    from google.cloud import secretmanager

    from b2brecs.configs.secrets import Secret

T = TypeVar("T")

READ = "roles/secretmanager.secretAccessor"
WRITE = "roles/secretmanager.admin"
_NAME = re.compile(r"^[A-Za-z0-9_-]{1,255}$")


class CloudSecrets:
    """Secrets of a Google project: ``gcp:`` in Secret Manager, ``env:`` from the environment, read-only.

    Nothing is kept in memory: each ``get`` asks for the latest version.

    Parameters
    ----------
    project
        The project that holds the secrets.
    client
        A client to use instead of one with the default credentials.
    """

    def __init__(self, project: str, client: secretmanager.SecretManagerServiceClient | None = None) -> None:
        self.project = project
        self._client = client
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<CloudSecrets in {self.project}>"

    def get(self, secret: Secret) -> str:
        """Return the secret.

        Raises
        ------
        SecretNotFound
            Nothing is stored under the reference.
        """
        if secret.scheme == "env":
            return from_environment(secret)
        name = f"{self._path(secret)}/versions/latest"
        client = self._open()
        found = self._ask(secret, READ, lambda: client.access_secret_version(name=name).payload.data)
        if found is None:
            raise SecretNotFound(secret.reference, f"Store it once with ws.secrets.put({secret.reference!r}).")
        return found.decode()

    def put(self, secret: Secret, value: str) -> None:
        """Store a secret, or a new version of it.

        Raises
        ------
        B2BRecsError
            The scheme cannot be written to, or Secret Manager refused.
        """
        path = self._path(secret)
        client = self._open()
        from google.cloud import secretmanager

        def add() -> bool:
            client.add_secret_version(parent=path, payload=secretmanager.SecretPayload(data=value.encode()))
            return True

        if self._ask(secret, WRITE, add, hidden=value) is None:
            self._ask(secret, WRITE, lambda: self._create(secret))
            self._ask(secret, WRITE, add, hidden=value)

    def delete(self, secret: Secret) -> None:
        """Remove a secret with all its versions, if there."""
        path = self._path(secret)
        client = self._open()
        self._ask(secret, WRITE, lambda: client.delete_secret(name=path))

    def _create(self, secret: Secret) -> None:
        from google.api_core.exceptions import AlreadyExists
        from google.cloud import secretmanager

        everywhere = secretmanager.Replication(automatic=secretmanager.Replication.Automatic())
        settings = secretmanager.Secret(replication=everywhere, labels={"app": "b2brecs"})
        with suppress(AlreadyExists):
            self._open().create_secret(parent=f"projects/{self.project}", secret_id=secret.key, secret=settings)

    def _path(self, secret: Secret) -> str:
        if secret.scheme == "env":
            raise B2BRecsError(
                f"{secret.reference} is only read: set or unset {secret.key} where this runs. "
                "To store a secret, write Secret('gcp:NAME')."
            )
        if secret.scheme != "gcp":
            raise B2BRecsError(
                f"{secret.reference} is kept in the keyring of one machine, which workers in the cloud cannot read. "
                "Store it in Secret Manager with ws.secrets.put('gcp:NAME') and write Secret('gcp:NAME')."
            )
        if not _NAME.match(secret.key):
            raise B2BRecsError(
                f"{secret.reference}: names in Secret Manager hold letters, digits, '-' and '_' only. Rename it."
            )
        return f"projects/{self.project}/secrets/{secret.key}"

    def _open(self) -> secretmanager.SecretManagerServiceClient:
        require("google.cloud.secretmanager", feature="Secret Manager", extra="gcp")
        from google.cloud import secretmanager

        with self._lock:
            if self._client is None:
                self._client = secretmanager.SecretManagerServiceClient()
            return self._client

    def _ask(self, secret: Secret, role: str, act: Callable[[], T], *, hidden: str = "") -> T | None:
        """Do something; None when there is no such secret, or no version of it that may be read."""
        from google.api_core import exceptions

        refused = None
        try:
            return act()
        except (exceptions.NotFound, exceptions.FailedPrecondition):
            return None
        except Exception as error:  # noqa: BLE001
            # Google's own error is let go, since what it holds on to may repeat the secret.
            grant = f"{role} (on project {self.project!r})"
            said = sentence(error, "Secret Manager", grant)
            if said is None or (hidden and hidden in str(error)):
                said = f"Secret Manager refused ({type(error).__name__}). The role {grant} is needed."
            refused = B2BRecsError(f"{secret.reference}: {said}")
        raise refused
