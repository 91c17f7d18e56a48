"""Secrets of the environment, which every home can read."""

from __future__ import annotations

import os

from b2brecs.configs.secrets import Secret
from b2brecs.errors import SecretNotFound


def from_environment(secret: Secret) -> str:
    """Return the value of ``Secret("env:NAME")``.

    Raises
    ------
    SecretNotFound
        The variable is not set.
    """
    value = os.environ.get(secret.key)
    if value is None:
        raise SecretNotFound(secret.reference, f"Set the environment variable {secret.key} where this runs.")
    return value
