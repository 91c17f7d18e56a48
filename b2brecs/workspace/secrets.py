"""Verbs on secrets. None of them returns one."""

from __future__ import annotations

import getpass

from b2brecs.backends.protocols import SecretStore
from b2brecs.configs.secrets import Secret


class SecretVerbs:
    """Store and remove secrets; a config holds only the reference."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store

    def put(self, secret: Secret | str, value: str | None = None) -> Secret:
        """Store a secret and return the reference to it.

        Parameters
        ----------
        secret
            Where: ``"keyring:erp"`` on this machine, ``"gcp:erp"`` in the cloud home.
        value
            The secret. Left out, it is asked for with a hidden prompt, so that it stands in no notebook.
        """
        reference = secret if isinstance(secret, Secret) else Secret(secret)
        self._store.put(reference, value if value is not None else getpass.getpass(f"{reference.reference}: "))
        return reference

    def delete(self, secret: Secret | str) -> None:
        """Remove a secret, if it is there."""
        self._store.delete(secret if isinstance(secret, Secret) else Secret(secret))

    def __repr__(self) -> str:
        return f"<secrets of {self._store!r}>"
