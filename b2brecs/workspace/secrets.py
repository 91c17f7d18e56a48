"""Verbs on secrets. None of them returns one."""

from __future__ import annotations

import getpass
import warnings

from b2brecs.backends.protocols import SecretStore
from b2brecs.configs.secrets import Secret
from b2brecs.errors import B2BRecsError


class SecretVerbs:
    """Store and remove secrets; a config holds only the reference."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store

    def put(self, secret: Secret | str, value: str | None = None) -> Secret:
        """Store a secret, or replace it, and return the reference to it.

        Whatever refers to it reads the new value from then on; no configuration changes.

        Parameters
        ----------
        secret
            Where: ``"keyring:erp"`` on this machine, ``"gcp:erp"`` in the cloud home.
        value
            The secret. Left out, it is asked for with a hidden prompt, so that it stands in no notebook.

        Raises
        ------
        B2BRecsError
            There is nobody to ask, or the answer was empty.
        """
        reference = secret if isinstance(secret, Secret) else Secret(secret)
        self._store.put(reference, value if value is not None else _ask(reference))
        return reference

    def delete(self, secret: Secret | str) -> None:
        """Remove a secret, if it is there."""
        self._store.delete(secret if isinstance(secret, Secret) else Secret(secret))

    def __repr__(self) -> str:
        return f"<secrets of {self._store!r}>"


def _ask(reference: Secret) -> str:
    try:
        with warnings.catch_warnings():
            # Where nothing can hide the input, Python warns and shows it.
            warnings.simplefilter("error", getpass.GetPassWarning)
            value = getpass.getpass(f"{reference.reference}: ")
    except (getpass.GetPassWarning, EOFError, NotImplementedError):
        raise B2BRecsError(
            f"there is nobody to ask for {reference.reference}: this runs without a terminal or a notebook that can "
            "prompt. Pipe it in: b2brecs secrets put REFERENCE --stdin"
        ) from None
    if not value:
        raise B2BRecsError(f"{reference.reference} was not stored: the answer was empty.")
    return value
