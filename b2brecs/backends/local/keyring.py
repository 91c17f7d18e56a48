"""The local secrets: the OS keyring, and the environment to read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2brecs.backends.environment import from_environment
from b2brecs.configs.secrets import Secret
from b2brecs.errors import B2BRecsError, SecretNotFound

if TYPE_CHECKING:
    from types import ModuleType

_SERVICE = "b2brecs"
_NO_KEYRING = (
    "This machine has no OS keyring (usual on Linux without a desktop). Set an environment variable and write "
    "Secret('env:NAME'), or install a keyring backend, e.g. pip install keyrings.alt."
)


class LocalSecrets:
    """Secrets of this machine: ``keyring:`` in the OS keyring, ``env:`` from the environment, read-only."""

    def __repr__(self) -> str:
        return "<LocalSecrets>"

    def get(self, secret: Secret) -> str:
        """Return the secret.

        Raises
        ------
        SecretNotFound
            Nothing is stored under the reference.
        """
        if secret.scheme == "env":
            return from_environment(secret)
        keyring = _keyring(secret)
        try:
            stored: str | None = keyring.get_password(_SERVICE, secret.key)
        except keyring.errors.NoKeyringError:
            raise SecretNotFound(secret.reference, _NO_KEYRING) from None
        except keyring.errors.KeyringError as error:
            raise B2BRecsError(f"the OS keyring did not answer for {secret.reference}: {_why(error)}") from None
        if stored is None:
            raise SecretNotFound(secret.reference, f"Store it once with ws.secrets.put({secret.reference!r}).")
        return stored

    def put(self, secret: Secret, value: str) -> None:
        """Store or replace a secret in the OS keyring.

        Raises
        ------
        B2BRecsError
            There is no OS keyring, or the scheme cannot be written to.
        """
        _refuse_environment(secret)
        keyring = _keyring(secret)
        try:
            keyring.set_password(_SERVICE, secret.key, value)
        except keyring.errors.NoKeyringError:
            raise B2BRecsError(f"{secret.reference} was not stored. {_NO_KEYRING}") from None
        except (keyring.errors.KeyringError, NotImplementedError):
            # The text of the backend's error is not shown: it may repeat the secret.
            raise B2BRecsError(
                f"the keyring backend {type(keyring.get_keyring()).__name__} refused to store {secret.reference}. "
                "Unlock the keyring, install another backend (pip install keyrings.alt), or set an environment "
                "variable and write Secret('env:NAME')."
            ) from None

    def delete(self, secret: Secret) -> None:
        """Remove a secret from the OS keyring, if there."""
        _refuse_environment(secret)
        keyring = _keyring(secret)
        try:
            if keyring.get_password(_SERVICE, secret.key) is not None:
                keyring.delete_password(_SERVICE, secret.key)
        except keyring.errors.NoKeyringError:
            return
        except (keyring.errors.KeyringError, NotImplementedError) as error:
            raise B2BRecsError(f"the OS keyring did not remove {secret.reference}: {_why(error)}") from None


def _keyring(secret: Secret) -> ModuleType:
    if secret.scheme != "keyring":
        raise B2BRecsError(
            f"{secret.reference} is kept in Google's Secret Manager, which a local workspace does not read. "
            "Write Secret('keyring:NAME') or Secret('env:NAME'), or open the workspace with "
            "b2brecs.connect('gcp://project/region')."
        )
    import keyring
    import keyring.errors

    return keyring


def _refuse_environment(secret: Secret) -> None:
    if secret.scheme == "env":
        raise B2BRecsError(
            f"{secret.reference} is only read: set or unset {secret.key} where the notebook is started. "
            "To store a secret, write Secret('keyring:NAME')."
        )


def _why(error: Exception) -> str:
    return f"{type(error).__name__}. Unlock the keyring, or write Secret('env:NAME')."
